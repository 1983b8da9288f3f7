//! `chatroom agent`: start, stop and see agents. A command is sent under one idempotency key; then its end is awaited live.

use crate::cli::{Agent as AgentCommand, AgentList, AgentLogs, AgentSlot, AgentStart};
use crate::context::{Context, link};
use crate::duration::show;
use crate::error::{Refused, refused};
use crate::machines::{default, known_here, named, this_machine};
use crate::retry;
use crate::ui::{one_line, table};
use anyhow::Result;
use chatroom_machine::{Client, Link, LinkEvent, clock};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{Agent, AgentExit, AgentState};
use chatroom_protocol::api::{Empty, agents, machines};
use chatroom_protocol::command::{Command, CommandRequest, CommandResult, CommandStatus, RoleSlot, StartAgent};
use chatroom_protocol::id::ChatroomId;
use chatroom_protocol::machine::{ConnectionState, Machine};
use chatroom_protocol::tool::PermissionMode;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Runs an `agent` command.
pub(crate) async fn run(context: &Context, command: AgentCommand) -> Result<()> {
    match command {
        AgentCommand::Start(start) => self::start(context, start).await,
        AgentCommand::Stop(slot) => command_slot(context, slot, CommandRequest::StopAgent).await,
        AgentCommand::Restart(slot) => command_slot(context, slot, CommandRequest::RestartAgent).await,
        AgentCommand::List(list) => self::list(context, list).await,
        AgentCommand::Logs(logs) => self::logs(context, logs).await,
    }
}

async fn start(context: &Context, start: AgentStart) -> Result<()> {
    let client = context.client()?;
    let list = client.call::<machines::ListMachines>(&Empty {}).await?;
    let (this, machine) = match &start.slot.machine {
        Some(name) => (this_machine(context), named(&list, name)?),
        None => {
            let this = known_here(context)?;
            let machine = default(&list, this.as_ref())?;
            (this, machine)
        }
    };
    let chatroom_id = ChatroomId::from(start.slot.chatroom_id.clone());
    let is_here = this.as_ref() == Some(&machine.machine_id);
    configure(context, &client, &start, machine, is_here).await?;
    let request = CommandRequest::StartAgent(StartAgent {
        chatroom_id,
        role: start.slot.role.clone(),
        take_over: start.take_over,
    });
    send_and_wait(context, &client, machine, request, start.slot.timeout).await
}

/// Sets what "start" uses, when the command line says anything about it. The first time on this machine the directory is the
/// current one, unless said otherwise.
pub(crate) async fn configure(
    context: &Context,
    client: &Client,
    start: &AgentStart,
    machine: &Machine,
    is_here: bool,
) -> Result<()> {
    let chatroom_id = ChatroomId::from(start.slot.chatroom_id.clone());
    if start.tool.is_none() && start.model.is_none() && start.dir.is_none() && start.permission_mode.is_none() {
        return Ok(());
    }
    let working_dir = match &start.dir {
        Some(dir) if Path::new(dir).is_absolute() => Some(dir.clone()),
        Some(dir) if is_here => Some(text_of(&std::path::absolute(dir)?)?),
        Some(dir) => {
            let message = format!(
                "`{}` is not an absolute path, and the machine {} is another one",
                one_line(dir),
                one_line(&machine.name)
            );
            return Err(refused(message).hint("give the directory's whole path on that machine").into());
        }
        None => {
            let configs = client
                .call::<machines::GetAgentConfigs>(&machines::ChatroomArgs { chatroom_id: chatroom_id.clone() })
                .await?;
            let known = configs.iter().any(|known| {
                known.config.machine_id == machine.machine_id
                    && known.config.role == start.slot.role.trim().to_lowercase()
            });
            if is_here && !known { Some(text_of(&std::env::current_dir()?)?) } else { None }
        }
    };
    let args = machines::UpdateAgentConfigArgs {
        machine_id: machine.machine_id.clone(),
        chatroom_id,
        role: start.slot.role.clone(),
        tool: start.tool.as_deref().map(Into::into),
        model: start.model.clone(),
        working_dir,
        permission_mode: start.permission_mode.as_deref().and_then(PermissionMode::parse),
        start_on_task: None,
    };
    let config = client.call::<machines::UpdateAgentConfig>(&args).await?;
    if !context.ui.is_json() {
        context.ui.note(&format!(
            "{} on {}: {} in {}",
            config.role,
            one_line(&machine.name),
            config.tool,
            one_line(&config.working_dir)
        ))?;
    }
    Ok(())
}

async fn command_slot(context: &Context, slot: AgentSlot, request: fn(RoleSlot) -> CommandRequest) -> Result<()> {
    let client = context.client()?;
    let list = client.call::<machines::ListMachines>(&Empty {}).await?;
    let chatroom_id = ChatroomId::from(slot.chatroom_id.clone());
    let role = slot.role.trim().to_lowercase();
    let machine = match &slot.machine {
        Some(name) => named(&list, name)?,
        // Where the agent is; else where it would be started.
        None => match list
            .iter()
            .find(|machine| machine.agents.iter().any(|agent| agent.chatroom_id == chatroom_id && agent.role == role))
        {
            Some(machine) => machine,
            None => default(&list, known_here(context)?.as_ref())?,
        },
    };
    let request = request(RoleSlot { chatroom_id, role: slot.role });
    send_and_wait(context, &client, machine, request, slot.timeout).await
}

