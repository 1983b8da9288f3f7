//! `machines.sendCommand`, `.listCommands`, `.getCommand`, `.cancelCommand`: what an owner asks of a machine, and what became of it.
//!
//! A start makes its agent (which holds the role from then on) and its command in one transaction, so a role never has two.

use super::chatrooms::{find_own, find_role};
use super::machines::own_machines;
use super::outcome::{By, fail_command};
use crate::fail::Result;
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::secret;
use crate::store::commands::{self, Guard};
use crate::store::{agent_configs, agents, machines};
use chatroom_protocol::agent::{Agent, AgentSession, AgentState};
use chatroom_protocol::api::machines::{
    CancelCommand, CommandArgs, GetCommand, ListCommands, ListCommandsArgs, SendCommand, SendCommandArgs,
};
use chatroom_protocol::command::{
    Command, CommandFailure, CommandRequest, CommandResult, CommandStatus, FailureCode, RoleSlot,
};
use chatroom_protocol::id::{AgentId, MachineId};
use chatroom_protocol::machine::AgentConfig;
use chatroom_protocol::room::Chatroom;
use chatroom_protocol::tool::{PermissionMode, ToolStatus};
use chatroom_protocol::{ErrorCode, Refusal};

/// How many commands may wait for a machine at once.
const PENDING: i64 = 1000;
/// The shortest deadline: one second.
const SHORTEST_MS: i64 = 1000;
/// The longest deadline: seven days.
const LONGEST_MS: i64 = 7 * 24 * 60 * 60_000;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<SendCommand>(|cx, args| Box::pin(send(cx, args)));
    registry.query::<ListCommands>(
        |_, args| vec![Topic::Machine(args.machine_id.clone())],
        |cx, args| Box::pin(list(cx, args)),
    );
    registry.query::<GetCommand>(own_machines, |cx, args| Box::pin(get(cx, args)));
    registry.mutation::<CancelCommand>(|cx, args| Box::pin(cancel(cx, args)));
}

async fn send(cx: &mut MutationCx, args: SendCommandArgs) -> Result<Command> {
    let user_id = cx.caller.user_id()?.clone();
    let machine =
        machines::find(&mut cx.tx, &user_id, &args.machine_id).await?.ok_or_else(|| Refusal::not_found("machine"))?;
    let deadline_ms = args.deadline_ms.unwrap_or_else(|| args.request.default_deadline_ms());
    if !(SHORTEST_MS..=LONGEST_MS).contains(&deadline_ms) {
        return Err(Refusal::bad_request(format!("deadlineMs is between {SHORTEST_MS} and {LONGEST_MS}")).into());
    }
    let mut row = new_command(cx, &machine, args.request, deadline_ms);
    match row.command.request.clone() {
        CommandRequest::StartAgent(start) => {
            let slot = RoleSlot { chatroom_id: start.chatroom_id, role: start.role };
            send_start(cx, &machine, &mut row, &slot, start.take_over).await?;
        }
        CommandRequest::RestartAgent(slot) => send_restart(cx, &machine, &mut row, &slot).await?,
        CommandRequest::StopAgent(slot) => send_stop(cx, &machine, &mut row, &slot).await?,
        CommandRequest::Ping(_)
        | CommandRequest::Status(_)
        | CommandRequest::ListModels(_)
        | CommandRequest::CheckDir(_) => {}
    }
    enqueue(cx, &row).await?;
    Ok(row.command)
}

fn new_command(cx: &MutationCx, machine: &machines::Row, request: CommandRequest, deadline_ms: i64) -> commands::Row {
    commands::Row {
        command: Command {
            command_id: secret::new_id(),
            machine_id: machine.id.clone(),
            request,
            status: CommandStatus::Pending,
            created_at: cx.now,
            expires_at: cx.now + deadline_ms,
        },
        user_id: machine.user_id.clone(),
        agent_id: None,
        stop_agent_id: None,
        claimed_epoch: None,
    }
}

