//! What the run directories tell: which agents there are, how each has ended, and which directories are old enough to go.

use super::SWEEP_LIMIT;
use crate::agent::process::{kill_until_none, with_run_id};
use crate::agent::run_dir::{Ended, Facts, RunDir};
use crate::clock;
use crate::daemon::supervisor::{AgentFate, KnownAgent, Slot};
use crate::home::Home;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::AgentExit;
use chatroom_protocol::id::AgentId;
use std::io;

/// Directories of runs that have ended are kept so long...
const KEEP_MS: i64 = 7 * 24 * 60 * 60_000;
/// ...and no more than so many of them.
const KEEP_COUNT: usize = 200;
/// What was prepared and not used for so long belongs to no host that is still on its way.
const UNUSED_MS: i64 = 60 * 60_000;

/// What the run directories tell of agents, for a daemon that begins. Ends what a dead host left behind. Blocks the thread.
pub(in crate::daemon) fn take_stock(home: &Home) -> Vec<KnownAgent> {
    let mut known = Vec::new();
    for (agent, run) in directories(home) {
        let mut facts = run.facts();
        // Without a claim a host may be on its way to it; a command that is still open will find out.
        let (Some(prepared), Some(_)) = (facts.prepared.clone(), &facts.claim) else { continue };
        let host_is_gone = facts.host().is_some_and(|host| !host.is_alive());
        if host_is_gone && facts.ended.is_none() && facts.refusal().is_none() {
            if let Err(error) = end_of(&agent, &run) {
                tracing::warn!(agent.id = %agent, %error, "an agent without a host would not end");
            }
            facts = run.facts();
        }
        let fate = fate_of(&facts);
        let reported = facts.reported || fate == AgentFate::NeverRan;
        known.push(KnownAgent { agent, slot: Slot::new(&prepared.chatroom_id, &prepared.role), fate, reported });
    }
    known
}

/// Removes the directories of runs that are over and told, when they are old or too many. Blocks the thread.
pub(in crate::daemon) fn discard_old(home: &Home, now: UnixMs) {
    let mut over = Vec::new();
    for (_, run) in directories(home) {
        let facts = run.facts();
        let prepared_at = facts.prepared.as_ref().map_or(UnixMs(0), |prepared| prepared.prepared_at);
        match (&facts.claim, &facts.ended) {
            // Prepared for nothing, with its secrets.
            (None, _) if now.since(prepared_at) > UNUSED_MS => over.push((UnixMs(0), run)),
            (Some(_), Some(ended)) if facts.reported => over.push((ended.exited_at, run)),
            (Some(_), _) if facts.refusal().is_some() => over.push((prepared_at, run)),
            _ => {}
        }
    }
    over.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    for (number, (at, run)) in over.into_iter().enumerate() {
        if number >= KEEP_COUNT || now.since(at) > KEEP_MS {
            // What cannot be removed is tried again the next time.
            let _ = std::fs::remove_dir_all(run.path());
        }
    }
}

pub(in crate::daemon) fn directories(home: &Home) -> impl Iterator<Item = (AgentId, RunDir)> {
    let agents = home.agents_dir();
    let entries = std::fs::read_dir(&agents).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let agent = AgentId::from(entry.file_name().into_string().ok()?);
        let run = RunDir::of(&agents, &agent)?;
        Some((agent, run))
    })
}

fn fate_of(facts: &Facts) -> AgentFate {
    if facts.refusal().is_some() {
        return AgentFate::NeverRan;
    }
    match (&facts.ended, &facts.started) {
        (Some(Ended { exit, exited_at, .. }), _) => AgentFate::Ended { exit: exit.clone(), at: *exited_at },
        (None, Some(started)) => AgentFate::Running { pid: started.tool.pid, started_at: started.started_at },
        (None, None) => AgentFate::Starting,
    }
}

/// How a run has ended whose host is gone; none when its tool was never started. Blocks the thread.
pub(super) fn end_of(agent: &AgentId, run: &RunDir) -> io::Result<Option<(AgentExit, UnixMs)>> {
    let facts = run.facts();
    if facts.refusal().is_some() {
        return Ok(None);
    }
    if let Some(ended) = facts.ended {
        return Ok(Some((ended.exit, ended.exited_at)));
    }
    if !kill_until_none(|| with_run_id(agent), || (), SWEEP_LIMIT) {
        return Err(io::Error::other("some of its processes are still alive"));
    }
    let exit = if facts.stop_wanted { AgentExit::Stopped } else { AgentExit::Lost };
    let ended = Ended { exit, exited_at: clock::now(), stopped: facts.stop_wanted };
    run.finish(&ended)?;
    Ok(Some((ended.exit, ended.exited_at)))
}
