//! What the supervisor remembers of commands and agents, and what can be told from one of them alone.

use super::{AgentFate, Slot, StopReason};
use crate::daemon::StopMode;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{AgentFact, AgentReport};
use chatroom_protocol::command::{Ack, CommandFailure, CommandResult, FailureCode, StartOrder, WorkOrder};
use chatroom_protocol::id::AgentId;
use std::collections::BTreeSet;

/// A command that is not settled.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) kind: &'static str,
    pub(super) slot: Option<Slot>,
    /// None: not known, then nothing is started.
    pub(super) expires_at: Option<UnixMs>,
    /// A later stop of the same role has come before this start began.
    pub(super) overridden: bool,
    /// An earlier daemon had begun to carry it out.
    pub(super) resumed: bool,
    /// This session has claimed it.
    pub(super) claimed: bool,
    pub(super) phase: Phase,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Begun by an earlier daemon; comes to life when it is offered.
    Remembered,
    /// Waits for its role.
    Queued,
    /// The claim is under way; with the end that an earlier daemon wrote down, if it did.
    Claiming { outcome: Option<Ack> },
    /// The intent is being written.
    Writing { order: WorkOrder },
    /// Waits for agents to end; then starts one, if it is to.
    Stopping { waiting: BTreeSet<AgentId>, target: Option<AgentId>, then: Option<Box<StartOrder>> },
    /// The start is under way.
    Starting { agent: AgentId },
    /// Something is being looked at.
    Looking,
    /// The end is being written.
    Ending { ack: Ack },
    /// The end is being told.
    Telling { ack: Ack },
}

#[derive(Debug)]
pub(super) struct Agent {
    pub(super) slot: Slot,
    pub(super) fate: AgentFate,
    /// Whether a stop is under way.
    pub(super) stopping: bool,
    /// Whether the server has recorded its end.
    pub(super) reported: bool,
}

impl Job {
    pub(super) fn starts(&self) -> bool {
        matches!(self.kind, "start-agent" | "restart-agent")
    }

    /// Whether others of the same role have to wait for it.
    pub(super) fn holds_slot(&self) -> bool {
        match &self.phase {
            Phase::Remembered | Phase::Queued | Phase::Looking | Phase::Ending { .. } | Phase::Telling { .. } => false,
            Phase::Claiming { .. } => !self.overridden,
            Phase::Writing { .. } | Phase::Stopping { .. } | Phase::Starting { .. } => true,
        }
    }

    pub(super) fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. } | Phase::Telling { .. })
    }
}

impl Agent {
    pub(super) fn report(&self, agent_id: &AgentId) -> Option<AgentReport> {
        let fact = match &self.fate {
            AgentFate::Running { pid, started_at } => AgentFact::Running { pid: *pid, started_at: *started_at },
            AgentFate::Ended { exit, at } => AgentFact::Exited { exit: exit.clone(), exited_at: *at },
            AgentFate::Starting | AgentFate::NeverRan => return None,
        };
        Some(AgentReport { agent_id: agent_id.clone(), fact })
    }
}

pub(super) const fn completed(result: CommandResult) -> Ack {
    Ack::Completed { result }
}

/// The agent that an order is about, and what it starts.
pub(super) fn parts(order: &WorkOrder) -> (Option<&AgentId>, Option<&StartOrder>) {
    match order {
        WorkOrder::Start(start) | WorkOrder::Restart { start, .. } => (Some(&start.agent_id), Some(start)),
        WorkOrder::Stop { agent_id } => (agent_id.as_ref(), None),
        WorkOrder::Ping | WorkOrder::Status | WorkOrder::ListModels { .. } | WorkOrder::CheckDir { .. } => (None, None),
    }
}

/// Why agents are stopped with the daemon, if they are.
pub(super) const fn reason(mode: StopMode) -> Option<StopReason> {
    match mode {
        StopMode::EndAgents => Some(StopReason::Wanted),
        StopMode::ShutDown => Some(StopReason::ShutDown),
        StopMode::KeepAgents => None,
    }
}

/// Why a command that has not begun is not begun any more, if so.
pub(super) fn refusal(expired: bool, overridden: bool, stopping: Option<StopMode>) -> Option<CommandFailure> {
    if overridden {
        let message = "a stop of the same role came before this had begun";
        return Some(CommandFailure::new(FailureCode::Cancelled, message).hint("start it again if it is wanted"));
    }
    if expired {
        let message = "its deadline passed before this machine could begin";
        return Some(CommandFailure::new(FailureCode::Expired, message).hint("send it again"));
    }
    if stopping.is_some_and(StopMode::ends_agents) {
        let message = "the daemon of the machine was stopped before it could begin";
        return Some(
            CommandFailure::new(FailureCode::Cancelled, message).hint("start the daemon there, then send it again"),
        );
    }
    None
}
