//! `tasks.*`: waiting for work, working and handing on.
//!
//! A user acts by hand for any role of their own room; an agent for its own role only. What a waiter is to take is decided
//! in one place, [`tasks::find_offer`]; every write after a hand-over is fenced by its delivery number, and the same write
//! asked again answers what it answered first.

use super::chatrooms::{find_own, find_role};
use super::daemon::own_machine;
use super::inputs::cancel_turn_of_task;
use super::messages::{Post, cli_path, post};
use super::participants::{agent_of, superseded};
use super::starts::start_for_task;
use super::{artifacts, contexts, text};
use crate::app::App;
use crate::caller::Caller;
use crate::clock;
use crate::fail::{Fail, Result, refuse};
use crate::live::Topic;
use crate::prompt;
use crate::registry::{Closed, MutationCx, Presence, QueryCx, Registry};
use crate::secret;
use crate::store::Tx;
use crate::store::agents;
use crate::store::messages::{self, Bound};
use crate::store::participants::{self, Holding, Waiter};
use crate::store::tasks::{self, Fence, Offer, Row};
use chatroom_protocol::api::Empty;
use chatroom_protocol::api::tasks::{
    Cancel, Claim, ClaimArgs, ClaimOutcome, Complete, Confirm, GetHeld, GetNextTask, GiveBack, HandedOff, Handoff,
    HandoffArgs, HeldArgs, HeldTask, List, ListArgs, Requeue, RoleArgs, Start, TaskArgs, TaskIdArgs, TaskWritten,
    WaiterArgs,
};
use chatroom_protocol::id::{ChatroomId, MessageId, TaskId, WaiterId};
use chatroom_protocol::room::{Chatroom, MessageKind, TeamRole, USER_ROLE};
use chatroom_protocol::task::{Delivery, NextTask, Task, TaskState, TaskWrite};
use chatroom_protocol::{ErrorCode, Refusal};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;

/// Messages before a task that its brief shows, and how much of each.
const BRIEF_BOUND: Bound = Bound { rows: 10, bytes: 64 * 1024, chars: 600 };
/// Open tasks that one answer lists: all, for a room has at most a thousand.
const LISTED_OPEN: i64 = 2000;
/// Ended tasks that one answer lists: the newest.
const LISTED_ENDED: i64 = 200;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.query::<List>(|_, args| vec![Topic::Tasks(args.chatroom_id.clone())], |cx, args| Box::pin(list(cx, args)));
    registry.present_query::<GetNextTask>(
        // Whether the holder of a task lives stands with the room's agents.
        |_, args| vec![Topic::Tasks(args.chatroom_id.clone()), Topic::Chatroom(args.chatroom_id.clone())],
        |cx, args| Box::pin(get_next_task(cx, args)),
        WaiterPresence,
    );
    registry.query::<GetHeld>(
        |_, args| vec![Topic::Tasks(args.chatroom_id.clone())],
        |cx, args| Box::pin(get_held(cx, args)),
    );
    registry.mutation::<Claim>(|cx, args| Box::pin(claim(cx, args)));
    registry.mutation::<GiveBack>(|cx, args| Box::pin(give_back(cx, args)));
    registry.mutation::<Confirm>(|cx, args| Box::pin(confirm(cx, args)));
    registry.mutation::<Start>(|cx, args| Box::pin(start(cx, args)));
    registry.mutation::<Complete>(|cx, args| Box::pin(complete(cx, args)));
    registry.mutation::<Handoff>(|cx, args| Box::pin(handoff(cx, args)));
    registry.mutation::<Requeue>(|cx, args| Box::pin(requeue(cx, args)));
    registry.mutation::<Cancel>(|cx, args| Box::pin(cancel(cx, args)));
}

async fn list(cx: &mut QueryCx, args: ListArgs) -> Result<Vec<Task>> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let role = args.role.as_deref().map(|name| find_role(&room, name)).transpose()?;
    let role = role.map(|role| role.name.as_str());
    let ended = matches!(args.state, Some(TaskState::Completed | TaskState::Cancelled));
    let limit = if ended { LISTED_ENDED } else { LISTED_OPEN };
    Ok(tasks::list(&mut cx.tx, &room.chatroom_id, args.state, role, limit).await?)
}

