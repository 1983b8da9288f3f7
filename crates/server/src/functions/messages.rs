//! `messages.*`: what is said in a room, and the init prompt.

use super::chatrooms::{find_own, find_role, refuse_archived};
use super::participants::agent_of;
use super::starts::start_for_task;
use super::{artifacts, tasks as task_functions, text};
use crate::caller::Caller;
use crate::fail::Result;
use crate::live::Topic;
use crate::prompt;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::secret;
use crate::store::messages::{self, Bound, NewMessage};
use crate::store::tasks::{self, Fence, NewTask};
use crate::store::{Tx, machines};
use chatroom_protocol::api::messages::{
    GetInitPrompt, GetInitPromptArgs, InitPrompt, List, ListArgs, MarkSeen, MarkSeenArgs, MarkedSeen, ProgressReported,
    ReportProgress, ReportProgressArgs, Send, SendArgs, Sent,
};
use chatroom_protocol::api::tasks::TaskArgs;
use chatroom_protocol::id::{MachineId, MessageId, TaskId};
use chatroom_protocol::room::{ArtifactRef, Chatroom, Message, MessageKind, USER_ROLE};
use chatroom_protocol::{ErrorCode, Refusal};

/// Tasks of one room that have not ended.
pub const MAX_OPEN_TASKS: i64 = 1000;
/// Progress notes of one task.
const MAX_PROGRESS: i64 = 200;
/// Characters of a progress note.
const PROGRESS_CHARS: usize = 10_000;
/// The CLI's name where nobody knows its path.
const PLAIN_CLI: &str = "chatroom";

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<Send>(|cx, args| Box::pin(send(cx, args)));
    registry.query::<List>(
        // What became of a message stands with its task.
        |_, args| vec![Topic::Messages(args.chatroom_id.clone()), Topic::Tasks(args.chatroom_id.clone())],
        |cx, args| Box::pin(list(cx, args)),
    );
    registry.mutation::<ReportProgress>(|cx, args| Box::pin(report_progress(cx, args)));
    registry.mutation::<MarkSeen>(|cx, args| Box::pin(mark_seen(cx, args)));
    registry.query::<GetInitPrompt>(
        |caller, args| {
            let machines = caller.user_id().map(|id| Topic::Machines(id.clone()));
            [Ok(Topic::Chatroom(args.chatroom_id.clone())), machines].into_iter().flatten().collect()
        },
        |cx, args| Box::pin(get_init_prompt(cx, args)),
    );
}

/// How commands name the CLI: by its path on the caller's machine, or on the one that was told; plainly when there is none.
///
/// # Errors
/// `not_found` when a machine was told that is not the caller's.
pub async fn cli_path(tx: &mut Tx, caller: &Caller, told: Option<&MachineId>) -> Result<String> {
    let machine_id = match (told, caller) {
        (Some(told), _) => {
            caller.may_name_machine(told)?;
            told
        }
        (None, Caller::Machine { machine_id, .. } | Caller::Agent { machine_id, .. }) => machine_id,
        (None, _) => return Ok(PLAIN_CLI.to_owned()),
    };
    match machines::find(tx, caller.user_id()?, machine_id).await? {
        Some(machine) => Ok(machine.facts.cli_path),
        None => Err(Refusal::not_found("machine").into()),
    }
}

async fn send(cx: &mut MutationCx, args: SendArgs) -> Result<Sent> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    refuse_archived(&room)?;
    let role = find_role(&room, args.role.as_deref().unwrap_or(&room.team.entry_role))?;
    text::check_content(&args.content)?;
    if tasks::count_open(&mut cx.tx, &room.chatroom_id).await? >= MAX_OPEN_TASKS {
        return Err(Refusal::new(
            ErrorCode::LimitReached,
            format!("{MAX_OPEN_TASKS} tasks of this chatroom have not ended yet"),
        )
        .hint("wait until some are done, or cancel some: `chatroom task cancel TASK_ID`")
        .into());
    }
    let artifacts = artifacts::resolve(&mut cx.tx, &room.chatroom_id, &args.artifacts).await?;
    let (message_id, task_id): (MessageId, TaskId) = (secret::new_id(), secret::new_id());
    let new = Post {
        message_id: &message_id,
        task_id: Some(&task_id),
        kind: MessageKind::Message,
        sender: USER_ROLE,
        target: &role.name,
        content: &args.content,
        artifacts: &artifacts,
        live_only: true,
    };
    post(cx, &room, &new).await?;
    let role = role.name.clone();
    Ok(Sent { message_id, task_id, role })
}

/// A message to write, and the task that it makes.
#[derive(Clone, Debug)]
pub(super) struct Post<'a> {
    pub(super) message_id: &'a MessageId,
    pub(super) task_id: Option<&'a TaskId>,
    pub(super) kind: MessageKind,
    /// A role, or `user`.
    pub(super) sender: &'a str,
    /// A role, or `user`.
    pub(super) target: &'a str,
    pub(super) content: &'a str,
    pub(super) artifacts: &'a [ArtifactRef],
    /// Whether an archived room refuses it.
    pub(super) live_only: bool,
}

