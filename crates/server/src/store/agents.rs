//! Agents: what is known of started processes. A state only moves forward, by guarded writes; two ways back are exact: a stop that
//! never happened ([`resume`]), and a start that was given up for lost and turns out to run ([`revive`]).

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{Agent, AgentExit, AgentSession, AgentState, Turn, TurnState};
use chatroom_protocol::command::{CommandFailure, FailureCode};
use chatroom_protocol::id::{AgentId, ChatroomId, MachineId, TaskId, UserId};
use chatroom_protocol::tool::{PermissionMode, ToolName};
use sqlx::any::AnyRow;

/// How long an ended agent is kept: 30 days.
pub const KEPT_MS: i64 = 30 * 24 * 60 * 60_000;

/// What [`read`] reads of an agent `a`.
macro_rules! columns {
    () => {
        "a.*, (SELECT COUNT(*) FROM permissions p WHERE p.agent_id = a.id AND p.state = 'pending') AS open_permissions"
    };
}
pub(super) use columns;

/// An agent as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What its owner sees.
    pub agent: Agent,
    /// Its owner.
    pub user_id: UserId,
    /// Why it never ran, in full.
    pub failure: Option<CommandFailure>,
}

impl Row {
    /// Whether its start was given up without knowing what became of it.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.code == FailureCode::OutcomeUnknown)
    }
}

/// An agent with what is needed to compare it with a daemon's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The agent.
    pub row: Row,
    /// Whether its room is archived.
    pub room_archived: bool,
    /// Whether the command that starts it is not finished.
    pub start_open: bool,
}

/// Stores an agent whose start is being sent.
///
/// # Errors
/// When the database fails, or another agent holds the role.
pub async fn insert(tx: &mut Tx, row: &Row) -> Result<()> {
    let agent = &row.agent;
    let statement = sql::statement(
        "INSERT INTO agents (id, user_id, chatroom_id, role, machine_id, tool, model, working_dir, permission_mode,
                             command_id, state, state_since, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'starting', $11, $11)",
    )
    .bind(agent.agent_id.0.clone())
    .bind(row.user_id.0.clone())
    .bind(agent.chatroom_id.0.clone())
    .bind(agent.role.clone())
    .bind(agent.machine_id.0.clone())
    .bind(agent.tool.0.clone())
    .bind(agent.model.clone())
    .bind(agent.working_dir.clone())
    .bind(agent.permission_mode.as_str().to_owned())
    .bind(agent.command_id.0.clone())
    .bind(agent.created_at.0);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Chatroom(agent.chatroom_id.clone()));
    tx.wake(Topic::Machines(row.user_id.clone()));
    Ok(())
}

/// Finds a user's agent.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, user_id: &UserId, id: &AgentId) -> Result<Option<Row>> {
    let statement = sql::statement(concat!("SELECT ", columns!(), " FROM agents a WHERE a.id = $1 AND a.user_id = $2"))
        .bind(id.0.clone())
        .bind(user_id.0.clone());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// Which of a user's agents to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Only of this room.
    pub chatroom_id: Option<&'a ChatroomId>,
    /// Only on this machine.
    pub machine_id: Option<&'a MachineId>,
    /// Ended ones too.
    pub ended: bool,
}

