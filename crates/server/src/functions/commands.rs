//! `machines.sendCommand`, `.listCommands`, `.getCommand`, `.cancelCommand`: what an owner asks of a machine, and what became of it.
//!
//! A start makes its agent (which holds the role from then on) and its command in one transaction, so a role never has two. In the
//! same transaction it is written down what is wanted from now on.

use super::chatrooms::{find_own, find_role};
use super::lifecycle::{self, Slot};
use super::machines::own_machines;
use super::outcome::{By, fail_command};
use super::starts::{self, PENDING, Standing, insert_command, new_command, standing};
use crate::fail::Result;
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::store::commands::{self, Guard};
use crate::store::{agents, machines};
use chatroom_protocol::agent::{AgentState, DesiredBy};
use chatroom_protocol::api::machines::{
    CancelCommand, CommandArgs, GetCommand, ListCommands, ListCommandsArgs, SendCommand, SendCommandArgs,
};
use chatroom_protocol::command::{
    Command, CommandFailure, CommandRequest, CommandResult, CommandStatus, FailureCode, RoleSlot,
};
use chatroom_protocol::id::AgentId;
use chatroom_protocol::room::Chatroom;
use chatroom_protocol::{ErrorCode, Refusal};

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
    let mut row = new_command(&machine, args.request, deadline_ms, cx.now);
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

async fn enqueue(cx: &mut MutationCx, row: &commands::Row) -> Result<()> {
    let Command { machine_id, status, .. } = &row.command;
    if !status.is_terminal() && commands::count_pending(&mut cx.tx, machine_id).await? >= PENDING {
        return Err(Refusal::new(
            ErrorCode::LimitReached,
            format!("{PENDING} commands wait for this machine already; nothing was sent"),
        )
        .hint("cancel some of them, or wait until the machine is connected again")
        .into());
    }
    let by = By::caller(cx, "machines.sendCommand");
    insert_command(&mut cx.tx, row, &by, cx.now).await?;
    cx.app.deadline_set.notify_one();
    Ok(())
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
        match standing(&of_role, &machine.id) {
            Standing::Here(agent) => {
                let agent_id = agent.agent.agent_id.clone();
                want_running(cx, machine, &room, &role, &agent_id).await?;
                let result = CommandResult::AlreadyRunning { agent_id };
                row.command.status = CommandStatus::Completed { finished_at: cx.now, result };
                return Ok(());
            }
            Standing::Elsewhere(agent) if take_over => take_from_elsewhere(cx, agent).await?,
            Standing::Elsewhere(agent) | Standing::LeavingElsewhere(agent) if !take_over => {
                return Err(role_taken(cx, agent).await?.into());
            }
            Standing::Free | Standing::Elsewhere(_) | Standing::LeavingElsewhere(_) => break,
        }
    }
    make_agent(cx, machine, row, &room, &role).await
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
        match standing(&of_role, &machine.id) {
            Standing::Here(agent) => row.stop_agent_id = begin_stop(cx, agent).await?,
            Standing::Elsewhere(agent) | Standing::LeavingElsewhere(agent) => {
                return Err(role_taken(cx, agent).await?.into());
            }
            Standing::Free => break,
        }
    }
    make_agent(cx, machine, row, &room, &role).await
}

async fn send_stop(cx: &mut MutationCx, machine: &machines::Row, row: &mut commands::Row, of: &RoleSlot) -> Result<()> {
    let room = find_own(&mut cx.tx, &cx.caller, &of.chatroom_id).await?;
    let role = find_role(&room, &of.role)?.name.clone();
    // Before anything happens: an end that comes in between is one that was wanted.
    let slot = Slot { user_id: &machine.user_id, chatroom_id: &room.chatroom_id, role: &role, machine_id: &machine.id };
    lifecycle::want_stopped(&mut cx.tx, slot, DesiredBy::Owner, cx.now).await?;
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
    let mut row = new_command(&machine, request, deadline_ms, cx.now);
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

/// Makes the agent of a start, which is wanted from now on.
async fn make_agent(
    cx: &mut MutationCx,
    machine: &machines::Row,
    row: &mut commands::Row,
    room: &Chatroom,
    role: &str,
) -> Result<()> {
    let agent_id = starts::make_agent(&mut cx.tx, machine, row, room, role, cx.now).await??;
    want_running(cx, machine, room, role, &agent_id).await
}

/// The owner wants the agent of a role to run on a machine.
async fn want_running(
    cx: &mut MutationCx,
    machine: &machines::Row,
    room: &Chatroom,
    role: &str,
    agent_id: &AgentId,
) -> Result<()> {
    let slot = Slot { user_id: &machine.user_id, chatroom_id: &room.chatroom_id, role, machine_id: &machine.id };
    Ok(lifecycle::want_running(&mut cx.tx, slot, agent_id, DesiredBy::Owner, cx.now).await?)
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
    if matches!(row.command.request, CommandRequest::StopAgent(_)) {
        want_again(cx, &row).await?;
    }
    let row = commands::find(&mut cx.tx, &user_id, &args.command_id).await?;
    Ok(row.ok_or_else(|| Refusal::not_found("command"))?.command)
}

/// A stop was taken back: the agent that it was to end is wanted again, if it runs on.
async fn want_again(cx: &mut MutationCx, row: &commands::Row) -> Result<()> {
    let Some(id) = &row.stop_agent_id else { return Ok(()) };
    let Some(agents::Row { agent, user_id, .. }) = agents::find(&mut cx.tx, &row.user_id, id).await? else {
        return Ok(());
    };
    if !matches!(agent.state, AgentState::Starting { .. } | AgentState::Running { .. }) {
        return Ok(());
    }
    let slot =
        Slot { user_id: &user_id, chatroom_id: &agent.chatroom_id, role: &agent.role, machine_id: &agent.machine_id };
    Ok(lifecycle::want_running(&mut cx.tx, slot, &agent.agent_id, DesiredBy::Owner, cx.now).await?)
}
