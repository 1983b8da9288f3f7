//! The sync session as a pure state machine: what a client has asked for, what it was sent, and what is due.
//!
//! Order rules of the wire: an answer to a mutation comes before the Transition that shows its effects; a Transition follows
//! every answer; versions chain; results that did not change are not sent again; all results of a Transition are of one snapshot.

use super::result::{Fingerprint, Outcome, Written};
use crate::live::Topic;
use chatroom_protocol::function::canonical_name;
use chatroom_protocol::sync::{Call, ClientMessage, QuerySetModification, ServerMessage, StateVersion, SyncTs};
use chatroom_protocol::{Refusal, UnixMs, value};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// Subscriptions that one socket may hold.
const MAX_QUERIES: usize = 1000;
/// Bytes that their arguments may have together.
const MAX_ARGS: usize = 4 * 1024 * 1024;
/// A Transition is not made longer than this while it holds a result already: official clients take frames of 16 MiB.
const MAX_TRANSITION: usize = 12 * 1024 * 1024;

/// One subscription.
#[derive(Debug)]
pub struct Query {
    /// The client's number for it.
    pub query_id: u32,
    /// Canonical name of the function.
    pub name: Box<str>,
    /// Its arguments as canonical text.
    pub args: Box<str>,
    /// What its result depends on.
    pub topics: Box<[Arc<Topic>]>,
    /// Whether it counts as evidence of somebody's presence.
    pub is_presence: bool,
    /// The result that was sent last.
    sent: Option<Fingerprint>,
    stale: bool,
}

/// What a message asks the socket to do.
#[derive(Debug)]
pub enum Effect {
    /// Find out who this token speaks for (nobody without one), then call [`Session::authenticated`] or
    /// [`Session::auth_refused`].
    Authenticate {
        /// The token.
        token: Option<String>,
        /// The version that the client builds on.
        base_version: u32,
    },
    /// Send this.
    Send(ServerMessage),
    /// Begin to watch for this subscription.
    Subscribe {
        /// Its number.
        query_id: u32,
    },
    /// Cease to watch for this subscription, which is gone.
    Unsubscribe(Box<Query>),
    /// Run a mutation, then call [`Session::answered`]. One at a time, in order.
    Mutation(Call),
    /// Run an action, then call [`Session::action_answered`].
    Action(Call),
    /// Raise the commit clock to what this client has seen.
    Observe(SyncTs),
    /// End the socket: the client does not keep the protocol.
    Close {
        /// For the log and the close frame.
        reason: &'static str,
    },
}