/// A user's agents, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, user_id: &UserId, filter: Filter<'_>, limit: i64) -> Result<Vec<Row>> {
    let statement = if filter.ended {
        sql::statement(concat!(
            "SELECT ",
            columns!(),
            " FROM agents a
             WHERE user_id = $1 AND (chatroom_id = $2 OR $2 = '') AND (machine_id = $3 OR $3 = '')
             ORDER BY created_at DESC, id DESC LIMIT $4"
        ))
    } else {
        sql::statement(concat!(
            "SELECT ",
            columns!(),
            " FROM agents a
             WHERE user_id = $1 AND (chatroom_id = $2 OR $2 = '') AND (machine_id = $3 OR $3 = '')
               AND state IN ('starting', 'running', 'stopping')
             ORDER BY created_at DESC, id DESC LIMIT $4"
        ))
    };
    let statement = statement
        .bind(user_id.0.clone())
        .bind(filter.chatroom_id.map(|id| id.0.clone()).unwrap_or_default())
        .bind(filter.machine_id.map(|id| id.0.clone()).unwrap_or_default())
        .bind(limit);
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// The agents of a role that are not at their end: at most one of them holds the role (starting or running) and comes first.
///
/// # Errors
/// When the database fails.
pub async fn list_of_role(tx: &mut Tx, chatroom_id: &ChatroomId, role: &str) -> Result<Vec<Row>> {
    let statement = sql::statement(concat!(
        "SELECT ",
        columns!(),
        " FROM agents a
         WHERE chatroom_id = $1 AND role = $2 AND state IN ('starting', 'running', 'stopping')
         ORDER BY CASE WHEN state = 'stopping' THEN 1 ELSE 0 END, created_at DESC, id DESC"
    ))
    .bind(chatroom_id.0.clone())
    .bind(role.to_owned());
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// One agent of each role of a room: the one that holds the role, else one that is being stopped, else the newest that ended.
///
/// # Errors
/// When the database fails.
pub async fn list_of_roles(tx: &mut Tx, chatroom_id: &ChatroomId) -> Result<Vec<Row>> {
    let statement = sql::statement(concat!(
        "SELECT ",
        columns!(),
        " FROM (
             SELECT id, ROW_NUMBER() OVER (
                 PARTITION BY role
                 ORDER BY CASE state WHEN 'starting' THEN 0 WHEN 'running' THEN 0 WHEN 'stopping' THEN 1 ELSE 2 END,
                          created_at DESC, id DESC) AS place
             FROM agents WHERE chatroom_id = $1
         ) ranked JOIN agents a ON a.id = ranked.id WHERE ranked.place = 1 ORDER BY a.role"
    ))
    .bind(chatroom_id.0.clone());
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// The agents of a machine that are not at their end, to compare them with what its daemon says.
///
/// # Errors
/// When the database fails.
pub async fn list_open(tx: &mut Tx, machine_id: &MachineId) -> Result<Vec<Known>> {
    let statement = sql::statement(concat!(
        "SELECT ",
        columns!(),
        ", r.archived_at AS room_archived_at, c.id AS open_command_id
         FROM agents a
         JOIN chatrooms r ON r.id = a.chatroom_id
         LEFT JOIN machine_commands c ON c.id = a.command_id AND c.status IN ('pending', 'processing')
         WHERE a.machine_id = $1 AND a.state IN ('starting', 'running', 'stopping') ORDER BY a.id"
    ))
    .bind(machine_id.0.clone());
    sql::all(tx, statement)
        .await?
        .iter()
        .map(|row| {
            Ok(Known {
                row: read(row)?,
                room_archived: sql::opt_int(row, "room_archived_at")?.is_some(),
                start_open: sql::opt_text(row, "open_command_id")?.is_some(),
            })
        })
        .collect()
}

/// Records that the agent's process runs: a starting one becomes running, of a stopping one the pid is learnt. False when it is
/// neither.
///
/// # Errors
/// When the database fails.
pub async fn set_running(tx: &mut Tx, id: &AgentId, pid: u32, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE agents
         SET state_since = CASE WHEN state = 'starting' THEN $3 ELSE state_since END,
             state = CASE WHEN state = 'starting' THEN 'running' ELSE state END,
             pid = $2, heard_at = $3
         WHERE id = $1 AND state IN ('starting', 'running', 'stopping') RETURNING chatroom_id, user_id",
    )
    .bind(id.0.clone())
    .bind(i64::from(pid))
    .bind(now.0);
    changed(tx, statement).await
}

