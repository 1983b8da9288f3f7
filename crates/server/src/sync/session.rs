//! The sync session as a pure state machine: what a client has asked for, what it was sent, and what is due.
//!
//! Order rules of the wire: an answer to a mutation comes before the Transition that shows its effects; a Transition follows
//! every answer; versions chain; results that did not change are not sent again; all results of a Transition are of one snapshot.

use chatroom_protocol::Refusal;
use chatroom_protocol::function::canonical_name;
use chatroom_protocol::sync::{
    Call, ClientMessage, QuerySetModification, ServerMessage, StateModification, StateVersion, SyncTs,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Subscriptions that one socket may hold.
const MAX_QUERIES: usize = 1000;

/// One subscription.
#[derive(Clone, Debug)]
pub struct Query {
    /// Canonical name of the function.
    pub name: String,
    /// Its arguments: one object.
    pub args: Value,
    /// Hash of the result that was sent last.
    sent: Option<[u8; 32]>,
    stale: bool,
}

/// What a message asks the socket to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Find out who this token speaks for (nobody without one), then call [`Session::authenticated`] or
    /// [`Session::auth_refused`].
    Authenticate {
        /// The token.
        token: Option<String>,
        /// The version that the client builds on.
        base_version: u32,
    },
    /// Begin to watch for this subscription.
    Subscribe {
        /// Its number.
        query_id: u32,
    },
    /// Cease to watch for this subscription.
    Unsubscribe {
        /// Its number.
        query_id: u32,
    },
    /// Run a mutation (or action), then call [`Session::answered`].
    Call(Call),
    /// Raise the commit clock to what this client has seen.
    Observe(SyncTs),
    /// End the socket: the client does not keep the protocol.
    Close {
        /// For the log and the close frame.
        reason: &'static str,
    },
}

/// A result to send: the answer, or why it was refused.
pub type Outcome = Result<Value, Refusal>;

/// The state of one socket.
#[derive(Debug, Default)]
pub struct Session {
    session_id: Option<String>,
    /// What the client has been sent.
    sent: StateVersion,
    /// What the client has asked for.
    query_set: u32,
    identity: u32,
    queries: BTreeMap<u32, Query>,
    removed: Vec<u32>,
    due: bool,
}

impl Session {
    /// The client's name for this session, once it has said `Connect`.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// A subscription by its number.
    #[must_use]
    pub fn query(&self, query_id: u32) -> Option<&Query> {
        self.queries.get(&query_id)
    }

    /// The numbers of every subscription.
    pub fn query_ids(&self) -> impl Iterator<Item = u32> {
        self.queries.keys().copied()
    }

    /// Takes a message of the client in.
    #[must_use]
    pub fn receive(&mut self, message: ClientMessage) -> Vec<Effect> {
        if self.session_id.is_none() && !matches!(message, ClientMessage::Connect { .. }) {
            return vec![Effect::Close { reason: "the first message must be Connect" }];
        }
        match message {
            ClientMessage::Connect { session_id, max_observed_timestamp, .. } => {
                if self.session_id.is_some() {
                    return vec![Effect::Close { reason: "Connect came twice" }];
                }
                self.session_id = Some(session_id);
                max_observed_timestamp.map(Effect::Observe).into_iter().collect()
            }
            ClientMessage::Authenticate { base_version, token_type, value, .. } => {
                if base_version != self.identity {
                    return vec![Effect::Close { reason: "Authenticate builds on another version" }];
                }
                let token = value.filter(|_| token_type != "None");
                vec![Effect::Authenticate { token, base_version }]
            }
            ClientMessage::ModifyQuerySet { base_version, new_version, modifications } => {
                self.modify(base_version, new_version, modifications)
            }
            ClientMessage::Mutation(call) | ClientMessage::Action(call) => vec![Effect::Call(call)],
            ClientMessage::Event {} | ClientMessage::Unknown => Vec::new(),
        }
    }

    /// The credential of the last `Authenticate` is valid (or is none): everything is read again.
    pub fn authenticated(&mut self) {
        self.identity += 1;
        self.queries.values_mut().for_each(|query| query.stale = true);
        self.due = true;
    }

    /// The credential of the last `Authenticate` is not valid.
    #[must_use]
    pub fn auth_refused(&self, base_version: u32, error: String) -> ServerMessage {
        ServerMessage::AuthError { error, base_version, auth_update_attempted: true }
    }

