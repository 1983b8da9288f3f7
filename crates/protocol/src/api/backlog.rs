//! `backlog.*`: what is to be done in a room some day.

use super::Empty;
use crate::id::{BacklogItemId, ChatroomId, MessageId, TaskId};
use crate::room::{BacklogItem, BacklogState};
use crate::task::TaskWrite;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Adds an item.
    Add(AddArgs) -> BacklogItem = "backlog.add", Mutation, [USER AGENT];
    /// Lists items, oldest first: by default those that are not completed.
    List(ListArgs) -> Vec<BacklogItem> = "backlog.list", Query, [USER AGENT];
    /// Makes a message and a task of an item, in one transaction. Started before, it answers what it answered first.
    Start(StartArgs) -> ItemStarted = "backlog.start", Mutation, [USER AGENT];
    /// Completes an item: by the person, by the role that has its task, or by the role that added it.
    Complete(ItemArgs) -> ItemWritten = "backlog.complete", Mutation, [USER AGENT];
    /// Removes an item; the task of one that was started goes on.
    Remove(RemoveArgs) -> Empty = "backlog.remove", Mutation, [USER];
}

/// Arguments of `backlog.add`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// Who adds it: a role of the team; when absent, an agent's own role, or `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// 1 to 10,000 characters.
    pub content: String,
}

/// Arguments of `backlog.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// Only in this state (of completed ones, the newest 200).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BacklogState>,
}

/// Arguments of `backlog.start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The item.
    pub item_id: BacklogItemId,
    /// Who starts it: a role of the team; when absent, an agent's own role, or `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Which role is to do it; the entry role when absent. A role may give it to where it hands to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_role: Option<String>,
}

/// Arguments that name an item, and who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The item.
    pub item_id: BacklogItemId,
    /// Who acts: a role of the team; when absent, an agent's own role, or `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// Arguments of `backlog.remove`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoveArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The item.
    pub item_id: BacklogItemId,
}

/// Answer of `backlog.start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemStarted {
    /// Whether it took effect now or before.
    pub write: TaskWrite,
    /// The item after it.
    pub item: BacklogItem,
    /// The message that was made of it.
    pub message_id: MessageId,
    /// The task that was made of it.
    pub task_id: TaskId,
    /// The role that it went to.
    pub role: String,
}

/// Answer of a write to an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemWritten {
    /// Whether it took effect now or before.
    pub write: TaskWrite,
    /// The item after it.
    pub item: BacklogItem,
}
