//! Commands to machines: sent under one idempotency key, then their end is awaited live.

use super::ended;
use crate::context::{Context, link};
use crate::duration::show;
use crate::error::{Refused, refused};
use crate::retry;
use crate::ui::one_line;
use anyhow::Result;
use chatroom_machine::{Client, Link, LinkEvent, clock};
use chatroom_protocol::api::machines;
use chatroom_protocol::command::{Command, CommandRequest, CommandResult, CommandStatus};
use chatroom_protocol::machine::{ConnectionState, Machine};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Sends a command; says so when it has to wait for its machine.
pub(crate) async fn send(
    context: &Context,
    client: &Client,
    machine: &Machine,
    request: CommandRequest,
) -> Result<Command> {
    let args = machines::SendCommandArgs { machine_id: machine.machine_id.clone(), request, deadline_ms: None };
    let command = retry::idempotent::<machines::SendCommand>(client, &args).await?;
    if !command.status.is_terminal() && machine.connection != ConnectionState::Connected {
        let now = clock::now();
        context.ui.note(&format!(
            "{} is {} for {}: the command waits for it, at most {}",
            one_line(&machine.name),
            machine.connection.as_str(),
            show(now.since(machine.connection_since)),
            show(command.expires_at.since(now))
        ))?;
    }
    Ok(command)
}

/// What came of a command that was waited for, in one line; the refusal when it failed or has not ended.
pub(crate) fn outcome(command: &Command, machine: &str, timeout: Duration) -> Result<String, Refused> {
    match &command.status {
        CommandStatus::Failed { failure, .. } => Err(Refused::from(failure.clone())),
        CommandStatus::Completed { result, .. } => Ok(say(result, role_of(command), &one_line(machine))),
        CommandStatus::Pending | CommandStatus::Processing { .. } => {
            let hint = format!("it goes on; see `chatroom machine show {}`", crate::program::quote(machine));
            let waited = show(i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX));
            Err(refused(format!("the command has not ended after {waited}")).hint(hint))
        }
    }
}

/// Follows a command to its end; gives it as it stands when the time is over.
pub(crate) async fn wait_for_end(client: &Client, command: Command, timeout: Duration) -> Result<Command> {
    let shutdown = CancellationToken::new();
    let _end = shutdown.clone().drop_guard();
    wait_over(&link(client, &shutdown)?, command, Instant::now() + timeout).await
}

/// The same over a link that is there, until a time.
pub(crate) async fn wait_over(link: &Link, command: Command, until: Instant) -> Result<Command> {
    let mut live =
        link.subscribe::<machines::GetCommand>(&machines::CommandArgs { command_id: command.command_id.clone() });
    let mut newest = command;
    let follow = async {
        while let Some(event) = live.next().await {
            match event {
                LinkEvent::Value(command) => {
                    let ended = command.status.is_terminal();
                    newest = command;
                    if ended {
                        break;
                    }
                }
                LinkEvent::Refused(refusal) => return Err(refusal),
                LinkEvent::Down { .. } | LinkEvent::Up => {}
            }
        }
        Ok(())
    };
    match timeout_at(until, follow).await {
        Ok(Err(refusal)) => Err(refusal.into()),
        Ok(Ok(())) | Err(_) => Ok(newest),
    }
}

fn role_of(command: &Command) -> &str {
    match &command.request {
        CommandRequest::StartAgent(start) => &start.role,
        CommandRequest::StopAgent(slot) | CommandRequest::RestartAgent(slot) => &slot.role,
        CommandRequest::Ping(_)
        | CommandRequest::Status(_)
        | CommandRequest::ListModels(_)
        | CommandRequest::CheckDir(_) => "",
    }
}

fn say(result: &CommandResult, role: &str, machine: &str) -> String {
    match result {
        CommandResult::Started { agent_id, pid } => format!("{role} runs on {machine}: agent {agent_id}, pid {pid}"),
        CommandResult::StartedThenExited { agent_id, exit } => {
            format!("{role} was started on {machine} as agent {agent_id} and has ended: {}", ended(exit))
        }
        CommandResult::StartedThenLost { agent_id } => {
            format!("{role} was started on {machine} as agent {agent_id}, but it is gone and nobody saw how")
        }
        CommandResult::AlreadyRunning { agent_id } => format!("{role} runs already on {machine}: agent {agent_id}"),
        CommandResult::Stopped { agent_id, exit } => {
            format!("{role} on {machine} is stopped: agent {agent_id}, {}", ended(exit))
        }
        CommandResult::NotRunning => format!("{role} does not run on {machine}"),
        CommandResult::Pong => format!("{machine} answered"),
        CommandResult::Status(status) => {
            format!("{machine}: daemon {} with {} agents", status.pid, status.agents.len())
        }
        CommandResult::Models(list) => format!("{machine}: {} models", list.models.len()),
        CommandResult::DirIsUsable { path } => format!("{machine}: agents can work in {path}"),
    }
}
