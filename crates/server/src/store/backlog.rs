//! The backlog: what is to be done in a room some day. An item goes from open to started to completed, or at once to completed.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{BacklogItemId, ChatroomId, MessageId, TaskId};
use chatroom_protocol::room::{BacklogItem, BacklogState};

/// How many completed items of a room are kept: the newest.
pub const COMPLETED_KEPT: i64 = 200;

/// An item with what its start made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// As people see it.
    pub item: BacklogItem,
    /// The message that its start made.
    pub message_id: Option<MessageId>,
}

/// What the start of an item makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun<'a> {
    /// The message.
    pub message_id: &'a MessageId,
    /// The task.
    pub task_id: &'a TaskId,
    /// The role that gets it.
    pub role: &'a str,
}

/// Stores a new item.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, item: &BacklogItem) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO backlog (id, chatroom_id, state, content, author_role, created_at, updated_at)
         VALUES ($1, $2, 'open', $3, $4, $5, $5)",
    )
    .bind(item.item_id.0.clone())
    .bind(item.chatroom_id.0.clone())
    .bind(item.content.clone())
    .bind(item.author_role.clone())
    .bind(item.created_at.0);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Desk(item.chatroom_id.clone()));
    Ok(())
}

/// Finds an item of a room.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, chatroom_id: &ChatroomId, id: &BacklogItemId) -> Result<Option<Row>> {
    let statement = sql::statement("SELECT * FROM backlog WHERE id = $1 AND chatroom_id = $2")
        .bind(id.0.clone())
        .bind(chatroom_id.0.clone());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// A room's items, oldest first: those of one state (the newest `limit` of them), by default every one that is not completed.
///
/// # Errors
/// When the database fails.
pub async fn list(
    tx: &mut Tx,
    chatroom_id: &ChatroomId,
    state: Option<BacklogState>,
    limit: i64,
) -> Result<Vec<BacklogItem>> {
    let statement = sql::statement(
        "SELECT * FROM backlog
         WHERE chatroom_id = $1 AND (state = $2 OR ($2 = '' AND state IN ('open', 'started')))
         ORDER BY created_at DESC, id DESC LIMIT $3",
    )
    .bind(chatroom_id.0.clone())
    .bind(state.map_or("", BacklogState::as_str).to_owned())
    .bind(limit);
    sql::all(tx, statement).await?.iter().rev().map(|row| Ok(read(row)?.item)).collect()
}

/// How many items of a room are not completed.
///
/// # Errors
/// When the database fails.
pub async fn count_open(tx: &mut Tx, chatroom_id: &ChatroomId) -> Result<i64> {
    let statement =
        sql::statement("SELECT COUNT(*) AS open FROM backlog WHERE chatroom_id = $1 AND state IN ('open', 'started')")
            .bind(chatroom_id.0.clone());
    sql::one(tx, statement).await?.map_or(Ok(0), |row| sql::int(&row, "open"))
}

/// Starts an open item. Nothing when it is not open (any more).
///
/// # Errors
/// When the database fails.
pub async fn start(
    tx: &mut Tx,
    chatroom_id: &ChatroomId,
    id: &BacklogItemId,
    begun: Begun<'_>,
    now: UnixMs,
) -> Result<Option<Row>> {
    let statement = sql::statement(
        "UPDATE backlog SET state = 'started', message_id = $3, task_id = $4, task_role = $5, updated_at = $6
         WHERE id = $1 AND chatroom_id = $2 AND state = 'open' RETURNING *",
    )
    .bind(id.0.clone())
    .bind(chatroom_id.0.clone())
    .bind(begun.message_id.0.clone())
    .bind(begun.task_id.0.clone())
    .bind(begun.role.to_owned())
    .bind(now.0);
    written(tx, statement).await
}

/// Completes an item. Nothing when it is completed already. Of completed items, the oldest beyond [`COMPLETED_KEPT`] are
/// forgotten.
///
/// # Errors
/// When the database fails.
pub async fn complete(tx: &mut Tx, chatroom_id: &ChatroomId, id: &BacklogItemId, now: UnixMs) -> Result<Option<Row>> {
    let statement = sql::statement(
        "UPDATE backlog SET state = 'completed', updated_at = $3
         WHERE id = $1 AND chatroom_id = $2 AND state IN ('open', 'started') RETURNING *",
    )
    .bind(id.0.clone())
    .bind(chatroom_id.0.clone())
    .bind(now.0);
    let row = written(tx, statement).await?;
    if row.is_some() {
        let statement = sql::statement(
            "DELETE FROM backlog WHERE id IN (
                 SELECT id FROM backlog WHERE chatroom_id = $1 AND state = 'completed'
                 ORDER BY updated_at DESC, id DESC LIMIT 1000 OFFSET $2)",
        )
        .bind(chatroom_id.0.clone())
        .bind(COMPLETED_KEPT);
        sql::execute(tx, statement).await?;
    }
    Ok(row)
}

/// Removes an item. Tells whether there was one.
///
/// # Errors
/// When the database fails.
pub async fn delete(tx: &mut Tx, chatroom_id: &ChatroomId, id: &BacklogItemId) -> Result<bool> {
    let statement = sql::statement("DELETE FROM backlog WHERE id = $1 AND chatroom_id = $2")
        .bind(id.0.clone())
        .bind(chatroom_id.0.clone());
    let deleted = sql::execute(tx, statement).await? == 1;
    if deleted {
        tx.wake(Topic::Desk(chatroom_id.clone()));
    }
    Ok(deleted)
}

async fn written(tx: &mut Tx, statement: sql::Statement) -> Result<Option<Row>> {
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    let row = read(&row)?;
    tx.wake(Topic::Desk(row.item.chatroom_id.clone()));
    Ok(Some(row))
}

fn read(row: &sqlx::any::AnyRow) -> Result<Row> {
    Ok(Row {
        item: BacklogItem {
            item_id: sql::text(row, "id")?.into(),
            chatroom_id: sql::text(row, "chatroom_id")?.into(),
            content: sql::text(row, "content")?,
            state: BacklogState::parse(&sql::text(row, "state")?).unwrap_or(BacklogState::Completed),
            author_role: sql::text(row, "author_role")?,
            task_id: sql::opt_text(row, "task_id")?.map(TaskId),
            task_role: sql::opt_text(row, "task_role")?,
            created_at: UnixMs(sql::int(row, "created_at")?),
            updated_at: UnixMs(sql::int(row, "updated_at")?),
        },
        message_id: sql::opt_text(row, "message_id")?.map(MessageId),
    })
}
