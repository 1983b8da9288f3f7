//! What goes into the supervisor and what comes out of it.

use crate::daemon::StopMode;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{AgentExit, AgentReport};
use chatroom_protocol::command::{
    Ack, CommandFailure, CommandRequest, CommandResult, PendingCommand, StartOrder, WorkOrder,
};
use chatroom_protocol::id::{AgentId, ChatroomId, CommandId};
use chatroom_protocol::tool::ToolName;
use serde_json::Value;
use std::path::PathBuf;

/// A command that the server offers. Its type may be one that this version does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Which command.
    pub command: CommandId,
    /// What was asked; the text of an unknown type otherwise.
    pub request: Result<CommandRequest, String>,
    /// Until when it must have been begun, by the server's clock. None when that cannot be read.
    pub expires_at: Option<UnixMs>,
    /// Whether an older session has claimed it.
    pub claimed_before: bool,
}

impl Offer {
    /// Reads one element of the answer of `machines.getPendingCommands`. None when it does not even have an id.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        if let Ok(pending) = serde_json::from_value::<PendingCommand>(value.clone()) {
            return Some(Self {
                command: pending.command_id,
                request: Ok(pending.request),
                expires_at: Some(pending.expires_at),
                claimed_before: pending.claimed_before,
            });
        }
        let kind = value.get("type").and_then(Value::as_str).unwrap_or("unknown");
        Some(Self {
            command: CommandId::from(value.get("commandId")?.as_str()?),
            request: Err(kind.chars().take(100).collect()),
            expires_at: value.get("expiresAt").and_then(Value::as_i64).map(UnixMs),
            claimed_before: value.get("claimedBefore").and_then(Value::as_bool).unwrap_or_default(),
        })
    }

    /// The role that it is about, if it is about one.
    pub(super) fn slot(&self) -> Option<Slot> {
        let (chatroom, role) = match self.request.as_ref().ok()? {
            CommandRequest::StartAgent(start) => (&start.chatroom_id, &start.role),
            CommandRequest::StopAgent(slot) | CommandRequest::RestartAgent(slot) => (&slot.chatroom_id, &slot.role),
            CommandRequest::Ping(_)
            | CommandRequest::Status(_)
            | CommandRequest::ListModels(_)
            | CommandRequest::CheckDir(_) => return None,
        };
        Some(Slot::new(chatroom, role))
    }
}

/// A role of a room. What happens to one never waits for another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    room: ChatroomId,
    role: String,
}

impl Slot {
    /// The slot of a role; its case does not matter.
    #[must_use]
    pub fn new(room: &ChatroomId, role: &str) -> Self {
        Self { room: room.clone(), role: role.to_lowercase() }
    }
}

/// What the server said to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimAnswer {
    /// It is this session's; with what to do, unless this version cannot read that.
    Claimed(Option<Box<WorkOrder>>),
    /// It is not to be had any more, or the server refuses: nothing is done.
    Lost,
    /// A newer session has taken over.
    Superseded,
}

/// What the server said to the end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckAnswer {
    /// It is recorded.
    Applied,
    /// It was past that: recorded before, or ended by somebody else.
    Stale,
    /// A newer session has taken over.
    Superseded,
}

/// How a start went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartOutcome {
    /// The tool runs, or ran.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// It was started, and nobody saw what became of it.
    Lost,
    /// It was not started, or failed at once.
    Failed(CommandFailure),
}

/// What the daemon knows of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentFate {
    /// Its host has not told yet whether the tool runs.
    Starting,
    /// Its tool runs.
    Running {
        /// The tool's process id.
        pid: u32,
        /// When it was started, by the machine's clock.
        started_at: UnixMs,
    },
    /// It has ended.
    Ended {
        /// How.
        exit: AgentExit,
        /// When, by the machine's clock.
        at: UnixMs,
    },
    /// It never ran and never will.
    NeverRan,
}

impl AgentFate {
    /// Whether processes of it may be alive.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self, Self::Starting | Self::Running { .. })
    }
}

