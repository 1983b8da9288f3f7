//! What an end of an agent means for what is wanted of its role: [`after_end`] decides and touches nothing. An intentional stop is
//! never undone; an agent that ends by itself is started again, later each time, and given up when it ends too often or when
//! starting it again would not help.

use crate::store::desired::{self, Resume, Row};
use crate::store::{Result, Tx, agents};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{Agent, AgentExit, AgentState, Desired, DesiredBy, TroubleKind};
use chatroom_protocol::command::{CommandFailure, FailureCode};
use chatroom_protocol::id::{AgentId, ChatroomId, MachineId, UserId};
use chatroom_protocol::machine::AgentConfig;

/// How far back ends are counted, in milliseconds: 10 minutes.
pub(crate) const WINDOW_MS: i64 = 10 * 60_000;
/// How many ends within that are too many.
pub(crate) const TOO_MANY: usize = 5;
/// How long the first, the second and every later end within that keeps the role waiting, in milliseconds.
const DELAYS_MS: [i64; 3] = [0, 30_000, 60_000];

/// How an agent came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End<'a> {
    /// Its process ended.
    Exited(&'a AgentExit),
    /// It never ran.
    Failed {
        /// Why.
        failure: &'a CommandFailure,
        /// Whether the server had sent its start by itself.
        by_server: bool,
    },
}

/// What follows of an end for what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Leave,
    /// It is not wanted any more: its owner stopped its machine's daemon.
    Stopped,
    /// It is started again.
    Restart {
        /// When, if its machine is connected then.
        at: UnixMs,
        /// The ends that count, this one with them.
        exits: Vec<UnixMs>,
    },
    /// It is not started again by itself.
    GiveUp {
        /// The ends that count.
        exits: Vec<UnixMs>,
        /// Why, for a person.
        reason: String,
        /// The command that mends it, when it is another than to start it.
        repair: Option<String>,
        /// Whether its session is worth to be taken up again.
        keeps_session: bool,
    },
}

/// Decides what follows when the newest agent of a role has ended.
pub(crate) fn after_end(row: &Row, end: End<'_>, now: UnixMs) -> Next {
    if !row.desired.running || row.desired.given_up.is_some() {
        return Next::Leave;
    }
    let give_up = |reason: String, repair: Option<String>, keeps_session| Next::GiveUp {
        exits: row.exits.clone(),
        reason,
        repair,
        keeps_session,
    };
    match end {
        End::Exited(AgentExit::Stopped) => Next::Stopped,
        End::Exited(AgentExit::ShutDown) => Next::Restart { at: now, exits: lately(row, now) },
        End::Exited(AgentExit::Lost) => count(row, true, "it was lost: nobody saw how it ended", now),
        End::Exited(AgentExit::Code { code }) => count(row, false, &format!("it ended with exit code {code}"), now),
        End::Exited(AgentExit::Signal { signal }) => count(row, false, &format!("signal {signal} ended it"), now),
        End::Exited(AgentExit::Unusable { trouble }) => give_up(
            format!("its tool cannot work: {}", trouble.message),
            trouble.repair.clone(),
            !matches!(trouble.kind, TroubleKind::Protocol | TroubleKind::Silent),
        ),
        End::Failed { failure, by_server } => match failure.code {
            // Its machine was connected when the start was sent, and will be again.
            FailureCode::Expired if by_server => Next::Restart { at: now, exits: lately(row, now) },
            FailureCode::Expired | FailureCode::Cancelled | FailureCode::MachineRemoved => Next::Leave,
            FailureCode::OutcomeUnknown => count(row, true, &failure.message, now),
            FailureCode::SpawnFailed
            | FailureCode::ExitedAtOnce
            | FailureCode::StorageFailed
            | FailureCode::StopFailed
            | FailureCode::Internal => count(row, false, &failure.message, now),
            FailureCode::WorkingDirMissing | FailureCode::WorkingDirDenied => {
                // The same start again would find the same directory.
                let start =
                    format!("chatroom agent start --chatroom-id={} --role={} --dir=PATH", row.chatroom_id, row.role);
                give_up(in_full(&failure.message, failure.hint.as_deref()), Some(start), true)
            }
            FailureCode::ToolMissing | FailureCode::NotSignedIn | FailureCode::Unsupported => {
                give_up(in_full(&failure.message, failure.hint.as_deref()), None, true)
            }
        },
    }
}

/// What happened, and what to do about it.
pub(crate) fn in_full(message: &str, hint: Option<&str>) -> String {
    hint.map_or_else(|| message.to_owned(), |hint| format!("{message} ({hint})"))
}

/// The ends that still count.
fn lately(row: &Row, now: UnixMs) -> Vec<UnixMs> {
    row.exits.iter().copied().filter(|at| now.since(*at) < WINDOW_MS).collect()
}

/// One more end by itself.
fn count(row: &Row, at_once: bool, how: &str, now: UnixMs) -> Next {
    let mut exits = lately(row, now);
    exits.push(now);
    if exits.len() >= TOO_MANY {
        let reason = format!(
            "it has ended by itself {} times within {} minutes and is not started again; the last time, {how}",
            exits.len(),
            WINDOW_MS / 60_000
        );
        return Next::GiveUp { exits, reason, repair: None, keeps_session: false };
    }
    let delay_ms = if at_once { 0 } else { DELAYS_MS[exits.len().min(DELAYS_MS.len()) - 1] };
    Next::Restart { at: now + delay_ms, exits }
}

