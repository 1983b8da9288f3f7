//! Messages of the sync socket (`/api/sync`), the live channel that official Convex clients speak.
//!
//! Unknown fields are ignored on both sides; an unknown client message is [`ClientMessage::Unknown`], never an error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A commit timestamp: nanoseconds, on the wire base64 of 8 bytes little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SyncTs(pub u64);

impl Serialize for SyncTs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0.to_le_bytes()))
    }
}

impl<'de> Deserialize<'de> for SyncTs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(&text).map_err(serde::de::Error::custom)?;
        let bytes: [u8; 8] = bytes.try_into().map_err(|_| serde::de::Error::custom("a timestamp has 8 bytes"))?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }
}

/// What a socket has been sent: number of the query set, of the identity, and the snapshot's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateVersion {
    /// Counts changes of the query set.
    pub query_set: u32,
    /// Counts authentications.
    pub identity: u32,
    /// The snapshot that all results come from.
    pub ts: SyncTs,
}

/// From client to server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum ClientMessage {
    /// First message on a socket.
    Connect {
        /// Stays the same for an npm client's life; new on each connection for the Rust and Python clients.
        session_id: String,
        /// How often this client has connected before.
        #[serde(default, deserialize_with = "whole")]
        connection_count: u32,
        /// Why the last connection ended.
        #[serde(default)]
        last_close_reason: Option<String>,
        /// The newest commit the client has seen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_observed_timestamp: Option<SyncTs>,
        /// The client's clock in milliseconds; 0 when it does not tell.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "opt_whole")]
        client_ts: Option<i64>,
    },
    /// Names the credential of the socket from now on.
    Authenticate {
        /// The identity version that it builds on.
        base_version: u32,
        /// `User`, `Admin` or `None`.
        token_type: String,
        /// The token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
        /// Whom an admin wants to act as.
        #[serde(default, skip_serializing_if = "Option::is_none", alias = "acting_as")]
        impersonating: Option<Value>,
    },
    /// Adds and removes subscriptions.
    ModifyQuerySet {
        /// The query set version that it builds on.
        base_version: u32,
        /// The version after it.
        new_version: u32,
        /// What changes.
        modifications: Vec<QuerySetModification>,
    },
    /// Calls a mutation.
    #[serde(rename_all = "camelCase")]
    Mutation(Call),
    /// Calls an action.
    #[serde(rename_all = "camelCase")]
    Action(Call),
    /// Telemetry of the client; ignored.
    Event {},
    /// A type that this server does not know; ignored.
    #[serde(other)]
    Unknown,
}

/// A call of a mutation or action over the socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// One counter for mutations and actions of a session.
    pub request_id: u32,
    /// `module:function`.
    pub udf_path: String,
    /// One object in a list.
    #[serde(default)]
    pub args: Vec<Value>,
}

/// One change of the query set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum QuerySetModification {
    /// Subscribe.
    Add {
        /// The client's number for it.
        query_id: u32,
        /// `module:function`.
        udf_path: String,
        /// One object in a list.
        #[serde(default)]
        args: Vec<Value>,
    },
    /// Unsubscribe.
    Remove {
        /// The client's number for it.
        query_id: u32,
    },
}

/// From server to client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum ServerMessage {
    /// Moves the client from one snapshot to the next.
    Transition {
        /// What the client must be at.
        start_version: StateVersion,
        /// Where it is afterwards.
        end_version: StateVersion,
        /// Results that changed.
        modifications: Vec<StateModification>,
        /// How far the client's clock is ahead, in milliseconds. Comes with `server_ts` or not at all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_clock_skew: Option<i64>,
        /// The server's clock when this was sent, in nanoseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server_ts: Option<i64>,
    },
    /// The answer to a mutation.
    MutationResponse {
        /// Of the call.
        request_id: u32,
        /// Whether it took effect.
        success: bool,
        /// The answer, or the error message.
        result: Value,
        /// The commit, on success; a Transition at or after it follows.
        ts: Option<SyncTs>,
        /// Always empty.
        #[serde(default)]
        log_lines: Vec<String>,
        /// The refusal.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
        error_data: Option<Value>,
    },
    /// The answer to an action.
    ActionResponse {
        /// Of the call.
        request_id: u32,
        /// Whether it took effect.
        success: bool,
        /// The answer, or the error message.
        result: Value,
        /// Always empty.
        #[serde(default)]
        log_lines: Vec<String>,
        /// The refusal.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
        error_data: Option<Value>,
    },
    /// The credential is not valid.
    AuthError {
        /// Why.
        error: String,
        /// The identity version that the refused message built on.
        base_version: u32,
        /// Whether an `Authenticate` caused it.
        auth_update_attempted: bool,
    },
    /// The client broke the protocol; the socket ends.
    FatalError {
        /// How.
        error: String,
    },
    /// Shows that the server is there; sent after 15 s without another message.
    Ping {},
}

/// One changed result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum StateModification {
    /// A new result.
    QueryUpdated {
        /// The client's number for it.
        query_id: u32,
        /// The result.
        value: Value,
        /// Always empty.
        #[serde(default)]
        log_lines: Vec<String>,
        /// Always null.
        journal: Option<String>,
    },
    /// The query was refused.
    QueryFailed {
        /// The client's number for it.
        query_id: u32,
        /// Why.
        error_message: String,
        /// Always empty.
        #[serde(default)]
        log_lines: Vec<String>,
        /// Always null.
        journal: Option<String>,
        /// The refusal.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
        error_data: Option<Value>,
    },
    /// The subscription ended.
    QueryRemoved {
        /// The client's number for it.
        query_id: u32,
    },
}

/// An `errorData` that is there and null is something else than none.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A count, also when it comes as a float.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from float saturates")]
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    f64::deserialize(deserializer).map(|float| float as u32)
}

/// A time, also when it comes as a float.
#[allow(clippy::cast_possible_truncation, reason = "a cast from float saturates")]
fn opt_whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.map(|float| float as i64))
}

#[cfg(test)]
mod official;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_client_message_is_not_an_error() {
        let message: ClientMessage = serde_json::from_str(r#"{"type":"Sing","song":1}"#).unwrap();
        assert_eq!(message, ClientMessage::Unknown);
    }

    #[test]
    fn a_timestamp_is_eight_bytes_little_endian_in_base64() {
        assert_eq!(serde_json::to_string(&SyncTs(1)).unwrap(), r#""AQAAAAAAAAA=""#);
        assert_eq!(serde_json::from_str::<SyncTs>(r#""AQAAAAAAAAA=""#).unwrap(), SyncTs(1));
    }

    #[test]
    fn an_event_with_content_is_read() {
        let text = r#"{"type":"Event","eventType":"ClientConnect","event":{"a":1}}"#;
        assert_eq!(serde_json::from_str::<ClientMessage>(text).unwrap(), ClientMessage::Event {});
    }
}