    /// The credential that the socket has used is not valid any more.
    #[must_use]
    pub fn credential_revoked(&self) -> ServerMessage {
        ServerMessage::AuthError {
            error: "the credential was revoked".to_owned(),
            base_version: self.identity,
            auth_update_attempted: false,
        }
    }

    /// A call has ended: the answer to send. A Transition is due after it.
    #[must_use]
    pub fn answered(&mut self, request_id: u32, outcome: Outcome, ts: SyncTs) -> ServerMessage {
        self.due = true;
        match outcome {
            Ok(result) => ServerMessage::MutationResponse {
                request_id,
                success: true,
                result,
                ts: Some(ts),
                log_lines: Vec::new(),
                error_data: None,
            },
            Err(refusal) => ServerMessage::MutationResponse {
                request_id,
                success: false,
                result: Value::String(refusal.message.clone()),
                ts: None,
                log_lines: Vec::new(),
                error_data: serde_json::to_value(refusal).ok(),
            },
        }
    }

    /// What these subscriptions depend on has changed.
    pub fn invalidate(&mut self, query_ids: impl IntoIterator<Item = u32>) {
        for query_id in query_ids {
            if let Some(query) = self.queries.get_mut(&query_id) {
                query.stale = true;
                self.due = true;
            }
        }
    }

    /// When a Transition is due: the subscriptions that must be read for it, from one snapshot.
    #[must_use]
    pub fn due(&self) -> Option<Vec<u32>> {
        self.due.then(|| self.queries.iter().filter(|(_, query)| query.stale).map(|(id, _)| *id).collect())
    }

    /// The results of what [`Session::due`] named, of the snapshot at `ts`: the Transition to send.
    #[must_use]
    pub fn transition(&mut self, ts: SyncTs, results: Vec<(u32, Outcome)>) -> ServerMessage {
        let mut modifications: Vec<StateModification> = std::mem::take(&mut self.removed)
            .into_iter()
            .filter(|query_id| !self.queries.contains_key(query_id))
            .map(|query_id| StateModification::QueryRemoved { query_id })
            .collect();
        for (query_id, outcome) in results {
            let Some(query) = self.queries.get_mut(&query_id) else { continue };
            query.stale = false;
            let modification = modification(query_id, outcome);
            let hash = hash(&modification);
            if query.sent != Some(hash) {
                query.sent = Some(hash);
                modifications.push(modification);
            }
        }
        let end_version =
            StateVersion { query_set: self.query_set, identity: self.identity, ts: SyncTs(ts.0.max(self.sent.ts.0)) };
        let start_version = std::mem::replace(&mut self.sent, end_version);
        self.due = false;
        ServerMessage::Transition {
            start_version,
            end_version,
            modifications,
            client_clock_skew: None,
            server_ts: None,
        }
    }

    fn modify(&mut self, base: u32, new: u32, modifications: Vec<QuerySetModification>) -> Vec<Effect> {
        if base != self.query_set || new <= base {
            return vec![Effect::Close { reason: "ModifyQuerySet builds on another version" }];
        }
        let mut effects = Vec::with_capacity(modifications.len());
        for modification in modifications {
            match modification {
                QuerySetModification::Add { query_id, udf_path, args } => {
                    if self.queries.len() >= MAX_QUERIES {
                        return vec![Effect::Close { reason: "too many subscriptions on one socket" }];
                    }
                    let args = args.into_iter().next().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
                    let query = Query { name: canonical_name(&udf_path), args, sent: None, stale: true };
                    if self.queries.insert(query_id, query).is_some() {
                        return vec![Effect::Close { reason: "a subscription was added twice" }];
                    }
                    effects.push(Effect::Subscribe { query_id });
                }
                QuerySetModification::Remove { query_id } => {
                    if self.queries.remove(&query_id).is_none() {
                        return vec![Effect::Close { reason: "an unknown subscription was removed" }];
                    }
                    self.removed.push(query_id);
                    effects.push(Effect::Unsubscribe { query_id });
                }
            }
        }
        self.query_set = new;
        self.due = true;
        effects
    }
}

