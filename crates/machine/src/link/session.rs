//! The client's half of the sync protocol as a pure state machine: no socket, no clock.
//!
//! It knows the wanted queries and what this connection has said and heard. A new connection starts from zero: everything is
//! sent again. Each Transition must begin where the one before ended, else the connection is given up.

use crate::Secret;
use crate::api::refusal;
use chatroom_protocol::sync::{
    ClientMessage, QuerySetModification, ServerMessage, StateModification, StateVersion, SyncTs,
};
use chatroom_protocol::{ErrorCode, Refusal, UnixMs, value};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// What follows from a message.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// The server has taken this connection.
    Up,
    /// A query has a new answer.
    Answer { query: u32, answer: Result<Value, Refusal> },
    /// The credential is not valid: end this connection and try again with another.
    Unauthenticated(String),
    /// End this connection and make another.
    Reconnect(String),
}

/// The state of one client over all its connections.
#[derive(Debug)]
pub(crate) struct Session {
    session_id: String,
    connections: u32,
    last_close_reason: String,
    max_observed: Option<SyncTs>,
    queries: BTreeMap<u32, Query>,
    next_query: u32,
    connection: Option<Connection>,
    outbox: VecDeque<ClientMessage>,
}

#[derive(Debug)]
struct Query {
    path: String,
    args: Value,
}

/// What was said and heard on the present connection.
#[derive(Debug)]
struct Connection {
    heard: StateVersion,
    said_query_set: u32,
    said_identity: u32,
    up: bool,
}

impl Session {
    /// A client that wants nothing yet.
    pub(crate) fn new(session_id: String) -> Self {
        Self {
            session_id,
            connections: 0,
            last_close_reason: "InitialConnect".to_owned(),
            max_observed: None,
            queries: BTreeMap::new(),
            next_query: 0,
            connection: None,
            outbox: VecDeque::new(),
        }
    }

    /// A connection is there: says who we are and everything we want.
    pub(crate) fn connected(&mut self, token: &Secret, now: UnixMs) {
        self.outbox.clear();
        self.outbox.push_back(ClientMessage::Connect {
            session_id: self.session_id.clone(),
            connection_count: self.connections,
            last_close_reason: Some(self.last_close_reason.clone()),
            max_observed_timestamp: self.max_observed,
            client_ts: Some(now.0),
        });
        self.outbox.push_back(ClientMessage::Authenticate {
            base_version: 0,
            token_type: "User".to_owned(),
            value: Some(token.expose().to_owned()),
            impersonating: None,
        });
        self.connections = self.connections.saturating_add(1);
        self.connection =
            Some(Connection { heard: StateVersion::default(), said_query_set: 0, said_identity: 1, up: false });
        let all = self.queries.iter().map(|(id, query)| add(*id, query)).collect::<Vec<_>>();
        if !all.is_empty() {
            self.modify(all);
        }
    }

    /// The connection is gone. `reason` is told to the next one.
    pub(crate) fn disconnected(&mut self, reason: &str) {
        self.connection = None;
        self.outbox.clear();
        self.last_close_reason = reason.chars().take(200).collect();
    }

    /// Wants a query from now on; gives its number.
    pub(crate) fn subscribe(&mut self, name: &str, args: Value) -> u32 {
        let id = self.next_query;
        self.next_query += 1;
        let query = Query { path: name.replacen('.', ":", 1), args: value::encode(args) };
        let addition = add(id, &query);
        self.queries.insert(id, query);
        self.modify(vec![addition]);
        id
    }

    /// Wants a query no longer.
    pub(crate) fn unsubscribe(&mut self, id: u32) {
        if self.queries.remove(&id).is_some() {
            self.modify(vec![QuerySetModification::Remove { query_id: id }]);
        }
    }

    /// The next message to send on this connection.
    pub(crate) fn next_outgoing(&mut self) -> Option<ClientMessage> {
        self.outbox.pop_front()
    }