/// An agent that a run directory tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownAgent {
    /// Which agent.
    pub agent: AgentId,
    /// Its role.
    pub slot: Slot,
    /// What became of it.
    pub fate: AgentFate,
    /// Whether the server has recorded its end.
    pub reported: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The server has opened this daemon's session, for the first time or again.
    SessionOpened {
        /// The server's clock minus the daemon's, in milliseconds.
        clock_offset_ms: i64,
        /// Agents that run but should not.
        unwanted: Vec<AgentId>,
    },
    /// The newest answer of the subscription.
    Offers(Vec<Offer>),
    /// The answer to a claim.
    Claimed {
        /// Of which command.
        command: CommandId,
        /// What the server said.
        answer: ClaimAnswer,
    },
    /// An intent is durable, or cannot be made so.
    IntentWritten {
        /// Of which command.
        command: CommandId,
        /// Why not.
        result: Result<(), String>,
    },
    /// A start is over.
    StartEnded {
        /// Of which command.
        command: CommandId,
        /// Of which agent.
        agent: AgentId,
        /// How it went.
        outcome: StartOutcome,
    },
    /// An agent's tool was started.
    AgentStarted {
        /// Which agent.
        agent: AgentId,
        /// Its process id.
        pid: u32,
        /// When, by the machine's clock.
        started_at: UnixMs,
    },
    /// An agent has ended with all its processes, or will never run.
    AgentEnded {
        /// Which agent.
        agent: AgentId,
        /// How and when, by the machine's clock; none when it never ran.
        end: Option<(AgentExit, UnixMs)>,
    },
    /// Some process of an agent would not end.
    StopFailed {
        /// Which agent.
        agent: AgentId,
        /// Why.
        reason: String,
    },
    /// What was looked at for a command.
    Looked {
        /// For which command.
        command: CommandId,
        /// What was found.
        result: Result<CommandResult, CommandFailure>,
    },
    /// The end of a command is durable (or cannot be made so: then it is told all the same).
    OutcomeWritten {
        /// Of which command.
        command: CommandId,
    },
    /// The answer to the end of a command.
    Acked {
        /// Of which command.
        command: CommandId,
        /// What the server said.
        answer: AckAnswer,
    },
    /// The server has recorded the ends of agents.
    EndsReported(Vec<AgentId>),
    /// Agents that run but should not, by a heartbeat's answer.
    Unwanted(Vec<AgentId>),
    /// The part of the daemon that carried out something for a command failed.
    Broke {
        /// For which command.
        command: CommandId,
    },
    /// A newer session has taken over.
    Superseded,
    /// The daemon is to stop.
    StopRequested(StopMode),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Claim a command.
    Claim(CommandId),
    /// Make an intent durable.
    WriteIntent {
        /// Of which command.
        command: CommandId,
        /// Its type.
        kind: &'static str,
        /// The agent that is started or stopped.
        agent: Option<AgentId>,
        /// What is started.
        start: Option<Box<StartOrder>>,
    },
    /// Start an agent, or find out what became of its start if its claim is taken.
    Start {
        /// For which command.
        command: CommandId,
        /// What to start.
        order: Box<StartOrder>,
        /// No tool is started after this, by the daemon's clock.
        not_after: UnixMs,
    },
    /// Find something out that changes nothing and may be done twice. Ends with [`Event::Looked`].
    Look {
        /// For which command.
        command: CommandId,
        /// What to find out.
        look: Look,
    },
    /// Look for the tools of this machine again: its owner asks how it is. What is found is told by registering.
    DetectTools,
    /// Stop an agent. Ends with [`Event::AgentEnded`] or [`Event::StopFailed`].
    Stop {
        /// Which agent.
        agent: AgentId,
        /// Why.
        why: StopReason,
    },
    /// Make the end of a command durable.
    WriteOutcome {
        /// Of which command.
        command: CommandId,
        /// What to tell.
        ack: Ack,
    },
    /// Tell the server the end of a command.
    SendOutcome {
        /// Of which command.
        command: CommandId,
        /// What to tell.
        ack: Ack,
    },
    /// Forget a command: the server has answered its end.
    Settle(CommandId),
    /// Tell the server which agents have ended.
    ReportEnds(Vec<AgentReport>),
    /// End the daemon: a newer session has taken over.
    GiveUp,
}

/// Something to find out on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The models of a tool.
    Models(ToolName),
    /// Whether an agent could work in a directory.
    Dir(PathBuf),
}

/// Why an agent is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody wants it to end.
    Wanted,
    /// Its machine shuts down.
    ShutDown,
}
