//! Machines: what they told about themselves, and whether their daemon is there.
//!
//! The connection is evidence of a socket: [`set_connected`] and [`set_left`] are called by whoever owns that socket, guarded by
//! the epoch of the daemon session and by the socket's name. `last_seen_at` wakes nobody.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{MachineId, UserId};
use chatroom_protocol::machine::ConnectionState;
use chatroom_protocol::tool::{ToolName, ToolReport};
use sqlx::any::AnyRow;

/// What a machine tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Hostname.
    pub hostname: String,
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// Version of the CLI.
    pub cli_version: String,
    /// Absolute path of the CLI.
    pub cli_path: String,
    /// Tools found at the last detection, missing ones included.
    pub tools: Vec<ToolReport>,
}

/// A machine as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: MachineId,
    /// Its owner.
    pub user_id: UserId,
    /// The owner's name for it.
    pub name: String,
    /// What it tells about itself.
    pub facts: Facts,
    /// When it was registered.
    pub registered_at: UnixMs,
    /// When it last called.
    pub last_seen_at: UnixMs,
    /// When its owner removed it.
    pub removed_at: Option<UnixMs>,
    /// The epoch of its newest daemon session; 0 when there has never been one.
    pub epoch: i64,
    /// Whether its daemon is there.
    pub connection: ConnectionState,
    /// Since when that is so.
    pub connection_since: UnixMs,
    /// The socket that holds the connection.
    pub connection_socket: Option<String>,
    /// The server process that owns that socket.
    pub connection_replica: Option<String>,
}

impl Row {
    /// What the last detection said of a tool.
    #[must_use]
    pub fn tool(&self, name: &ToolName) -> Option<&ToolReport> {
        self.facts.tools.iter().find(|report| report.name == *name)
    }
}

/// Finds a machine whoever owns it, removed ones too: only for registering.
///
/// # Errors
/// When the database fails.
pub async fn find_any(tx: &mut Tx, id: &MachineId) -> Result<Option<Row>> {
    let statement = sql::statement("SELECT * FROM machines WHERE id = $1").bind(id.0.clone());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// Finds a user's machine.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, user_id: &UserId, id: &MachineId) -> Result<Option<Row>> {
    let statement = sql::statement("SELECT * FROM machines WHERE id = $1 AND user_id = $2 AND removed_at IS NULL")
        .bind(id.0.clone())
        .bind(user_id.0.clone());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// A user's machines, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, user_id: &UserId) -> Result<Vec<Row>> {
    let statement =
        sql::statement("SELECT * FROM machines WHERE user_id = $1 AND removed_at IS NULL ORDER BY registered_at, id")
            .bind(user_id.0.clone());
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// Makes a machine. It is called by its hostname until its owner renames it.
///
/// # Errors
/// When the database fails, or the id is in use (see [`find_any`]).
pub async fn insert(tx: &mut Tx, id: &MachineId, user_id: &UserId, facts: &Facts, now: UnixMs) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO machines (id, user_id, name, hostname, os, arch, cli_version, cli_path, tools, registered_at,
                               last_seen_at, epoch, connection, connection_since)
         VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $9, 0, 'disconnected', $9)",
    )
    .bind(id.0.clone())
    .bind(user_id.0.clone())
    .bind(facts.hostname.clone())
    .bind(facts.os.clone())
    .bind(facts.arch.clone())
    .bind(facts.cli_version.clone())
    .bind(facts.cli_path.clone())
    .bind(sql::to_json(&facts.tools)?)
    .bind(now.0);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Machines(user_id.clone()));
    Ok(())
}

/// Registers a removed machine again, perhaps for another user. False when it is not removed (any more).
///
/// # Errors
/// When the database fails.
pub async fn revive(tx: &mut Tx, id: &MachineId, user_id: &UserId, facts: &Facts, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE machines
         SET user_id = $2, name = $3, hostname = $3, os = $4, arch = $5, cli_version = $6, cli_path = $7, tools = $8,
             registered_at = $9, last_seen_at = $9, removed_at = NULL, connection = 'disconnected', connection_since = $9
         WHERE id = $1 AND removed_at IS NOT NULL",
    )
    .bind(id.0.clone())
    .bind(user_id.0.clone())
    .bind(facts.hostname.clone())
    .bind(facts.os.clone())
    .bind(facts.arch.clone())
    .bind(facts.cli_version.clone())
    .bind(facts.cli_path.clone())
    .bind(sql::to_json(&facts.tools)?)
    .bind(now.0);
    let applied = sql::execute(tx, statement).await? > 0;
    if applied {
        tx.wake(Topic::Machines(user_id.clone()));
    }
    Ok(applied)
}

