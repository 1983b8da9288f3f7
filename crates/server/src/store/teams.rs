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