async fn enqueue(cx: &mut MutationCx, row: &commands::Row) -> Result<()> {
    let Command { command_id, machine_id, request, status, .. } = &row.command;
    if !status.is_terminal() && commands::count_pending(&mut cx.tx, machine_id).await? >= PENDING {
        return Err(Refusal::new(
            ErrorCode::LimitReached,
            format!("{PENDING} commands wait for this machine already; nothing was sent"),
        )
        .hint("cancel some of them, or wait until the machine is connected again")
        .into());
    }
    commands::insert(&mut cx.tx, row).await?;
    let by = By::caller(cx, "machines.sendCommand");
    by.note(&mut cx.tx, &row.user_id, command_id.as_str(), request.kind(), cx.now).await?;
    cx.app.deadline_set.notify_one();
    tracing::info!(command.id = %command_id, machine.id = %machine_id, kind = request.kind(), "a command was sent");
    Ok(())
}

/// How a role stands to a start on a machine.
#[derive(Debug, PartialEq, Eq)]
enum Slot<'a> {
    /// Nobody is in the way.
    Free,
    /// The role's agent is on this machine.
    Here(&'a agents::Row),
    /// The role's agent is on another machine, and holds the role there.
    Elsewhere(&'a agents::Row),
    /// The role's agent is being stopped on another machine.
    LeavingElsewhere(&'a agents::Row),
}

/// Looks at the agents of a role as [`agents::list_of_role`] gives them.
fn slot<'a>(of_role: &'a [agents::Row], here: &MachineId) -> Slot<'a> {
    let is_here = |row: &&agents::Row| row.agent.machine_id == *here;
    let holds = |row: &&agents::Row| !matches!(row.agent.state, AgentState::Stopping { .. });
    if let Some(holder) = of_role.iter().find(holds) {
        return if is_here(&holder) { Slot::Here(holder) } else { Slot::Elsewhere(holder) };
    }
    of_role.iter().find(|row| !is_here(row)).map_or(Slot::Free, Slot::LeavingElsewhere)
}

async fn send_start(
    cx: &mut MutationCx,
    machine: &machines::Row,
    row: &mut commands::Row,
    of: &RoleSlot,
    take_over: bool,
) -> Result<()> {
    let (room, role) = open_role(cx, of).await?;
    loop {
        let of_role = agents::list_of_role(&mut cx.tx, &room.chatroom_id, &role).await?;
        match slot(&of_role, &machine.id) {
            Slot::Here(agent) => {
                let result = CommandResult::AlreadyRunning { agent_id: agent.agent.agent_id.clone() };
                row.command.status = CommandStatus::Completed { finished_at: cx.now, result };
                return Ok(());
            }
            Slot::Elsewhere(agent) if take_over => take_from_elsewhere(cx, agent).await?,
            Slot::Elsewhere(agent) | Slot::LeavingElsewhere(agent) if !take_over => {
                return Err(role_taken(cx, agent).await?.into());
            }
            Slot::Free | Slot::Elsewhere(_) | Slot::LeavingElsewhere(_) => break,
        }
    }
    make_agent(cx, machine, row, &room, role).await
}

async fn send_restart(
    cx: &mut MutationCx,
    machine: &machines::Row,
    row: &mut commands::Row,
    of: &RoleSlot,
) -> Result<()> {
    let (room, role) = open_role(cx, of).await?;
    while row.stop_agent_id.is_none() {
        let of_role = agents::list_of_role(&mut cx.tx, &room.chatroom_id, &role).await?;
        match slot(&of_role, &machine.id) {
            Slot::Here(agent) => row.stop_agent_id = begin_stop(cx, agent).await?,
            Slot::Elsewhere(agent) | Slot::LeavingElsewhere(agent) => return Err(role_taken(cx, agent).await?.into()),
            Slot::Free => break,
        }
    }
    make_agent(cx, machine, row, &room, role).await
}

async fn send_stop(cx: &mut MutationCx, machine: &machines::Row, row: &mut commands::Row, of: &RoleSlot) -> Result<()> {
    let room = find_own(&mut cx.tx, &cx.caller, &of.chatroom_id).await?;
    let role = find_role(&room, &of.role)?.name.clone();
    while row.stop_agent_id.is_none() {
        let of_role = agents::list_of_role(&mut cx.tx, &room.chatroom_id, &role).await?;
        let Some(agent) = of_role.iter().find(|row| row.agent.machine_id == machine.id) else {
            row.command.status = CommandStatus::Completed { finished_at: cx.now, result: CommandResult::NotRunning };
            return Ok(());
        };
        row.stop_agent_id = begin_stop(cx, agent).await?;
    }
    Ok(())
}