/// An agent that was given up with its outcome unknown runs after all. False when it is not such a one, or when another agent
/// holds the role by now.
///
/// # Errors
/// When the database fails.
pub async fn revive(tx: &mut Tx, id: &AgentId, pid: u32, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE agents SET state = 'running', state_since = $3, pid = $2, heard_at = $3, failure = NULL
         WHERE id = $1 AND state = 'failed'
           AND NOT EXISTS (SELECT 1 FROM agents o WHERE o.chatroom_id = agents.chatroom_id AND o.role = agents.role
                           AND o.state IN ('starting', 'running'))
         RETURNING chatroom_id, user_id",
    )
    .bind(id.0.clone())
    .bind(i64::from(pid))
    .bind(now.0);
    changed(tx, statement).await
}

/// Records that the agent's stop was sent. False when it is not starting or running (any more).
///
/// # Errors
/// When the database fails.
pub async fn set_stopping(tx: &mut Tx, id: &AgentId, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE agents SET state = 'stopping', state_since = $2
         WHERE id = $1 AND state IN ('starting', 'running') RETURNING chatroom_id, user_id",
    )
    .bind(id.0.clone())
    .bind(now.0);
    changed(tx, statement).await
}

/// The stop of an agent did not happen: it is what it was before. False when it is not stopping, or when another agent holds
/// the role by now.
///
/// # Errors
/// When the database fails.
pub async fn resume(tx: &mut Tx, id: &AgentId, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE agents SET state = CASE WHEN pid IS NULL THEN 'starting' ELSE 'running' END, state_since = $2
         WHERE id = $1 AND state = 'stopping'
           AND NOT EXISTS (SELECT 1 FROM agents o WHERE o.chatroom_id = agents.chatroom_id AND o.role = agents.role
                           AND o.state IN ('starting', 'running'))
         RETURNING chatroom_id, user_id",
    )
    .bind(id.0.clone())
    .bind(now.0);
    changed(tx, statement).await
}

/// Records that the agent's process has ended; also of one that was given up (`even_failed`: see [`Row::is_outcome_unknown`]).
/// False when its end is recorded already.
///
/// # Errors
/// When the database fails.
pub async fn set_exited(tx: &mut Tx, id: &AgentId, exit: &AgentExit, even_failed: bool, at: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE agents SET state = 'exited', state_since = $3, exit_how = $2, failure = NULL
         WHERE id = $1 AND (state IN ('starting', 'running', 'stopping') OR (state = 'failed' AND $4 = 1))
         RETURNING chatroom_id, user_id",
    )
    .bind(id.0.clone())
    .bind(sql::to_json(exit)?)
    .bind(at.0)
    .bind(i64::from(even_failed));
    changed(tx, statement).await
}

/// Records that the agent never ran. False when its end is recorded already.
///
/// # Errors
/// When the database fails.
pub async fn set_failed(tx: &mut Tx, id: &AgentId, failure: &CommandFailure, at: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE agents SET state = 'failed', state_since = $3, failure = $2
         WHERE id = $1 AND state IN ('starting', 'running', 'stopping') RETURNING chatroom_id, user_id",
    )
    .bind(id.0.clone())
    .bind(sql::to_json(failure)?)
    .bind(at.0);
    changed(tx, statement).await
}

/// Records which version of the prompt an agent is started with.
///
/// # Errors
/// When the database fails.
pub async fn set_prompt_version(tx: &mut Tx, id: &AgentId, version: &str) -> Result<()> {
    let statement =
        sql::statement("UPDATE agents SET prompt_version = $2 WHERE id = $1 RETURNING chatroom_id, user_id")
            .bind(id.0.clone())
            .bind(version.to_owned());
    changed(tx, statement).await.map(drop)
}

