//! Agents: started processes that hold a role in a room.

use crate::id::{AgentId, ChatroomId, CommandId, InputId, MachineId, TaskId};
use crate::time::UnixMs;
use crate::tool::{PermissionMode, ToolName};
use crate::transcript::{Choice, Decider};
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
    /// It was ended with everything else on its machine, which shuts down; it is started again when the machine is back.
    ShutDown,
    /// The tool ran and could not be spoken to, or said itself that it cannot work: starting it again would not help.
    Unusable {
        /// Why, and what to do.
        trouble: Trouble,
    },
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
    /// What it may do without asking.
    pub permission_mode: PermissionMode,
    /// The command that started it.
    pub command_id: CommandId,
    /// How its session stands, as its transcript tells.
    #[serde(default)]
    pub session: AgentSession,
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

/// How the session of an agent stands, as its transcript tells. Three facts beside that of its process: each by its own evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentSession {
    /// Where its turn stands; none while nothing was heard of its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
    /// What keeps its tool from working, by the tool's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// The tool's own name of the session, with which it can be taken up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// How many permission requests wait for an answer.
    #[serde(default)]
    pub open_permissions: i64,
    /// The number of the newest event of its transcript; zero before the first.
    #[serde(default)]
    pub last_seq: i64,
    /// When the newest event was recorded, by the server's clock: the age of this evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<UnixMs>,
}

/// Where the turn of a session stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// The state.
    pub state: TurnState,
    /// Since when, by the machine's clock.
    pub since: UnixMs,
    /// The task that it is about, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// The tool is not ready to be spoken to.
    Starting,
    /// It waits for something to do.
    Idle,
    /// A turn runs.
    Working,
    /// A turn waits for the answer to a permission request.
    WaitingForPermission,
    /// A turn ended, was reminded, and its task is still open.
    NeedsYou,
}

impl TurnState {
    /// As it stands on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Working => "working",
            Self::WaitingForPermission => "waiting_for_permission",
            Self::NeedsYou => "needs_you",
        }
    }

    /// Reads [`Self::as_str`] back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Starting, Self::Idle, Self::Working, Self::WaitingForPermission, Self::NeedsYou]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What keeps a tool from working.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// Which trouble.
    pub kind: TroubleKind,
    /// The tool's words, for a person.
    pub message: String,
    /// The command or deed that mends it, when one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<String>,
    /// Since when, by the machine's clock.
    pub at: UnixMs,
}

/// The troubles of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// Nobody is signed in, or the sign-in has ended.
    NotSignedIn,
    /// A quota or rate limit of the account is used up.
    Quota,
    /// The tool or its service does not know the model.
    UnknownModel,
    /// The tool's service cannot be reached or fails.
    ServiceFailed,
    /// The tool did not become ready in time.
    Silent,
    /// The tool does not speak as it should.
    Protocol,
}

/// Whether a role's agent is wanted: the intent of its owner, beside what is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// Whether it is to run.
    pub running: bool,
    /// Who wanted so.
    pub by: DesiredBy,
    /// Since when.
    pub since: UnixMs,
    /// On which machine.
    pub machine_id: MachineId,
    /// When it will be started again after it ended by itself; the machine must be connected then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_at: Option<UnixMs>,
    /// Why it is not started again by itself: it has ended too often, or starting it would not help. Until its owner starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
}

/// Who wanted an agent to run or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DesiredBy {
    /// Its owner, by a command.
    Owner,
    /// Its owner, who stopped the daemon of its machine.
    Machine,
    /// A task that came for its role.
    Task,
    /// The server: its room was archived, its role removed, or its machine removed.
    Server,
}

impl DesiredBy {
    /// As it stands on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Machine => "machine",
            Self::Task => "task",
            Self::Server => "server",
        }
    }

    /// Reads [`Self::as_str`] back; anything else is the server.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        [Self::Owner, Self::Machine, Self::Task].into_iter().find(|by| by.as_str() == text).unwrap_or(Self::Server)
    }
}

/// A role of a room with what is wanted of its agent and what is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleStatus {
    /// The role.
    pub role: String,
    /// What is wanted; none when nobody ever wanted anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Desired>,
    /// The agent that holds the role, or else the newest one that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// Why it does not work, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
}

/// The one fact that keeps a role from working.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Blocked {
    /// Which fact.
    pub by: BlockedBy,
    /// In one sentence, for a person.
    pub message: String,
    /// Since when.
    pub since: UnixMs,
    /// The command that mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<String>,
}

/// The facts that can keep a role from working, the one that counts first standing first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BlockedBy {
    /// Nothing says which tool and directory the role uses.
    NotConfigured,
    /// Its machine is not connected, or may not connect: its credential was revoked.
    Machine,
    /// Its tool is missing or broken on the machine.
    Tool,
    /// It was stopped, or never started.
    NotStarted,
    /// Its start failed, or it ended and is not started again.
    Ended,
    /// It ended and will be started again.
    Restarting,
    /// It is being started or stopped, or its tool is not ready.
    Passing,
    /// Its tool cannot work (sign-in, quota, model, service), or its credential was revoked.
    Trouble,
    /// It waits for the answer to a permission request.
    Permission,
    /// Its task is open and its turn has ended.
    NeedsYou,
}

/// Something that an owner sent into an agent's session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentInput {
    /// Its id.
    pub input_id: InputId,
    /// To which agent.
    pub agent_id: AgentId,
    /// What.
    #[serde(flatten)]
    pub input: Input,
    /// What became of it.
    #[serde(flatten)]
    pub state: InputState,
    /// When it was sent.
    pub created_at: UnixMs,
}

/// What can be sent into a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "input", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Input {
    /// Say something to the agent.
    Say {
        /// What.
        text: String,
    },
    /// Cancel its turn.
    Cancel,
    /// Answer a permission request.
    Answer {
        /// The agent's name of the request.
        request_id: String,
        /// What to answer.
        choice: Choice,
        /// Who decided.
        by: Decider,
    },
}

/// What became of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum InputState {
    /// Its machine has not taken it yet.
    Queued,
    /// It reached the session.
    Delivered {
        /// When.
        at: UnixMs,
    },
    /// It did not.
    Refused {
        /// When.
        at: UnixMs,
        /// Why, for a person.
        reason: String,
    },
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
