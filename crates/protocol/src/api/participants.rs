//! `participants.*`: who waits for work in a room.

use super::machines::ChatroomArgs;
use crate::id::{AgentId, ChatroomId, MachineId, WaiterId};
use crate::time::UnixMs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Makes this waiter the one of its role; an older one is superseded at once. Idempotent by waiter id.
    Join(JoinArgs) -> Joined = "participants.join", Mutation, [USER AGENT];
    /// Lists who waits for work in a room.
    List(ChatroomArgs) -> Vec<Participant> = "participants.list", Query, [USER AGENT];
}

/// Arguments of `participants.join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JoinArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// A role of its team.
    pub role: String,
    /// The waiting process.
    pub waiter_id: WaiterId,
    /// The machine that it runs on; its CLI path is named in what is printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<MachineId>,
}

/// Answer of `participants.join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// The room's name.
    pub chatroom_name: String,
    /// The role, in lower case.
    pub role: String,
}

/// Somebody who waits for work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// The role.
    pub role: String,
    /// Whether a socket of the newest waiter is open now.
    pub waiting: bool,
    /// Since when that is so.
    pub since: UnixMs,
    /// The agent that waits, when a started one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// The machine it waits on, if told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<MachineId>,
}
