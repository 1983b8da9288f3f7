//! Permission requests: what agents asked for. A request is pending until it is answered or withdrawn, once; that its agent has
//! heard of it (or asks no more) stands beside that, as settled.

use super::inputs::Bound;
use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{AgentId, ChatroomId, PermissionId, UserId};
use chatroom_protocol::permission::{Permission, PermissionState};
use chatroom_protocol::transcript::{Choice, Decider, PermissionOption, PermissionOutcome, ToolKind};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

/// How long a request that has its end is kept: 14 days.
pub const KEPT_MS: i64 = 14 * 24 * 60 * 60_000;

/// A request as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What its owner sees.
    pub permission: Permission,
    /// Its owner.
    pub user_id: UserId,
}

/// Which of a user's requests to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Only of this room.
    pub chatroom_id: Option<&'a ChatroomId>,
    /// Only of this agent.
    pub agent_id: Option<&'a AgentId>,
}

/// What is asked, in the tool's own words.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    request_id: String,
    title: String,
    tool_kind: ToolKind,
    command: Option<String>,
    paths: Vec<String>,
    options: Vec<PermissionOption>,
}

/// A user's requests of the state `$state` in the order `$order`: the first `$4`, as far as those before come to less than `$5` bytes.
macro_rules! page {
    ($state:literal, $order:literal) => {
        concat!(
            "WITH page AS (
                 SELECT id, bytes FROM permissions
                 WHERE user_id = $1 AND (chatroom_id = $2 OR $2 = '') AND (agent_id = $3 OR $3 = '') AND ",
            $state,
            " ORDER BY id ",
            $order,
            " LIMIT $4),
             measured AS (SELECT id, bytes, SUM(bytes) OVER (ORDER BY id ",
            $order,
            ") AS total FROM page)
             SELECT p.* FROM measured m JOIN permissions p ON p.id = m.id
             WHERE m.total - m.bytes < $5 ORDER BY m.id ",
            $order
        )
    };
}

/// Stores a request that waits. False when the agent has asked under this name before.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, row: &Row) -> Result<bool> {
    let permission = &row.permission;
    debug_assert_eq!(permission.state, PermissionState::Pending);
    let request = sql::to_json(&Request {
        request_id: permission.request_id.clone(),
        title: permission.title.clone(),
        tool_kind: permission.tool_kind,
        command: permission.command.clone(),
        paths: permission.paths.clone(),
        options: permission.options.clone(),
    })?;
    let statement = sql::statement(
        "INSERT INTO permissions (id, user_id, chatroom_id, role, machine_id, agent_id, request_id, state, asked_at, expires_at,
                                  bytes, request)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9, $10, $11)
         ON CONFLICT (agent_id, request_id) DO NOTHING RETURNING user_id, chatroom_id",
    )
    .bind(permission.permission_id.0.clone())
    .bind(row.user_id.0.clone())
    .bind(permission.chatroom_id.0.clone())
    .bind(permission.role.clone())
    .bind(permission.machine_id.0.clone())
    .bind(permission.agent_id.0.clone())
    .bind(sql::storable(&permission.request_id))
    .bind(permission.asked_at.0)
    .bind(permission.expires_at.0)
    .bind(i64::try_from(request.len()).unwrap_or(i64::MAX))
    .bind(request);
    Ok(changed(tx, statement).await? > 0)
}

/// Finds a user's request.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, user_id: &UserId, id: &PermissionId) -> Result<Option<Row>> {
    let statement = sql::statement("SELECT * FROM permissions WHERE id = $1 AND user_id = $2")
        .bind(id.0.clone())
        .bind(user_id.0.clone());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// A user's requests that wait, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list_pending(tx: &mut Tx, user_id: &UserId, filter: Filter<'_>, bound: Bound) -> Result<Vec<Row>> {
    let statement = bind_page(sql::statement(page!("state = 'pending'", "ASC")), user_id, filter, bound);
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// A user's newest requests that have their end, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list_ended(tx: &mut Tx, user_id: &UserId, filter: Filter<'_>, bound: Bound) -> Result<Vec<Row>> {
    let statement = bind_page(sql::statement(page!("state <> 'pending'", "DESC")), user_id, filter, bound);
    sql::all(tx, statement).await?.iter().rev().map(read).collect()
}