/// Takes a role from an agent. Gives the agent when its machine has to be told; nothing when its start had not begun: then it
/// is cancelled, and whatever held the role before may hold it again, so look again.
async fn begin_stop(cx: &mut MutationCx, agent: &agents::Row) -> Result<Option<AgentId>> {
    let id = &agent.agent.agent_id;
    if let Some(start) = commands::find(&mut cx.tx, &agent.user_id, &agent.agent.command_id).await?
        && start.command.status == CommandStatus::Pending
    {
        let failure = CommandFailure::new(FailureCode::Cancelled, "it was stopped before its machine had begun");
        let by = By::caller(cx, "machines.sendCommand");
        fail_command(&mut cx.tx, &start, Guard::Pending, &failure, &by, cx.now).await?;
        return Ok(None);
    }
    agents::set_stopping(&mut cx.tx, id, cx.now).await?;
    Ok(Some(id.clone()))
}

/// Takes a role from an agent on another machine, which is told to stop it.
async fn take_from_elsewhere(cx: &mut MutationCx, agent: &agents::Row) -> Result<()> {
    let Some(stop_agent_id) = begin_stop(cx, agent).await? else { return Ok(()) };
    let slot = RoleSlot { chatroom_id: agent.agent.chatroom_id.clone(), role: agent.agent.role.clone() };
    let request = CommandRequest::StopAgent(slot);
    let machine = machines::find(&mut cx.tx, &agent.user_id, &agent.agent.machine_id)
        .await?
        .ok_or_else(|| anyhow::anyhow!("the agent {stop_agent_id} runs on a machine that is not there"))?;
    let deadline_ms = request.default_deadline_ms();
    let mut row = new_command(cx, &machine, request, deadline_ms);
    row.stop_agent_id = Some(stop_agent_id);
    enqueue(cx, &row).await
}

async fn role_taken(cx: &mut MutationCx, agent: &agents::Row) -> Result<Refusal> {
    let machine = machines::find(&mut cx.tx, &agent.user_id, &agent.agent.machine_id).await?;
    let name = machine.map_or_else(|| agent.agent.machine_id.to_string(), |machine| machine.name);
    let role = &agent.agent.role;
    let state = agent.agent.state.name();
    Ok(Refusal::new(ErrorCode::RoleTaken, format!("the agent of the role {role} is {state} on the machine {name}"))
        .hint("stop it there first, or take the role over with `chatroom agent start --move`"))
}

/// A role in which an agent may be started, and its room.
async fn open_role(cx: &mut MutationCx, of: &RoleSlot) -> Result<(Chatroom, String)> {
    let room = find_own(&mut cx.tx, &cx.caller, &of.chatroom_id).await?;
    if room.archived_at.is_some() {
        return Err(Refusal::new(ErrorCode::Conflict, "the room is archived: it starts no more agents").into());
    }
    let role = find_role(&room, &of.role)?.name.clone();
    Ok((room, role))
}

/// Makes the agent of a start: a copy of what its config says now, holding the role.
async fn make_agent(
    cx: &mut MutationCx,
    machine: &machines::Row,
    row: &mut commands::Row,
    room: &Chatroom,
    role: String,
) -> Result<()> {
    let config = agent_configs::find(&mut cx.tx, &machine.id, &room.chatroom_id, &role).await?.ok_or_else(|| {
        Refusal::new(
            ErrorCode::NoAgentConfig,
            format!("nothing says yet which tool and directory the role {role} uses on {}", machine.name),
        )
        .hint("say it with `chatroom agent start --tool=NAME --dir=PATH`, or run `chatroom wait-for-task` there once")
    })?;
    check_tool(machine, &config)?;
    check_permissions(machine, &config)?;
    let agent_id: AgentId = secret::new_id();
    row.agent_id = Some(agent_id.clone());
    let agent = Agent {
        agent_id,
        chatroom_id: config.chatroom_id,
        role,
        machine_id: config.machine_id,
        tool: config.tool,
        model: config.model,
        working_dir: config.working_dir,
        permission_mode: config.permission_mode,
        session: AgentSession::default(),
        command_id: row.command.command_id.clone(),
        prompt_version: None,
        state: AgentState::Starting { since: cx.now },
        created_at: cx.now,
        heard_at: None,
    };
    let agent = agents::Row { agent, user_id: machine.user_id.clone(), failure: None };
    agents::insert(&mut cx.tx, &agent).await?;
    Ok(())
}