async fn get_next_task(cx: &mut QueryCx, args: WaiterArgs) -> Result<NextTask> {
    if let Some(reason) = removed(&mut cx.tx, &cx.caller, &args.chatroom_id, &args.role).await? {
        return Ok(NextTask::Superseded { reason });
    }
    let (room, role) = acting(&mut cx.tx, &cx.caller, &args.chatroom_id, &args.role).await?;
    let Some(waiter) = find_waiter(&mut cx.tx, &cx.caller, &room, &role, &args.waiter_id).await? else {
        return Ok(NextTask::Superseded { reason: superseded(&role.name) });
    };
    if room.archived_at.is_some() {
        return Ok(NextTask::Wait { reason: Some("the chatroom is archived".to_owned()) });
    }
    if let (Some(agent_id), Caller::Machine { user_id, .. }) = (&waiter.agent_id, &cx.caller) {
        // Over the agent's own connection its credential would tell.
        let agent = agents::find(&mut cx.tx, user_id, agent_id).await?;
        if !agent.is_some_and(|row| row.agent.state.is_active()) {
            return Ok(NextTask::Wait { reason: Some(format!("agent {agent_id}, which waits here, has ended")) });
        }
    }
    let offer = tasks::find_offer(&mut cx.tx, &room.chatroom_id, &role.name, waiter.agent_id.as_ref()).await?;
    Ok(match offer {
        Offer::Take(row) => NextTask::Claim { task_id: row.task.task_id },
        Offer::Busy { agent_id, task_id } => NextTask::Wait {
            reason: Some(format!(
                "agent {agent_id}, which still runs, holds task {task_id} of the role {}; stop that agent, or put the task back with `chatroom task requeue {task_id}`",
                role.name
            )),
        },
        Offer::Empty => NextTask::Wait { reason: None },
    })
}

async fn get_held(cx: &mut QueryCx, args: HeldArgs) -> Result<HeldTask> {
    let machine = own_machine(&mut cx.tx, &cx.caller, &args.machine_id).await?;
    let agent = agents::find(&mut cx.tx, &machine.user_id, &args.agent_id).await?;
    let agent = agent
        .map(|row| row.agent)
        .filter(|agent| agent.machine_id == machine.id && agent.chatroom_id == args.chatroom_id);
    let agent = agent.ok_or_else(|| Refusal::not_found("agent"))?;
    let held = tasks::find_held(&mut cx.tx, &agent.chatroom_id, &agent.role).await?;
    let held = held.filter(|row| row.holder_agent.as_ref() == Some(&agent.agent_id));
    Ok(held.map_or_else(HeldTask::default, |row| HeldTask {
        task_id: Some(row.task.task_id),
        delivery: row.task.delivery,
    }))
}

async fn claim(cx: &mut MutationCx, args: ClaimArgs) -> Result<ClaimOutcome> {
    if let Some(reason) = removed(&mut cx.tx, &cx.caller, &args.chatroom_id, &args.role).await? {
        return Ok(ClaimOutcome::Superseded { reason });
    }
    let (room, role) = acting(&mut cx.tx, &cx.caller, &args.chatroom_id, &args.role).await?;
    if find_waiter(&mut cx.tx, &cx.caller, &room, &role, &args.waiter_id).await?.is_none() {
        return Ok(ClaimOutcome::Superseded { reason: superseded(&role.name) });
    }
    // The answer to an earlier claim was lost: the same hand-over again.
    let before = tasks::find(&mut cx.tx, &room.chatroom_id, &args.task_id).await?;
    if let Some(row) = before
        && row.task.role == role.name
        && row.task.state.is_held()
        && row.holder_waiter.as_ref() == Some(&args.waiter_id)
    {
        return claimed(cx, &room, &role, row, args.live).await;
    }
    if room.archived_at.is_some() {
        return Ok(ClaimOutcome::Gone);
    }
    let agent_id = agent_of(&cx.caller).cloned();
    let offer = tasks::find_offer(&mut cx.tx, &room.chatroom_id, &role.name, agent_id.as_ref()).await?;
    let Offer::Take(offered) = offer else { return Ok(ClaimOutcome::Gone) };
    if offered.task.task_id != args.task_id {
        return Ok(ClaimOutcome::Gone);
    }
    match tasks::claim(&mut cx.tx, &offered, &args.waiter_id, agent_id.as_ref(), cx.now).await? {
        Some(row) => {
            cx.app.deadline_set.notify_one();
            claimed(cx, &room, &role, row, args.live).await
        }
        None => Ok(ClaimOutcome::Gone),
    }
}

