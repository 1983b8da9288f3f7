//! Commands: intents for machines. Every change of a status is one guarded write; a finished command never changes again.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::command::{Command, CommandRequest, CommandStatus, PendingCommand};
use chatroom_protocol::id::{AgentId, CommandId, MachineId, UserId};
use sqlx::any::AnyRow;

/// How many finished commands of a machine are kept.
pub const KEPT_PER_MACHINE: i64 = 500;
/// How long a finished command is kept: 30 days.
pub const KEPT_MS: i64 = 30 * 24 * 60 * 60_000;

/// A command as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What its owner sees.
    pub command: Command,
    /// Its owner.
    pub user_id: UserId,
    /// The agent that a start or restart makes.
    pub agent_id: Option<AgentId>,
    /// The agent that a stop or restart ends.
    pub stop_agent_id: Option<AgentId>,
    /// The epoch of the session that claimed it last.
    pub claimed_epoch: Option<i64>,
}

/// From which status a command may be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Only while nobody has begun.
    Pending,
    /// Only while it is claimed, and by no session newer than this one.
    ClaimedUpTo {
        /// The session's epoch.
        epoch: i64,
    },
    /// While it is not finished.
    Open,
}

/// Stores a command.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, row: &Row) -> Result<()> {
    let (finished_at, result) = end_of(&row.command.status)?;
    let statement = sql::statement(
        "INSERT INTO machine_commands
             (id, machine_id, user_id, kind, payload, status, agent_id, stop_agent_id, created_at, expires_at, finished_at, result)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(row.command.command_id.0.clone())
    .bind(row.command.machine_id.0.clone())
    .bind(row.user_id.0.clone())
    .bind(row.command.request.kind().to_owned())
    .bind(sql::to_json(&row.command.request)?)
    .bind(name_of(&row.command.status).to_owned())
    .bind(row.agent_id.as_ref().map(|id| id.0.clone()))
    .bind(row.stop_agent_id.as_ref().map(|id| id.0.clone()))
    .bind(row.command.created_at.0)
    .bind(row.command.expires_at.0)
    .bind(finished_at)
    .bind(result);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Machine(row.command.machine_id.clone()));
    tx.wake(Topic::Machines(row.user_id.clone()));
    Ok(())
}

/// Finds a user's command.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, user_id: &UserId, id: &CommandId) -> Result<Option<Row>> {
    let statement = sql::statement("SELECT * FROM machine_commands WHERE id = $1 AND user_id = $2")
        .bind(id.0.clone())
        .bind(user_id.0.clone());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// The newest commands that a user sent to a machine, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, user_id: &UserId, machine_id: &MachineId, limit: i64) -> Result<Vec<Row>> {
    let statement = sql::statement(
        "SELECT * FROM machine_commands WHERE machine_id = $1 AND user_id = $2 ORDER BY created_at DESC, id DESC LIMIT $3",
    )
    .bind(machine_id.0.clone())
    .bind(user_id.0.clone())
    .bind(limit);
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// What the daemon session of this epoch is to take up: pending commands, and those that an older session claimed; oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list_claimable(tx: &mut Tx, machine_id: &MachineId, epoch: i64) -> Result<Vec<PendingCommand>> {
    // Ids are made inside the serialisable transaction, so their order is the order in which commands came to be.
    let statement = sql::statement(
        "SELECT * FROM machine_commands
         WHERE machine_id = $1 AND (status = 'pending' OR (status = 'processing' AND claimed_epoch < $2)) ORDER BY id",
    )
    .bind(machine_id.0.clone())
    .bind(epoch);
    sql::all(tx, statement)
        .await?
        .iter()
        .map(|row| {
            let row = read(row)?;
            Ok(PendingCommand {
                command_id: row.command.command_id,
                request: row.command.request,
                claimed_before: row.claimed_epoch.is_some(),
                created_at: row.command.created_at,
                expires_at: row.command.expires_at,
            })
        })
        .collect()
}

