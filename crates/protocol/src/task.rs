//! Tasks: work addressed to a role, handed out with a fence.
//!
//! `pending -> acknowledged -> in_progress -> completed`, or `cancelled`. Every hand-over has a number, the *delivery*; every
//! later write carries it. Printed is not delivered: a hand-over that nobody confirmed within [`CONFIRM_MS`] is queued again.

use crate::id::{AgentId, ChatroomId, MessageId, TaskId};
use crate::time::UnixMs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a printed task may stay unconfirmed before it is queued again, in milliseconds.
pub const CONFIRM_MS: i64 = 10 * 60_000;

/// The state of a task by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// In the queue of its role.
    Pending,
    /// Handed to somebody.
    Acknowledged,
    /// Somebody works on it.
    InProgress,
    /// Done.
    Completed,
    /// Not wanted any more.
    Cancelled,
}

impl TaskState {
    /// As it stands on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Acknowledged => "acknowledged",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads [`Self::as_str`] back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Acknowledged, Self::InProgress, Self::Completed, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == text)
    }

    /// Whether somebody holds it.
    #[must_use]
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Acknowledged | Self::InProgress)
    }
}

/// A task as people and agents see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Its id.
    pub task_id: TaskId,
    /// The room.
    pub chatroom_id: ChatroomId,
    /// For which role.
    pub role: String,
    /// Where it stands.
    pub state: TaskState,
    /// How often it was handed to somebody: the fence of the newest hand-over. Zero when never.
    pub delivery: i64,
    /// Whether the newest hand-over was confirmed by a later call.
    pub confirmed: bool,
    /// The agent that holds it, when a started agent does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The message that made it.
    pub message_id: MessageId,
    /// Who wrote that message: a role, or `user`.
    pub from_role: String,
    /// Its text.
    pub content: String,
    /// When it was made.
    pub created_at: UnixMs,
    /// When its state last changed.
    pub updated_at: UnixMs,
}

/// A task handed to a waiter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The task, with the delivery number of this hand-over.
    pub task: Task,
    /// What to print: the task, its context and the exact next commands. Made on the server.
    pub brief: String,
    /// For a live session: what to say when a turn ends and the task is still open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminder: Option<String>,
}

/// What a waiter is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "next", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum NextTask {
    /// Nothing yet.
    Wait {
        /// Why nothing comes although work stands in the queue, if so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Claim this one.
    Claim {
        /// Which task.
        task_id: TaskId,
    },
    /// A newer waiter holds the role; end.
    Superseded {
        /// Why, for a person.
        reason: String,
    },
}

/// How a guarded write to a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskWrite {
    /// It took effect now.
    Applied,
    /// It took effect before, by the same delivery; nothing changed now.
    AlreadyApplied,
}
