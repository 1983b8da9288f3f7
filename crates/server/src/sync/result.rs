//! A query's result as it stands in a Transition, written once for everybody who watches it.

use chatroom_protocol::{ErrorCode, Refusal, value};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A result may have this many bytes: the official Rust and Python clients take frames of 16 MiB.
pub const MAX_RESULT: usize = 4 * 1024 * 1024;

/// A result: the answer, or why it was refused.
pub type Outcome = Result<Value, Refusal>;

/// What a result is told apart by.
pub type Fingerprint = [u8; 16];

/// A result, written.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    kind: &'static str,
    /// What comes after the number of the subscription.
    rest: Box<str>,
    fingerprint: Fingerprint,
}

impl Written {
    /// Writes a result. What cannot be sent is written as the refusal that says so.
    #[must_use]
    pub fn new(name: &str, outcome: &Outcome) -> Arc<Self> {
        let encoded = outcome.as_ref().map_err(Refusal::clone).and_then(|answer| encode(name, answer));
        let (kind, rest) = match encoded {
            Ok(text) => ("QueryUpdated", format!(r#","value":{text},"logLines":[],"journal":null}}"#)),
            Err(refusal) => {
                let message = Value::from(refusal.message.as_str());
                let data = serde_json::to_string(&refusal).unwrap_or_default();
                let rest = format!(r#","errorMessage":{message},"logLines":[],"journal":null,"errorData":{data}}}"#);
                ("QueryFailed", rest)
            }
        };
        let digest = Sha256::new().chain_update(kind).chain_update(&rest).finalize();
        let mut fingerprint = Fingerprint::default();
        fingerprint.copy_from_slice(&digest[..16]);
        Arc::new(Self { kind, rest: rest.into(), fingerprint })
    }

    /// Equal for equal results.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// How many bytes it takes in a Transition, about.
    #[must_use]
    pub fn size(&self) -> usize {
        self.rest.len() + 48
    }

    /// Writes it as the result of a subscription.
    pub(super) fn write(&self, query_id: u32, text: &mut String) {
        text.push_str(r#"{"type":""#);
        text.push_str(self.kind);
        text.push_str(r#"","queryId":"#);
        text.push_str(&query_id.to_string());
        text.push_str(&self.rest);
    }
}

fn encode(name: &str, answer: &Value) -> Result<String, Refusal> {
    let text = value::to_encoded(answer).map(|encoded| encoded.to_string()).map_err(|error| {
        tracing::error!(function = name, %error, "a result cannot be written for a client");
        Refusal::new(ErrorCode::Internal, "the result cannot be written").hint("the server's log says why")
    })?;
    if text.len() > MAX_RESULT {
        return Err(Refusal::new(
            ErrorCode::LimitReached,
            format!("the result of {name} has {} bytes; a live result may have {MAX_RESULT} at most", text.len()),
        )
        .hint("ask for less, or ask over HTTP"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{MAX_RESULT, Written};
    use chatroom_protocol::sync::StateModification;
    use chatroom_protocol::{ErrorCode, Refusal};
    use serde_json::{Value, json};

    fn read(written: &Written) -> StateModification {
        let mut text = String::new();
        written.write(7, &mut text);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_result_is_a_modification_of_the_protocol() {
        let StateModification::QueryUpdated { query_id: 7, value, .. } =
            read(&Written::new("a.b", &Ok(json!({"n": 1}))))
        else {
            panic!("an update")
        };
        assert_eq!(value.to_string(), r#"{"n":1.0}"#);
        let refusal = Refusal::not_found("\"room\"").hint("look");
        let StateModification::QueryFailed { error_message, error_data, .. } =
            read(&Written::new("a.b", &Err(refusal.clone())))
        else {
            panic!("a failure")
        };
        assert_eq!(error_message, refusal.message);
        assert_eq!(serde_json::from_value::<Refusal>(error_data.unwrap()).unwrap(), refusal);
    }

    #[test]
    fn what_is_too_long_or_cannot_be_read_is_refused_and_says_so() {
        let code = |outcome: &Value| match read(&Written::new("a.b", &Ok(outcome.clone()))) {
            StateModification::QueryFailed { error_data, .. } => error_data.unwrap()["code"].clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(code(&json!("x".repeat(MAX_RESULT))), json!(ErrorCode::LimitReached));
        assert_eq!(code(&json!({"$bad": 1})), json!(ErrorCode::Internal));
    }

    #[test]
    fn only_equal_results_have_equal_fingerprints() {
        let of = |outcome| Written::new("a.b", &outcome).fingerprint();
        assert_eq!(of(Ok(json!({"a": 1, "b": 2}))), of(Ok(json!({"b": 2, "a": 1.0}))));
        assert_ne!(of(Ok(json!(1))), of(Ok(json!(2))));
        assert_ne!(of(Ok(json!(null))), of(Err(Refusal::not_found("x"))));
    }
}
