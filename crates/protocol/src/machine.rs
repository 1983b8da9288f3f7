//! Machines, their connection and their agent configs.

use crate::agent::Agent;
use crate::id::{ChatroomId, MachineId};
use crate::time::UnixMs;
use crate::tool::{PermissionMode, ToolName, ToolReport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a machine's daemon is there. It comes from the socket and a lease, never from a stored wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// A socket of the newest daemon session subscribes the machine's commands.
    Connected,
    /// No frame came for 30 seconds; the socket was dropped.
    Silent,
    /// The socket was closed, or there has never been one.
    Disconnected,
    /// The server (or the replica that held the socket) restarted and has not heard from it yet.
    Unknown,
}

impl ConnectionState {
    /// As it stands on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Silent => "silent",
            Self::Disconnected => "disconnected",
            Self::Unknown => "unknown",
        }
    }

    /// Reads [`Self::as_str`] back; anything else is unknown.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        [Self::Connected, Self::Silent, Self::Disconnected]
            .into_iter()
            .find(|state| state.as_str() == text)
            .unwrap_or(Self::Unknown)
    }
}

/// A machine as its owner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Its id.
    pub machine_id: MachineId,
    /// The owner's name for it; the hostname until renamed.
    pub name: String,
    /// As the machine tells it.
    pub hostname: String,
    /// `linux`, `macos`, ...
    pub os: String,
    /// `x86_64`, `aarch64`, ...
    pub arch: String,
    /// Version of the CLI on the machine.
    pub cli_version: String,
    /// Absolute path of the CLI on the machine; prompts name it.
    pub cli_path: String,
    /// Tools found at the last detection, missing ones included.
    pub available_tools: Vec<ToolReport>,
    /// Whether its daemon is there.
    pub connection: ConnectionState,
    /// Since when the connection is so, by the server's clock.
    pub connection_since: UnixMs,
    /// Whether it has a credential of its own. Without one (it was revoked) its daemon cannot connect until somebody signs in there.
    pub signed_in: bool,
    /// When it was registered.
    pub registered_at: UnixMs,
    /// When it last called. Wakes no subscription.
    pub last_seen_at: UnixMs,
    /// Agents that are not at their end.
    pub agents: Vec<Agent>,
}

/// What "start" uses for a role on a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentConfig {
    /// The machine.
    pub machine_id: MachineId,
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role, in lower case.
    pub role: String,
    /// Which tool.
    pub tool: ToolName,
    /// Which model, in the tool's own words; the tool's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Absolute path on the machine.
    pub working_dir: String,
    /// What it may do without asking.
    pub permission_mode: PermissionMode,
    /// Whether a task that comes for the role starts its agent.
    #[serde(default)]
    pub start_on_task: bool,
    /// When it was last changed.
    pub updated_at: UnixMs,
}

/// An agent config with the machine that it is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineAgentConfig {
    /// The config.
    #[serde(flatten)]
    pub config: AgentConfig,
    /// The machine's name.
    pub machine_name: String,
    /// Whether its daemon is there.
    pub connection: ConnectionState,
    /// Since when.
    pub connection_since: UnixMs,
    /// Whether the tool is available there, by the last detection.
    pub tool_available: bool,
}
