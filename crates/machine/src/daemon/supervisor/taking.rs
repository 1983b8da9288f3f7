//! From an offer to its beginning: which commands are claimed and when, and what each of them begins with.

use super::job::{Job, Phase, completed, parts, refusal};
use super::{AgentFate, ClaimAnswer, Effect, Look, Offer, Slot, Supervisor};
use crate::daemon::StopMode;
use chatroom_protocol::UnixMs;
use chatroom_protocol::command::{
    Ack, CommandFailure, CommandRequest, CommandResult, FailureCode, MachineStatus, WorkOrder,
};
use chatroom_protocol::id::CommandId;
use std::collections::BTreeSet;

impl Supervisor {
    pub(super) fn take_offers(&mut self, offers: Vec<Offer>, now: UnixMs, effects: &mut Vec<Effect>) {
        self.offered = offers.iter().map(|offer| offer.command.clone()).collect();
        let offered = &self.offered;
        // Cancelled or expired before it was claimed.
        self.jobs.retain(|command, job| !matches!(job.phase, Phase::Queued) || offered.contains(command));
        if !std::mem::replace(&mut self.heard_offers, true) {
            // Begun by an earlier daemon and not offered any more: the server has ended it.
            let forgotten = |(_, job): &(&CommandId, &Job)| matches!(job.phase, Phase::Remembered);
            let gone: Vec<_> = self.jobs.iter().filter(forgotten).map(|(command, _)| command.clone()).collect();
            for command in gone.into_iter().filter(|command| !self.offered.contains(command)) {
                self.jobs.remove(&command);
                effects.push(Effect::Settle(command));
            }
        }
        if self.stopping.is_some() {
            return;
        }
        for offer in offers {
            let resumed = match self.jobs.get(&offer.command).map(|job| &job.phase) {
                None => false,
                Some(Phase::Remembered) => true,
                Some(_) => continue,
            };
            // The server ends it; if an earlier session began it, it has to be found out what came of it.
            if self.is_expired(offer.expires_at, now) && !resumed && !offer.claimed_before {
                continue;
            }
            let slot = offer.slot();
            if matches!(offer.request, Ok(CommandRequest::StopAgent(_))) {
                self.override_starts(slot.as_ref());
            }
            let job = Job {
                number: self.next_job,
                kind: offer.request.as_ref().map_or("unknown", CommandRequest::kind),
                slot,
                expires_at: offer.expires_at,
                overridden: false,
                resumed,
                claimed: false,
                phase: Phase::Queued,
            };
            self.next_job += 1;
            self.jobs.insert(offer.command, job);
        }
    }

    /// A stop has come: starts of its role that wait for their turn will not happen.
    fn override_starts(&mut self, slot: Option<&Slot>) {
        for job in self.jobs.values_mut().filter(|job| job.slot.as_ref() == slot && job.starts()) {
            job.overridden |= !job.resumed && matches!(job.phase, Phase::Queued | Phase::Claiming { outcome: None });
        }
    }

    /// Claims what waits and whose role is free, oldest first.
    pub(super) fn take_up(&mut self, effects: &mut Vec<Effect>) {
        if self.clock_offset_ms.is_none() || self.stopping.is_some() {
            return;
        }
        let mut taken: BTreeSet<Slot> =
            self.jobs.values().filter(|job| job.holds_slot()).filter_map(|job| job.slot.clone()).collect();
        let mut waiting: Vec<_> = self
            .jobs
            .iter()
            .filter(|(_, job)| matches!(job.phase, Phase::Queued))
            .map(|(id, job)| (job.number, id.clone()))
            .collect();
        waiting.sort();
        for (_, command) in waiting {
            let Some(job) = self.jobs.get_mut(&command) else { continue };
            // One that will only be refused need not wait for its role.
            let free = job.overridden || job.slot.as_ref().is_none_or(|slot| !taken.contains(slot));
            if !free {
                continue;
            }
            if let Some(slot) = job.slot.clone().filter(|_| !job.overridden) {
                taken.insert(slot);
            }
            job.phase = Phase::Claiming { outcome: None };
            effects.push(Effect::Claim(command));
        }
    }

