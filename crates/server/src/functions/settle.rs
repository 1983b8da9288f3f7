//! Settling what a daemon says of its agents with what the server knows. [`judge`] decides and touches nothing; [`settle`] reads,
//! has it judged and writes.

use super::outcome::{exit_agent, fail_agent};
use crate::store::agents::{self, Known};
use crate::store::{Result, Tx, commands};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{AgentExit, AgentFact, AgentReport, AgentState};
use chatroom_protocol::command::{CommandFailure, FailureCode};
use chatroom_protocol::id::{AgentId, MachineId, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// How old evidence may get before it is written down anew, in milliseconds. A heartbeat that tells nothing new writes nothing.
pub(crate) const FRESH_MS: i64 = 30_000;

/// How long an agent may be left out of heartbeats before it counts as lost, in milliseconds. A heartbeat and an ack may pass
/// each other on their way, so one silence proves nothing.
const PATIENCE_MS: i64 = 60_000;

/// What the reports are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inventory {
    /// Everything that a daemon session knows at its opening: what it leaves out is gone.
    Opening,
    /// Everything that the daemon knows, perhaps a moment old.
    Heartbeat,
    /// Some facts; nothing follows of what they leave out.
    Partial,
}

/// What is to be done about an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing.
    Leave,
    /// Note that it was heard.
    Hear,
    /// It runs.
    Run { pid: u32 },
    /// It was given up, and runs.
    Revive { pid: u32 },
    /// It has ended.
    Exit { exit: AgentExit, at: UnixMs },
    /// It was to start, and no command is left that would.
    Abandon,
    /// It runs, and should not.
    Unwanted,
}

/// Decides about one agent of the machine.
fn judge(known: &Known, fact: Option<&AgentFact>, inventory: Inventory, now: UnixMs) -> Verdict {
    let agent = &known.row.agent;
    let heard_lately = agent.heard_at.is_some_and(|at| now.since(at) < FRESH_MS);
    match (fact, &agent.state) {
        (Some(AgentFact::Running { .. }), AgentState::Exited { .. }) => Verdict::Unwanted,
        (Some(AgentFact::Running { pid, .. }), AgentState::Failed { .. }) => {
            let may_live = known.row.is_outcome_unknown() && !known.room_archived;
            if may_live { Verdict::Revive { pid: *pid } } else { Verdict::Unwanted }
        }
        (Some(AgentFact::Running { .. }), _) if known.room_archived => Verdict::Unwanted,
        (Some(AgentFact::Running { pid, .. }), AgentState::Running { pid: known_pid, .. }) if pid == known_pid => {
            if heard_lately {
                Verdict::Leave
            } else {
                Verdict::Hear
            }
        }
        (Some(AgentFact::Running { pid, .. }), AgentState::Stopping { pid: Some(known_pid), .. })
            if pid == known_pid =>
        {
            if heard_lately {
                Verdict::Leave
            } else {
                Verdict::Hear
            }
        }
        (Some(AgentFact::Running { pid, .. }), _) => Verdict::Run { pid: *pid },
        (Some(AgentFact::Exited { .. }), AgentState::Exited { .. }) => Verdict::Leave,
        (Some(AgentFact::Exited { .. }), AgentState::Failed { .. }) if !known.row.is_outcome_unknown() => {
            Verdict::Leave
        }
        (Some(AgentFact::Exited { exit, exited_at }), state) => {
            // The machine's clock counts as far as it fits between what the server's own has seen.
            let at = if *exited_at >= since(state) && *exited_at <= now { *exited_at } else { now };
            Verdict::Exit { exit: exit.clone(), at }
        }
        (None, AgentState::Exited { .. } | AgentState::Failed { .. }) => Verdict::Leave,
        // Its start is still on its way, or under way.
        (None, AgentState::Starting { .. } | AgentState::Stopping { pid: None, .. }) if known.start_open => {
            Verdict::Leave
        }
        (None, state) => {
            let silence = now.since(agent.heard_at.unwrap_or(since(state)).max(since(state)));
            match inventory {
                Inventory::Partial => Verdict::Leave,
                Inventory::Heartbeat if silence < PATIENCE_MS => Verdict::Leave,
                Inventory::Opening | Inventory::Heartbeat => match state {
                    AgentState::Starting { .. } => Verdict::Abandon,
                    _ => Verdict::Exit { exit: AgentExit::Lost, at: now },
                },
            }
        }
    }
}