/// The state of one socket.
#[derive(Debug, Default)]
pub struct Session {
    session_id: Option<Box<str>>,
    /// How far the client's clock was ahead at `Connect`, in milliseconds, if it tells the time.
    clock_skew: Option<i64>,
    /// What the client has been sent.
    sent: StateVersion,
    /// What the client has asked for.
    query_set: u32,
    identity: u32,
    /// The time of the newest answer: the next Transition is at or after it.
    answered: SyncTs,
    /// Sorted by number.
    queries: Vec<Query>,
    args_bytes: usize,
    removed: Vec<u32>,
    /// Whether a Transition is due even if no result changed.
    is_due: bool,
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
        self.place(query_id).ok().map(|place| &self.queries[place])
    }

    /// Every subscription.
    #[must_use]
    pub fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// The next Transition must be later than this.
    #[must_use]
    pub fn shown(&self) -> SyncTs {
        self.sent.ts.max(self.answered)
    }

    /// Takes a message of the client in.
    #[must_use]
    pub fn receive(&mut self, message: ClientMessage, now: UnixMs) -> Vec<Effect> {
        if self.session_id.is_none() && !matches!(message, ClientMessage::Connect { .. }) {
            return vec![Effect::Close { reason: "the first message must be Connect" }];
        }
        match message {
            ClientMessage::Connect { session_id, max_observed_timestamp, client_ts, .. } => {
                if self.session_id.is_some() {
                    return vec![Effect::Close { reason: "Connect came twice" }];
                }
                if session_id.len() > 100 {
                    return vec![Effect::Close { reason: "the session id is too long" }];
                }
                self.session_id = Some(session_id.into());
                // Clients that do not tell the time say 0.
                self.clock_skew = client_ts.filter(|ts| *ts > 0).map(|ts| ts.saturating_sub(now.0));
                max_observed_timestamp.map(Effect::Observe).into_iter().collect()
            }
            ClientMessage::Authenticate { base_version, token_type, value, impersonating } => {
                if base_version != self.identity {
                    return vec![Effect::Close { reason: "Authenticate builds on another version" }];
                }
                if impersonating.is_some() {
                    let error = "a key cannot act as somebody else here".to_owned();
                    return vec![Effect::Send(self.auth_refused(base_version, error))];
                }
                let token = value.filter(|_| token_type != "None");
                vec![Effect::Authenticate { token, base_version }]
            }
            ClientMessage::ModifyQuerySet { base_version, new_version, modifications } => {
                self.modify(base_version, new_version, modifications)
            }
            ClientMessage::Mutation(call) => vec![Effect::Mutation(call)],
            ClientMessage::Action(call) => vec![Effect::Action(call)],
            ClientMessage::Event {} | ClientMessage::Unknown => Vec::new(),
        }
    }

    /// The credential of the last `Authenticate` is valid (or is none): everything is read again.
    pub fn authenticated(&mut self) {
        self.identity = self.identity.wrapping_add(1);
        self.invalidate_all();
        self.is_due = true;
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

    /// A mutation has ended: the answer to send. A Transition is due after it.
    #[must_use]
    pub fn answered(&mut self, request_id: u32, outcome: Outcome, ts: SyncTs) -> ServerMessage {
        self.is_due = true;
        self.answered = self.answered.max(ts);
        let (success, result, error_data) = answer(outcome);
        let ts = success.then_some(ts);
        ServerMessage::MutationResponse { request_id, success, result, ts, log_lines: Vec::new(), error_data }
    }

    /// An action has ended: the answer to send. A Transition is due after it.
    #[must_use]
    pub fn action_answered(&mut self, request_id: u32, outcome: Outcome) -> ServerMessage {
        self.is_due = true;
        let (success, result, error_data) = answer(outcome);
        ServerMessage::ActionResponse { request_id, success, result, log_lines: Vec::new(), error_data }
    }

    /// What a subscription's result depends on; gives what was told before.
    pub fn set_topics(&mut self, query_id: u32, topics: Box<[Arc<Topic>]>) -> Box<[Arc<Topic>]> {
        match self.place(query_id) {
            Ok(place) => std::mem::replace(&mut self.queries[place].topics, topics),
            Err(_) => topics,
        }
    }

    /// Whether a subscription counts as evidence of somebody's presence.
    pub fn set_presence(&mut self, query_id: u32, is_presence: bool) {
        if let Ok(place) = self.place(query_id) {
            self.queries[place].is_presence = is_presence;
        }
    }

    /// These topics have changed.
    pub fn invalidate(&mut self, topics: &HashSet<Arc<Topic>>) {
        for query in &mut self.queries {
            query.stale |= query.topics.iter().any(|topic| topics.contains(topic));
        }
    }

    /// Everything may have changed.
    pub fn invalidate_all(&mut self) {
        self.queries.iter_mut().for_each(|query| query.stale = true);
    }

    /// When a Transition is due: the subscriptions that must be read for it, from one snapshot later than [`Session::shown`].
    #[must_use]
    pub fn due(&self) -> Option<Vec<u32>> {
        let stale: Vec<u32> = self.queries.iter().filter(|query| query.stale).map(|query| query.query_id).collect();
        (self.is_due || !stale.is_empty()).then_some(stale)
    }

    /// The results of what [`Session::due`] named, of the snapshot at `ts`: the text of the Transition to send, unless none of
    /// them is new and nobody waits for one. What makes it too long stays due.
    #[must_use]
    pub fn transition(&mut self, ts: SyncTs, results: &[(u32, Arc<Written>)], now: UnixMs) -> Option<String> {
        let mut modifications = Modifications::default();
        for query_id in std::mem::take(&mut self.removed) {
            if self.place(query_id).is_err() {
                modifications.removed(query_id);
            }
        }
        let mut is_left = false;
        for (query_id, result) in results {
            let Ok(place) = self.place(*query_id) else { continue };
            let query = &mut self.queries[place];
            let fingerprint = Some(result.fingerprint());
            if query.sent != fingerprint {
                if modifications.has_result && modifications.text.len() + result.size() > MAX_TRANSITION {
                    is_left = true;
                    continue;
                }
                modifications.changed(*query_id, result);
                query.sent = fingerprint;
            }
            query.stale = false;
        }
        if !self.is_due && modifications.text.is_empty() {
            return None;
        }
        self.is_due = is_left;
        let end = StateVersion { query_set: self.query_set, identity: self.identity, ts: ts.max(self.sent.ts) };
        let start = std::mem::replace(&mut self.sent, end);
        Some(self.write(start, end, &modifications.text, now))
    }

    fn write(&self, start: StateVersion, end: StateVersion, modifications: &str, now: UnixMs) -> String {
        let version = |version| serde_json::to_string(&version).unwrap_or_default();
        let (start, end) = (version(start), version(end));
        let clocks = self
            .clock_skew
            .map(|skew| format!(r#","clientClockSkew":{skew},"serverTs":{}"#, now.0.saturating_mul(1_000_000)));
        let clocks = clocks.unwrap_or_default();
        format!(
            r#"{{"type":"Transition","startVersion":{start},"endVersion":{end},"modifications":[{modifications}]{clocks}}}"#
        )
    }

    fn place(&self, query_id: u32) -> Result<usize, usize> {
        self.queries.binary_search_by_key(&query_id, |query| query.query_id)
    }

    fn modify(&mut self, base: u32, new: u32, modifications: Vec<QuerySetModification>) -> Vec<Effect> {
        if base != self.query_set || new <= base {
            return vec![Effect::Close { reason: "ModifyQuerySet builds on another version" }];
        }
        let mut effects = Vec::with_capacity(modifications.len());
        for modification in modifications {
            match modification {
                QuerySetModification::Add { query_id, udf_path, args } => {
                    let query = Query {
                        query_id,
                        name: canonical_name(&udf_path).into(),
                        args: one_object(args).into(),
                        topics: Box::default(),
                        is_presence: false,
                        sent: None,
                        stale: true,
                    };
                    self.args_bytes += query.args.len() + query.name.len();
                    let Err(place) = self.place(query_id) else {
                        return vec![Effect::Close { reason: "a subscription was added twice" }];
                    };
                    if self.queries.len() >= MAX_QUERIES {
                        return vec![Effect::Close { reason: "too many subscriptions on one socket" }];
                    }
                    if self.args_bytes > MAX_ARGS {
                        return vec![Effect::Close { reason: "the arguments of all subscriptions are too long" }];
                    }
                    self.queries.insert(place, query);
                    effects.push(Effect::Subscribe { query_id });
                }
                QuerySetModification::Remove { query_id } => {
                    let Ok(place) = self.place(query_id) else {
                        return vec![Effect::Close { reason: "an unknown subscription was removed" }];
                    };
                    let query = self.queries.remove(place);
                    self.args_bytes -= query.args.len() + query.name.len();
                    // Of what was never sent, the client has nothing to remove.
                    if query.sent.is_some() {
                        self.removed.push(query_id);
                    }
                    // Added in the same message: nobody needs to begin with what is over.
                    effects.retain(
                        |effect| !matches!(effect, Effect::Subscribe { query_id: added } if *added == query_id),
                    );
                    effects.push(Effect::Unsubscribe(Box::new(query)));
                }
            }
        }
        self.queries.shrink_to_fit();
        self.query_set = new;
        self.is_due = true;
        effects
    }
}

/// The modifications of a Transition, written one after the other.
#[derive(Default)]
struct Modifications {
    text: String,
    has_result: bool,
}

impl Modifications {
    fn removed(&mut self, query_id: u32) {
        self.separate();
        self.text.push_str(&format!(r#"{{"type":"QueryRemoved","queryId":{query_id}}}"#));
    }

    fn changed(&mut self, query_id: u32, result: &Written) {
        self.separate();
        self.has_result = true;
        result.write(query_id, &mut self.text);
    }

    fn separate(&mut self) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
    }
}

/// The arguments as clients send them: a list of one object. Anything else is kept as it came, for the function to refuse.
fn one_object(mut args: Vec<Value>) -> String {
    match args.len() {
        0 => "{}".to_owned(),
        1 => value::canonical_text(&args.remove(0)),
        _ => value::canonical_text(&Value::Array(args)),
    }
}

/// `success`, `result` and `errorData` of an answer.
fn answer(outcome: Outcome) -> (bool, Value, Option<Value>) {
    let failed = |refusal: Refusal| (false, Value::String(refusal.message.clone()), serde_json::to_value(refusal).ok());
    match outcome.as_ref().map(value::to_encoded) {
        Ok(Ok(result)) => (true, result, None),
        // The registry has looked before it committed: this cannot be.
        Ok(Err(error)) => failed(Refusal::new(chatroom_protocol::ErrorCode::Internal, error.to_string())),
        Err(_) => outcome.map_or_else(failed, |_| (true, Value::Null, None)),
    }
}

#[cfg(test)]
mod tests;
