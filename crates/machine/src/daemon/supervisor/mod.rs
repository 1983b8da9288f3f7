//! The supervisor: decides what the daemon does, without doing any of it.
//!
//! `handle(event, now)` answers with effects; whoever carries them out tells the outcome as another event. Invariants, held
//! over crashes by the journal and the run directories that [`Supervisor::new`] begins from:
//! a command is carried out at most once and its end is told until the server has answered; no tool is started after its
//! command's deadline; what happens to one role never waits for another; a stop overrides starts of its role that have not
//! begun.

mod job;
mod taking;
mod words;

#[cfg(test)]
mod tests;

pub use words::{
    AckAnswer, AgentFate, ClaimAnswer, Effect, Event, KnownAgent, Look, Offer, Slot, StartOutcome, StopReason,
};

use super::StopMode;
use super::journal::Entry;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{AgentExit, AgentFact, AgentReport};
use chatroom_protocol::command::{Ack, CommandFailure, CommandResult, FailureCode, MachineStatus, StartOrder};
use chatroom_protocol::id::{AgentId, CommandId};
use job::{Agent, Job, Phase, parts, reason, refusal};
use std::collections::{BTreeMap, BTreeSet};

/// How much later than its deadline a command may still be begun, in milliseconds: clocks are never quite the same.
const TOLERANCE_MS: i64 = 2_000;

/// Decides what the daemon does.
#[derive(Debug)]
pub struct Supervisor {
    about: MachineStatus,
    /// The server's clock minus the daemon's. None before the first session.
    clock_offset_ms: Option<i64>,
    jobs: BTreeMap<CommandId, Job>,
    /// The order in which jobs were taken up.
    next_job: u64,
    agents: BTreeMap<AgentId, Agent>,
    /// What the newest answer of the subscription offers.
    offered: BTreeSet<CommandId>,
    /// Whether the subscription has answered since the start.
    heard_offers: bool,
    stopping: Option<StopMode>,
    superseded: bool,
}

impl Supervisor {
    /// Begins from what the journal and the run directories tell. `about` is what a status command answers; its list of
    /// agents is kept up to date here.
    #[must_use]
    pub fn new(about: MachineStatus, journal: &BTreeMap<CommandId, Entry>, agents: Vec<KnownAgent>) -> Self {
        let jobs = journal.iter().zip(0..).map(|((command, entry), number)| {
            let phase = match &entry.outcome {
                // Told as soon as there is a session.
                Some(ack) => Phase::Telling { ack: ack.clone() },
                None => Phase::Remembered,
            };
            let job = Job {
                number,
                kind: "",
                slot: None,
                expires_at: None,
                overridden: false,
                resumed: true,
                claimed: false,
                phase,
            };
            (command.clone(), job)
        });
        let agents = agents.into_iter().map(|known| {
            let agent = Agent { slot: known.slot, fate: known.fate, stopping: false, reported: known.reported };
            (known.agent, agent)
        });
        Self {
            about,
            clock_offset_ms: None,
            next_job: journal.len() as u64,
            jobs: jobs.collect(),
            agents: agents.collect(),
            offered: BTreeSet::new(),
            heard_offers: false,
            stopping: None,
            superseded: false,
        }
    }

    /// What the server is told of this machine's agents: those that run, and those whose end it has not recorded.
    #[must_use]
    pub fn inventory(&self) -> Vec<AgentReport> {
        self.agents.iter().filter(|(_, agent)| !agent.reported).filter_map(|(id, agent)| agent.report(id)).collect()
    }

    /// The agents whose processes may be alive.
    #[must_use]
    pub fn living(&self) -> Vec<AgentId> {
        self.agents.iter().filter(|(_, agent)| agent.fate.is_alive()).map(|(id, _)| id.clone()).collect()
    }