async fn give_back(cx: &mut MutationCx, args: TaskArgs) -> Result<TaskWritten> {
    let (room, role) = acting(&mut cx.tx, &cx.caller, &args.chatroom_id, &args.role).await?;
    let fence = fence(&cx.caller, &room, &role, &args.task_id, args.delivery);
    if let Some(row) = tasks::give_back(&mut cx.tx, &fence, cx.now).await? {
        return Ok(applied(row));
    }
    let row = find_of_role(&mut cx.tx, &fence).await?;
    let same = row.task.delivery == fence.delivery;
    match row.task.state {
        TaskState::Pending if same => Ok(TaskWritten { write: TaskWrite::AlreadyApplied, task: row.task }),
        TaskState::Acknowledged | TaskState::InProgress if same && is_holder(&row, &fence) => {
            refuse(ErrorCode::Conflict, "the role has confirmed this task; it cannot be given back any more")
        }
        _ => Err(stale(&row, &fence).into()),
    }
}

async fn confirm(cx: &mut MutationCx, args: RoleArgs) -> Result<Empty> {
    let (room, role) = acting(&mut cx.tx, &cx.caller, &args.chatroom_id, &args.role).await?;
    tasks::confirm(&mut cx.tx, &room.chatroom_id, &role.name, agent_of(&cx.caller), cx.now).await?;
    Ok(Empty {})
}

pub(super) async fn start(cx: &mut MutationCx, args: TaskArgs) -> Result<TaskWritten> {
    let (room, role) = acting(&mut cx.tx, &cx.caller, &args.chatroom_id, &args.role).await?;
    let fence = fence(&cx.caller, &room, &role, &args.task_id, args.delivery);
    if let Some(row) = tasks::start(&mut cx.tx, &fence, cx.now).await? {
        return Ok(applied(row));
    }
    let row = find_of_role(&mut cx.tx, &fence).await?;
    let started = row.task.state == TaskState::InProgress && row.task.delivery == fence.delivery;
    if (started || has_ended(&row, &fence)) && is_holder(&row, &fence) {
        return Ok(TaskWritten { write: TaskWrite::AlreadyApplied, task: row.task });
    }
    Err(stale(&row, &fence).into())
}

async fn complete(cx: &mut MutationCx, args: TaskArgs) -> Result<TaskWritten> {
    let (room, role) = acting(&mut cx.tx, &cx.caller, &args.chatroom_id, &args.role).await?;
    let fence = fence(&cx.caller, &room, &role, &args.task_id, args.delivery);
    if let Some(row) = tasks::finish(&mut cx.tx, &fence, None, None, cx.now).await? {
        return Ok(applied(row));
    }
    let row = find_of_role(&mut cx.tx, &fence).await?;
    if has_ended(&row, &fence) && is_holder(&row, &fence) {
        return Ok(TaskWritten { write: TaskWrite::AlreadyApplied, task: row.task });
    }
    Err(stale(&row, &fence).into())
}

async fn handoff(cx: &mut MutationCx, args: HandoffArgs) -> Result<HandedOff> {
    let (room, role) = acting(&mut cx.tx, &cx.caller, &args.chatroom_id, &args.role).await?;
    text::check_content(&args.content)?;
    let fence = fence(&cx.caller, &room, &role, &args.task_id, args.delivery);
    let from = find_of_role(&mut cx.tx, &fence).await?.task.from_role;
    let target = handoff_target(&room, &role, &from, &args.next_role)?;
    let message_id: MessageId = secret::new_id();
    let next_task_id: Option<TaskId> = (target != USER_ROLE).then(secret::new_id);
    let finished = tasks::finish(&mut cx.tx, &fence, Some(&message_id), next_task_id.as_ref(), cx.now).await?;
    if finished.is_none() {
        return handed_off_before(&mut cx.tx, &room, &fence).await;
    }
    let artifacts = artifacts::resolve(&mut cx.tx, &room.chatroom_id, &args.artifacts).await?;
    let message = Post {
        message_id: &message_id,
        task_id: next_task_id.as_ref(),
        kind: MessageKind::Handoff,
        sender: &role.name,
        target: &target,
        content: &args.content,
        artifacts: &artifacts,
        // What runs in an archived room may still be finished.
        live_only: false,
    };
    post(cx, &room, &message).await?;
    Ok(HandedOff { write: TaskWrite::Applied, message_id, next_task_id, next_role: target })
}

