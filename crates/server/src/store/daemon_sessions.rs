//! Daemon sessions: lives of daemon processes, numbered per machine by epochs. The newest fences the older ones.

use super::{Result, Tx, sql};
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{DaemonSessionId, MachineId};

/// How many sessions of a machine are remembered, so that opening one of them again gives the same epoch.
pub const KEPT_PER_MACHINE: i64 = 50;

/// A daemon session as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The machine.
    pub machine_id: MachineId,
    /// Its number.
    pub epoch: i64,
    /// The id that the daemon made.
    pub session_id: DaemonSessionId,
    /// The life of the machine's kernel.
    pub boot_id: String,
    /// When it was opened.
    pub opened_at: UnixMs,
}

/// Remembers a session.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, session: &Row) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO daemon_sessions (machine_id, epoch, session_id, boot_id, opened_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(session.machine_id.0.clone())
    .bind(session.epoch)
    .bind(session.session_id.0.clone())
    .bind(session.boot_id.clone())
    .bind(session.opened_at.0);
    sql::execute(tx, statement).await?;
    Ok(())
}

/// Finds a session by the daemon's own id.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, machine_id: &MachineId, session_id: &DaemonSessionId) -> Result<Option<Row>> {
    let statement = sql::statement("SELECT * FROM daemon_sessions WHERE machine_id = $1 AND session_id = $2")
        .bind(machine_id.0.clone())
        .bind(session_id.0.clone());
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    Ok(Some(Row {
        machine_id: sql::text(&row, "machine_id")?.into(),
        epoch: sql::int(&row, "epoch")?,
        session_id: sql::text(&row, "session_id")?.into(),
        boot_id: sql::text(&row, "boot_id")?,
        opened_at: UnixMs(sql::int(&row, "opened_at")?),
    }))
}

/// Forgets every session of a machine.
///
/// # Errors
/// When the database fails.
pub async fn delete_of_machine(tx: &mut Tx, machine_id: &MachineId) -> Result<u64> {
    let statement = sql::statement("DELETE FROM daemon_sessions WHERE machine_id = $1").bind(machine_id.0.clone());
    sql::execute(tx, statement).await
}

/// Forgets all but the newest [`KEPT_PER_MACHINE`] sessions of each machine.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(tx: &mut Tx) -> Result<u64> {
    let statement = sql::statement(
        "DELETE FROM daemon_sessions
         WHERE epoch <= (SELECT m.epoch FROM machines m WHERE m.id = daemon_sessions.machine_id) - $1",
    )
    .bind(KEPT_PER_MACHINE);
    sql::execute(tx, statement).await
}