async fn send_and_wait(
    context: &Context,
    client: &Client,
    machine: &Machine,
    request: CommandRequest,
    timeout: Duration,
) -> Result<()> {
    let command = send(context, client, machine, request).await?;
    let command = if command.status.is_terminal() { command } else { wait_for_end(client, command, timeout).await? };
    let outcome = outcome(&command, &machine.name, timeout);
    if outcome.is_err() && context.ui.is_json() {
        context.ui.document(&command)?;
    }
    let said = outcome?;
    Ok(context.ui.answer(&command, |_| said)?)
}

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
    wait_over(&link(client, &shutdown)?, command, timeout).await
}

/// The same over a link that is there.
pub(crate) async fn wait_over(link: &Link, command: Command, timeout: Duration) -> Result<Command> {
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
    match tokio::time::timeout(timeout, follow).await {
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

/// How an agent ended, in words.
pub(crate) fn ended(exit: &AgentExit) -> String {
    match exit {
        AgentExit::Code { code } => format!("exit code {code}"),
        AgentExit::Signal { signal } => format!("ended by signal {signal}"),
        AgentExit::Stopped => "stopped".to_owned(),
        AgentExit::ShutDown => "ended with its machine".to_owned(),
        AgentExit::Unusable { trouble } => format!("cannot work: {}", trouble.message),
        AgentExit::Lost => "lost".to_owned(),
    }
}

async fn list(context: &Context, list: AgentList) -> Result<()> {
    let client = context.client()?;
    let machines = client.call::<machines::ListMachines>(&Empty {}).await?;
    let machine_id = match &list.machine {
        Some(name) => Some(named(&machines, name)?.machine_id.clone()),
        None => None,
    };
    let args = agents::ListArgs { chatroom_id: list.chatroom_id.map(Into::into), machine_id, include_ended: list.all };
    let found = client.call::<agents::List>(&args).await?;
    Ok(context.ui.answer(&found, |found| match found.as_slice() {
        [] => "no agents".to_owned(),
        found => describe(found, &machines, clock::now()),
    })?)
}

/// A table of agents; `machines` gives the names.
pub(crate) fn describe(agents: &[Agent], machines: &[Machine], now: UnixMs) -> String {
    let row = |agent: &Agent| {
        let state = match &agent.state {
            AgentState::Starting { since } | AgentState::Stopping { since, .. } => {
                format!("{} for {}", agent.state.name(), show(now.since(*since)))
            }
            AgentState::Running { since, pid } => format!("running for {}, pid {pid}", show(now.since(*since))),
            AgentState::Exited { at, exit } => format!("exited {} ago: {}", show(now.since(*at)), ended(exit)),
            AgentState::Failed { at, reason } => format!("failed {} ago: {reason}", show(now.since(*at))),
        };
        let machine = machines.iter().find(|machine| machine.machine_id == agent.machine_id);
        [
            agent.role.clone(),
            agent.tool.to_string(),
            state,
            agent.heard_at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", show(now.since(at)))),
            machine.map_or_else(|| agent.machine_id.to_string(), |machine| machine.name.clone()),
            agent.working_dir.clone(),
            agent.agent_id.to_string(),
        ]
    };
    table(
        ["ROLE", "TOOL", "STATE", "HEARD", "MACHINE", "DIRECTORY", "AGENT"],
        &agents.iter().map(row).collect::<Vec<_>>(),
    )
}

/// What an agent of this machine wrote, from its file here.
async fn logs(context: &Context, logs: AgentLogs) -> Result<()> {
    let agent_id = match (logs.agent_id, logs.chatroom_id, logs.role) {
        (Some(agent_id), _, _) => agent_id,
        (None, Some(room), Some(role)) => {
            let args = agents::ListArgs {
                chatroom_id: Some(room.into()),
                machine_id: known_here(context)?,
                include_ended: true,
            };
            let found = context.client()?.call::<agents::List>(&args).await?;
            let role = role.trim().to_lowercase();
            match found.into_iter().find(|agent| agent.role == role) {
                Some(agent) => agent.agent_id.to_string(),
                None => {
                    return Err(refused(format!("no agent of {} was started on this machine", one_line(&role))).into());
                }
            }
        }
        _ => return Err(refused("no agent is named").hint("chatroom agent list --all").into()),
    };
    let text = crate::agent_log::tail(&context.home, &agent_id, logs.lines)?;
    Ok(context.ui.answer(&text, Clone::clone)?)
}

fn text_of(path: &Path) -> Result<String> {
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(refused(format!("the path {} is not UTF-8", path.display())).into()),
    }
}