async fn requeue(cx: &mut MutationCx, args: TaskIdArgs) -> Result<TaskWritten> {
    let user_id = cx.caller.user_id()?.clone();
    if let Some(row) = tasks::requeue(&mut cx.tx, &user_id, &args.task_id, cx.now).await? {
        let room = find_own(&mut cx.tx, &cx.caller, &row.task.chatroom_id).await?;
        if room.archived_at.is_none() {
            start_for_task(&mut cx.tx, &user_id, &room, &row.task.role, cx.now).await?;
            cx.app.deadline_set.notify_one();
        }
        return Ok(applied(row));
    }
    owner_write_missed(cx, &args.task_id, TaskState::Pending).await
}

async fn cancel(cx: &mut MutationCx, args: TaskIdArgs) -> Result<TaskWritten> {
    let user_id = cx.caller.user_id()?.clone();
    if let Some(row) = tasks::cancel(&mut cx.tx, &user_id, &args.task_id, cx.now).await? {
        if let Some(agent_id) = &row.holder_agent {
            cancel_turn_of_task(&mut cx.tx, &user_id, agent_id, &row.task.task_id, cx.now).await?;
        }
        return Ok(applied(row));
    }
    owner_write_missed(cx, &args.task_id, TaskState::Cancelled).await
}

/// The room and role that the caller may act for.
async fn acting(tx: &mut Tx, caller: &Caller, chatroom_id: &ChatroomId, role: &str) -> Result<(Chatroom, TeamRole)> {
    caller.may_name_role(chatroom_id, role)?;
    let room = find_own(tx, caller, chatroom_id).await?;
    let role = find_role(&room, role)?.clone();
    Ok((room, role))
}

/// Why a waiter of this role has nothing to wait for any more: somebody waited for it, and the team has it no more.
async fn removed(tx: &mut Tx, caller: &Caller, chatroom_id: &ChatroomId, role: &str) -> Result<Option<String>> {
    caller.may_name_role(chatroom_id, role)?;
    let room = find_own(tx, caller, chatroom_id).await?;
    let name = role.trim().to_lowercase();
    if room.team.role(&name).is_some() || participants::find(tx, chatroom_id, &name).await?.is_none() {
        return Ok(None);
    }
    Ok(Some(format!(
        "the role {name} was removed from the team of this room; its roles are: {}",
        room.team.role_names()
    )))
}

/// The waiter of the role, if it is this one and the caller's own. A machine's connection carries every waiter that has joined
/// as being on that machine.
async fn find_waiter(
    tx: &mut Tx,
    caller: &Caller,
    room: &Chatroom,
    role: &TeamRole,
    waiter_id: &WaiterId,
) -> Result<Option<Waiter>> {
    let waiter = participants::find(tx, &room.chatroom_id, &role.name).await?;
    let Some(waiter) = waiter.filter(|waiter| waiter.waiter_id == *waiter_id) else { return Ok(None) };
    match caller {
        Caller::Machine { machine_id, .. } if waiter.machine_id.as_ref() != Some(machine_id) => {
            Err(Refusal::not_found("waiter").into())
        }
        Caller::Machine { .. } => Ok(Some(waiter)),
        caller => Ok(Some(waiter).filter(|waiter| waiter.agent_id.as_ref() == agent_of(caller))),
    }
}

