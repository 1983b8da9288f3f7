//! Teams that a user defined, next to the built-in ones.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::UserId;
use chatroom_protocol::room::Team;

/// Stores a team, or its new definition. Rooms keep the copy that they were made with.
///
/// # Errors
/// When the database fails.
pub async fn upsert(tx: &mut Tx, user_id: &UserId, team: &Team, now: UnixMs) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO teams (user_id, name, definition, updated_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id, name) DO UPDATE SET definition = excluded.definition, updated_at = excluded.updated_at",
    )
    .bind(user_id.0.clone())
    .bind(team.name.clone())
    .bind(sql::to_json(team)?)
    .bind(now.0);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Chatrooms(user_id.clone()));
    Ok(())
}

/// The user's own teams, by name.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, user_id: &UserId) -> Result<Vec<Team>> {
    let statement =
        sql::statement("SELECT definition FROM teams WHERE user_id = $1 ORDER BY name").bind(user_id.0.clone());
    sql::all(tx, statement).await?.iter().map(|row| sql::json(row, "definition")).collect()
}

/// How many teams of their own a user has.
///
/// # Errors
/// When the database fails.
pub async fn count(tx: &mut Tx, user_id: &UserId) -> Result<i64> {
    let statement = sql::statement("SELECT COUNT(*) AS own FROM teams WHERE user_id = $1").bind(user_id.0.clone());
    sql::one(tx, statement).await?.map_or(Ok(0), |row| sql::int(&row, "own"))
}

/// Removes a team. Tells whether there was one.
///
/// # Errors
/// When the database fails.
pub async fn delete(tx: &mut Tx, user_id: &UserId, name: &str) -> Result<bool> {
    let statement = sql::statement("DELETE FROM teams WHERE user_id = $1 AND name = $2")
        .bind(user_id.0.clone())
        .bind(name.to_owned());
    let deleted = sql::execute(tx, statement).await? == 1;
    if deleted {
        tx.wake(Topic::Chatrooms(user_id.clone()));
    }
    Ok(deleted)
}
