//! Our messages against those of `convex_sync_types`, which the official Rust and Python clients are made of: what they write we
//! read, what we write they read, and nothing is lost on the way.

use super::{ClientMessage, ServerMessage, StateModification};
use convex_sync_types as theirs;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Any JSON, as their generic messages want it.
#[derive(Clone, Debug, PartialEq)]
struct Json(Value);

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        json.0
    }
}

impl TryFrom<Value> for Json {
    type Error = anyhow::Error;

    fn try_from(json: Value) -> anyhow::Result<Self> {
        Ok(Self(json))
    }
}

impl Arbitrary for Json {
    type Parameters = ();
    type Strategy = BoxedStrategy<Json>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        theirs::testing::arb_json().prop_map(Json).boxed()
    }
}

/// What our server has no use for and drops: telemetry, components, journals.
fn without_dropped(message: theirs::ClientMessage) -> theirs::ClientMessage {
    use theirs::{ClientMessage, QuerySetModification};
    match message {
        ClientMessage::Mutation { request_id, udf_path, args, .. } => {
            ClientMessage::Mutation { request_id, udf_path, args, component_path: None }
        }
        ClientMessage::Action { request_id, udf_path, args, .. } => {
            ClientMessage::Action { request_id, udf_path, args, component_path: None }
        }
        ClientMessage::ModifyQuerySet { base_version, new_version, modifications } => {
            let without = |modification| match modification {
                QuerySetModification::Add(query) => {
                    QuerySetModification::Add(theirs::Query { journal: None, component_path: None, ..query })
                }
                remove @ QuerySetModification::Remove { .. } => remove,
            };
            let modifications = modifications.into_iter().map(without).collect();
            ClientMessage::ModifyQuerySet { base_version, new_version, modifications }
        }
        ClientMessage::Connect {
            session_id,
            connection_count,
            last_close_reason,
            max_observed_timestamp,
            client_ts,
        } => {
            // Beyond 2^53 a clock is no clock, and no number of JSON.
            let client_ts = client_ts.map(|ts| ts % (1 << 53));
            ClientMessage::Connect {
                session_id,
                connection_count,
                last_close_reason,
                max_observed_timestamp,
                client_ts,
            }
        }
        other => other,
    }
}

/// Whether our server may send it: no chunks, and an `AuthError` always says what it is about.
fn may_be_ours(message: &theirs::ServerMessage<Json>) -> bool {
    use theirs::ServerMessage::{AuthError, TransitionChunk};
    !matches!(
        message,
        TransitionChunk { .. } | AuthError { base_version: None, .. } | AuthError { auth_update_attempted: None, .. }
    )
}

/// Our text for a message of theirs.
fn through_us<Ours>(json: &Value) -> Value
where
    Ours: serde::Serialize + serde::de::DeserializeOwned,
{
    let ours: Ours = serde_json::from_str(&json.to_string()).unwrap();
    serde_json::from_str(&serde_json::to_string(&ours).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn client_messages_are_the_same_both_ways(message in any::<theirs::ClientMessage>()) {
        let message = without_dropped(message);
        let json = Value::try_from(message.clone()).unwrap();
        if matches!(message, theirs::ClientMessage::Event(_)) {
            let ours: ClientMessage = serde_json::from_value(json).unwrap();
            prop_assert_eq!(ours, ClientMessage::Event {});
        } else {
            let back = theirs::ClientMessage::try_from(through_us::<ClientMessage>(&json)).unwrap();
            prop_assert_eq!(back, message);
        }
    }

    #[test]
    fn server_messages_are_the_same_both_ways(message in any::<theirs::ServerMessage<Json>>()) {
        if may_be_ours(&message) {
            let json = Value::from(message.clone());
            let back = theirs::ServerMessage::<Json>::try_from(through_us::<ServerMessage>(&json)).unwrap();
            prop_assert_eq!(back, message);
        }
    }
}

#[test]
fn an_error_datum_is_absent_or_there_also_when_it_is_null() {
    let read = |json: Value| match serde_json::from_value(json).unwrap() {
        StateModification::QueryFailed { error_data, .. } => error_data,
        other => panic!("{other:?}"),
    };
    let failed = json!({"type": "QueryFailed", "queryId": 1, "errorMessage": "x", "logLines": [], "journal": null});
    assert_eq!(read(failed.clone()), None);
    let mut null = failed;
    null["errorData"] = Value::Null;
    assert_eq!(read(null), Some(Value::Null));
}