const fn since(state: &AgentState) -> UnixMs {
    match state {
        AgentState::Starting { since } | AgentState::Running { since, .. } | AgentState::Stopping { since, .. } => {
            *since
        }
        AgentState::Exited { at, .. } | AgentState::Failed { at, .. } => *at,
    }
}

/// Takes a daemon's word; gives the agents that run there and should not.
pub(crate) async fn settle(
    tx: &mut Tx,
    user_id: &UserId,
    machine_id: &MachineId,
    reports: &[AgentReport],
    inventory: Inventory,
    now: UnixMs,
) -> Result<Vec<AgentId>> {
    let facts: BTreeMap<&AgentId, &AgentFact> = reports.iter().map(|report| (&report.agent_id, &report.fact)).collect();
    let mut agents: BTreeMap<AgentId, Known> = BTreeMap::new();
    for known in agents::list_open(tx, machine_id).await? {
        agents.insert(known.row.agent.agent_id.clone(), known);
    }
    let mut unwanted = BTreeSet::new();
    for (id, fact) in &facts {
        if agents.contains_key(id) {
            continue;
        }
        match find_ended(tx, user_id, machine_id, id).await? {
            Some(known) => drop(agents.insert((*id).clone(), known)),
            None if matches!(fact, AgentFact::Running { .. }) => drop(unwanted.insert((*id).clone())),
            None => {}
        }
    }
    for (id, known) in &agents {
        match judge(known, facts.get(id).copied(), inventory, now) {
            Verdict::Leave => {}
            Verdict::Hear => agents::set_heard(tx, id, now).await?,
            Verdict::Run { pid } => drop(agents::set_running(tx, id, pid, now).await?),
            Verdict::Revive { pid } => {
                if !agents::revive(tx, id, pid, now).await? {
                    unwanted.insert(id.clone());
                }
            }
            Verdict::Exit { exit, at } => drop(exit_agent(tx, &known.row, &exit, at, now).await?),
            Verdict::Abandon => drop(fail_agent(tx, &known.row, &abandoned(), now).await?),
            Verdict::Unwanted => drop(unwanted.insert(id.clone())),
        }
    }
    Ok(unwanted.into_iter().collect())
}

async fn find_ended(tx: &mut Tx, user_id: &UserId, machine_id: &MachineId, id: &AgentId) -> Result<Option<Known>> {
    let Some(row) = agents::find(tx, user_id, id).await?.filter(|row| row.agent.machine_id == *machine_id) else {
        return Ok(None);
    };
    let room = crate::store::chatrooms::find(tx, user_id, &row.agent.chatroom_id).await?;
    let start = commands::find(tx, user_id, &row.agent.command_id).await?;
    Ok(Some(Known {
        room_archived: room.is_none_or(|room| room.archived_at.is_some()),
        start_open: start.is_some_and(|start| !start.command.status.is_terminal()),
        row,
    }))
}

fn abandoned() -> CommandFailure {
    CommandFailure::new(FailureCode::OutcomeUnknown, "its machine knows nothing of it, and no start of it is under way")
        .hint("start it again")
}

#[cfg(test)]
mod tests {
    use super::{FRESH_MS, Inventory, PATIENCE_MS, Verdict, judge};
    use crate::store::agents::{Known, Row};
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::agent::{Agent, AgentExit, AgentFact, AgentSession, AgentState};
    use chatroom_protocol::command::{CommandFailure, FailureCode};
    use chatroom_protocol::tool::PermissionMode;

    const THEN: UnixMs = UnixMs(1_000_000);
    const NOW: UnixMs = UnixMs(1_000_000 + PATIENCE_MS);

    fn known(state: AgentState) -> Known {
        let agent = Agent {
            agent_id: "a".into(),
            chatroom_id: "c".into(),
            role: "builder".into(),
            machine_id: "m".into(),
            tool: "echo".into(),
            model: None,
            working_dir: "/".into(),
            permission_mode: PermissionMode::default(),
            session: AgentSession::default(),
            command_id: "k".into(),
            prompt_version: None,
            state,
            created_at: THEN,
            heard_at: None,
        };
        let row = Row { agent, user_id: "u".into(), failure: None };
        Known { row, room_archived: false, start_open: false }
    }