/// The requests of a room that wait and were asked after another one (all, after an empty id), oldest first, `limit` at most.
///
/// # Errors
/// When the database fails.
pub async fn list_pending_after(
    tx: &mut Tx,
    user_id: &UserId,
    chatroom_id: &ChatroomId,
    after: &PermissionId,
    limit: i64,
) -> Result<Vec<Row>> {
    let statement = sql::statement(
        "SELECT * FROM permissions WHERE user_id = $1 AND chatroom_id = $2 AND state = 'pending' AND id > $3
         ORDER BY id LIMIT $4",
    )
    .bind(user_id.0.clone())
    .bind(chatroom_id.0.clone())
    .bind(after.0.clone())
    .bind(limit);
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// The agent's names of its requests that it still waits for, answered or not.
///
/// # Errors
/// When the database fails.
pub async fn list_unsettled(tx: &mut Tx, agent_id: &AgentId) -> Result<Vec<String>> {
    let statement = sql::statement("SELECT request FROM permissions WHERE agent_id = $1 AND settled_at IS NULL")
        .bind(agent_id.0.clone());
    let rows = sql::all(tx, statement).await?;
    rows.iter().map(|row| Ok(sql::json::<Request>(row, "request")?.request_id)).collect()
}

/// Requests that nobody has answered in time, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn list_expired(tx: &mut Tx, now: UnixMs, limit: i64) -> Result<Vec<Row>> {
    let statement = sql::statement(
        "SELECT * FROM permissions WHERE state = 'pending' AND expires_at <= $1 ORDER BY expires_at, id LIMIT $2",
    )
    .bind(now.0)
    .bind(limit);
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// When the next request expires.
///
/// # Errors
/// When the database fails.
pub async fn next_deadline(tx: &mut Tx) -> Result<Option<UnixMs>> {
    let statement = sql::statement("SELECT MIN(expires_at) AS next FROM permissions WHERE state = 'pending'");
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    Ok(sql::opt_int(&row, "next")?.map(UnixMs))
}

/// Answers a request. False when it has its end already: the first answer counts.
///
/// # Errors
/// When the database fails.
pub async fn answer(tx: &mut Tx, id: &PermissionId, choice: Choice, by: Decider, now: UnixMs) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE permissions SET state = 'answered', choice = $2, decided_by = $3, ended_at = $4
         WHERE id = $1 AND state = 'pending' RETURNING user_id, chatroom_id",
    )
    .bind(id.0.clone())
    .bind(choice.as_str().to_owned())
    .bind(by.as_str().to_owned())
    .bind(now.0);
    Ok(changed(tx, statement).await? > 0)
}

/// Records that an agent waits no more for an answer, by its own word; one that nobody had answered here has thereby its end.
/// False when that is recorded already, or the agent never asked.
///
/// # Errors
/// When the database fails.
pub async fn settle(
    tx: &mut Tx,
    agent_id: &AgentId,
    request_id: &str,
    outcome: &PermissionOutcome,
    now: UnixMs,
) -> Result<bool> {
    let (state, choice, by) = match outcome {
        PermissionOutcome::Selected { choice, by } => ("answered", Some(choice.as_str()), Some(by.as_str())),
        PermissionOutcome::Withdrawn => ("withdrawn", None, None),
    };
    let statement = sql::statement(
        "UPDATE permissions SET state = $3, choice = $4, decided_by = $5, ended_at = $6
         WHERE agent_id = $1 AND request_id = $2 AND state = 'pending' RETURNING user_id, chatroom_id",
    )
    .bind(agent_id.0.clone())
    .bind(sql::storable(request_id))
    .bind(state.to_owned())
    .bind(choice.map(str::to_owned))
    .bind(by.map(str::to_owned))
    .bind(now.0);
    changed(tx, statement).await?;
    let statement = sql::statement(
        "UPDATE permissions SET settled_at = $3 WHERE agent_id = $1 AND request_id = $2 AND settled_at IS NULL",
    )
    .bind(agent_id.0.clone())
    .bind(sql::storable(request_id))
    .bind(now.0);
    Ok(sql::execute(tx, statement).await? > 0)
}

