//! Server processes that are alive. Only what a living one holds open is connected.

use super::{Result, Tx, sql};
use chatroom_protocol::UnixMs;

/// A replica that was not heard for this long is dead, in milliseconds.
pub const DEAD_AFTER_MS: i64 = 15_000;

/// Remembers that a replica is alive.
///
/// # Errors
/// When the database fails.
pub async fn upsert(tx: &mut Tx, id: &str, now: UnixMs) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO replicas (id, heard_at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET heard_at = excluded.heard_at",
    )
    .bind(id.to_owned())
    .bind(now.0);
    sql::execute(tx, statement).await?;
    Ok(())
}

/// Forgets dead replicas and one that says goodbye; gives the ids that are gone.
///
/// # Errors
/// When the database fails.
pub async fn delete_dead(tx: &mut Tx, leaving: Option<&str>, now: UnixMs) -> Result<Vec<String>> {
    let statement = sql::statement("DELETE FROM replicas WHERE heard_at < $1 OR id = $2 RETURNING id")
        .bind((now - DEAD_AFTER_MS).0)
        .bind(leaving.unwrap_or_default().to_owned());
    sql::all(tx, statement).await?.iter().map(|row| sql::text(row, "id")).collect()
}