/// Writes a message with its task into a room that the caller may write to.
pub(super) async fn post(cx: &mut MutationCx, room: &Chatroom, new: &Post<'_>) -> Result<()> {
    let user_id = cx.caller.user_id()?.clone();
    let message = NewMessage {
        message_id: new.message_id,
        chatroom_id: &room.chatroom_id,
        kind: new.kind,
        sender_role: new.sender,
        target_role: new.target,
        content: new.content,
        task_id: new.task_id,
        artifacts: new.artifacts,
    };
    let Some(position) = messages::insert(&mut cx.tx, &user_id, &message, new.live_only, cx.now).await? else {
        return Err(Refusal::not_found("chatroom").into());
    };
    if let Some(task_id) = new.task_id.filter(|_| new.kind != MessageKind::Progress) {
        let task = NewTask {
            task_id,
            chatroom_id: &room.chatroom_id,
            role: new.target,
            position,
            message_id: new.message_id,
            from_role: new.sender,
            content: new.content,
        };
        tasks::insert(&mut cx.tx, &task, cx.now).await?;
        if room.archived_at.is_none() {
            start_for_task(&mut cx.tx, &user_id, room, new.target, cx.now).await?;
            cx.app.deadline_set.notify_one();
        }
    }
    Ok(())
}

async fn report_progress(cx: &mut MutationCx, args: ReportProgressArgs) -> Result<ProgressReported> {
    text::check(&args.content, PROGRESS_CHARS, "note")?;
    let fenced =
        TaskArgs { chatroom_id: args.chatroom_id, role: args.role, task_id: args.task_id, delivery: args.delivery };
    let started = task_functions::start(cx, fenced.clone()).await?;
    let room = find_own(&mut cx.tx, &cx.caller, &fenced.chatroom_id).await?;
    let role = find_role(&room, &fenced.role)?;
    let fence = Fence {
        chatroom_id: &room.chatroom_id,
        role: &role.name,
        task_id: &fenced.task_id,
        delivery: fenced.delivery,
        agent_id: agent_of(&cx.caller),
    };
    if tasks::count_progress(&mut cx.tx, &fence, MAX_PROGRESS).await?.is_none() {
        let (code, why) = match started.task.state.is_held() {
            true => (ErrorCode::LimitReached, format!("this task has {MAX_PROGRESS} progress notes already")),
            false => (ErrorCode::Stale, "the task has ended; nothing more is told about it".to_owned()),
        };
        return Err(Refusal::new(code, why)
            .hint("nothing was written; hand the task on, or wait for the next one")
            .into());
    }
    let message_id: MessageId = secret::new_id();
    let note = Post {
        message_id: &message_id,
        task_id: Some(&fenced.task_id),
        kind: MessageKind::Progress,
        sender: &role.name,
        target: USER_ROLE,
        content: &args.content,
        artifacts: &[],
        live_only: false,
    };
    post(cx, &room, &note).await?;
    Ok(ProgressReported { message_id, started: started.write })
}

async fn mark_seen(cx: &mut MutationCx, args: MarkSeenArgs) -> Result<MarkedSeen> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let count = messages::mark_seen(&mut cx.tx, &room.chatroom_id, args.up_to, cx.now).await?;
    Ok(MarkedSeen { count: i64::try_from(count).unwrap_or(i64::MAX) })
}

async fn list(cx: &mut QueryCx, args: ListArgs) -> Result<Vec<Message>> {
    let limit = args.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(Refusal::bad_request("limit is a number from 1 to 200").into());
    }
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let (id, bound) = (&room.chatroom_id, Bound::whole(limit));
    Ok(match (args.after, args.before) {
        (Some(_), Some(_)) => return Err(Refusal::bad_request("after and before exclude each other").into()),
        (Some(after), None) => messages::list_after(&mut cx.tx, id, after, bound).await?,
        (None, before) => messages::list_between(&mut cx.tx, id, 0, before.unwrap_or(i64::MAX), bound).await?,
    })
}

async fn get_init_prompt(cx: &mut QueryCx, args: GetInitPromptArgs) -> Result<InitPrompt> {
    cx.caller.may_name_role(&args.chatroom_id, &args.role)?;
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let role = find_role(&room, &args.role)?;
    let cli = cli_path(&mut cx.tx, &cx.caller, args.machine_id.as_ref()).await?;
    let subject = prompt::Subject { room: &room, role, cli: &cli };
    let prompt = if agent_of(&cx.caller).is_some() { prompt::live(&subject) } else { prompt::init(&subject) };
    Ok(InitPrompt { prompt, version: prompt::VERSION.to_owned() })
}