/// The commands of a machine that are not finished, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list_open(tx: &mut Tx, machine_id: &MachineId) -> Result<Vec<Row>> {
    let statement = sql::statement(
        "SELECT * FROM machine_commands WHERE machine_id = $1 AND status IN ('pending', 'processing') ORDER BY id",
    )
    .bind(machine_id.0.clone());
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// Pending commands whose deadline has passed, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn list_expired(tx: &mut Tx, now: UnixMs, limit: i64) -> Result<Vec<Row>> {
    let statement = sql::statement(
        "SELECT * FROM machine_commands WHERE status = 'pending' AND expires_at <= $1 ORDER BY expires_at, id LIMIT $2",
    )
    .bind(now.0)
    .bind(limit);
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// Claimed commands that nobody will tell of any more, at most `limit`: their deadline passed before `gone` and their machine
/// has not been connected since, or their deadline passed before `hung` wherever their machine is.
///
/// # Errors
/// When the database fails.
pub async fn list_lost(tx: &mut Tx, gone: UnixMs, hung: UnixMs, limit: i64) -> Result<Vec<Row>> {
    let statement = sql::statement(
        "SELECT c.* FROM machine_commands c JOIN machines m ON m.id = c.machine_id
         WHERE c.status = 'processing'
           AND ((c.expires_at <= $1 AND m.connection <> 'connected' AND m.connection_since <= $1) OR c.expires_at <= $2)
         ORDER BY c.expires_at, c.id LIMIT $3",
    )
    .bind(gone.0)
    .bind(hung.0)
    .bind(limit);
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// When the next pending command expires.
///
/// # Errors
/// When the database fails.
pub async fn next_deadline(tx: &mut Tx) -> Result<Option<UnixMs>> {
    let statement = sql::statement("SELECT MIN(expires_at) AS next FROM machine_commands WHERE status = 'pending'");
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    Ok(sql::opt_int(&row, "next")?.map(UnixMs))
}

/// How many commands of a machine are pending.
///
/// # Errors
/// When the database fails.
pub async fn count_pending(tx: &mut Tx, machine_id: &MachineId) -> Result<i64> {
    let statement =
        sql::statement("SELECT COUNT(*) AS count FROM machine_commands WHERE machine_id = $1 AND status = 'pending'")
            .bind(machine_id.0.clone());
    let Some(row) = sql::one(tx, statement).await? else { return Ok(0) };
    sql::int(&row, "count")
}

/// How many unfinished commands are to end this agent.
///
/// # Errors
/// When the database fails.
pub async fn count_open_stops(tx: &mut Tx, machine_id: &MachineId, agent_id: &AgentId) -> Result<i64> {
    let statement = sql::statement(
        "SELECT COUNT(*) AS count FROM machine_commands
         WHERE machine_id = $1 AND status IN ('pending', 'processing') AND stop_agent_id = $2",
    )
    .bind(machine_id.0.clone())
    .bind(agent_id.0.clone());
    let Some(row) = sql::one(tx, statement).await? else { return Ok(0) };
    sql::int(&row, "count")
}

/// Claims a command for a session: a pending one before its deadline, or the same attempt again from a session that is not
/// newer. False when it is past that.
///
/// # Errors
/// When the database fails.
pub async fn claim(tx: &mut Tx, machine_id: &MachineId, id: &CommandId, epoch: i64, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE machine_commands
         SET status = 'processing', claimed_epoch = $3, claimed_at = COALESCE(claimed_at, $4)
         WHERE id = $1 AND machine_id = $2
           AND ((status = 'pending' AND expires_at > $4) OR (status = 'processing' AND claimed_epoch <= $3))
         RETURNING machine_id, user_id",
    )
    .bind(id.0.clone())
    .bind(machine_id.0.clone())
    .bind(epoch)
    .bind(now.0);
    changed(tx, statement).await
}

