//! What follows when a command or an agent comes to its end: the one place where commands, agents, credentials, tasks and what is
//! wanted are brought along together, in one transaction, whoever ended it (a daemon, its owner, a deadline).

use super::lifecycle::{End, ended};
use crate::store::audit::{self, Deed};
use crate::store::commands::{self, Guard};
use crate::store::{Result, Tx, agents, credentials, desired, inputs, models, participants, permissions, tasks};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{AgentExit, AgentState};
use chatroom_protocol::command::{CommandFailure, CommandRequest, CommandResult, CommandStatus, FailureCode};
use chatroom_protocol::id::AgentId;

/// Who ends it, for the audit.
#[derive(Clone, Debug)]
pub(crate) struct By {
    /// In the words of [`crate::caller::Caller::actor`].
    pub(crate) actor: String,
    /// From where.
    pub(crate) address: Option<String>,
    /// By which function.
    pub(crate) action: &'static str,
}

impl By {
    /// The caller of a function.
    pub(crate) fn caller(cx: &crate::registry::MutationCx, action: &'static str) -> Self {
        Self { actor: cx.caller.actor(), address: cx.address.map(|address| address.to_string()), action }
    }

    /// The server itself.
    pub(crate) fn server(action: &'static str) -> Self {
        Self { actor: "server".to_owned(), address: None, action }
    }

    /// Writes into the audit what became of a thing of this user.
    pub(crate) async fn note(
        &self,
        tx: &mut Tx,
        user_id: &chatroom_protocol::id::UserId,
        subject: &str,
        outcome: &str,
        now: UnixMs,
    ) -> Result<()> {
        let deed = Deed {
            user_id: Some(user_id),
            actor: &self.actor,
            address: self.address.clone(),
            action: self.action,
            subject,
            outcome,
        };
        audit::insert(tx, &deed, now).await
    }
}

/// Records how an agent's process ended, at `at`. Its credential ends, and its tasks go back into their queues. False when its
/// end is recorded already. An agent that was given up with its outcome unknown takes the better knowledge.
pub(crate) async fn exit_agent(
    tx: &mut Tx,
    agent: &agents::Row,
    exit: &AgentExit,
    at: UnixMs,
    now: UnixMs,
) -> Result<bool> {
    let id = &agent.agent.agent_id;
    let applied = agents::set_exited(tx, id, exit, agent.is_outcome_unknown(), at).await?;
    if applied {
        let_go(tx, id, now).await?;
        ended(tx, agent, End::Exited(exit), now).await?;
    }
    Ok(applied)
}

/// Records that an agent never ran. False when its end is recorded already.
pub(crate) async fn fail_agent(
    tx: &mut Tx,
    agent: &agents::Row,
    failure: &CommandFailure,
    now: UnixMs,
) -> Result<bool> {
    let applied = set_failed(tx, agent, failure, now).await?;
    if applied {
        not_started(tx, agent, failure, now).await?;
    }
    Ok(applied)
}

async fn set_failed(tx: &mut Tx, agent: &agents::Row, failure: &CommandFailure, now: UnixMs) -> Result<bool> {
    let id = &agent.agent.agent_id;
    let applied = agents::set_failed(tx, id, failure, now).await?;
    if applied {
        let_go(tx, id, now).await?;
    }
    Ok(applied)
}

/// Takes a start that did not come about into what is wanted.
async fn not_started(tx: &mut Tx, agent: &agents::Row, failure: &CommandFailure, now: UnixMs) -> Result<()> {
    let of = &agent.agent;
    let desired = desired::find(tx, &of.chatroom_id, &of.role).await?;
    let by_server = desired.is_some_and(|row| row.restart_id.as_ref() == Some(&of.command_id));
    ended(tx, agent, End::Failed { failure, by_server }, now).await
}

/// What an agent held, it holds no more.
async fn let_go(tx: &mut Tx, id: &AgentId, now: UnixMs) -> Result<()> {
    credentials::revoke_of_agent(tx, id, now).await?;
    tasks::release_of_agent(tx, id, now).await?;
    participants::clear_of_agent(tx, id, now).await?;
    inputs::refuse_of_agent(tx, id, "the agent has ended", now).await?;
    permissions::withdraw_of_agent(tx, id, now).await?;
    Ok(())
}

