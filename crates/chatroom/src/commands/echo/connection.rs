//! JSON lines on standard input and output: one thread reads, so that a cancel is heard in the middle of a turn.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{self, BufRead as _, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// How many messages may wait to be heard.
const WAITING: usize = 64;

/// What the client said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    /// It wants an answer.
    Request { id: Value, method: String, params: Value },
    /// It wants none.
    Notification { method: String, params: Value },
    /// It answers.
    Answer { id: Value, result: Value },
}

/// Why a wait in a turn was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The client cancelled the turn.
    Cancelled,
    /// The client is gone.
    Closed,
}

/// The client at the other end.
pub(crate) struct Connection {
    incoming: Receiver<Heard>,
    /// What was heard in the middle of a turn and comes after it.
    later: VecDeque<Heard>,
    /// The session whose turn runs.
    session: String,
    asked: i64,
}

impl Connection {
    /// The client at standard input and output.
    pub(crate) fn open() -> Self {
        let (sender, incoming) = sync_channel(WAITING);
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                let Some(heard) = read(&line) else { continue };
                if sender.send(heard).is_err() {
                    return;
                }
            }
        });
        Self { incoming, later: VecDeque::new(), session: String::new(), asked: 0 }
    }

    /// The next message; none when the client is gone.
    pub(crate) fn next(&mut self) -> Option<Heard> {
        self.later.pop_front().or_else(|| self.incoming.recv().ok())
    }

    /// Says something. A client that is gone is noticed by the end of its messages.
    pub(crate) fn say(&self, message: &Value) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(format!("{message}\n").as_bytes()).and_then(|()| out.flush());
    }

    /// A turn of this session begins.
    pub(crate) fn begin_turn(&mut self, session: &str) {
        session.clone_into(&mut self.session);
    }

    /// Asks the client something; gives the name of the request.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> i64 {
        self.asked += 1;
        self.say(&json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params}));
        self.asked
    }

    /// Waits for the next message in a turn: the answer to `request`, or none when it was another one.
    pub(crate) fn answer_to(&mut self, request: i64) -> Result<Option<Value>, Interrupt> {
        let heard = self.incoming.recv().map_err(|_| Interrupt::Closed)?;
        match heard {
            Heard::Answer { id, result } if id == json!(request) => Ok(Some(result)),
            other => self.keep(other).map(|()| None),
        }
    }

    /// Waits in a turn.
    pub(crate) fn wait(&mut self, time: Duration) -> Result<(), Interrupt> {
        let until = Instant::now() + time;
        loop {
            match self.incoming.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(heard) => self.keep(heard)?,
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(Interrupt::Closed),
            }
        }
    }

    /// What was heard in the middle of a turn: a cancel of it counts at once, a request comes after it.
    fn keep(&mut self, heard: Heard) -> Result<(), Interrupt> {
        match &heard {
            Heard::Notification { method, params }
                if method == "session/cancel" && params["sessionId"] == self.session.as_str() =>
            {
                return Err(Interrupt::Cancelled);
            }
            Heard::Request { .. } => self.later.push_back(heard),
            Heard::Notification { .. } | Heard::Answer { .. } => {}
        }
        Ok(())
    }
}

fn read(line: &str) -> Option<Heard> {
    let Ok(Value::Object(mut message)) = serde_json::from_str(line) else { return None };
    let id = message.remove("id").filter(|id| !id.is_null());
    let params = message.remove("params").unwrap_or_default();
    match (message.remove("method"), id) {
        (Some(Value::String(method)), Some(id)) => Some(Heard::Request { id, method, params }),
        (Some(Value::String(method)), None) => Some(Heard::Notification { method, params }),
        (None, Some(id)) => Some(Heard::Answer { id, result: message.remove("result").unwrap_or_default() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Heard, read};
    use serde_json::json;

    #[test]
    fn lines_are_told_apart() {
        let method = "m".to_owned();
        let request = Heard::Request { id: json!("a"), method: method.clone(), params: json!({"x": 1}) };
        assert_eq!(read(r#"{"id":"a","method":"m","params":{"x":1}}"#), Some(request));
        let notification = Heard::Notification { method, params: json!(null) };
        assert_eq!(read(r#"{"id":null,"method":"m"}"#), Some(notification));
        assert_eq!(read(r#"{"id":3,"result":{}}"#), Some(Heard::Answer { id: json!(3), result: json!({}) }));
        assert_eq!(read(r#"{"id":3,"error":{}}"#), Some(Heard::Answer { id: json!(3), result: json!(null) }));
        for line in ["", "text", "[]", "{}", r#"{"method":5}"#] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
