//! Agents: started processes that hold a role in a room.

use crate::id::{AgentId, ChatroomId, CommandId, MachineId};
use crate::time::UnixMs;
use crate::tool::ToolName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where an agent stands. Each state tells since when and by whose word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum AgentState {
    /// Its start was sent; the command's deadline bounds this state.
    Starting {
        /// Since when.
        since: UnixMs,
    },
    /// Its process runs, by its daemon's word.
    Running {
        /// Since when.
        since: UnixMs,
        /// Process id of the tool on its machine.
        pid: u32,
    },
    /// Its stop was sent.
    Stopping {
        /// Since when.
        since: UnixMs,
        /// Process id of the tool on its machine, when known.
        pid: Option<u32>,
    },
    /// Its process has ended.
    Exited {
        /// When.
        at: UnixMs,
        /// How.
        exit: AgentExit,
    },
    /// It never ran.
    Failed {
        /// When.
        at: UnixMs,
        /// Why, for a person.
        reason: String,
    },
}

impl AgentState {
    /// The state's name as it stands on the wire and in the store.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Stopping { .. } => "stopping",
            Self::Exited { .. } => "exited",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether the agent holds its role: at most one such agent stands for a (room, role).
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self, Self::Starting { .. } | Self::Running { .. } | Self::Stopping { .. })
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "how", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum AgentExit {
    /// It exited by itself.
    Code {
        /// Exit code.
        code: i32,
    },
    /// A signal that was not ours ended it.
    Signal {
        /// Signal number.
        signal: i32,
    },
    /// We ended it because its owner wanted so.
    Stopped,
    /// It is gone and nobody saw how (its host was killed, power was lost).
    Lost,
}

/// An agent as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Its id.
    pub agent_id: AgentId,
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role.
    pub role: String,
    /// On which machine.
    pub machine_id: MachineId,
    /// Which tool.
    pub tool: ToolName,
    /// Which model, when one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Where it works.
    pub working_dir: String,
    /// The command that started it.
    pub command_id: CommandId,
    /// Where it stands.
    #[serde(flatten)]
    pub state: AgentState,
    /// Version of the prompt that it was started with; none before its start was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<String>,
    /// When its start was sent.
    pub created_at: UnixMs,
    /// When its daemon last spoke of it; the age of the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<UnixMs>,
}

/// What a daemon knows of one agent, in its inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentReport {
    /// Which agent.
    pub agent_id: AgentId,
    /// What is known.
    #[serde(flatten)]
    pub fact: AgentFact,
}

/// A fact about an agent's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "fact", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum AgentFact {
    /// It runs.
    Running {
        /// Process id of the tool.
        pid: u32,
        /// When it was started, by the machine's clock.
        started_at: UnixMs,
    },
    /// It has ended.
    Exited {
        /// How.
        exit: AgentExit,
        /// When, by the machine's clock.
        exited_at: UnixMs,
    },
}