/// Records what a machine tells about itself now, and that it was seen. False when the user has no such machine.
///
/// # Errors
/// When the database fails.
pub async fn set_facts(tx: &mut Tx, user_id: &UserId, id: &MachineId, facts: &Facts, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE machines
         SET hostname = $3, os = $4, arch = $5, cli_version = $6, cli_path = $7, tools = $8, last_seen_at = $9
         WHERE id = $1 AND user_id = $2 AND removed_at IS NULL",
    )
    .bind(id.0.clone())
    .bind(user_id.0.clone())
    .bind(facts.hostname.clone())
    .bind(facts.os.clone())
    .bind(facts.arch.clone())
    .bind(facts.cli_version.clone())
    .bind(facts.cli_path.clone())
    .bind(sql::to_json(&facts.tools)?)
    .bind(now.0);
    let applied = sql::execute(tx, statement).await? > 0;
    if applied {
        tx.wake(Topic::Machines(user_id.clone()));
    }
    Ok(applied)
}

/// Records that a machine was seen; wakes nobody and never goes back.
///
/// # Errors
/// When the database fails.
pub async fn set_last_seen(tx: &mut Tx, user_id: &UserId, id: &MachineId, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE machines SET last_seen_at = $3 WHERE id = $1 AND user_id = $2 AND removed_at IS NULL AND last_seen_at < $3",
    )
    .bind(id.0.clone())
    .bind(user_id.0.clone())
    .bind(now.0);
    Ok(sql::execute(tx, statement).await? > 0)
}

/// Renames a machine. False when the user has no such machine.
///
/// # Errors
/// When the database fails.
pub async fn rename(tx: &mut Tx, user_id: &UserId, id: &MachineId, name: &str) -> Result<bool> {
    let statement =
        sql::statement("UPDATE machines SET name = $3 WHERE id = $1 AND user_id = $2 AND removed_at IS NULL")
            .bind(id.0.clone())
            .bind(user_id.0.clone())
            .bind(name.to_owned());
    let applied = sql::execute(tx, statement).await? > 0;
    if applied {
        tx.wake(Topic::Machines(user_id.clone()));
    }
    Ok(applied)
}

/// Removes a machine and fences its daemon sessions. False when the user has no such machine (any more).
///
/// # Errors
/// When the database fails.
pub async fn remove(tx: &mut Tx, user_id: &UserId, id: &MachineId, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE machines
         SET removed_at = $3, epoch = epoch + 1, connection = 'disconnected', connection_since = $3,
             connection_socket = NULL, connection_replica = NULL
         WHERE id = $1 AND user_id = $2 AND removed_at IS NULL",
    )
    .bind(id.0.clone())
    .bind(user_id.0.clone())
    .bind(now.0);
    let applied = sql::execute(tx, statement).await? > 0;
    if applied {
        tx.wake(Topic::Machine(id.clone()));
        tx.wake(Topic::Machines(user_id.clone()));
    }
    Ok(applied)
}

/// Grants the epoch after `from`. Nothing when another one was granted meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn advance_epoch(tx: &mut Tx, user_id: &UserId, id: &MachineId, from: i64) -> Result<Option<i64>> {
    let statement = sql::statement(
        "UPDATE machines SET epoch = epoch + 1
         WHERE id = $1 AND user_id = $2 AND epoch = $3 AND removed_at IS NULL RETURNING epoch",
    )
    .bind(id.0.clone())
    .bind(user_id.0.clone())
    .bind(from);
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    tx.wake(Topic::Machine(id.clone()));
    Ok(Some(sql::int(&row, "epoch")?))
}

/// The socket by which a daemon session is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket<'a> {
    /// The socket's name.
    pub socket: &'a str,
    /// The server process that owns it.
    pub replica: &'a str,
}

