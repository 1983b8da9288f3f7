//! Commands: instructions to a machine. A command is an intent; what became of it is told by its end.
//!
//! `pending -> processing -> completed | failed`, and `pending -> failed` (expired, cancelled). A status only moves forward.

use crate::agent::AgentExit;
use crate::id::{AgentId, ChatroomId, CommandId, MachineId};
use crate::time::UnixMs;
use crate::tool::{PermissionMode, ToolName};
use crate::transcript::ModelList;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a client may ask of a machine: intent only. Tool, directory and prompt are decided on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "payload", rename_all = "kebab-case", try_from = "RawCommandRequest")]
#[schemars(!try_from)]
pub enum CommandRequest {
    /// Start the agent of a role.
    StartAgent(StartAgent),
    /// Stop the agent of a role; stopping one that does not run is completed, not failed.
    StopAgent(RoleSlot),
    /// Stop, then start, as one command.
    RestartAgent(RoleSlot),
    /// Answer at once.
    Ping(NoPayload),
    /// Tell how the machine is.
    Status(NoPayload),
    /// Ask a tool for its models.
    ListModels(ToolRef),
    /// Look whether an agent could work in a directory.
    CheckDir(DirRef),
}

/// A request before its payload is looked at: the payload may be left out when it has no fields.
#[derive(Deserialize)]
struct RawCommandRequest {
    r#type: String,
    #[serde(default)]
    payload: Option<serde_json::Value>,
}

impl TryFrom<RawCommandRequest> for CommandRequest {
    type Error = String;

    fn try_from(raw: RawCommandRequest) -> Result<Self, String> {
        fn read<T: serde::de::DeserializeOwned>(raw: RawCommandRequest) -> Result<T, String> {
            let payload = raw.payload.unwrap_or_else(|| serde_json::json!({}));
            serde_json::from_value(payload).map_err(|error| format!("payload of {}: {error}", raw.r#type))
        }
        match raw.r#type.as_str() {
            "start-agent" => read(raw).map(Self::StartAgent),
            "stop-agent" => read(raw).map(Self::StopAgent),
            "restart-agent" => read(raw).map(Self::RestartAgent),
            "ping" => read(raw).map(Self::Ping),
            "status" => read(raw).map(Self::Status),
            "list-models" => read(raw).map(Self::ListModels),
            "check-dir" => read(raw).map(Self::CheckDir),
            other => Err(format!(
                "unknown command type {other:?}; known: start-agent, stop-agent, restart-agent, ping, status, list-models, check-dir"
            )),
        }
    }
}

/// A payload without fields; other fields are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoPayload {}

/// Names a tool of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolRef {
    /// Which tool.
    pub tool: ToolName,
}

/// Names a directory of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DirRef {
    /// Absolute path, without NUL, at most 4096 bytes.
    pub path: String,
}

/// Names a role of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleSlot {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role; matched without regard to case.
    pub role: String,
}

/// Names a role of a room to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartAgent {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role; matched without regard to case.
    pub role: String,
    /// Whether an agent of the role on another machine is to be given up: its machine is told to stop it.
    #[serde(default, rename = "move", skip_serializing_if = "std::ops::Not::not")]
    pub take_over: bool,
}

impl CommandRequest {
    /// The type as it stands on the wire.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::StartAgent(_) => "start-agent",
            Self::StopAgent(_) => "stop-agent",
            Self::RestartAgent(_) => "restart-agent",
            Self::Ping(_) => "ping",
            Self::Status(_) => "status",
            Self::ListModels(_) => "list-models",
            Self::CheckDir(_) => "check-dir",
        }
    }

    /// How long the command may wait before it must have been begun, unless the caller says otherwise: a start 5 minutes,
    /// a ping, a status or a look at a directory 10 seconds, a list of models one minute, a stop a week
    /// (it stays wanted while the machine sleeps).
    #[must_use]
    pub const fn default_deadline_ms(&self) -> i64 {
        match self {
            Self::StartAgent(_) | Self::RestartAgent(_) => 5 * 60_000,
            Self::StopAgent(_) => 7 * 24 * 60 * 60_000,
            Self::Ping(_) | Self::Status(_) | Self::CheckDir(_) => 10_000,
            Self::ListModels(_) => 60_000,
        }
    }
}