    fn running() -> AgentState {
        AgentState::Running { since: THEN, pid: 7 }
    }

    fn runs(pid: u32) -> AgentFact {
        AgentFact::Running { pid, started_at: THEN }
    }

    fn given_up(code: FailureCode) -> Known {
        let mut known = known(AgentState::Failed { at: THEN, reason: "because".into() });
        known.row.failure = Some(CommandFailure::new(code, "because"));
        known
    }

    #[test]
    fn a_running_agent_that_runs_is_written_down_only_when_the_evidence_got_old() {
        let mut known = known(running());
        assert_eq!(judge(&known, Some(&runs(7)), Inventory::Heartbeat, NOW), Verdict::Hear);
        known.row.agent.heard_at = Some(NOW - FRESH_MS + 1);
        assert_eq!(judge(&known, Some(&runs(7)), Inventory::Heartbeat, NOW), Verdict::Leave);
        assert_eq!(judge(&known, Some(&runs(8)), Inventory::Heartbeat, NOW), Verdict::Run { pid: 8 });
    }

    #[test]
    fn what_an_opening_inventory_leaves_out_is_lost_and_a_heartbeat_needs_patience() {
        let mut known = known(running());
        let lost = Verdict::Exit { exit: AgentExit::Lost, at: NOW };
        assert_eq!(judge(&known, None, Inventory::Opening, NOW), lost);
        assert_eq!(judge(&known, None, Inventory::Heartbeat, NOW), lost);
        assert_eq!(judge(&known, None, Inventory::Partial, NOW), Verdict::Leave);
        known.row.agent.heard_at = Some(THEN + 1);
        assert_eq!(judge(&known, None, Inventory::Heartbeat, NOW), Verdict::Leave);
        assert_eq!(judge(&known, None, Inventory::Opening, NOW), lost);
    }

    #[test]
    fn a_start_that_is_under_way_is_left_alone_by_every_inventory() {
        for state in [AgentState::Starting { since: THEN }, AgentState::Stopping { since: THEN, pid: None }] {
            let mut known = known(state);
            known.start_open = true;
            assert_eq!(judge(&known, None, Inventory::Opening, NOW), Verdict::Leave);
            assert_eq!(judge(&known, Some(&runs(3)), Inventory::Opening, NOW), Verdict::Run { pid: 3 });
        }
        assert_eq!(
            judge(&known(AgentState::Starting { since: THEN }), None, Inventory::Opening, NOW),
            Verdict::Abandon
        );
    }

    #[test]
    fn an_agent_that_was_given_up_may_turn_out_to_run_and_one_that_failed_or_ended_may_not() {
        assert_eq!(
            judge(&given_up(FailureCode::OutcomeUnknown), Some(&runs(3)), Inventory::Heartbeat, NOW),
            Verdict::Revive { pid: 3 }
        );
        for ended in [given_up(FailureCode::Expired), known(AgentState::Exited { at: THEN, exit: AgentExit::Lost })] {
            assert_eq!(judge(&ended, Some(&runs(3)), Inventory::Heartbeat, NOW), Verdict::Unwanted);
            assert_eq!(judge(&ended, None, Inventory::Opening, NOW), Verdict::Leave);
        }
    }

    #[test]
    fn an_agent_of_an_archived_room_is_unwanted() {
        let mut known = known(running());
        known.room_archived = true;
        assert_eq!(judge(&known, Some(&runs(7)), Inventory::Heartbeat, NOW), Verdict::Unwanted);
    }

    #[test]
    fn an_end_is_dated_by_the_machine_only_within_what_the_server_has_seen() {
        let exited = |at| AgentFact::Exited { exit: AgentExit::Code { code: 0 }, exited_at: at };
        let verdict = |at| Verdict::Exit { exit: AgentExit::Code { code: 0 }, at };
        let known = known(running());
        assert_eq!(judge(&known, Some(&exited(THEN + 5)), Inventory::Partial, NOW), verdict(THEN + 5));
        assert_eq!(judge(&known, Some(&exited(THEN - 5)), Inventory::Partial, NOW), verdict(NOW));
        assert_eq!(judge(&known, Some(&exited(NOW + 5)), Inventory::Partial, NOW), verdict(NOW));
    }
}