    /// Whether a daemon that was asked to stop may go: nothing is under way that another one could not take up.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        if self.stopping == Some(StopMode::KeepAgents) {
            let at_work =
                |job: &Job| matches!(job.phase, Phase::Writing { .. } | Phase::Starting { .. } | Phase::Ending { .. });
            return !self.jobs.values().any(at_work);
        }
        self.jobs.values().all(|job| matches!(job.phase, Phase::Remembered | Phase::Queued | Phase::Looking))
            && self.agents.values().all(|agent| agent.reported && !agent.fate.is_alive())
    }

    /// Takes in what happened at `now` (the daemon's clock) and answers with what is to be done, in order.
    #[must_use]
    pub fn handle(&mut self, event: Event, now: UnixMs) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::SessionOpened { clock_offset_ms, unwanted } => {
                self.clock_offset_ms = Some(clock_offset_ms);
                self.resume(&mut effects);
                self.stop_unwanted(unwanted, &mut effects);
            }
            Event::Offers(offers) => self.take_offers(offers, now, &mut effects),
            Event::Claimed { command, answer } => self.claimed(&command, answer, now, &mut effects),
            Event::IntentWritten { command, result } => self.begin(&command, result, now, &mut effects),
            Event::StartEnded { command, agent, outcome } => self.start_ended(&command, &agent, outcome, &mut effects),
            Event::AgentStarted { agent, pid, started_at } => {
                if let Some(known) = self.agents.get_mut(&agent).filter(|known| known.fate == AgentFate::Starting) {
                    known.fate = AgentFate::Running { pid, started_at };
                }
            }
            Event::AgentEnded { agent, end } => self.agent_ended(&agent, end, now, &mut effects),
            Event::StopFailed { agent, reason } => self.stop_failed(&agent, &reason, &mut effects),
            Event::Looked { command, result } => {
                let ack = match result {
                    Ok(result) => Ack::Completed { result },
                    Err(failure) => Ack::Failed { failure },
                };
                self.end_unwritten(&command, ack, &mut effects);
            }
            Event::OutcomeWritten { command } => self.tell(&command, &mut effects),
            Event::Acked { command, answer } => self.acked(&command, answer, &mut effects),
            Event::EndsReported(agents) => {
                for agent in agents {
                    if let Some(known) = self.agents.get_mut(&agent).filter(|known| !known.fate.is_alive()) {
                        known.reported = true;
                    }
                }
                // What is over is known to the run directories; here it would only pile up.
                let waited_for = self.waited_for();
                self.agents.retain(|id, known| !known.reported || known.fate.is_alive() || waited_for.contains(id));
            }
            Event::Unwanted(agents) => self.stop_unwanted(agents, &mut effects),
            Event::Broke { command } => {
                let failure = CommandFailure::new(FailureCode::Internal, "the daemon failed while it carried this out")
                    .hint("see the daemon's log on that machine: chatroom machine daemon logs");
                if self.jobs.get(&command).is_some_and(|job| !job.is_ending()) {
                    self.end(&command, Ack::Failed { failure }, &mut effects);
                }
            }
            Event::Superseded => self.give_up(&mut effects),
            Event::StopRequested(mode) => self.stop(mode, &mut effects),
        }
        self.take_up(&mut effects);
        if self.superseded { effects.into_iter().filter(|effect| *effect == Effect::GiveUp).collect() } else { effects }
    }

    /// Tells what is still to be told, after the session was opened.
    fn resume(&mut self, effects: &mut Vec<Effect>) {
        for (command, job) in &self.jobs {
            if let (Phase::Telling { ack }, false) = (&job.phase, job.claimed) {
                effects.push(Effect::SendOutcome { command: command.clone(), ack: ack.clone() });
            }
        }
        let ended: Vec<_> =
            self.inventory().into_iter().filter(|report| matches!(report.fact, AgentFact::Exited { .. })).collect();
        if !ended.is_empty() {
            effects.push(Effect::ReportEnds(ended));
        }
    }

    /// Stops what is in the way (the named agent, and whoever else lives in the role of a start), then goes on.
    fn make_room(
        &mut self,
        command: &CommandId,
        stop: Option<AgentId>,
        target: Option<AgentId>,
        then: Option<Box<StartOrder>>,
        now: UnixMs,
        effects: &mut Vec<Effect>,
    ) {
        let mut waiting = BTreeSet::new();
        let started = then.as_ref().map(|start| &start.agent_id);
        // A start that has happened is past making room.
        if started.is_none_or(|agent| !self.agents.contains_key(agent)) {
            let slot = then.as_ref().map(|start| Slot::new(&start.chatroom_id, &start.role));
            for (id, agent) in &mut self.agents {
                let named = stop.as_ref() == Some(id) || slot.as_ref() == Some(&agent.slot);
                if named && agent.fate.is_alive() {
                    waiting.insert(id.clone());
                    if !std::mem::replace(&mut agent.stopping, true) {
                        effects.push(Effect::Stop { agent: id.clone(), why: StopReason::Wanted });
                    }
                }
            }
        }
        let Some(job) = self.jobs.get_mut(command) else { return };
        let clear = waiting.is_empty();
        job.phase = Phase::Stopping { waiting, target, then };
        if clear {
            self.room_made(command, None, now, effects);
        }
    }

    /// Nothing is in the way any more. `last` tells how the stopped agent ended.
    fn room_made(
        &mut self,
        command: &CommandId,
        last: Option<(AgentId, Option<AgentExit>)>,
        now: UnixMs,
        effects: &mut Vec<Effect>,
    ) {
        let Some(job) = self.jobs.get_mut(command) else { return };
        let Phase::Stopping { target, then, .. } = &mut job.phase else { return };
        let (target, expires_at, resumed) = (target.take(), job.expires_at, job.resumed);
        let Some(order) = then.take() else {
            let result = match (target, last) {
                (Some(agent_id), Some((_, Some(exit)))) => CommandResult::Stopped { agent_id, exit },
                _ => CommandResult::NotRunning,
            };
            return self.end(command, Ack::Completed { result }, effects);
        };
        let happened = resumed || self.agents.contains_key(&order.agent_id);
        let expired = self.is_expired(expires_at, now);
        if !happened && let Some(failure) = refusal(expired, false, self.stopping) {
            return self.end(command, Ack::Failed { failure }, effects);
        }
        let agent = order.agent_id.clone();
        let slot = Slot::new(&order.chatroom_id, &order.role);
        self.agents.entry(agent.clone()).or_insert(Agent {
            slot,
            fate: AgentFate::Starting,
            stopping: false,
            reported: false,
        });
        let not_after = match (expires_at, self.clock_offset_ms) {
            (Some(at), Some(offset)) => at - offset + TOLERANCE_MS,
            _ => UnixMs(i64::MIN),
        };
        if let Some(job) = self.jobs.get_mut(command) {
            job.phase = Phase::Starting { agent };
            effects.push(Effect::Start { command: command.clone(), order, not_after });
        }
    }

    fn start_ended(&mut self, command: &CommandId, agent: &AgentId, outcome: StartOutcome, effects: &mut Vec<Effect>) {
        let agent_id = agent.clone();
        let ack = match outcome {
            StartOutcome::Started { pid } => Ack::Completed { result: CommandResult::Started { agent_id, pid } },
            StartOutcome::Lost => Ack::Completed { result: CommandResult::StartedThenLost { agent_id } },
            StartOutcome::Failed(failure) => {
                if let Some(known) = self.agents.get_mut(agent).filter(|known| known.fate == AgentFate::Starting) {
                    known.fate = AgentFate::NeverRan;
                    known.reported = true;
                }
                Ack::Failed { failure }
            }
        };
        let waits = |job: &Job| matches!(&job.phase, Phase::Starting { agent: started } if started == agent);
        if self.jobs.get(command).is_some_and(waits) {
            self.end(command, ack, effects);
        }
        if let Some(why) = self.stopping.and_then(reason) {
            self.stop_agent(agent, why, effects);
        }
    }

    fn agent_ended(
        &mut self,
        agent: &AgentId,
        end: Option<(AgentExit, UnixMs)>,
        now: UnixMs,
        effects: &mut Vec<Effect>,
    ) {
        let Some(known) = self.agents.get_mut(agent).filter(|known| known.fate.is_alive()) else { return };
        known.stopping = false;
        known.fate = match &end {
            Some((exit, at)) => AgentFate::Ended { exit: exit.clone(), at: *at },
            None => AgentFate::NeverRan,
        };
        match known.report(agent) {
            Some(report) => effects.push(Effect::ReportEnds(vec![report])),
            None => known.reported = true,
        }
        let exit = end.map(|(exit, _)| exit);
        for command in self.waiting_for(agent) {
            let Some(Job { phase: Phase::Stopping { waiting, .. }, .. }) = self.jobs.get_mut(&command) else {
                continue;
            };
            waiting.remove(agent);
            if waiting.is_empty() {
                self.room_made(&command, Some((agent.clone(), exit.clone())), now, effects);
            }
        }
    }

    fn stop_failed(&mut self, agent: &AgentId, reason: &str, effects: &mut Vec<Effect>) {
        if let Some(known) = self.agents.get_mut(agent) {
            known.stopping = false;
        }
        for command in self.waiting_for(agent) {
            let failure = CommandFailure::new(FailureCode::StopFailed, format!("the agent would not end: {reason}"));
            self.end(&command, Ack::Failed { failure }, effects);
        }
    }

    /// The commands that wait for the end of an agent.
    fn waiting_for(&self, agent: &AgentId) -> Vec<CommandId> {
        let waits = |job: &Job| matches!(&job.phase, Phase::Stopping { waiting, .. } if waiting.contains(agent));
        self.jobs.iter().filter(|(_, job)| waits(job)).map(|(command, _)| command.clone()).collect()
    }

    /// The agents that some command still has to do with.
    fn waited_for(&self) -> BTreeSet<AgentId> {
        let mut agents = BTreeSet::new();
        for job in self.jobs.values() {
            match &job.phase {
                Phase::Stopping { waiting, .. } => agents.extend(waiting.iter().cloned()),
                Phase::Starting { agent } => drop(agents.insert(agent.clone())),
                Phase::Writing { order } => agents.extend(parts(order).0.cloned()),
                _ => {}
            }
        }
        agents
    }

    /// The command has its end: write it down, then tell it.
    fn end(&mut self, command: &CommandId, ack: Ack, effects: &mut Vec<Effect>) {
        if let Some(job) = self.jobs.get_mut(command) {
            job.phase = Phase::Ending { ack: ack.clone() };
            effects.push(Effect::WriteOutcome { command: command.clone(), ack });
        }
    }

    /// The same for what may be done twice: nothing is written down.
    fn end_unwritten(&mut self, command: &CommandId, ack: Ack, effects: &mut Vec<Effect>) {
        if let Some(job) = self.jobs.get_mut(command).filter(|job| !job.is_ending()) {
            job.phase = Phase::Ending { ack };
            self.tell(command, effects);
        }
    }

    /// Begins to find something out for a command.
    fn look(&mut self, command: &CommandId, look: Look, effects: &mut Vec<Effect>) {
        if let Some(job) = self.jobs.get_mut(command) {
            job.phase = Phase::Looking;
            effects.push(Effect::Look { command: command.clone(), look });
        }
    }

    fn tell(&mut self, command: &CommandId, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(command) else { return };
        let Phase::Ending { ack } = &job.phase else { return };
        let ack = ack.clone();
        job.phase = Phase::Telling { ack: ack.clone() };
        effects.push(Effect::SendOutcome { command: command.clone(), ack });
    }

    fn acked(&mut self, command: &CommandId, answer: AckAnswer, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(command) else { return };
        let Phase::Telling { ack } = &job.phase else { return };
        match answer {
            AckAnswer::Superseded => self.give_up(effects),
            // The end of an earlier session's claim: claim it again to be heard.
            AckAnswer::Stale if !job.claimed && self.offered.contains(command) => {
                job.phase = Phase::Claiming { outcome: Some(ack.clone()) };
                effects.push(Effect::Claim(command.clone()));
            }
            AckAnswer::Applied | AckAnswer::Stale => {
                self.jobs.remove(command);
                effects.push(Effect::Settle(command.clone()));
            }
        }
    }

    fn stop_unwanted(&mut self, agents: Vec<AgentId>, effects: &mut Vec<Effect>) {
        for agent in agents {
            // One that is being started has a command that says so; the answer is older than that.
            let wanted = |job: &Job| matches!(&job.phase, Phase::Starting { agent: started } if *started == agent);
            if !self.jobs.values().any(wanted) {
                self.stop_agent(&agent, StopReason::Wanted, effects);
            }
        }
    }

    fn stop_agent(&mut self, agent: &AgentId, why: StopReason, effects: &mut Vec<Effect>) {
        if let Some(known) = self.agents.get_mut(agent).filter(|known| known.fate.is_alive() && !known.stopping) {
            known.stopping = true;
            effects.push(Effect::Stop { agent: agent.clone(), why });
        }
    }

    fn stop(&mut self, mode: StopMode, effects: &mut Vec<Effect>) {
        self.stopping = Some(mode);
        if let Some(why) = reason(mode) {
            for agent in self.living() {
                self.stop_agent(&agent, why, effects);
            }
        }
    }

    fn give_up(&mut self, effects: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.superseded, true) {
            effects.push(Effect::GiveUp);
        }
    }

    fn is_expired(&self, expires_at: Option<UnixMs>, now: UnixMs) -> bool {
        let at_server = now + self.clock_offset_ms.unwrap_or_default();
        expires_at.is_some_and(|expires_at| at_server > expires_at + TOLERANCE_MS)
    }
}
