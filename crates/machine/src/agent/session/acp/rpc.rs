//! Messages of JSON-RPC, as far as they are read.

use super::AUTH_REQUIRED;
use chatroom_protocol::agent::TroubleKind;
use serde_json::Value;

/// A message of the tool.
#[derive(Debug)]
pub(super) enum Message {
    Request {
        id: Value,
        method: String,
        params: Value,
    },
    Notification {
        method: String,
        params: Value,
    },
    /// To a request of ours; those are numbered.
    Answer {
        id: i64,
        outcome: Result<Value, Failure>,
    },
}

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: i64,
    pub(super) message: String,
    /// The HTTP status that the tool got from its service, when it tells.
    pub(super) status: Option<i64>,
}

/// Reads a line; none when it is no message.
pub(super) fn read(line: &str) -> Option<Message> {
    let Ok(Value::Object(mut message)) = serde_json::from_str(line) else { return None };
    let mut take = |name: &str| message.remove(name);
    let (id, method, params) = (take("id"), take("method"), take("params").unwrap_or_default());
    match (method, id) {
        (Some(Value::String(method)), Some(id)) if !id.is_null() => Some(Message::Request { id, method, params }),
        (Some(Value::String(method)), _) => Some(Message::Notification { method, params }),
        (None, Some(id)) => {
            let id = id.as_i64().or_else(|| id.as_str()?.parse().ok())?;
            let outcome = match take("error") {
                Some(error) if !error.is_null() => Err(Failure::read(&error)),
                _ => Ok(take("result").unwrap_or_default()),
            };
            Some(Message::Answer { id, outcome })
        }
        _ => None,
    }
}

impl Failure {
    fn read(error: &Value) -> Self {
        let data = &error["data"];
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let message = text(&error["message"]).unwrap_or_else(|| "the tool gave no reason".to_owned());
        let more = text(data).or_else(|| text(&data["message"])).or_else(|| text(&data["details"]));
        let more = more.filter(|more| !message.contains(more.as_str())).map(|more| format!(": {more}"));
        let status = ["status", "statusCode", "code"].iter().find_map(|name| data[*name].as_i64());
        Self {
            code: error["code"].as_i64().unwrap_or_default(),
            message: format!("{message}{}", more.unwrap_or_default()),
            status,
        }
    }

    /// Whether somebody has to sign in first.
    pub(super) fn wants_sign_in(&self) -> bool {
        self.code == AUTH_REQUIRED || self.code == 401
    }

    /// What keeps the tool from working.
    pub(super) fn trouble(&self) -> TroubleKind {
        let status = self.status.or_else(|| (100..600).contains(&self.code).then_some(self.code));
        match status {
            _ if self.wants_sign_in() => TroubleKind::NotSignedIn,
            Some(401) => TroubleKind::NotSignedIn,
            Some(402 | 429) => TroubleKind::Quota,
            _ => TroubleKind::ServiceFailed,
        }
    }
}
