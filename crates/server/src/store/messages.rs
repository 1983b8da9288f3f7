//! Messages: what is said in a room, numbered from 1 without gaps.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{ChatroomId, MessageId, TaskId, UserId};
use chatroom_protocol::room::{Message, MessageKind};

/// A message to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage<'a> {
    /// Its id.
    pub message_id: &'a MessageId,
    /// The room.
    pub chatroom_id: &'a ChatroomId,
    /// What kind.
    pub kind: MessageKind,
    /// Who wrote it: a role, or `user`.
    pub sender_role: &'a str,
    /// For whom: a role, or `user`.
    pub target_role: &'a str,
    /// The text.
    pub content: &'a str,
    /// The task that it makes, if any.
    pub task_id: Option<&'a TaskId>,
}

/// Stores a message in a room of this user and gives its sequence number. Nothing when there is no such room, or when it is
/// archived and `live_only` asks for one that is not.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    tx: &mut Tx,
    user_id: &UserId,
    new: &NewMessage<'_>,
    live_only: bool,
    now: UnixMs,
) -> Result<Option<i64>> {
    let statement = sql::statement(
        "UPDATE chatrooms SET last_sequence = last_sequence + 1
         WHERE id = $1 AND user_id = $2 AND (archived_at IS NULL OR $3 = 0) RETURNING last_sequence",
    )
    .bind(new.chatroom_id.0.clone())
    .bind(user_id.0.clone())
    .bind(i64::from(live_only));
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    let sequence = sql::int(&row, "last_sequence")?;
    let statement = sql::statement(
        "INSERT INTO messages (id, chatroom_id, sequence, kind, sender_role, target_role, content, task_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(new.message_id.0.clone())
    .bind(new.chatroom_id.0.clone())
    .bind(sequence)
    .bind(new.kind.as_str().to_owned())
    .bind(new.sender_role.to_owned())
    .bind(new.target_role.to_owned())
    .bind(new.content.to_owned())
    .bind(new.task_id.map(|id| id.0.clone()))
    .bind(now.0);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Messages(new.chatroom_id.clone()));
    Ok(Some(sequence))
}

/// Finds a message of a room.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, chatroom_id: &ChatroomId, id: &MessageId) -> Result<Option<Message>> {
    let statement = sql::statement("SELECT * FROM messages WHERE id = $1 AND chatroom_id = $2")
        .bind(id.0.clone())
        .bind(chatroom_id.0.clone());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// The first messages after a sequence number, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list_after(tx: &mut Tx, chatroom_id: &ChatroomId, after: i64, limit: i64) -> Result<Vec<Message>> {
    let statement =
        sql::statement("SELECT * FROM messages WHERE chatroom_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3")
            .bind(chatroom_id.0.clone())
            .bind(after)
            .bind(limit);
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// The last messages before a sequence number, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list_before(tx: &mut Tx, chatroom_id: &ChatroomId, before: i64, limit: i64) -> Result<Vec<Message>> {
    let statement = sql::statement(
        "SELECT * FROM messages WHERE chatroom_id = $1 AND sequence < $2 ORDER BY sequence DESC LIMIT $3",
    )
    .bind(chatroom_id.0.clone())
    .bind(before)
    .bind(limit);
    sql::all(tx, statement).await?.iter().rev().map(read).collect()
}

fn read(row: &sqlx::any::AnyRow) -> Result<Message> {
    Ok(Message {
        message_id: sql::text(row, "id")?.into(),
        chatroom_id: sql::text(row, "chatroom_id")?.into(),
        sequence: sql::int(row, "sequence")?,
        kind: MessageKind::parse(&sql::text(row, "kind")?).unwrap_or(MessageKind::Message),
        sender_role: sql::text(row, "sender_role")?,
        target_role: sql::text(row, "target_role")?,
        content: sql::text(row, "content")?,
        task_id: sql::opt_text(row, "task_id")?.map(TaskId),
        created_at: UnixMs(sql::int(row, "created_at")?),
    })
}