/// Where a command stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum CommandStatus {
    /// Nobody has begun.
    Pending,
    /// A daemon session has claimed it.
    Processing {
        /// When it was first claimed.
        claimed_at: UnixMs,
    },
    /// It took effect (or its effect was there already).
    Completed {
        /// When.
        finished_at: UnixMs,
        /// What came of it.
        result: CommandResult,
    },
    /// It did not take effect, or nobody can know.
    Failed {
        /// When.
        finished_at: UnixMs,
        /// Why, and what to do.
        failure: CommandFailure,
    },
}

impl CommandStatus {
    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed { .. } | Self::Failed { .. })
    }
}

/// What came of a completed command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum CommandResult {
    /// The agent's process was started.
    Started {
        /// Which agent.
        agent_id: AgentId,
        /// Its process id on the machine.
        pid: u32,
    },
    /// The agent was started and has ended by itself before this was told.
    StartedThenExited {
        /// Which agent.
        agent_id: AgentId,
        /// How it ended.
        exit: AgentExit,
    },
    /// The agent was started, but its end was not seen (power loss, lost state).
    StartedThenLost {
        /// Which agent.
        agent_id: AgentId,
    },
    /// The role's agent runs already, here.
    AlreadyRunning {
        /// Which agent.
        agent_id: AgentId,
    },
    /// The agent was stopped.
    Stopped {
        /// Which agent.
        agent_id: AgentId,
        /// How it ended.
        exit: AgentExit,
    },
    /// There was nothing to stop.
    NotRunning,
    /// The answer to a ping.
    Pong,
    /// The answer to a status command.
    Status(MachineStatus),
    /// The models of a tool.
    Models(ModelList),
    /// An agent can work in the directory.
    DirIsUsable {
        /// The directory with every link resolved.
        path: String,
    },
}

/// What a machine tells about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MachineStatus {
    /// Hostname.
    pub hostname: String,
    /// CLI version of the running daemon.
    pub cli_version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Agents that run under it.
    pub agents: Vec<AgentId>,
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandFailure {
    /// Which failure.
    pub code: FailureCode,
    /// What happened, for a person.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl CommandFailure {
    /// A failure without a hint.
    #[must_use]
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The kinds of failure of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// Its deadline passed before it was begun.
    Expired,
    /// The owner cancelled it.
    Cancelled,
    /// The tool is not there (any more) or does not run.
    ToolMissing,
    /// The working directory does not exist.
    WorkingDirMissing,
    /// The working directory is not a directory or cannot be entered.
    WorkingDirDenied,
    /// The process could not be started.
    SpawnFailed,
    /// The tool exited within its first moments with an error.
    ExitedAtOnce,
    /// The machine cannot store what it must before it acts.
    StorageFailed,
    /// The process would not end.
    StopFailed,
    /// The tool says that nobody is signed in.
    NotSignedIn,
    /// Something in the daemon failed; the daemon lives on.
    Internal,
    /// The machine does not know this type of command (older CLI).
    Unsupported,
    /// The machine is gone since it began; whether it took effect cannot be known.
    OutcomeUnknown,
    /// The machine was removed.
    MachineRemoved,
}

/// A command as its owner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// Its id.
    pub command_id: CommandId,
    /// For which machine.
    pub machine_id: MachineId,
    /// What was asked.
    #[serde(flatten)]
    pub request: CommandRequest,
    /// Where it stands.
    #[serde(flatten)]
    pub status: CommandStatus,
    /// When it was sent.
    pub created_at: UnixMs,
    /// Until when it must have been begun.
    pub expires_at: UnixMs,
}

