//! `chatrooms.*`: rooms.

use super::Empty;
use super::machines::ChatroomArgs;
use crate::id::{ChatroomId, TaskId};
use crate::room::Chatroom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Makes a room with a copy of a team.
    Create(CreateArgs) -> Chatroom = "chatrooms.create", Mutation, [USER];
    /// Lists the caller's rooms, newest first; archived ones are left out.
    List(Empty) -> Vec<Chatroom> = "chatrooms.list", Query, [USER];
    /// Shows a room.
    Get(ChatroomArgs) -> Chatroom = "chatrooms.get", Query, [USER AGENT];
    /// Gives a room another team (or the newest definition of the same one): its own copy is replaced.
    UpdateTeam(UpdateTeamArgs) -> TeamUpdated = "chatrooms.updateTeam", Mutation, [USER];
    /// Archives a room: it takes no more messages and starts no more agents.
    Archive(ChatroomArgs) -> Chatroom = "chatrooms.archive", Mutation, [USER];
}

/// Arguments of `chatrooms.create`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateArgs {
    /// 1 to 100 characters.
    pub name: String,
    /// The name of a team.
    pub team: String,
}

/// Arguments of `chatrooms.updateTeam`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateTeamArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The name of a team.
    pub team: String,
    /// What becomes of open tasks of roles that the new team does not have. Needed only when there are such tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_role_tasks: Option<RemovedRoleTasks>,
}

/// What becomes of open tasks of a role that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemovedRoleTasks {
    /// They go into the queue of the new team's entry role, in the order in which they were sent.
    Move,
    /// They are cancelled.
    Cancel,
}

/// Answer of `chatrooms.updateTeam`: what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TeamUpdated {
    /// The room with its new team.
    pub chatroom: Chatroom,
    /// Roles that the room had and has no more.
    pub removed_roles: Vec<String>,
    /// Roles that the room did not have.
    pub added_roles: Vec<String>,
    /// Tasks that now stand in the queue of the entry role. Whoever held one by hand is fenced off.
    pub moved_tasks: Vec<TaskId>,
    /// Tasks that were cancelled.
    pub cancelled_tasks: Vec<TaskId>,
    /// Removed roles whose waiter was told to end.
    pub superseded_waiters: Vec<String>,
}