/// Records that an agent waits for nothing any more: its turn or its life is over. Gives how many requests had no answer.
///
/// # Errors
/// When the database fails.
pub async fn withdraw_of_agent(tx: &mut Tx, agent_id: &AgentId, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "UPDATE permissions SET state = 'withdrawn', ended_at = $2
         WHERE agent_id = $1 AND state = 'pending' RETURNING user_id, chatroom_id",
    )
    .bind(agent_id.0.clone())
    .bind(now.0);
    let withdrawn = changed(tx, statement).await?;
    let statement = sql::statement("UPDATE permissions SET settled_at = $2 WHERE agent_id = $1 AND settled_at IS NULL")
        .bind(agent_id.0.clone())
        .bind(now.0);
    sql::execute(tx, statement).await?;
    Ok(withdrawn)
}

/// Forgets requests that were settled longer than [`KEPT_MS`] ago.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(tx: &mut Tx, now: UnixMs) -> Result<u64> {
    let statement =
        sql::statement("DELETE FROM permissions WHERE settled_at < $1 AND state <> 'pending'").bind((now - KEPT_MS).0);
    sql::execute(tx, statement).await
}

/// The number of open requests is shown with the agent.
async fn changed(tx: &mut Tx, statement: sql::Statement) -> Result<u64> {
    let rows = sql::all(tx, statement).await?;
    for row in &rows {
        let user_id: UserId = sql::text(row, "user_id")?.into();
        tx.wake(Topic::Permissions(user_id.clone()));
        tx.wake(Topic::Machines(user_id));
        tx.wake(Topic::Chatroom(sql::text(row, "chatroom_id")?.into()));
    }
    Ok(rows.len() as u64)
}

fn bind_page(statement: sql::Statement, user_id: &UserId, filter: Filter<'_>, bound: Bound) -> sql::Statement {
    statement
        .bind(user_id.0.clone())
        .bind(filter.chatroom_id.map(|id| id.0.clone()).unwrap_or_default())
        .bind(filter.agent_id.map(|id| id.0.clone()).unwrap_or_default())
        .bind(bound.rows)
        .bind(bound.bytes)
}

fn read(row: &AnyRow) -> Result<Row> {
    let Request { request_id, title, tool_kind, command, paths, options } = sql::json(row, "request")?;
    let at = UnixMs(sql::opt_int(row, "ended_at")?.unwrap_or_default());
    let choice = sql::opt_text(row, "choice")?.and_then(|text| Choice::parse(&text)).unwrap_or(Choice::RejectOnce);
    let state = match sql::text(row, "state")?.as_str() {
        "pending" => PermissionState::Pending,
        "answered" => PermissionState::Answered {
            choice,
            by: decider(&sql::opt_text(row, "decided_by")?.unwrap_or_default()),
            at,
        },
        _ => PermissionState::Withdrawn { at },
    };
    Ok(Row {
        permission: Permission {
            permission_id: sql::text(row, "id")?.into(),
            agent_id: sql::text(row, "agent_id")?.into(),
            chatroom_id: sql::text(row, "chatroom_id")?.into(),
            role: sql::text(row, "role")?,
            machine_id: sql::text(row, "machine_id")?.into(),
            request_id,
            title,
            tool_kind,
            command,
            paths,
            options,
            asked_at: UnixMs(sql::int(row, "asked_at")?),
            expires_at: UnixMs(sql::int(row, "expires_at")?),
            state,
        },
        user_id: sql::text(row, "user_id")?.into(),
    })
}

/// Reads [`Decider::as_str`] back.
fn decider(text: &str) -> Decider {
    [Decider::Mode, Decider::Rule, Decider::Person]
        .into_iter()
        .find(|by| by.as_str() == text)
        .unwrap_or(Decider::Expiry)
}