async fn claimed(cx: &mut MutationCx, room: &Chatroom, role: &TeamRole, row: Row, live: bool) -> Result<ClaimOutcome> {
    let waiter = participants::find(&mut cx.tx, &room.chatroom_id, &role.name).await?;
    let machine_id = waiter.and_then(|waiter| waiter.machine_id);
    let cli = match cli_path(&mut cx.tx, &cx.caller, machine_id.as_ref()).await {
        // The machine was removed since the join: its CLI goes by its plain name.
        Err(Fail::Refused(_)) => cli_path(&mut cx.tx, &cx.caller, None).await?,
        found => found?,
    };
    let id = &room.chatroom_id;
    let context = contexts::current(&mut cx.tx, id).await?;
    let begin = context.as_ref().map_or(0, |context| context.after_sequence);
    let before = messages::list_between(&mut cx.tx, id, begin, row.position, BRIEF_BOUND).await?;
    let message = messages::find(&mut cx.tx, id, &row.task.message_id).await?;
    let refs = message.map(|message| message.artifacts).unwrap_or_default();
    let attached = contexts::attached(&mut cx.tx, id, &refs).await?;
    let subject = prompt::Subject { room, role, cli: &cli };
    let reminder = live.then(|| prompt::reminder(&subject, &row.task));
    let brief = prompt::task_brief(&prompt::Brief {
        subject,
        task: &row.task,
        sequence: row.position,
        before: &before,
        context: context.as_ref(),
        attached: &attached,
        live,
    });
    Ok(ClaimOutcome::Claimed { delivery: Box::new(Delivery { task: row.task, brief, reminder }) })
}

fn fence<'a>(
    caller: &'a Caller,
    room: &'a Chatroom,
    role: &'a TeamRole,
    task_id: &'a TaskId,
    delivery: i64,
) -> Fence<'a> {
    Fence { chatroom_id: &room.chatroom_id, role: &role.name, task_id, delivery, agent_id: agent_of(caller) }
}

/// The role's task that a fenced write missed.
async fn find_of_role(tx: &mut Tx, fence: &Fence<'_>) -> Result<Row> {
    match tasks::find(tx, fence.chatroom_id, fence.task_id).await? {
        Some(row) if row.task.role == fence.role => Ok(row),
        _ => Err(Refusal::not_found("task")
            .hint("use the task id that was printed with your task; `chatroom context read` (`contexts.read`) tells which task your role holds")
            .into()),
    }
}

fn is_holder(row: &Row, fence: &Fence<'_>) -> bool {
    fence.agent_id.is_none() || row.holder_agent.as_ref() == fence.agent_id
}

/// Whether this very hand-over has completed the task.
fn has_ended(row: &Row, fence: &Fence<'_>) -> bool {
    row.task.state == TaskState::Completed && row.ended_delivery == Some(fence.delivery)
}

/// Why a fenced write counts no more.
fn stale(row: &Row, fence: &Fence<'_>) -> Refusal {
    let (task, given) = (&row.task, fence.delivery);
    let why = match task.state {
        TaskState::Completed => "the task has been completed".to_owned(),
        TaskState::Cancelled => "the task was cancelled".to_owned(),
        _ if given > task.delivery => {
            format!("there was no delivery {given} of this task; the newest is {}", task.delivery)
        }
        _ if given < task.delivery => {
            format!("the task was handed out again as delivery {}; delivery {given} counts no more", task.delivery)
        }
        TaskState::Pending => format!("the task was put back into the queue; delivery {given} counts no more"),
        _ => format!("delivery {given} of this task belongs to somebody else"),
    };
    Refusal::new(ErrorCode::Stale, why).hint("nothing was changed; do not go on with this task, wait for the next one")
}

/// To whom a handoff goes: `user`, or a role that this one may hand to, or whoever gave the task.
fn handoff_target(room: &Chatroom, role: &TeamRole, from: &str, name: &str) -> Result<String> {
    let name = name.trim().to_lowercase();
    if name != USER_ROLE {
        find_role(room, &name)?;
    }
    let targets = room.team.targets(role, from);
    if name == role.name {
        return Err(Refusal::new(
            ErrorCode::Conflict,
            format!("{name} cannot hand its work to itself; it still holds the task"),
        )
        .hint(format!("hand to one of: {}", targets.join(", ")))
        .into());
    }
    if !targets.contains(&name.as_str()) {
        return Err(Refusal::new(ErrorCode::Conflict, format!("{} does not hand to {name} in this team", role.name))
            .hint(format!("hand to one of: {}", targets.join(", ")))
            .into());
    }
    Ok(name)
}

