//! `machines.ackCommand`: a daemon claims commands and tells what became of them. Every word is compared before it is set.

use super::daemon::{is_current, own_machine};
use super::outcome::{By, complete_command, fail_command};
use crate::fail::Result;
use crate::prompt;
use crate::registry::{MutationCx, Registry};
use crate::store::commands::{self, Guard};
use crate::store::credentials::{self, Holder, NewCredential};
use crate::store::{Tx, agents, chatrooms, desired, machines};
use chatroom_protocol::Refusal;
use chatroom_protocol::agent::{Agent, AgentExit, AgentState};
use chatroom_protocol::api::machines::{AckCommand, AckCommandArgs};
use chatroom_protocol::command::{
    Ack, AckOutcome, CommandFailure, CommandRequest, CommandResult, CommandStatus, FailureCode, StartOrder, WorkOrder,
};
use chatroom_protocol::user::TokenScope;

/// How much of a daemon's words about a failure is kept, in characters.
const WORDS: usize = 4000;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<AckCommand>(|cx, args| Box::pin(ack(cx, args)));
}

async fn ack(cx: &mut MutationCx, args: AckCommandArgs) -> Result<AckOutcome> {
    let machine = own_machine(&mut cx.tx, &cx.caller, &args.machine_id).await?;
    if !is_current(&machine, args.epoch)? {
        return Ok(AckOutcome::Superseded);
    }
    let found = commands::find(&mut cx.tx, &machine.user_id, &args.command_id).await?;
    let Some(row) = found.filter(|row| row.command.machine_id == machine.id) else { return Ok(AckOutcome::Missing) };
    match args.ack {
        Ack::Processing => claim(cx, &machine, &row, args.epoch).await,
        Ack::Completed { result } => complete(cx, &row, args.epoch, result).await,
        Ack::Failed { failure } => fail(cx, &row, args.epoch, failure).await,
    }
}

async fn claim(cx: &mut MutationCx, machine: &machines::Row, row: &commands::Row, epoch: i64) -> Result<AckOutcome> {
    let by = By::caller(cx, "machines.ackCommand");
    let id = &row.command.command_id;
    if row.command.status == CommandStatus::Pending && row.command.expires_at <= cx.now {
        fail_command(&mut cx.tx, row, Guard::Pending, &expired(), &by, cx.now).await?;
        return Ok(AckOutcome::Stale);
    }
    if !commands::claim(&mut cx.tx, &machine.id, id, epoch, cx.now).await? {
        return Ok(AckOutcome::Stale);
    }
    match make_order(cx, machine, row).await? {
        Order::Do(order) => {
            by.note(&mut cx.tx, &row.user_id, id.as_str(), "processing", cx.now).await?;
            tracing::info!(command.id = %id, machine.id = %machine.id, epoch, "a command was claimed");
            Ok(AckOutcome::Applied { order: Some(Box::new(order)) })
        }
        Order::Ended(result) => {
            complete_command(&mut cx.tx, row, Guard::Open, &result, &by, cx.now).await?;
            Ok(AckOutcome::Stale)
        }
        Order::Impossible(failure) => {
            fail_command(&mut cx.tx, row, Guard::Open, &failure, &by, cx.now).await?;
            Ok(AckOutcome::Stale)
        }
    }
}

/// Why a command fails whose deadline passed before it was begun.
pub(crate) fn expired() -> CommandFailure {
    CommandFailure::new(FailureCode::Expired, "its machine did not begin before the deadline")
        .hint("see whether the machine's daemon is connected, then send it again")
}

/// What a claim comes to.
enum Order {
    Do(WorkOrder),
    /// The agent that it starts has ended before: its daemon told so, and has lost its own memory of it since.
    Ended(CommandResult),
    Impossible(CommandFailure),
}

async fn make_order(cx: &mut MutationCx, machine: &machines::Row, row: &commands::Row) -> Result<Order> {
    let stop = row.stop_agent_id.clone();
    Ok(Order::Do(match &row.command.request {
        CommandRequest::Ping(_) => WorkOrder::Ping,
        CommandRequest::Status(_) => WorkOrder::Status,
        CommandRequest::ListModels(of) => WorkOrder::ListModels { tool: of.tool.clone() },
        CommandRequest::CheckDir(dir) => WorkOrder::CheckDir { path: dir.path.clone() },
        CommandRequest::StopAgent(_) => WorkOrder::Stop { agent_id: stop },
        CommandRequest::StartAgent(_) => match make_start(cx, machine, row).await? {
            Ok(start) => WorkOrder::Start(start),
            Err(order) => return Ok(order),
        },
        CommandRequest::RestartAgent(_) => match make_start(cx, machine, row).await? {
            Ok(start) => WorkOrder::Restart { stop, start },
            Err(order) => return Ok(order),
        },
    }))
}