/// Finishes a command with a terminal status. False when the guard does not hold (any more).
///
/// # Errors
/// When the database fails.
pub async fn finish(tx: &mut Tx, id: &CommandId, guard: Guard, end: &CommandStatus) -> Result<bool> {
    debug_assert!(end.is_terminal());
    let (pending, epoch) = match guard {
        Guard::Pending => (1_i64, i64::MIN),
        Guard::ClaimedUpTo { epoch } => (0, epoch),
        Guard::Open => (1, i64::MAX),
    };
    let (finished_at, result) = end_of(end)?;
    let statement = sql::statement(
        "UPDATE machine_commands SET status = $2, finished_at = $3, result = $4
         WHERE id = $1 AND ((status = 'pending' AND $5 = 1) OR (status = 'processing' AND claimed_epoch <= $6))
         RETURNING machine_id, user_id",
    )
    .bind(id.0.clone())
    .bind(name_of(end).to_owned())
    .bind(finished_at)
    .bind(result)
    .bind(pending)
    .bind(epoch);
    changed(tx, statement).await
}

/// Forgets finished commands that are older than [`KEPT_MS`] or beyond the newest [`KEPT_PER_MACHINE`] of their machine.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(tx: &mut Tx, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "DELETE FROM machine_commands
         WHERE status IN ('completed', 'failed')
           AND (finished_at < $1 OR id IN (
               SELECT ranked.id FROM (
                   SELECT id, ROW_NUMBER() OVER (PARTITION BY machine_id ORDER BY created_at DESC, id DESC) AS place
                   FROM machine_commands WHERE status IN ('completed', 'failed')
               ) ranked WHERE ranked.place > $2))",
    )
    .bind((now - KEPT_MS).0)
    .bind(KEPT_PER_MACHINE);
    sql::execute(tx, statement).await
}

async fn changed(tx: &mut Tx, statement: sql::Statement) -> Result<bool> {
    let Some(row) = sql::one(tx, statement).await? else { return Ok(false) };
    tx.wake(Topic::Machine(sql::text(&row, "machine_id")?.into()));
    tx.wake(Topic::Machines(sql::text(&row, "user_id")?.into()));
    Ok(true)
}

const fn name_of(status: &CommandStatus) -> &'static str {
    match status {
        CommandStatus::Pending => "pending",
        CommandStatus::Processing { .. } => "processing",
        CommandStatus::Completed { .. } => "completed",
        CommandStatus::Failed { .. } => "failed",
    }
}

fn end_of(status: &CommandStatus) -> Result<(Option<i64>, Option<String>)> {
    Ok(match status {
        CommandStatus::Pending | CommandStatus::Processing { .. } => (None, None),
        CommandStatus::Completed { finished_at, result } => (Some(finished_at.0), Some(sql::to_json(result)?)),
        CommandStatus::Failed { finished_at, failure } => (Some(finished_at.0), Some(sql::to_json(failure)?)),
    })
}

fn read(row: &AnyRow) -> Result<Row> {
    let time = |column| Ok::<_, super::StoreError>(UnixMs(sql::opt_int(row, column)?.unwrap_or_default()));
    let status = match sql::text(row, "status")?.as_str() {
        "pending" => CommandStatus::Pending,
        "processing" => CommandStatus::Processing { claimed_at: time("claimed_at")? },
        "completed" => {
            CommandStatus::Completed { finished_at: time("finished_at")?, result: sql::json(row, "result")? }
        }
        _ => CommandStatus::Failed { finished_at: time("finished_at")?, failure: sql::json(row, "result")? },
    };
    Ok(Row {
        command: Command {
            command_id: sql::text(row, "id")?.into(),
            machine_id: sql::text(row, "machine_id")?.into(),
            request: sql::json::<CommandRequest>(row, "payload")?,
            status,
            created_at: time("created_at")?,
            expires_at: time("expires_at")?,
        },
        user_id: sql::text(row, "user_id")?.into(),
        agent_id: sql::opt_text(row, "agent_id")?.map(AgentId),
        stop_agent_id: sql::opt_text(row, "stop_agent_id")?.map(AgentId),
        claimed_epoch: sql::opt_int(row, "claimed_epoch")?,
    })
}
