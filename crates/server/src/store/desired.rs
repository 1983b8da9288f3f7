//! Desired state: whether the agent of a role is wanted, by whom and where; one row per (room, role). No row: nobody ever
//! wanted anything. Every write of a row carries the revision that it was read at.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{Desired, DesiredBy};
use chatroom_protocol::id::{AgentId, ChatroomId, CommandId, MachineId, UserId};
use chatroom_protocol::tool::ToolName;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

/// What is wanted of the agent of a role, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The room.
    pub chatroom_id: ChatroomId,
    /// The role.
    pub role: String,
    /// The owner of the room.
    pub user_id: UserId,
    /// What its owner sees.
    pub desired: Desired,
    /// The newest agent that was made for it.
    pub agent_id: Option<AgentId>,
    /// When it ended by itself lately, oldest first.
    pub exits: Vec<UnixMs>,
    /// The start that the server sent by itself.
    pub restart_id: Option<CommandId>,
    /// The command that mends why it was given up.
    pub repair: Option<String>,
    /// The session to take up again.
    pub resume: Option<Resume>,
    /// How often the row was written; zero before it is stored.
    pub revision: i64,
}

/// A session that a later agent of the same role may take up again, where everything here is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resume {
    /// The machine it was on.
    pub machine_id: MachineId,
    /// The tool that held it.
    pub tool: ToolName,
    /// Where it worked.
    pub working_dir: String,
    /// The tool's own name of it.
    pub session_id: String,
}

/// Finds what is wanted of a role. Whose it is is for the caller to have checked.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, chatroom_id: &ChatroomId, role: &str) -> Result<Option<Row>> {
    let statement = sql::statement("SELECT * FROM desired_agents WHERE chatroom_id = $1 AND role = $2")
        .bind(chatroom_id.0.clone())
        .bind(role.to_owned());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// What is wanted of the roles of a room, in the order of roles.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, chatroom_id: &ChatroomId) -> Result<Vec<Row>> {
    let statement =
        sql::statement("SELECT * FROM desired_agents WHERE chatroom_id = $1 ORDER BY role").bind(chatroom_id.0.clone());
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// Writes what is wanted of a role. False, and nothing changed, when somebody else has written it since it was read.
///
/// # Errors
/// When the database fails.
pub async fn put(tx: &mut Tx, row: &Row) -> Result<bool> {
    let statement = sql::statement(
        "INSERT INTO desired_agents (chatroom_id, role, user_id, running, wanted_by, since, machine_id, agent_id, exits,
                                     restart_at, restart_id, given_up, repair, resume, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (chatroom_id, role) DO UPDATE
         SET user_id = excluded.user_id, running = excluded.running, wanted_by = excluded.wanted_by,
             since = excluded.since, machine_id = excluded.machine_id, agent_id = excluded.agent_id,
             exits = excluded.exits, restart_at = excluded.restart_at, restart_id = excluded.restart_id,
             given_up = excluded.given_up, repair = excluded.repair, resume = excluded.resume,
             revision = excluded.revision
         WHERE desired_agents.revision = $16",
    )
    .bind(row.chatroom_id.0.clone())
    .bind(row.role.clone())
    .bind(row.user_id.0.clone())
    .bind(i64::from(row.desired.running))
    .bind(row.desired.by.as_str().to_owned())
    .bind(row.desired.since.0)
    .bind(row.desired.machine_id.0.clone())
    .bind(row.agent_id.as_ref().map(|id| id.0.clone()))
    .bind(sql::to_json(&row.exits)?)
    .bind(row.desired.restart_at.map(|at| at.0))
    .bind(row.restart_id.as_ref().map(|id| id.0.clone()))
    .bind(row.desired.given_up.clone())
    .bind(row.repair.clone())
    .bind(row.resume.as_ref().map(sql::to_json).transpose()?)
    .bind(row.revision + 1)
    .bind(row.revision);
    let applied = sql::execute(tx, statement).await? > 0;
    if applied {
        tx.wake(Topic::Chatroom(row.chatroom_id.clone()));
        if row.desired.restart_at.is_some() {
            tx.wake(Topic::Restarts);
        }
    }
    Ok(applied)
}