/// A command as the daemon gets it: by reference; details come with the claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingCommand {
    /// Its id.
    pub command_id: CommandId,
    /// What was asked.
    #[serde(flatten)]
    pub request: CommandRequest,
    /// Whether an older session of this machine has claimed it (then this session claims it again, the same attempt).
    pub claimed_before: bool,
    /// When it was sent, by the server's clock.
    pub created_at: UnixMs,
    /// Until when it must have been begun, by the server's clock.
    pub expires_at: UnixMs,
}

/// What a daemon says about a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Ack {
    /// I begin.
    Processing,
    /// Done.
    Completed {
        /// What came of it.
        result: CommandResult,
    },
    /// Not done.
    Failed {
        /// Why.
        failure: CommandFailure,
    },
}

/// What the server says to an ack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum AckOutcome {
    /// Recorded (or recorded before, by this session's same words).
    Applied {
        /// For a claim: what to do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<Box<WorkOrder>>,
    },
    /// The command is past that; nothing changed.
    Stale,
    /// No such command on this machine; nothing changed.
    Missing,
    /// A newer daemon session of this machine has taken over; nothing changed.
    Superseded,
}

/// What a claimed command means, in full; made on the server at the claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum WorkOrder {
    /// Start an agent.
    Start(StartOrder),
    /// Stop an agent. Without an agent there is nothing to stop.
    Stop {
        /// Which.
        agent_id: Option<AgentId>,
    },
    /// Stop one agent (if any), then start another.
    Restart {
        /// Which to stop.
        stop: Option<AgentId>,
        /// What to start.
        start: StartOrder,
    },
    /// Answer.
    Ping,
    /// Tell how the machine is.
    Status,
    /// Ask a tool for its models.
    ListModels {
        /// Which tool.
        tool: ToolName,
    },
    /// Look whether an agent could work in a directory.
    CheckDir {
        /// Absolute path.
        path: String,
    },
}

/// Everything that is needed to start an agent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartOrder {
    /// The agent to start; made with the command.
    pub agent_id: AgentId,
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role.
    pub role: String,
    /// Which tool.
    pub tool: ToolName,
    /// Which model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Where.
    pub working_dir: String,
    /// What it may do.
    pub permission_mode: PermissionMode,
    /// The tool's own name of the session to take up again, if there is one: of the same role, tool and directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// The brief of the role, made on the server.
    pub prompt: String,
    /// Version of the prompt.
    pub prompt_version: String,
    /// The agent's own credential; revokes the one of an earlier claim.
    pub credential: String,
}

impl std::fmt::Debug for StartOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StartOrder")
            .field("agent_id", &self.agent_id)
            .field("chatroom_id", &self.chatroom_id)
            .field("role", &self.role)
            .field("tool", &self.tool)
            .field("working_dir", &self.working_dir)
            .field("prompt", &"[redacted]")
            .field("credential", &"[redacted]")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::CommandRequest;
    use serde_json::json;

    fn read(value: serde_json::Value) -> Result<CommandRequest, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_ping_needs_no_payload() {
        assert_eq!(read(json!({"type": "ping"})), read(json!({"type": "ping", "payload": {}})));
        assert!(read(json!({"type": "ping"})).is_ok());
    }

    #[test]
    fn a_payload_with_a_field_that_the_type_does_not_have_is_refused() {
        let error = read(json!({"type": "start-agent", "payload": {"chatroomId": "c", "role": "r", "tool": "sh"}}));
        assert!(error.unwrap_err().contains("unknown field `tool`"));
        assert!(read(json!({"type": "ping", "payload": {"command": "rm"}})).is_err());
    }

    #[test]
    fn an_unknown_type_is_refused_with_the_known_ones() {
        assert!(read(json!({"type": "run-shell", "payload": {}})).unwrap_err().contains("start-agent"));
    }

    #[test]
    fn a_request_survives_the_round_trip() {
        let request = read(json!({"type": "stop-agent", "payload": {"chatroomId": "c", "role": "r"}})).unwrap();
        assert_eq!(read(serde_json::to_value(&request).unwrap()).unwrap(), request);
    }
}
