//! Rooms, each with its own copy of its team. A room is found by its owner only.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{ChatroomId, UserId};
use chatroom_protocol::room::{Chatroom, Team};

/// Stores a new room.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, user_id: &UserId, room: &Chatroom) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO chatrooms (id, user_id, name, team, last_sequence, created_at) VALUES ($1, $2, $3, $4, 0, $5)",
    )
    .bind(room.chatroom_id.0.clone())
    .bind(user_id.0.clone())
    .bind(room.name.clone())
    .bind(sql::to_json(&room.team)?)
    .bind(room.created_at.0);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Chatrooms(user_id.clone()));
    Ok(())
}

/// Finds a room of this user, archived or not.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, user_id: &UserId, id: &ChatroomId) -> Result<Option<Chatroom>> {
    let statement = sql::statement("SELECT * FROM chatrooms WHERE id = $1 AND user_id = $2")
        .bind(id.0.clone())
        .bind(user_id.0.clone());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// The user's rooms that are not archived, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, user_id: &UserId) -> Result<Vec<Chatroom>> {
    let statement = sql::statement(
        "SELECT * FROM chatrooms WHERE user_id = $1 AND archived_at IS NULL ORDER BY created_at DESC, id DESC",
    )
    .bind(user_id.0.clone());
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// How many rooms of the user are not archived.
///
/// # Errors
/// When the database fails.
pub async fn count(tx: &mut Tx, user_id: &UserId) -> Result<i64> {
    let statement = sql::statement("SELECT COUNT(*) AS live FROM chatrooms WHERE user_id = $1 AND archived_at IS NULL")
        .bind(user_id.0.clone());
    sql::one(tx, statement).await?.map_or(Ok(0), |row| sql::int(&row, "live"))
}

/// Archives a room. Tells whether it did: not when it is archived already, or not this user's.
///
/// # Errors
/// When the database fails.
pub async fn archive(tx: &mut Tx, user_id: &UserId, id: &ChatroomId, now: UnixMs) -> Result<bool> {
    let statement =
        sql::statement("UPDATE chatrooms SET archived_at = $3 WHERE id = $1 AND user_id = $2 AND archived_at IS NULL")
            .bind(id.0.clone())
            .bind(user_id.0.clone())
            .bind(now.0);
    let archived = sql::execute(tx, statement).await? == 1;
    if archived {
        tx.wake(Topic::Chatrooms(user_id.clone()));
        tx.wake(Topic::Chatroom(id.clone()));
    }
    Ok(archived)
}

/// Replaces a room's copy of its team. Tells whether the room is this user's.
///
/// # Errors
/// When the database fails.
pub async fn set_team(tx: &mut Tx, user_id: &UserId, id: &ChatroomId, team: &Team) -> Result<bool> {
    let statement = sql::statement("UPDATE chatrooms SET team = $3 WHERE id = $1 AND user_id = $2")
        .bind(id.0.clone())
        .bind(user_id.0.clone())
        .bind(sql::to_json(team)?);
    let set = sql::execute(tx, statement).await? == 1;
    if set {
        tx.wake(Topic::Chatrooms(user_id.clone()));
        tx.wake(Topic::Chatroom(id.clone()));
    }
    Ok(set)
}

fn read(row: &sqlx::any::AnyRow) -> Result<Chatroom> {
    Ok(Chatroom {
        chatroom_id: sql::text(row, "id")?.into(),
        name: sql::text(row, "name")?,
        team: sql::json(row, "team")?,
        created_at: UnixMs(sql::int(row, "created_at")?),
        archived_at: sql::opt_int(row, "archived_at")?.map(UnixMs),
    })
}
