//! `messages.*`: what is said in a room, and the init prompt.

use crate::id::{ChatroomId, MachineId, MessageId, TaskId};
use crate::room::Message;
use crate::task::TaskWrite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Sends a person's message to a role (by default the entry role); it makes one task.
    Send(SendArgs) -> Sent = "messages.send", Mutation, [USER];
    /// Lists a room's messages, oldest first: the newest ones, or those after a sequence number.
    List(ListArgs) -> Vec<Message> = "messages.list", Query, [USER AGENT];
    /// Tells what is being done about a task, by whoever holds it; it confirms the task and marks it as started.
    ReportProgress(ReportProgressArgs) -> ProgressReported = "messages.reportProgress", Mutation, [USER AGENT];
    /// The person has seen the messages to `user`, up to one of them.
    MarkSeen(MarkSeenArgs) -> MarkedSeen = "messages.markSeen", Mutation, [USER];
    /// The prompt that an agent of a role is started with, made from the room's team.
    GetInitPrompt(GetInitPromptArgs) -> InitPrompt = "messages.getInitPrompt", Query, [USER MACHINE AGENT];
}

/// Arguments of `messages.send`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// To which role; the entry role when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// 1 to 100,000 characters.
    pub content: String,
    /// Artifacts of the room that go with it; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<AttachedArtifact>,
}

/// An artifact that goes with a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachedArtifact {
    /// Its name.
    pub name: String,
    /// Its version; the newest one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

/// Answer of `messages.send`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// The message.
    pub message_id: MessageId,
    /// The task that it made.
    pub task_id: TaskId,
    /// The role that it went to.
    pub role: String,
}

/// Arguments of `messages.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// Only messages after this sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// Only messages before this sequence number: the newest of them. Not together with `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// How many at most: 1 to 200, by default 50. An answer ends earlier when its texts come to 1 MiB; whoever reads on does so
    /// until an answer is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

/// Arguments of `messages.reportProgress`: a fenced write by the role that holds the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportProgressArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// One's own role.
    pub role: String,
    /// One's own task.
    pub task_id: TaskId,
    /// The number of the hand-over, as printed with the task.
    pub delivery: i64,
    /// 1 to 10,000 characters; at most 200 notes go with one task.
    pub content: String,
}

/// Answer of `messages.reportProgress`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressReported {
    /// The note.
    pub message_id: MessageId,
    /// Whether this was the first sign of work ([`TaskWrite::Applied`]) or the task was started before.
    pub started: TaskWrite,
}

/// Arguments of `messages.markSeen`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MarkSeenArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The sequence number of the newest message that was seen.
    pub up_to: i64,
}

/// Answer of `messages.markSeen`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MarkedSeen {
    /// How many messages had not been seen before.
    pub count: i64,
}

/// Arguments of `messages.getInitPrompt`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetInitPromptArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// A role of its team.
    pub role: String,
    /// The machine whose CLI path the commands name; plain `chatroom` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<MachineId>,
}

/// An init prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InitPrompt {
    /// The text.
    pub prompt: String,
    /// Changes whenever the text of some prompt changes.
    pub version: String,
}
