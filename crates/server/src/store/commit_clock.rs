//! How far the commit clock has come, so that it does not go back when the wall clock does.

use super::{Result, Tx, sql};
use chatroom_protocol::sync::SyncTs;

/// The latest time that was written down; 0 when none was.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx) -> Result<SyncTs> {
    let row = sql::one(tx, sql::statement("SELECT last_tick FROM commit_clock WHERE id = 'clock'")).await?;
    let last = row.map(|row| sql::int(&row, "last_tick")).transpose()?.unwrap_or_default();
    Ok(SyncTs(u64::try_from(last).unwrap_or_default()))
}

/// Writes a time down, unless a later one is there.
///
/// # Errors
/// When the database fails.
pub async fn raise(tx: &mut Tx, to: SyncTs) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO commit_clock (id, last_tick) VALUES ('clock', $1)
         ON CONFLICT (id) DO UPDATE SET last_tick = excluded.last_tick WHERE commit_clock.last_tick < excluded.last_tick",
    )
    .bind(i64::try_from(to.0).unwrap_or(i64::MAX));
    let before = tx.touched;
    sql::execute(tx, statement).await?;
    // No query reads the clock: for those who watch, nothing has changed.
    tx.touched = before;
    Ok(())
}
