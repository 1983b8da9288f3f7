//! What a daemon and an agent host of its machine say to each other: JSON lines over a Unix socket in the agent's run directory.
//!
//! The host outlives the daemon. Everything that it did stands in its transcript; this conversation only wakes and asks. Every
//! order has an id, and one that came before does nothing again: a daemon that is not sure whether it was heard says it again.

use crate::agent::TurnState;
use crate::id::{InputId, TaskId};
use crate::transcript::{Choice, Decider};
use serde::{Deserialize, Serialize};

/// What the daemon tells a host to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum HostOrder {
    /// Deliver a task. Taken only while the session is idle and holds no open task; said again, it does nothing.
    Task {
        /// Which task.
        task_id: TaskId,
        /// The number of the hand-over.
        delivery: i64,
        /// The brief, made on the server.
        brief: String,
        /// What to say when a turn ends and the task is still open, made on the server.
        reminder: String,
    },
    /// The task has its end (or somebody else has it): the session may take another one.
    TaskOver {
        /// Which task.
        task_id: TaskId,
        /// The number of the hand-over.
        delivery: i64,
    },
    /// The turn ended and the task is still open: say the reminder, or, said already, note that a person has to look.
    TaskOpen {
        /// Which task.
        task_id: TaskId,
        /// The number of the hand-over.
        delivery: i64,
    },
    /// Its owner speaks to it. Queued while a turn runs.
    Say {
        /// Which input.
        input_id: InputId,
        /// What.
        text: String,
    },
    /// Cancel the turn that runs. Queued sayings stay.
    Cancel {
        /// Which input.
        input_id: InputId,
    },
    /// Answer a permission request.
    Answer {
        /// Which input.
        input_id: InputId,
        /// Which request.
        request_id: String,
        /// What to answer.
        choice: Choice,
        /// Who decided.
        by: Decider,
    },
}

/// What a host tells the daemon: how it stands. Said when the daemon comes, and whenever something of it has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostState {
    /// The number of the last event of the transcript; all of them stand in the journal.
    pub last_seq: i64,
    /// Where the turn stands.
    pub turn: TurnState,
    /// The task that was delivered and of which nobody has said that it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
}

/// A task in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Work {
    /// Which.
    pub task_id: TaskId,
    /// The number of the hand-over.
    pub delivery: i64,
    /// Whether a turn with it has ended since its delivery or its last order: then somebody has to find out whether it is over.
    pub turn_ended: bool,
    /// Whether the reminder was said.
    pub reminded: bool,
}