fn modification(query_id: u32, outcome: Outcome) -> StateModification {
    match outcome {
        Ok(value) => StateModification::QueryUpdated { query_id, value, log_lines: Vec::new(), journal: None },
        Err(refusal) => StateModification::QueryFailed {
            query_id,
            error_message: refusal.message.clone(),
            log_lines: Vec::new(),
            journal: None,
            error_data: serde_json::to_value(refusal).ok(),
        },
    }
}

fn hash(modification: &StateModification) -> [u8; 32] {
    Sha256::digest(serde_json::to_vec(modification).unwrap_or_default()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn connected() -> Session {
        let mut session = Session::default();
        let connect = json!({"type": "Connect", "sessionId": "s", "connectionCount": 0, "lastCloseReason": null});
        assert!(session.receive(serde_json::from_value(connect).unwrap()).is_empty());
        session
    }

    fn add(session: &mut Session, base: u32, query_id: u32) -> Vec<Effect> {
        session.receive(ClientMessage::ModifyQuerySet {
            base_version: base,
            new_version: base + 1,
            modifications: vec![QuerySetModification::Add {
                query_id,
                udf_path: "machines:listMachines".into(),
                args: vec![json!({})],
            }],
        })
    }

    #[test]
    fn nothing_is_taken_before_connect() {
        let effects = Session::default().receive(ClientMessage::Event {});
        assert!(matches!(effects[..], [Effect::Close { .. }]));
    }

    #[test]
    fn an_unchanged_result_is_not_sent_again() {
        let mut session = connected();
        add(&mut session, 0, 0);
        let ServerMessage::Transition { modifications, .. } = session.transition(SyncTs(1), vec![(0, Ok(json!(1.0)))])
        else {
            panic!("a transition")
        };
        assert_eq!(modifications.len(), 1);
        session.invalidate([0]);
        assert_eq!(session.due(), Some(vec![0]));
        let ServerMessage::Transition { modifications, .. } = session.transition(SyncTs(2), vec![(0, Ok(json!(1.0)))])
        else {
            panic!("a transition")
        };
        assert!(modifications.is_empty());
        assert_eq!(session.due(), None);
    }

    #[test]
    fn a_version_that_does_not_fit_ends_the_socket_and_changes_nothing() {
        let mut session = connected();
        assert!(matches!(add(&mut session, 7, 0)[..], [Effect::Close { .. }]));
        assert_eq!(session.query_ids().count(), 0);
    }

    #[test]
    fn a_transition_is_due_after_every_answer() {
        let mut session = connected();
        let refusal = Refusal::not_found("machine");
        let ServerMessage::MutationResponse { success, error_data, .. } = session.answered(3, Err(refusal), SyncTs(1))
        else {
            panic!("an answer")
        };
        assert!(!success);
        assert_eq!(error_data.unwrap()["code"], "not_found");
        assert_eq!(session.due(), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn versions_chain_and_times_never_fall(steps in prop::collection::vec((0u8..5, 0u32..4, 0u64..50), 1..60)) {
            let mut session = connected();
            let (mut last, mut query_set) = (StateVersion::default(), 0);
            for (step, query_id, ts) in steps {
                match step {
                    0 => if session.query(query_id).is_none() {
                        add(&mut session, query_set, query_id);
                        query_set += 1;
                    },
                    1 => if session.query(query_id).is_some() {
                        let effects = session.receive(ClientMessage::ModifyQuerySet {
                            base_version: query_set,
                            new_version: query_set + 1,
                            modifications: vec![QuerySetModification::Remove { query_id }],
                        });
                        prop_assert_eq!(effects, vec![Effect::Unsubscribe { query_id }]);
                        query_set += 1;
                    },
                    2 => session.authenticated(),
                    3 => session.invalidate([query_id]),
                    _ => if let Some(due) = session.due() {
                        let results = due.into_iter().map(|id| (id, Ok(json!(ts)))).collect();
                        let ServerMessage::Transition { start_version, end_version, .. } =
                            session.transition(SyncTs(ts), results) else { panic!("a transition") };
                        prop_assert_eq!(start_version, last);
                        prop_assert!(end_version.ts >= start_version.ts);
                        prop_assert_eq!(end_version.query_set, query_set);
                        last = end_version;
                        prop_assert!(session.due().is_none());
                    }
                }
            }
        }
    }
}
