//! `contexts.*`: what a role needs to know now, and from where on a room's conversation counts.

use super::machines::ChatroomArgs;
use crate::id::{ChatroomId, MachineId};
use crate::room::{Artifact, Context, Message};
use crate::task::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// What a role needs now: its task, the conversation since the current context began, the artifacts. A query confirms nothing: who reads for a role calls `tasks.confirm` first.
    Read(ReadArgs) -> RoleContext = "contexts.read", Query, [USER AGENT];
    /// Begins a new context: the conversation before it is left out of what roles read.
    Create(CreateArgs) -> Context = "contexts.create", Mutation, [USER AGENT];
    /// Lists a room's contexts, newest first; the first is the current one.
    List(ChatroomArgs) -> Vec<Context> = "contexts.list", Query, [USER AGENT];
}

/// Arguments of `contexts.read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role that reads.
    pub role: String,
    /// Only messages before this sequence number: `earlier` of an answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// How many messages at most: 1 to 100, by default 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// The machine whose CLI path the commands name; plain `chatroom` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<MachineId>,
}

/// Answer of `contexts.read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleContext {
    /// The role, in lower case.
    pub role: String,
    /// The task that the role holds. An agent is shown the one that was handed to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// The message that made that task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// The context that counts now, if one was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// What was said since it began (or since the room began), oldest first: the newest page, or the one before `before`. Their
    /// texts come to 64 KiB at most; longer ones than 4,000 characters are cut and end with `…`.
    pub messages: Vec<Message>,
    /// Pass it as `before` to read what was said earlier; none when there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<i64>,
    /// The room's artifacts, newest first, each in its newest version: those written since the context began, and those that
    /// came with the task. At most 50.
    pub artifacts: Vec<Artifact>,
    /// All of it in words for an agent that has lost its memory: who it is, what it works on, the exact next commands.
    pub brief: String,
    /// Version of the prompts that the brief was made with.
    pub prompt_version: String,
}

/// Arguments of `contexts.create`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// Who begins it: a role of the team; when absent, an agent's own role, or `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it is about: 1 to 100 characters in one line.
    pub title: String,
    /// What one must know: 1 to 20,000 characters.
    pub content: String,
}