/// Records when the daemon last spoke of an agent; wakes nobody.
///
/// # Errors
/// When the database fails.
pub async fn set_heard(tx: &mut Tx, id: &AgentId, now: UnixMs) -> Result<()> {
    let statement = sql::statement(
        "UPDATE agents SET heard_at = $2 WHERE id = $1 AND state IN ('starting', 'running', 'stopping')",
    )
    .bind(id.0.clone())
    .bind(now.0);
    sql::execute(tx, statement).await?;
    Ok(())
}

/// Forgets agents that ended longer than [`KEPT_MS`] ago and whose transcript is forgotten.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(tx: &mut Tx, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "DELETE FROM agents WHERE state IN ('exited', 'failed') AND state_since < $1 AND transcript_events = 0",
    )
    .bind((now - KEPT_MS).0);
    sql::execute(tx, statement).await
}

async fn changed(tx: &mut Tx, statement: sql::Statement) -> Result<bool> {
    let Some(row) = sql::one(tx, statement).await? else { return Ok(false) };
    tx.wake(Topic::Chatroom(sql::text(&row, "chatroom_id")?.into()));
    tx.wake(Topic::Machines(sql::text(&row, "user_id")?.into()));
    Ok(true)
}

/// Reads an agent from [`columns`].
pub(super) fn read(row: &AnyRow) -> Result<Row> {
    let since = UnixMs(sql::int(row, "state_since")?);
    let pid = sql::opt_int(row, "pid")?.and_then(|pid| u32::try_from(pid).ok());
    let failure = match sql::opt_text(row, "failure")? {
        Some(_) => Some(sql::json::<CommandFailure>(row, "failure")?),
        None => None,
    };
    let state = match sql::text(row, "state")?.as_str() {
        "starting" => AgentState::Starting { since },
        "running" => AgentState::Running { since, pid: pid.unwrap_or_default() },
        "stopping" => AgentState::Stopping { since, pid },
        "exited" => AgentState::Exited { at: since, exit: sql::json(row, "exit_how")? },
        _ => AgentState::Failed {
            at: since,
            reason: failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default(),
        },
    };
    Ok(Row {
        agent: Agent {
            agent_id: sql::text(row, "id")?.into(),
            chatroom_id: sql::text(row, "chatroom_id")?.into(),
            role: sql::text(row, "role")?,
            machine_id: sql::text(row, "machine_id")?.into(),
            tool: ToolName(sql::text(row, "tool")?),
            model: sql::opt_text(row, "model")?,
            working_dir: sql::text(row, "working_dir")?,
            permission_mode: PermissionMode::parse(&sql::text(row, "permission_mode")?).unwrap_or_default(),
            session: session(row)?,
            command_id: sql::text(row, "command_id")?.into(),
            prompt_version: sql::opt_text(row, "prompt_version")?,
            state,
            created_at: UnixMs(sql::int(row, "created_at")?),
            heard_at: sql::opt_int(row, "heard_at")?.map(UnixMs),
        },
        user_id: sql::text(row, "user_id")?.into(),
        failure,
    })
}

/// How its session stands, as its transcript tells.
fn session(row: &AnyRow) -> Result<AgentSession> {
    let state = sql::opt_text(row, "turn_state")?.and_then(|state| TurnState::parse(&state));
    let task_id = sql::opt_text(row, "turn_task_id")?.map(TaskId);
    Ok(AgentSession {
        turn: match (state, sql::opt_int(row, "turn_since")?) {
            (Some(state), Some(since)) => Some(Turn { state, since: UnixMs(since), task_id }),
            _ => None,
        },
        trouble: match sql::opt_text(row, "trouble")? {
            Some(_) => Some(sql::json(row, "trouble")?),
            None => None,
        },
        session_id: sql::opt_text(row, "session_id")?,
        open_permissions: sql::int(row, "open_permissions")?,
        last_seq: sql::int(row, "last_seq")?,
        heard_at: sql::opt_int(row, "session_heard_at")?.map(UnixMs),
    })
}
