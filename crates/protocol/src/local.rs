//! What `wait-for-task` and the daemon of its machine say to each other: JSON lines over a Unix socket of this user.
//!
//! One connection is one wait. The waiting process presents its own credential, and the daemon acts for it with that one and no
//! other. What the daemon cannot do, it says ([`DaemonWord::Direct`]); then the same waiter, with the same id, asks the server
//! itself.

use crate::id::{ChatroomId, WaiterId};
use crate::task::Delivery;
use crate::tool::ToolName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of this conversation. A daemon that does not know the version of a request answers [`DaemonWord::Direct`].
pub const VERSION: u32 = 1;

/// The first line of a connection: who waits for what.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitRequest {
    /// [`VERSION`].
    pub version: u32,
    /// The server's URL. Another one than the daemon's is not the daemon's business.
    pub server: String,
    /// The credential of the waiting process.
    pub token: String,
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role.
    pub role: String,
    /// The waiting process; the same one when it asks the server itself later.
    pub waiter_id: WaiterId,
    /// Present when a person started the agent by hand: what to remember for starting it later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<ByHand>,
    /// Whether it waits with a person's credential, as a process of this machine, and nothing is to be remembered of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_person: bool,
}

impl fmt::Debug for WaitRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WaitRequest({} in {} at {})", self.role, self.chatroom_id, self.server)
    }
}

/// What is remembered of an agent that a person started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ByHand {
    /// Its tool, when that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolName>,
    /// Absolute path of its directory.
    pub working_dir: String,
}

/// What the daemon says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum DaemonWord {
    /// The request is being worked on. Said at once.
    Accepted,
    /// The server knows the waiter.
    Joined {
        /// The room's name.
        chatroom_name: String,
        /// The role, in lower case.
        role: String,
    },
    /// Something for the person or the agent to read.
    Note {
        /// The text.
        text: String,
    },
    /// The server cannot be reached.
    Down {
        /// Why, for a person.
        reason: String,
    },
    /// The server is there again.
    Up,
    /// Why nothing comes although work stands in the queue, if so.
    Held {
        /// Why, for a person.
        reason: Option<String>,
    },
    /// A task, claimed for this waiter: the last word. Without [`WaiterWord::Printed`] it is given back.
    Task {
        /// What to print.
        delivery: Box<Delivery>,
    },
    /// A newer waiter holds the role: the last word.
    Superseded {
        /// Why, for a person.
        reason: String,
    },
    /// Ask the server yourself: the last word.
    Direct {
        /// Why, for a log.
        reason: String,
    },
}

/// What the waiting process says after its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum WaiterWord {
    /// The task is printed whole.
    Printed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_does_not_show_its_token() {
        let request = WaitRequest {
            version: VERSION,
            server: "http://127.0.0.1:1".to_owned(),
            token: "hunter2".to_owned(),
            chatroom_id: "r".into(),
            role: "builder".to_owned(),
            waiter_id: "w".into(),
            by_hand: None,
            of_person: false,
        };
        assert!(!format!("{request:?}").contains("hunter2"));
    }

    #[test]
    fn words_keep_their_form() {
        let word = DaemonWord::Joined { chatroom_name: "shop".to_owned(), role: "builder".to_owned() };
        assert_eq!(serde_json::to_string(&word).unwrap(), r#"{"say":"joined","chatroomName":"shop","role":"builder"}"#);
        assert_eq!(serde_json::to_string(&WaiterWord::Printed).unwrap(), r#"{"say":"printed"}"#);
    }
}