    /// Takes a message of the server.
    pub(crate) fn handle(&mut self, message: ServerMessage) -> Vec<Effect> {
        match message {
            ServerMessage::Transition { start_version, end_version, modifications, .. } => {
                self.transition(start_version, end_version, modifications)
            }
            ServerMessage::AuthError { error, .. } => vec![Effect::Unauthenticated(error)],
            ServerMessage::FatalError { error } => {
                vec![Effect::Reconnect(format!("the server ended the link: {error}"))]
            }
            // This client calls over HTTP only.
            ServerMessage::MutationResponse { .. } | ServerMessage::ActionResponse { .. } => Vec::new(),
            ServerMessage::Ping {} => Vec::new(),
        }
    }

    fn transition(
        &mut self,
        start: StateVersion,
        end: StateVersion,
        modifications: Vec<StateModification>,
    ) -> Vec<Effect> {
        let Some(connection) = &mut self.connection else { return Vec::new() };
        if start != connection.heard {
            return vec![Effect::Reconnect("the server left out a change".to_owned())];
        }
        if end.query_set > connection.said_query_set || end.identity > connection.said_identity {
            return vec![Effect::Reconnect("the server is ahead of this client".to_owned())];
        }
        connection.heard = end;
        self.max_observed = self.max_observed.max(Some(end.ts));
        let mut effects = Vec::new();
        if !connection.up && end.identity == connection.said_identity {
            connection.up = true;
            effects.push(Effect::Up);
        }
        for modification in modifications {
            let (query, answer) = match modification {
                StateModification::QueryUpdated { query_id, value, .. } => (query_id, Ok(value::normalise(value))),
                StateModification::QueryFailed { query_id, error_message, error_data, .. } => {
                    (query_id, Err(refusal(error_data.as_ref(), Some(&error_message), None)))
                }
                StateModification::QueryRemoved { .. } => continue,
            };
            match answer {
                Err(refusal) if refusal.code == ErrorCode::Unauthenticated => {
                    return vec![Effect::Unauthenticated(refusal.message)];
                }
                // A result may cross our removal on the way.
                answer if self.queries.contains_key(&query) => effects.push(Effect::Answer { query, answer }),
                _ => {}
            }
        }
        effects
    }

    fn modify(&mut self, modifications: Vec<QuerySetModification>) {
        // Without a connection there is nobody to tell; the next one is told everything.
        let Some(connection) = &mut self.connection else { return };
        let base_version = connection.said_query_set;
        connection.said_query_set += 1;
        let new_version = connection.said_query_set;
        self.outbox.push_back(ClientMessage::ModifyQuerySet { base_version, new_version, modifications });
    }
}