    pub(super) fn claimed(&mut self, command: &CommandId, answer: ClaimAnswer, now: UnixMs, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(command) else { return };
        let Phase::Claiming { outcome } = &mut job.phase else { return };
        let outcome = outcome.take();
        let order = match answer {
            ClaimAnswer::Superseded => return self.give_up(effects),
            ClaimAnswer::Lost => {
                let written = job.resumed || outcome.is_some();
                self.jobs.remove(command);
                if written {
                    effects.push(Effect::Settle(command.clone()));
                }
                return;
            }
            ClaimAnswer::Claimed(order) => order,
        };
        job.claimed = true;
        if let Some(ack) = outcome {
            job.phase = Phase::Telling { ack: ack.clone() };
            effects.push(Effect::SendOutcome { command: command.clone(), ack });
            return;
        }
        let (resumed, overridden, expires_at, kind) = (job.resumed, job.overridden, job.expires_at, job.kind);
        let expired = self.is_expired(expires_at, now);
        let Some(order) = order else {
            let message = format!("the version of chatroom on this machine does not know the command {kind}");
            let failure =
                CommandFailure::new(FailureCode::Unsupported, message).hint("update chatroom on that machine");
            return self.end(command, Ack::Failed { failure }, effects);
        };
        match *order {
            WorkOrder::Ping => return self.end_unwritten(command, completed(CommandResult::Pong), effects),
            WorkOrder::Status => {
                effects.push(Effect::DetectTools);
                let status = MachineStatus { agents: self.living(), ..self.about.clone() };
                return self.end_unwritten(command, completed(CommandResult::Status(status)), effects);
            }
            WorkOrder::ListModels { tool } => return self.look(command, Look::Models(tool.clone()), effects),
            WorkOrder::CheckDir { path } => return self.look(command, Look::Dir(path.into()), effects),
            _ => {}
        }
        let (agent, start) = parts(&order);
        // A start that was begun may have happened, whatever the time is now: it is found out what came of it.
        let happened = resumed || start.is_some_and(|start| self.agents.contains_key(&start.agent_id));
        if !happened && let Some(failure) = refusal(expired, overridden, self.stopping) {
            return self.end(command, Ack::Failed { failure }, effects);
        }
        if self.stopping == Some(StopMode::KeepAgents) {
            // The next daemon claims it again.
            if let Some(job) = self.jobs.get_mut(command) {
                job.phase = if resumed { Phase::Remembered } else { Phase::Queued };
            }
            return;
        }
        let (agent, start) = (agent.cloned(), start.cloned().map(Box::new));
        if let Some(job) = self.jobs.get_mut(command) {
            job.phase = Phase::Writing { order: *order };
            effects.push(Effect::WriteIntent { command: command.clone(), kind, agent, start });
        }
    }

    /// The intent is written: begin.
    pub(super) fn begin(
        &mut self,
        command: &CommandId,
        result: Result<(), String>,
        now: UnixMs,
        effects: &mut Vec<Effect>,
    ) {
        let Some(job) = self.jobs.get_mut(command) else { return };
        let Phase::Writing { order } = &job.phase else { return };
        let order = order.clone();
        let resumed = job.resumed;
        if let Err(reason) = result {
            let message = format!("this machine cannot write down what it is about to do: {reason}");
            let failure = CommandFailure::new(FailureCode::StorageFailed, message).hint("free some disk space there");
            return self.end(command, Ack::Failed { failure }, effects);
        }
        match order {
            WorkOrder::Start(start) => self.make_room(command, None, None, Some(Box::new(start)), now, effects),
            WorkOrder::Restart { stop, start } => {
                self.make_room(command, stop, None, Some(Box::new(start)), now, effects)
            }
            WorkOrder::Stop { agent_id: None } => {
                self.end(command, Ack::Completed { result: CommandResult::NotRunning }, effects);
            }
            WorkOrder::Stop { agent_id: Some(agent) } => {
                match self.agents.get(&agent).map(|known| known.fate.clone()) {
                    Some(AgentFate::Starting | AgentFate::Running { .. }) => {
                        self.make_room(command, Some(agent.clone()), Some(agent), None, now, effects);
                    }
                    // An earlier daemon had stopped it and did not come to say so.
                    Some(AgentFate::Ended { exit, .. }) if resumed => {
                        let result = CommandResult::Stopped { agent_id: agent, exit };
                        self.end(command, Ack::Completed { result }, effects);
                    }
                    Some(AgentFate::Ended { .. } | AgentFate::NeverRan) | None => {
                        self.end(command, Ack::Completed { result: CommandResult::NotRunning }, effects);
                    }
                }
            }
            WorkOrder::Ping | WorkOrder::Status | WorkOrder::ListModels { .. } | WorkOrder::CheckDir { .. } => {}
        }
    }
}
