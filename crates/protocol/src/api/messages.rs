//! `messages.*`: what is said in a room, and the init prompt.

use crate::id::{ChatroomId, MachineId, MessageId, TaskId};
use crate::room::Message;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Sends a person's message to a role (by default the entry role); it makes one task.
    Send(SendArgs) -> Sent = "messages.send", Mutation, [USER];
    /// Lists a room's messages, oldest first: the newest ones, or those after a sequence number.
    List(ListArgs) -> Vec<Message> = "messages.list", Query, [USER AGENT];
    /// The prompt that an agent of a role is started with, made from the room's team.
    GetInitPrompt(GetInitPromptArgs) -> InitPrompt = "messages.getInitPrompt", Query, [USER MACHINE];
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
    /// How many at most: 1 to 200, by default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
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