async fn make_start(
    cx: &mut MutationCx,
    machine: &machines::Row,
    row: &commands::Row,
) -> Result<std::result::Result<StartOrder, Order>> {
    let agent = match &row.agent_id {
        Some(id) => agents::find(&mut cx.tx, &row.user_id, id).await?,
        None => None,
    };
    let gone = |what: &str| Order::Impossible(CommandFailure::new(FailureCode::Cancelled, format!("{what} is gone")));
    let Some(agents::Row { agent, failure, .. }) = agent else { return Ok(Err(gone("its agent"))) };
    match agent.state {
        AgentState::Exited { exit: AgentExit::Lost, .. } => {
            return Ok(Err(Order::Ended(CommandResult::StartedThenLost { agent_id: agent.agent_id })));
        }
        AgentState::Exited { exit, .. } => {
            return Ok(Err(Order::Ended(CommandResult::StartedThenExited { agent_id: agent.agent_id, exit })));
        }
        AgentState::Failed { .. } => {
            return Ok(Err(failure.map_or_else(|| gone("its agent"), Order::Impossible)));
        }
        AgentState::Starting { .. } | AgentState::Running { .. } | AgentState::Stopping { .. } => {}
    }
    let room = chatrooms::find(&mut cx.tx, &row.user_id, &agent.chatroom_id).await?;
    let Some(room) = room.filter(|room| room.archived_at.is_none()) else { return Ok(Err(gone("its room"))) };
    let Some(role) = room.team.role(&agent.role) else { return Ok(Err(gone("its role"))) };
    let prompt = prompt::live(&prompt::Subject { room: &room, role, cli: &machine.facts.cli_path });
    let resume = resume_of(&mut cx.tx, row, &agent).await?;
    agents::set_prompt_version(&mut cx.tx, &agent.agent_id, prompt::VERSION).await?;
    credentials::revoke_of_agent(&mut cx.tx, &agent.agent_id, cx.now).await?;
    let new = NewCredential {
        user_id: &row.user_id,
        holder: Holder::Agent(machine.id.clone(), agent.agent_id.clone()),
        name: &format!("{} of {}", agent.role, room.name),
        scope: TokenScope::Full,
        expires_at: None,
    };
    let (_, credential) = credentials::insert(&mut cx.tx, &new, cx.now).await?;
    Ok(Ok(StartOrder {
        agent_id: agent.agent_id,
        chatroom_id: agent.chatroom_id,
        role: agent.role,
        tool: agent.tool,
        model: agent.model,
        working_dir: agent.working_dir,
        permission_mode: agent.permission_mode,
        resume,
        prompt,
        prompt_version: prompt::VERSION.to_owned(),
        credential,
    }))
}

/// The session that the agent takes up again: that of the agent that it takes the place of, else the last one of its role; only
/// of the same tool in the same directory of the same machine.
async fn resume_of(tx: &mut Tx, row: &commands::Row, agent: &Agent) -> Result<Option<String>> {
    if let Some(id) = &row.stop_agent_id
        && let Some(agents::Row { agent: old, .. }) = agents::find(tx, &row.user_id, id).await?
        && old.session.session_id.is_some()
        && (&old.machine_id, &old.tool, &old.working_dir) == (&agent.machine_id, &agent.tool, &agent.working_dir)
    {
        return Ok(old.session.session_id);
    }
    let last = desired::find(tx, &agent.chatroom_id, &agent.role).await?.and_then(|row| row.resume);
    let last = last.filter(|last| {
        (&last.machine_id, &last.tool, &last.working_dir) == (&agent.machine_id, &agent.tool, &agent.working_dir)
    });
    Ok(last.map(|last| last.session_id))
}

async fn complete(cx: &mut MutationCx, row: &commands::Row, epoch: i64, result: CommandResult) -> Result<AckOutcome> {
    check_result(row, &result)?;
    if let CommandStatus::Completed { result: recorded, .. } = &row.command.status {
        return Ok(again(*recorded == result));
    }
    let by = By::caller(cx, "machines.ackCommand");
    let applied = complete_command(&mut cx.tx, row, Guard::ClaimedUpTo { epoch }, &result, &by, cx.now).await?;
    if applied {
        tracing::info!(command.id = %row.command.command_id, "a command was completed");
    }
    Ok(again(applied))
}

async fn fail(cx: &mut MutationCx, row: &commands::Row, epoch: i64, mut failure: CommandFailure) -> Result<AckOutcome> {
    // Cut, not refused: a daemon that cannot get rid of its report would send it for ever.
    failure.message = failure.message.chars().take(WORDS).collect();
    failure.hint = failure.hint.map(|hint| hint.chars().take(WORDS).collect());
    if let CommandStatus::Failed { failure: recorded, .. } = &row.command.status {
        return Ok(again(*recorded == failure));
    }
    let by = By::caller(cx, "machines.ackCommand");
    let applied = fail_command(&mut cx.tx, row, Guard::ClaimedUpTo { epoch }, &failure, &by, cx.now).await?;
    if applied {
        tracing::info!(command.id = %row.command.command_id, code = ?failure.code, "a command failed");
    }
    Ok(again(applied))
}

const fn again(applied: bool) -> AckOutcome {
    if applied { AckOutcome::Applied { order: None } } else { AckOutcome::Stale }
}

/// A result fits its command: its type, and the agents that it names.
fn check_result(row: &commands::Row, result: &CommandResult) -> Result<()> {
    let (starts, stops) = (row.agent_id.as_ref(), row.stop_agent_id.as_ref());
    let fits = match (&row.command.request, result) {
        (
            CommandRequest::StartAgent(_) | CommandRequest::RestartAgent(_),
            CommandResult::Started { agent_id, .. }
            | CommandResult::StartedThenExited { agent_id, .. }
            | CommandResult::StartedThenLost { agent_id }
            | CommandResult::AlreadyRunning { agent_id },
        ) => starts == Some(agent_id),
        (CommandRequest::StopAgent(_), CommandResult::Stopped { agent_id, .. }) => stops == Some(agent_id),
        (CommandRequest::StopAgent(_), CommandResult::NotRunning)
        | (CommandRequest::Ping(_), CommandResult::Pong)
        | (CommandRequest::Status(_), CommandResult::Status(_))
        | (CommandRequest::ListModels(_), CommandResult::Models(_))
        | (CommandRequest::CheckDir(_), CommandResult::DirIsUsable { .. }) => true,
        _ => false,
    };
    // What was completed when it was sent keeps its result, whatever that is.
    if fits || row.command.status.is_terminal() {
        return Ok(());
    }
    Err(Refusal::bad_request(format!("this result is not one of a {} of these agents", row.command.request.kind()))
        .into())
}