/// Records that a socket of the daemon session of this epoch is there. False when the epoch is not the newest. `since` and the
/// wake are for a change of the state alone: a daemon that moves from socket to socket stays connected.
///
/// # Errors
/// When the database fails.
pub async fn set_connected(
    tx: &mut Tx,
    user_id: &UserId,
    id: &MachineId,
    epoch: i64,
    socket: Socket<'_>,
    now: UnixMs,
) -> Result<bool> {
    let Some(before) = find(tx, user_id, id).await? else { return Ok(false) };
    let statement = sql::statement(
        "UPDATE machines
         SET connection = 'connected', connection_socket = $4, connection_replica = $5, last_seen_at = $6,
             connection_since = CASE WHEN connection = 'connected' THEN connection_since ELSE $6 END
         WHERE id = $1 AND user_id = $2 AND epoch = $3 AND removed_at IS NULL",
    )
    .bind(id.0.clone())
    .bind(user_id.0.clone())
    .bind(epoch)
    .bind(socket.socket.to_owned())
    .bind(socket.replica.to_owned())
    .bind(now.0);
    let applied = sql::execute(tx, statement).await? > 0;
    if applied && before.connection != ConnectionState::Connected {
        tx.wake(Topic::Machines(user_id.clone()));
        tx.wake(Topic::Restarts);
    }
    Ok(applied)
}

/// Records that a machine's socket is gone. False when another socket holds the connection by now.
///
/// # Errors
/// When the database fails.
pub async fn set_left(tx: &mut Tx, id: &MachineId, socket: &str, state: ConnectionState, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE machines
         SET connection = $3, connection_since = $4, connection_socket = NULL, connection_replica = NULL
         WHERE id = $1 AND connection_socket = $2 RETURNING user_id",
    )
    .bind(id.0.clone())
    .bind(socket.to_owned())
    .bind(state.as_str().to_owned())
    .bind(now.0);
    Ok(wake_owners(tx, statement).await? > 0)
}

/// What dead replicas held is unknown until it is heard; gives how many machines that are.
///
/// # Errors
/// When the database fails.
pub async fn set_unknown_of_replicas(tx: &mut Tx, replicas: &[String], now: UnixMs) -> Result<u64> {
    let mut count = 0;
    for replica in replicas {
        let statement = sql::statement(
            "UPDATE machines
             SET connection = 'unknown', connection_since = $2, connection_socket = NULL, connection_replica = NULL
             WHERE connection_replica = $1 RETURNING user_id",
        )
        .bind(replica.clone())
        .bind(now.0);
        count += wake_owners(tx, statement).await?;
    }
    Ok(count)
}

/// At the start of the only server process: every machine is unknown until it is heard. What the last process saw, this one
/// did not.
///
/// # Errors
/// When the database fails.
pub async fn set_all_unknown(tx: &mut Tx, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "UPDATE machines
         SET connection = 'unknown', connection_since = $1, connection_socket = NULL, connection_replica = NULL
         WHERE connection <> 'unknown' AND removed_at IS NULL RETURNING user_id",
    )
    .bind(now.0);
    wake_owners(tx, statement).await
}

async fn wake_owners(tx: &mut Tx, statement: sql::Statement) -> Result<u64> {
    let rows = sql::all(tx, statement).await?;
    for row in &rows {
        tx.wake(Topic::Machines(sql::text(row, "user_id")?.into()));
    }
    Ok(rows.len() as u64)
}

fn read(row: &AnyRow) -> Result<Row> {
    Ok(Row {
        id: sql::text(row, "id")?.into(),
        user_id: sql::text(row, "user_id")?.into(),
        name: sql::text(row, "name")?,
        facts: Facts {
            hostname: sql::text(row, "hostname")?,
            os: sql::text(row, "os")?,
            arch: sql::text(row, "arch")?,
            cli_version: sql::text(row, "cli_version")?,
            cli_path: sql::text(row, "cli_path")?,
            tools: sql::json(row, "tools")?,
        },
        registered_at: UnixMs(sql::int(row, "registered_at")?),
        last_seen_at: UnixMs(sql::int(row, "last_seen_at")?),
        removed_at: sql::opt_int(row, "removed_at")?.map(UnixMs),
        epoch: sql::int(row, "epoch")?,
        connection: ConnectionState::parse(&sql::text(row, "connection")?),
        connection_since: UnixMs(sql::int(row, "connection_since")?),
        connection_socket: sql::opt_text(row, "connection_socket")?,
        connection_replica: sql::opt_text(row, "connection_replica")?,
    })
}