/// Fails a command: the agent that it was to start has failed, the one that it was to stop goes on. False, and nothing changed,
/// when the guard does not hold (any more).
pub(crate) async fn fail_command(
    tx: &mut Tx,
    row: &commands::Row,
    guard: Guard,
    failure: &CommandFailure,
    by: &By,
    now: UnixMs,
) -> Result<bool> {
    let end = CommandStatus::Failed { finished_at: now, failure: failure.clone() };
    if !commands::finish(tx, &row.command.command_id, guard, &end).await? {
        return Ok(false);
    }
    let mut failed = None;
    if let Some(id) = &row.agent_id
        && let Some(agent) = agents::find(tx, &row.user_id, id).await?
    {
        // That nobody knows how the start ended says nothing of an agent that was heard to run.
        let heard = matches!(agent.agent.state, AgentState::Running { .. });
        if !(heard && failure.code == FailureCode::OutcomeUnknown) && set_failed(tx, &agent, failure, now).await? {
            failed = Some(agent);
        }
    }
    if let Some(id) = &row.stop_agent_id {
        if row.agent_id.is_some() && matches!(failure.code, FailureCode::SpawnFailed | FailureCode::ExitedAtOnce) {
            // A restart that got as far as starting has stopped the old one.
            exit_by_id(tx, row, id, &AgentExit::Stopped, now).await?;
        } else {
            go_on(tx, row, id, now).await?;
        }
    }
    // Now that it is known whether a restart has left its old agent running.
    if let Some(agent) = &failed {
        not_started(tx, agent, failure, now).await?;
    }
    by.note(tx, &row.user_id, row.command.command_id.as_str(), &format!("failed: {:?}", failure.code), now).await?;
    Ok(true)
}

/// Completes a command with what its daemon told. False, and nothing changed, when the guard does not hold (any more).
pub(crate) async fn complete_command(
    tx: &mut Tx,
    row: &commands::Row,
    guard: Guard,
    result: &CommandResult,
    by: &By,
    now: UnixMs,
) -> Result<bool> {
    let end = CommandStatus::Completed { finished_at: now, result: result.clone() };
    if !commands::finish(tx, &row.command.command_id, guard, &end).await? {
        return Ok(false);
    }
    let stopped = match result {
        CommandResult::Started { agent_id, pid } => {
            agents::set_running(tx, agent_id, *pid, now).await?;
            AgentExit::Stopped
        }
        CommandResult::StartedThenExited { agent_id, exit } => {
            exit_by_id(tx, row, agent_id, exit, now).await?;
            AgentExit::Stopped
        }
        CommandResult::StartedThenLost { agent_id } => {
            exit_by_id(tx, row, agent_id, &AgentExit::Lost, now).await?;
            AgentExit::Stopped
        }
        CommandResult::Stopped { exit, .. } => exit.clone(),
        CommandResult::NotRunning => AgentExit::Lost,
        CommandResult::AlreadyRunning { .. }
        | CommandResult::Pong
        | CommandResult::Status(_)
        | CommandResult::Models(_)
        | CommandResult::DirIsUsable { .. } => AgentExit::Stopped,
    };
    if let Some(id) = &row.stop_agent_id {
        exit_by_id(tx, row, id, &stopped, now).await?;
    }
    if let (CommandRequest::ListModels(of), CommandResult::Models(list)) = (&row.command.request, result) {
        models::put(tx, &row.command.machine_id, &of.tool, list, now).await?;
    }
    by.note(tx, &row.user_id, row.command.command_id.as_str(), "completed", now).await?;
    Ok(true)
}

async fn exit_by_id(tx: &mut Tx, row: &commands::Row, id: &AgentId, exit: &AgentExit, now: UnixMs) -> Result<()> {
    if let Some(agent) = agents::find(tx, &row.user_id, id).await? {
        exit_agent(tx, &agent, exit, now, now).await?;
    }
    Ok(())
}

/// The stop of an agent did not happen. It is running again, unless another stop of it is on its way, or its role has been
/// given to another meanwhile: then nobody waits for its end, and its machine is told to stop it when it speaks of it.
async fn go_on(tx: &mut Tx, row: &commands::Row, id: &AgentId, now: UnixMs) -> Result<()> {
    if commands::count_open_stops(tx, &row.command.machine_id, id).await? > 0 {
        return Ok(());
    }
    let Some(agent) = agents::find(tx, &row.user_id, id).await? else { return Ok(()) };
    if matches!(agent.agent.state, AgentState::Stopping { .. }) && !agents::resume(tx, id, now).await? {
        exit_agent(tx, &agent, &AgentExit::Lost, now, now).await?;
    }
    Ok(())
}