/// Of a room that is archived, no agent is wanted any more; gives how many were.
///
/// # Errors
/// When the database fails.
pub async fn stop_of_room(tx: &mut Tx, chatroom_id: &ChatroomId, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "UPDATE desired_agents
         SET running = 0, wanted_by = $2, since = $3, restart_at = NULL, given_up = NULL, repair = NULL,
             revision = revision + 1
         WHERE chatroom_id = $1 AND running = 1 RETURNING chatroom_id",
    )
    .bind(chatroom_id.0.clone())
    .bind(DesiredBy::Server.as_str().to_owned())
    .bind(now.0);
    stopped(tx, statement).await
}

/// On a machine that is removed, no agent is wanted any more; gives how many were.
///
/// # Errors
/// When the database fails.
pub async fn stop_of_machine(tx: &mut Tx, machine_id: &MachineId, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "UPDATE desired_agents
         SET running = 0, wanted_by = $2, since = $3, restart_at = NULL, given_up = NULL, repair = NULL,
             revision = revision + 1
         WHERE machine_id = $1 AND running = 1 RETURNING chatroom_id",
    )
    .bind(machine_id.0.clone())
    .bind(DesiredBy::Server.as_str().to_owned())
    .bind(now.0);
    stopped(tx, statement).await
}

/// The rows that are due to be started and whose machine is connected and room is not archived, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn list_due(tx: &mut Tx, now: UnixMs, limit: i64) -> Result<Vec<Row>> {
    let statement = sql::statement(
        "SELECT d.* FROM desired_agents d
         JOIN machines m ON m.id = d.machine_id
         JOIN chatrooms r ON r.id = d.chatroom_id
         WHERE d.running = 1 AND d.restart_at <= $1 AND m.connection = 'connected' AND m.removed_at IS NULL
           AND r.archived_at IS NULL
         ORDER BY d.restart_at, d.chatroom_id, d.role LIMIT $2",
    )
    .bind(now.0)
    .bind(limit);
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// When the next row after this time is due. Those that were due before wait for something else than time.
///
/// # Errors
/// When the database fails.
pub async fn next_restart(tx: &mut Tx, after: UnixMs) -> Result<Option<UnixMs>> {
    let statement = sql::statement(
        "SELECT MIN(restart_at) AS next FROM desired_agents WHERE running = 1 AND restart_at IS NOT NULL AND restart_at > $1",
    )
    .bind(after.0);
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    Ok(sql::opt_int(&row, "next")?.map(UnixMs))
}

async fn stopped(tx: &mut Tx, statement: sql::Statement) -> Result<u64> {
    let rows = sql::all(tx, statement).await?;
    for row in &rows {
        tx.wake(Topic::Chatroom(sql::text(row, "chatroom_id")?.into()));
    }
    Ok(rows.len() as u64)
}

fn read(row: &AnyRow) -> Result<Row> {
    let resume = match sql::opt_text(row, "resume")? {
        Some(_) => Some(sql::json::<Resume>(row, "resume")?),
        None => None,
    };
    Ok(Row {
        chatroom_id: sql::text(row, "chatroom_id")?.into(),
        role: sql::text(row, "role")?,
        user_id: sql::text(row, "user_id")?.into(),
        desired: Desired {
            running: sql::int(row, "running")? == 1,
            by: DesiredBy::parse(&sql::text(row, "wanted_by")?),
            since: UnixMs(sql::int(row, "since")?),
            machine_id: sql::text(row, "machine_id")?.into(),
            restart_at: sql::opt_int(row, "restart_at")?.map(UnixMs),
            given_up: sql::opt_text(row, "given_up")?,
        },
        agent_id: sql::opt_text(row, "agent_id")?.map(AgentId),
        exits: sql::json(row, "exits")?,
        restart_id: sql::opt_text(row, "restart_id")?.map(CommandId),
        repair: sql::opt_text(row, "repair")?,
        resume,
        revision: sql::int(row, "revision")?,
    })
}
