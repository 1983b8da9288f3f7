//! `machines.*`: machines, their agent configs and their commands.

use super::Empty;
use crate::agent::AgentReport;
use crate::command::{Ack, AckOutcome, Command, CommandRequest, PendingCommand};
use crate::id::{AgentId, ChatroomId, CommandId, DaemonSessionId, MachineId};
use crate::machine::{AgentConfig, Machine, MachineAgentConfig};
use crate::time::UnixMs;
use crate::tool::{PermissionMode, ToolName, ToolReport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Creates or updates a machine by its id; on request mints the machine's own credential.
    Register(RegisterArgs) -> Registered = "machines.register", Mutation, [USER MACHINE] secret;
    /// Sets what "start" uses for a role on a machine; fields left out keep their value.
    UpdateAgentConfig(UpdateAgentConfigArgs) -> AgentConfig = "machines.updateAgentConfig", Mutation, [USER MACHINE];
    /// Lists the caller's machines with tools, connection and running agents.
    ListMachines(Empty) -> Vec<Machine> = "machines.listMachines", Query, [USER];
    /// Lists the agent configs of a room, joined with their machines.
    GetAgentConfigs(ChatroomArgs) -> Vec<MachineAgentConfig> = "machines.getAgentConfigs", Query, [USER];
    /// Sends a command to a machine. The client names its intent; the server decides tool, directory and prompt.
    SendCommand(SendCommandArgs) -> Command = "machines.sendCommand", Mutation, [USER];
    /// Opens a daemon session: fences every older one and settles which agents run. Idempotent by session id.
    OpenDaemonSession(OpenDaemonSessionArgs) -> DaemonSessionOpened = "machines.openDaemonSession", Mutation, [MACHINE];
    /// The commands that wait for this daemon session, oldest first. Its subscription is what "connected" means.
    GetPendingCommands(GetPendingCommandsArgs) -> PendingCommands = "machines.getPendingCommands", Query, [MACHINE];
    /// Claims, completes or fails a command by compare-and-set; a claim answers with the work order.
    AckCommand(AckCommandArgs) -> AckOutcome = "machines.ackCommand", Mutation, [MACHINE] secret;
    /// Heartbeat of a daemon session with its agents; commits only what changed.
    UpdateDaemonStatus(UpdateDaemonStatusArgs) -> DaemonStatusOutcome = "machines.updateDaemonStatus", Mutation, [MACHINE];
    /// Lists a machine's newest commands with their results.
    ListCommands(ListCommandsArgs) -> Vec<Command> = "machines.listCommands", Query, [USER];
    /// Shows one command.
    GetCommand(CommandArgs) -> Command = "machines.getCommand", Query, [USER];
    /// Cancels a command that is still pending.
    CancelCommand(CommandArgs) -> Command = "machines.cancelCommand", Mutation, [USER];
    /// Renames a machine.
    Rename(RenameArgs) -> Empty = "machines.rename", Mutation, [USER];
    /// Removes a machine: revokes its credential, closes its socket, fails its commands.
    Remove(MachineArgs) -> Empty = "machines.remove", Mutation, [USER];
}

/// Arguments of `machines.register`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisterArgs {
    /// The machine's own id, a UUID.
    pub machine_id: MachineId,
    /// At most 255 characters.
    pub hostname: String,
    /// `linux`, `macos`, ...
    pub os: String,
    /// `x86_64`, `aarch64`, ...
    pub arch: String,
    /// What detection found, missing tools included. At most 64.
    pub available_tools: Vec<ToolReport>,
    /// Version of the CLI.
    pub cli_version: String,
    /// Absolute path of the CLI.
    pub cli_path: String,
    /// Whether to mint a machine credential; revokes the one before.
    #[serde(default)]
    pub issue_credential: bool,
}

/// Answer of `machines.register`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// As given.
    pub machine_id: MachineId,
    /// Whether the machine was unknown before.
    pub is_new: bool,
    /// The machine credential, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Arguments of `machines.updateAgentConfig`. The first time, `tool` and `workingDir` are needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAgentConfigArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// The room.
    pub chatroom_id: ChatroomId,
    /// A role of the room's team.
    pub role: String,
    /// Which tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolName>,
    /// Which model; an empty text means the tool's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Absolute path on the machine, without NUL, at most 4096 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// What the agent may do without asking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<PermissionMode>,
    /// Whether a task that comes for the role starts its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_on_task: Option<bool>,
}

/// Arguments that name a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatroomArgs {
    /// The room.
    pub chatroom_id: ChatroomId,
}

/// Arguments of `machines.sendCommand`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendCommandArgs {
    /// To which machine.
    pub machine_id: MachineId,
    /// What: `type` and `payload`.
    #[serde(flatten)]
    pub request: CommandRequest,
    /// Within how many milliseconds it must be begun: 1 second to 7 days. By default what fits the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<i64>,
}

/// Arguments of `machines.openDaemonSession`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenDaemonSessionArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// This life of the daemon process.
    pub session_id: DaemonSessionId,
    /// This life of the machine's kernel: agents of another boot are gone.
    pub boot_id: String,
    /// Every agent that the daemon knows of: running ones, and ended ones whose end was not yet recorded.
    pub agents: Vec<AgentReport>,
}

/// Answer of `machines.openDaemonSession`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSessionOpened {
    /// The session's epoch; a newer one fences it.
    pub epoch: i64,
    /// The server's clock now, to compare deadlines with.
    pub server_time: UnixMs,
    /// Agents that run but should not (their room or role is gone, or another took the role): stop them.
    pub unwanted: Vec<AgentId>,
}

/// Arguments of `machines.getPendingCommands`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPendingCommandsArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// The session's epoch.
    pub epoch: i64,
}

/// Answer of `machines.getPendingCommands`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "session", rename_all = "snake_case")]
pub enum PendingCommands {
    /// This session is the newest.
    Current {
        /// Pending commands, and processing ones that an older session claimed; oldest first.
        commands: Vec<PendingCommand>,
    },
    /// A newer session of this machine has taken over: end.
    Superseded,
}

/// Arguments of `machines.ackCommand`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AckCommandArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// The session's epoch.
    pub epoch: i64,
    /// Which command.
    pub command_id: CommandId,
    /// What to record.
    #[serde(flatten)]
    pub ack: Ack,
}

/// Arguments of `machines.updateDaemonStatus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateDaemonStatusArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// The session's epoch.
    pub epoch: i64,
    /// Every agent that the daemon knows of.
    pub agents: Vec<AgentReport>,
}

/// Answer of `machines.updateDaemonStatus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum DaemonStatusOutcome {
    /// Heard.
    Applied {
        /// Agents that run but should not: stop them.
        unwanted: Vec<AgentId>,
    },
    /// A newer session has taken over.
    Superseded,
}

/// Arguments of `machines.listCommands`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListCommandsArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// How many at most: 1 to 200, by default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

/// Arguments that name a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandArgs {
    /// Which command.
    pub command_id: CommandId,
}

/// Arguments of `machines.rename`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenameArgs {
    /// The machine.
    pub machine_id: MachineId,
    /// 1 to 100 characters.
    pub name: String,
}

/// Arguments that name a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineArgs {
    /// The machine.
    pub machine_id: MachineId,
}
