//! `agents.*`: started processes and what their daemon says of them.

use super::Empty;
use crate::agent::{Agent, AgentReport};
use crate::id::{AgentId, ChatroomId, MachineId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Lists agents, newest first: of a room, of a machine, or all of the caller's.
    List(ListArgs) -> Vec<Agent> = "agents.list", Query, [USER];
    /// Shows one agent.
    Get(AgentArgs) -> Agent = "agents.get", Query, [USER];
    /// Reports that an agent's process ended; replay-safe.
    ReportExited(ReportExitedArgs) -> Empty = "agents.reportExited", Mutation, [MACHINE];
}

/// Arguments of `agents.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListArgs {
    /// Only of this room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chatroom_id: Option<ChatroomId>,
    /// Only on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<MachineId>,
    /// Ended ones too (the newest 200 in all).
    #[serde(default)]
    pub include_ended: bool,
}

/// Arguments that name an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentArgs {
    /// Which agent.
    pub agent_id: AgentId,
}

/// Arguments of `agents.reportExited`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportExitedArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// The agents that ended (reports of running ones are ignored).
    pub agents: Vec<AgentReport>,
}