/// The answer of the first handoff, when this one repeats it.
async fn handed_off_before(tx: &mut Tx, room: &Chatroom, fence: &Fence<'_>) -> Result<HandedOff> {
    let row = find_of_role(tx, fence).await?;
    if !has_ended(&row, fence) || !is_holder(&row, fence) {
        return Err(stale(&row, fence).into());
    }
    let message = match &row.next_message_id {
        Some(id) => messages::find(tx, &room.chatroom_id, id).await?,
        None => None,
    };
    match message {
        Some(message) => Ok(HandedOff {
            write: TaskWrite::AlreadyApplied,
            message_id: message.message_id,
            next_task_id: row.next_task_id,
            next_role: message.target_role,
        }),
        None => {
            refuse(ErrorCode::Conflict, "the task was ended without handing it on; nothing can be handed on any more")
        }
    }
}

fn applied(row: Row) -> TaskWritten {
    TaskWritten { write: TaskWrite::Applied, task: row.task }
}

/// What an owner's write answers that found nothing to change.
async fn owner_write_missed(cx: &mut MutationCx, id: &TaskId, wanted: TaskState) -> Result<TaskWritten> {
    let user_id = cx.caller.user_id()?.clone();
    let Some(row) = tasks::find_own(&mut cx.tx, &user_id, id).await? else {
        return Err(Refusal::not_found("task").into());
    };
    if row.task.state == wanted {
        return Ok(TaskWritten { write: TaskWrite::AlreadyApplied, task: row.task });
    }
    let how = if row.task.state == TaskState::Cancelled { "was cancelled" } else { "has been completed" };
    refuse(ErrorCode::Conflict, format!("the task {how}; it cannot be changed any more"))
}

/// A socket that subscribes `tasks.getNextTask` is a waiter that waits.
#[derive(Clone, Copy, Debug)]
struct WaiterPresence;

/// How often a presence write that lost a race is run again.
const PRESENCE_ATTEMPTS: u32 = 8;

impl Presence for WaiterPresence {
    fn opened<'a>(
        &'a self,
        app: &'a Arc<App>,
        caller: &'a Caller,
        args: &'a Value,
        socket: &'a str,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.write(app, caller, args, socket, true).await })
    }

    fn closed<'a>(
        &'a self,
        app: &'a Arc<App>,
        caller: &'a Caller,
        args: &'a Value,
        socket: &'a str,
        _why: Closed,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.write(app, caller, args, socket, false).await })
    }
}

impl WaiterPresence {
    async fn write(&self, app: &Arc<App>, caller: &Caller, args: &Value, socket: &str, opened: bool) -> Result<()> {
        let args: WaiterArgs = serde_json::from_value(args.clone())
            .map_err(|error| Refusal::bad_request(format!("arguments of tasks.getNextTask: {error}")))?;
        for attempt in 1.. {
            match self.attempt(app, caller, &args, socket, opened).await {
                Err(Fail::Store(error)) if error.is_retryable() && attempt < PRESENCE_ATTEMPTS => {}
                ended => return ended,
            }
        }
        unreachable!("the loop ends by its own count")
    }

    async fn attempt(
        &self,
        app: &Arc<App>,
        caller: &Caller,
        args: &WaiterArgs,
        socket: &str,
        opened: bool,
    ) -> Result<()> {
        let mut tx = app.store.write().await?;
        let holding = Holding { socket, replica: &app.replica };
        if opened {
            let (room, role) = acting(&mut tx, caller, &args.chatroom_id, &args.role).await?;
            if find_waiter(&mut tx, caller, &room, &role, &args.waiter_id).await?.is_none() {
                return refuse(ErrorCode::Superseded, superseded(&role.name));
            }
            let (room, role, user_id) = (&room.chatroom_id, role.name, caller.user_id()?);
            if !participants::set_waiting(&mut tx, user_id, room, &role, &args.waiter_id, &holding, clock::now())
                .await?
            {
                return refuse(ErrorCode::Superseded, superseded(&role));
            }
        } else {
            let role = args.role.trim().to_lowercase();
            participants::set_gone(&mut tx, &args.chatroom_id, &role, &args.waiter_id, &holding, clock::now()).await?;
        }
        Ok(tx.commit().await?)
    }
}
