//! Contexts: points from which a room's conversation counts anew. The newest one counts; the last [`KEPT`] are kept.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{ChatroomId, ContextId, UserId};
use chatroom_protocol::room::Context;

/// How many contexts of a room are kept.
pub const KEPT: i64 = 200;

/// A context to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewContext<'a> {
    /// Its id.
    pub context_id: &'a ContextId,
    /// The room.
    pub chatroom_id: &'a ChatroomId,
    /// What it is about.
    pub title: &'a str,
    /// What one must know.
    pub content: &'a str,
    /// Who begins it.
    pub author_role: &'a str,
}

/// Begins a context after the last message of a room of this user. Nothing when there is no such room.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, user_id: &UserId, new: &NewContext<'_>, now: UnixMs) -> Result<Option<Context>> {
    let statement = sql::statement(
        "INSERT INTO contexts (id, chatroom_id, position, after_sequence, title, content, author_role, created_at)
         SELECT $1, r.id, COALESCE((SELECT MAX(c.position) FROM contexts c WHERE c.chatroom_id = r.id), 0) + 1,
                r.last_sequence, $4, $5, $6, $7
         FROM chatrooms r WHERE r.id = $2 AND r.user_id = $3
         RETURNING *",
    )
    .bind(new.context_id.0.clone())
    .bind(new.chatroom_id.0.clone())
    .bind(user_id.0.clone())
    .bind(new.title.to_owned())
    .bind(new.content.to_owned())
    .bind(new.author_role.to_owned())
    .bind(now.0);
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    let statement = sql::statement("DELETE FROM contexts WHERE chatroom_id = $1 AND position <= $2")
        .bind(new.chatroom_id.0.clone())
        .bind(sql::int(&row, "position")? - KEPT);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Desk(new.chatroom_id.clone()));
    Ok(Some(read(&row)?))
}

/// A room's newest contexts, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, chatroom_id: &ChatroomId, limit: i64) -> Result<Vec<Context>> {
    let statement = sql::statement("SELECT * FROM contexts WHERE chatroom_id = $1 ORDER BY position DESC LIMIT $2")
        .bind(chatroom_id.0.clone())
        .bind(limit);
    sql::all(tx, statement).await?.iter().map(read).collect()
}

fn read(row: &sqlx::any::AnyRow) -> Result<Context> {
    Ok(Context {
        context_id: sql::text(row, "id")?.into(),
        title: sql::text(row, "title")?,
        content: sql::text(row, "content")?,
        after_sequence: sql::int(row, "after_sequence")?,
        author_role: sql::text(row, "author_role")?,
        created_at: UnixMs(sql::int(row, "created_at")?),
    })
}