/// Takes an end into what is wanted of its role. The end of any agent but the newest changes nothing there.
pub(crate) async fn ended(tx: &mut Tx, agent: &agents::Row, end: End<'_>, now: UnixMs) -> Result<()> {
    let of = &agent.agent;
    let Some(mut row) = desired::find(tx, &of.chatroom_id, &of.role).await? else { return Ok(()) };
    let before = row.clone();
    if let Some(session_id) = &of.session.session_id
        && row.desired.machine_id == of.machine_id
    {
        row.resume = Some(session_of(of, session_id));
    }
    if row.agent_id.as_ref() == Some(&of.agent_id) {
        let of_role = agents::list_of_role(tx, &of.chatroom_id, &of.role).await?;
        match of_role.iter().find(|other| !matches!(other.agent.state, AgentState::Stopping { .. })) {
            // A restart that did not come about has left its old agent running.
            Some(holder) => row.agent_id = Some(holder.agent.agent_id.clone()),
            None => take(&mut row, after_end(&before, end, now), now),
        }
    }
    if row != before {
        desired::put(tx, &row).await?;
    }
    Ok(())
}

/// Takes note of the session of an agent whose end was told before its session, while it is the newest of its role.
pub(crate) async fn remember_session(tx: &mut Tx, agent: &Agent, session_id: &str) -> Result<()> {
    let Some(mut row) = desired::find(tx, &agent.chatroom_id, &agent.role).await? else { return Ok(()) };
    let session = Some(session_of(agent, session_id));
    let counts = row.agent_id.as_ref() == Some(&agent.agent_id) && row.desired.machine_id == agent.machine_id;
    if counts && row.desired.given_up.is_none() && row.resume != session {
        row.resume = session;
        desired::put(tx, &row).await?;
    }
    Ok(())
}

fn session_of(agent: &Agent, session_id: &str) -> Resume {
    Resume {
        machine_id: agent.machine_id.clone(),
        tool: agent.tool.clone(),
        working_dir: agent.working_dir.clone(),
        session_id: session_id.to_owned(),
    }
}

fn take(row: &mut Row, next: Next, now: UnixMs) {
    match next {
        Next::Leave => {}
        Next::Stopped => {
            row.desired.running = false;
            row.desired.by = DesiredBy::Machine;
            row.desired.since = now;
            row.desired.restart_at = None;
        }
        Next::Restart { at, exits } => {
            row.desired.restart_at = Some(at);
            row.exits = exits;
        }
        Next::GiveUp { exits, reason, repair, keeps_session } => {
            row.exits = exits;
            give_up(row, reason, repair);
            if !keeps_session {
                row.resume = None;
            }
        }
    }
}

/// The role is not started again by itself, until its owner starts it.
pub(crate) fn give_up(row: &mut Row, reason: String, repair: Option<String>) {
    row.desired.restart_at = None;
    row.desired.given_up = Some(reason);
    row.repair = repair;
}

/// Its owner has changed what the agent of a role is started with: that it was given up counts no more. Nothing is started by that;
/// a task may start it again.
pub(crate) async fn forget_failure(tx: &mut Tx, config: &AgentConfig) -> Result<()> {
    let Some(mut row) = desired::find(tx, &config.chatroom_id, &config.role).await? else { return Ok(()) };
    if row.desired.given_up.is_none() || row.desired.machine_id != config.machine_id {
        return Ok(());
    }
    row.desired.given_up = None;
    row.repair = None;
    row.exits.clear();
    desired::put(tx, &row).await?;
    Ok(())
}

/// A role as what is wanted names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot<'a> {
    /// The owner of the room.
    pub(crate) user_id: &'a UserId,
    /// The room.
    pub(crate) chatroom_id: &'a ChatroomId,
    /// The role.
    pub(crate) role: &'a str,
    /// Where its agent is to run.
    pub(crate) machine_id: &'a MachineId,
}

/// The agent of a role is wanted, from now on and whatever was before. Gives the row as it is to be written.
pub(crate) async fn wanted(tx: &mut Tx, slot: Slot<'_>, by: DesiredBy, now: UnixMs) -> Result<Row> {
    let before = desired::find(tx, slot.chatroom_id, slot.role).await?;
    let desired = Desired {
        running: true,
        by,
        since: now,
        machine_id: slot.machine_id.clone(),
        restart_at: None,
        given_up: None,
    };
    Ok(Row {
        chatroom_id: slot.chatroom_id.clone(),
        role: slot.role.to_owned(),
        user_id: slot.user_id.clone(),
        desired,
        agent_id: before.as_ref().and_then(|row| row.agent_id.clone()),
        exits: Vec::new(),
        restart_id: None,
        repair: None,
        resume: before.as_ref().and_then(|row| row.resume.clone()),
        revision: before.map_or(0, |row| row.revision),
    })
}

/// Writes that the agent of a role is wanted, and which it is.
pub(crate) async fn want_running(
    tx: &mut Tx,
    slot: Slot<'_>,
    agent_id: &AgentId,
    by: DesiredBy,
    now: UnixMs,
) -> Result<()> {
    let mut row = wanted(tx, slot, by, now).await?;
    row.agent_id = Some(agent_id.clone());
    desired::put(tx, &row).await?;
    Ok(())
}

/// Writes that no agent of a role is wanted on this machine. What is wanted on another one stays.
pub(crate) async fn want_stopped(tx: &mut Tx, slot: Slot<'_>, by: DesiredBy, now: UnixMs) -> Result<()> {
    let before = desired::find(tx, slot.chatroom_id, slot.role).await?;
    if before.as_ref().is_some_and(|row| row.desired.machine_id != *slot.machine_id) {
        return Ok(());
    }
    let already = before.as_ref().filter(|row| !row.desired.running).map(|row| row.desired.clone());
    let mut row = wanted(tx, slot, by, now).await?;
    row.desired.running = false;
    if let Some(already) = already.filter(|desired| desired.by == by) {
        row.desired.since = already.since;
    }
    desired::put(tx, &row).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
