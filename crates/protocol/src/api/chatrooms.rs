//! `chatrooms.*`: rooms.

use super::Empty;
use super::machines::ChatroomArgs;
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
