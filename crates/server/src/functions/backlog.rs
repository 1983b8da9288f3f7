//! `backlog.*`: what is to be done in a room some day.

use super::author::author;
use super::chatrooms::{find_own, find_role, refuse_archived};
use super::messages::{Post, post};
use super::text;
use crate::fail::{Result, refuse};
use crate::live::Topic;
use crate::registry::{MutationCx, QueryCx, Registry};
use crate::secret;
use crate::store::Tx;
use crate::store::backlog::{self, Begun, Row};
use chatroom_protocol::api::Empty;
use chatroom_protocol::api::backlog::{
    Add, AddArgs, Complete, ItemArgs, ItemStarted, ItemWritten, List, ListArgs, Remove, RemoveArgs, Start, StartArgs,
};
use chatroom_protocol::id::{BacklogItemId, ChatroomId, MessageId, TaskId};
use chatroom_protocol::room::{BacklogItem, BacklogState, Chatroom, MessageKind, USER_ROLE};
use chatroom_protocol::task::TaskWrite;
use chatroom_protocol::{ErrorCode, Refusal};

/// Items of one room that are not completed.
pub const MAX_OPEN: i64 = 500;
/// Characters of an item.
const CONTENT_CHARS: usize = 10_000;
/// Completed items that one answer lists.
const LISTED_COMPLETED: i64 = 200;

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<Add>(|cx, args| Box::pin(add(cx, args)));
    registry.query::<List>(|_, args| vec![Topic::Desk(args.chatroom_id.clone())], |cx, args| Box::pin(list(cx, args)));
    registry.mutation::<Start>(|cx, args| Box::pin(start(cx, args)));
    registry.mutation::<Complete>(|cx, args| Box::pin(complete(cx, args)));
    registry.mutation::<Remove>(|cx, args| Box::pin(remove(cx, args)));
}

async fn find(tx: &mut Tx, chatroom_id: &ChatroomId, id: &BacklogItemId) -> Result<Row> {
    match backlog::find(tx, chatroom_id, id).await? {
        Some(row) => Ok(row),
        None => Err(Refusal::not_found("backlog item").into()),
    }
}

async fn add(cx: &mut MutationCx, args: AddArgs) -> Result<BacklogItem> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    refuse_archived(&room)?;
    text::check(&args.content, CONTENT_CHARS, "item")?;
    if backlog::count_open(&mut cx.tx, &room.chatroom_id).await? >= MAX_OPEN {
        return Err(Refusal::new(
            ErrorCode::LimitReached,
            format!("{MAX_OPEN} items of this backlog are not completed yet"),
        )
        .hint("complete or remove some that are not needed any more")
        .into());
    }
    let item = BacklogItem {
        item_id: secret::new_id(),
        author_role: author(cx, &room, args.role.as_deref()).await?,
        chatroom_id: room.chatroom_id,
        content: args.content,
        state: BacklogState::Open,
        task_id: None,
        task_role: None,
        created_at: cx.now,
        updated_at: cx.now,
    };
    backlog::insert(&mut cx.tx, &item).await?;
    Ok(item)
}

async fn list(cx: &mut QueryCx, args: ListArgs) -> Result<Vec<BacklogItem>> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let limit = if args.state == Some(BacklogState::Completed) { LISTED_COMPLETED } else { MAX_OPEN };
    Ok(backlog::list(&mut cx.tx, &room.chatroom_id, args.state, limit).await?)
}

async fn start(cx: &mut MutationCx, args: StartArgs) -> Result<ItemStarted> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let row = find(&mut cx.tx, &room.chatroom_id, &args.item_id).await?;
    let sender = author(cx, &room, args.role.as_deref()).await?;
    if row.item.state == BacklogState::Completed {
        return refuse(ErrorCode::Conflict, "this item is completed; it cannot be started any more");
    }
    if let (Some(message_id), Some(task_id), Some(role)) = (&row.message_id, &row.item.task_id, &row.item.task_role) {
        let (message_id, task_id, role) = (message_id.clone(), task_id.clone(), role.clone());
        return Ok(ItemStarted { write: TaskWrite::AlreadyApplied, item: row.item, message_id, task_id, role });
    }
    refuse_archived(&room)?;
    let target = find_role(&room, args.target_role.as_deref().unwrap_or(&room.team.entry_role))?.name.clone();
    check_sender(&room, &sender, &target)?;
    let (message_id, task_id): (MessageId, TaskId) = (secret::new_id(), secret::new_id());
    let begun = Begun { message_id: &message_id, task_id: &task_id, role: &target };
    let started = backlog::start(&mut cx.tx, &room.chatroom_id, &args.item_id, begun, cx.now).await?;
    let Some(started) = started else { return refuse(ErrorCode::Conflict, "this item is not open any more") };
    let made = Post {
        message_id: &message_id,
        task_id: Some(&task_id),
        kind: if sender == USER_ROLE { MessageKind::Message } else { MessageKind::Handoff },
        sender: &sender,
        target: &target,
        content: &row.item.content,
        artifacts: &[],
        live_only: true,
    };
    post(cx, &room, &made).await?;
    Ok(ItemStarted { write: TaskWrite::Applied, item: started.item, message_id, task_id, role: target })
}

/// A role gives work only to where it hands to.
fn check_sender(room: &Chatroom, sender: &str, target: &str) -> Result<()> {
    let Some(role) = room.team.role(sender) else { return Ok(()) };
    if role.hands_to.iter().any(|to| to == target) {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::Conflict, format!("{sender} does not give work to {target} in this team"))
        .hint(format!("give it to one of: {}", role.hands_to.join(", ")))
        .into())
}

async fn complete(cx: &mut MutationCx, args: ItemArgs) -> Result<ItemWritten> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    let row = find(&mut cx.tx, &room.chatroom_id, &args.item_id).await?;
    let by = author(cx, &room, args.role.as_deref()).await?;
    let may = by == USER_ROLE || by == row.item.author_role || row.item.task_role.as_ref() == Some(&by);
    if !may {
        let whose = row.item.task_role.as_ref().unwrap_or(&row.item.author_role);
        return Err(Refusal::new(ErrorCode::Conflict, format!("this item is not {by}'s to complete"))
            .hint(format!("leave it to {whose} or to the user"))
            .into());
    }
    Ok(match backlog::complete(&mut cx.tx, &room.chatroom_id, &args.item_id, cx.now).await? {
        Some(row) => ItemWritten { write: TaskWrite::Applied, item: row.item },
        None => ItemWritten { write: TaskWrite::AlreadyApplied, item: row.item },
    })
}

async fn remove(cx: &mut MutationCx, args: RemoveArgs) -> Result<Empty> {
    let room = find_own(&mut cx.tx, &cx.caller, &args.chatroom_id).await?;
    if !backlog::delete(&mut cx.tx, &room.chatroom_id, &args.item_id).await? {
        return Err(Refusal::not_found("backlog item").into());
    }
    Ok(Empty {})
}