fn check_tool(machine: &machines::Row, config: &AgentConfig) -> Result<()> {
    let report = machine.tool(&config.tool);
    let (state, repair) = match report.map(|report| &report.status) {
        Some(ToolStatus::Ok { .. } | ToolStatus::NotSignedIn { .. }) => return Ok(()),
        Some(ToolStatus::Broken { reason, repair }) => (format!("does not run there: {reason}"), repair.as_str()),
        Some(ToolStatus::Missing { repair }) => ("is not installed there".to_owned(), repair.as_str()),
        None => ("was not found there".to_owned(), "chatroom machine detect"),
    };
    Err(Refusal::new(
        ErrorCode::ToolNotAvailable,
        format!("the tool {} is not available on {}: it {state}", config.tool, machine.name),
    )
    .hint(format!("run `{repair}` on that machine, or choose another tool"))
    .into())
}

/// Whether a tool can ask is known by its machine alone, whatever its name.
fn check_permissions(machine: &machines::Row, config: &AgentConfig) -> Result<()> {
    let cannot_ask = machine.tool(&config.tool).is_some_and(|report| report.driver.is_some() && !report.asks);
    if config.permission_mode == PermissionMode::Ask && cannot_ask {
        return Err(Refusal::new(
            ErrorCode::PermissionModeUnsupported,
            format!("{} cannot ask for permissions on {}", config.tool, machine.name),
        )
        .hint("choose the permission mode accept-edits or full for this role")
        .into());
    }
    Ok(())
}

async fn list(cx: &mut QueryCx, args: ListCommandsArgs) -> Result<Vec<Command>> {
    let user_id = cx.caller.user_id()?.clone();
    let limit = args.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(Refusal::bad_request("limit is between 1 and 200").into());
    }
    let machine =
        machines::find(&mut cx.tx, &user_id, &args.machine_id).await?.ok_or_else(|| Refusal::not_found("machine"))?;
    let rows = commands::list(&mut cx.tx, &user_id, &machine.id, limit).await?;
    Ok(rows.into_iter().map(|row| row.command).collect())
}

async fn get(cx: &mut QueryCx, args: CommandArgs) -> Result<Command> {
    let user_id = cx.caller.user_id()?.clone();
    let row = commands::find(&mut cx.tx, &user_id, &args.command_id).await?;
    Ok(row.ok_or_else(|| Refusal::not_found("command"))?.command)
}

async fn cancel(cx: &mut MutationCx, args: CommandArgs) -> Result<Command> {
    let user_id = cx.caller.user_id()?.clone();
    let row =
        commands::find(&mut cx.tx, &user_id, &args.command_id).await?.ok_or_else(|| Refusal::not_found("command"))?;
    let why = match &row.command.status {
        CommandStatus::Failed { failure, .. } if failure.code == FailureCode::Cancelled => return Ok(row.command),
        CommandStatus::Pending => None,
        CommandStatus::Processing { .. } => Some("its machine has begun"),
        CommandStatus::Completed { .. } => Some("it is completed"),
        CommandStatus::Failed { .. } => Some("it has failed"),
    };
    if let Some(why) = why {
        return Err(Refusal::new(ErrorCode::Conflict, format!("only a pending command can be cancelled; {why}"))
            .hint("an agent that runs is ended with `chatroom agent stop`")
            .into());
    }
    let by = By::caller(cx, "machines.cancelCommand");
    let failure = CommandFailure::new(FailureCode::Cancelled, "its owner cancelled it");
    fail_command(&mut cx.tx, &row, Guard::Pending, &failure, &by, cx.now).await?;
    let row = commands::find(&mut cx.tx, &user_id, &args.command_id).await?;
    Ok(row.ok_or_else(|| Refusal::not_found("command"))?.command)
}