fn add(query_id: u32, query: &Query) -> QuerySetModification {
    QuerySetModification::Add { query_id, udf_path: query.path.clone(), args: vec![query.args.clone()] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn session() -> Session {
        let mut session = Session::new("s".to_owned());
        session.connected(&Secret::new("t"), UnixMs(5));
        session
    }

    fn sent(session: &mut Session) -> Vec<Value> {
        std::iter::from_fn(|| session.next_outgoing()).map(|message| serde_json::to_value(message).unwrap()).collect()
    }

    fn version(query_set: u32, identity: u32, ts: u64) -> StateVersion {
        StateVersion { query_set, identity, ts: SyncTs(ts) }
    }

    fn transition(start: StateVersion, end: StateVersion, modifications: Value) -> ServerMessage {
        ServerMessage::Transition {
            start_version: start,
            end_version: end,
            modifications: serde_json::from_value(modifications).unwrap(),
            client_clock_skew: None,
            server_ts: None,
        }
    }

    #[test]
    fn a_new_connection_is_told_everything() {
        let mut session = Session::new("s".to_owned());
        session.subscribe("machines.getPendingCommands", json!({"epoch": 3}));
        session.connected(&Secret::new("t"), UnixMs(5));
        let messages = sent(&mut session);
        assert_eq!(messages[0]["type"], "Connect");
        assert_eq!(messages[0]["lastCloseReason"], "InitialConnect");
        assert_eq!(messages[1], json!({"type": "Authenticate", "baseVersion": 0, "tokenType": "User", "value": "t"}));
        assert_eq!(
            messages[2],
            json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": [
                {"type": "Add", "queryId": 0, "udfPath": "machines:getPendingCommands", "args": [{"epoch": 3.0}]}]})
        );
        session.disconnected("cut");
        session.connected(&Secret::new("t"), UnixMs(6));
        let messages = sent(&mut session);
        assert_eq!((&messages[0]["connectionCount"], &messages[0]["lastCloseReason"]), (&json!(1), &json!("cut")));
        assert_eq!(messages[2]["newVersion"], 1);
    }

    #[test]
    fn subscriptions_change_on_a_living_connection() {
        let mut session = session();
        sent(&mut session);
        let id = session.subscribe("a.b", json!({}));
        session.unsubscribe(id);
        session.unsubscribe(id);
        let messages = sent(&mut session);
        assert_eq!(messages.len(), 2);
        assert_eq!((&messages[0]["baseVersion"], &messages[0]["newVersion"]), (&json!(0), &json!(1)));
        assert_eq!((&messages[1]["baseVersion"], &messages[1]["newVersion"]), (&json!(1), &json!(2)));
        assert_eq!(messages[1]["modifications"], json!([{"type": "Remove", "queryId": 0}]));
    }

    #[test]
    fn results_are_delivered_with_integers_and_refusals_with_their_code() {
        let mut session = session();
        let a = session.subscribe("a.a", json!({}));
        let b = session.subscribe("a.b", json!({}));
        let effects = session.handle(transition(
            version(0, 0, 0),
            version(2, 1, 9),
            json!([
                {"type": "QueryUpdated", "queryId": a, "value": {"n": 5.0}, "logLines": [], "journal": null},
                {"type": "QueryFailed", "queryId": b, "errorMessage": "no", "journal": null,
                 "errorData": {"code": "not_found", "message": "room not found"}},
                {"type": "QueryUpdated", "queryId": 77, "value": 1, "journal": null},
            ]),
        ));
        let refusal = Refusal::new(ErrorCode::NotFound, "room not found");
        assert_eq!(
            effects,
            [
                Effect::Up,
                Effect::Answer { query: a, answer: Ok(json!({"n": 5})) },
                Effect::Answer { query: b, answer: Err(refusal) }
            ]
        );
        // Up is said once.
        assert!(session.handle(transition(version(2, 1, 9), version(2, 1, 12), json!([]))).is_empty());
    }

    #[test]
    fn a_gap_in_the_versions_ends_the_connection() {
        let mut session = session();
        let effects = session.handle(transition(version(0, 0, 1), version(0, 1, 2), json!([])));
        assert!(matches!(effects[..], [Effect::Reconnect(_)]), "{effects:?}");
        let effects = session.handle(transition(version(0, 0, 0), version(3, 1, 2), json!([])));
        assert!(matches!(effects[..], [Effect::Reconnect(_)]), "{effects:?}");
    }

    #[test]
    fn the_newest_seen_commit_is_told_to_the_next_connection() {
        let mut session = session();
        session.handle(transition(version(0, 0, 0), version(0, 1, 9), json!([])));
        session.disconnected("cut");
        session.connected(&Secret::new("t"), UnixMs(5));
        assert_eq!(sent(&mut session)[0]["maxObservedTimestamp"], json!(SyncTs(9)));
    }

    #[test]
    fn a_bad_credential_is_told_whichever_way_the_server_says_it() {
        let error =
            ServerMessage::AuthError { error: "revoked".to_owned(), base_version: 0, auth_update_attempted: true };
        assert_eq!(session().handle(error), [Effect::Unauthenticated("revoked".to_owned())]);
        let mut session = session();
        let query = session.subscribe("a.a", json!({}));
        let failed = json!([{"type": "QueryFailed", "queryId": query, "errorMessage": "x", "journal": null,
                             "errorData": {"code": "unauthenticated", "message": "sign in"}}]);
        let effects = session.handle(transition(version(0, 0, 0), version(1, 1, 9), failed));
        assert_eq!(effects, [Effect::Unauthenticated("sign in".to_owned())]);
    }
}
