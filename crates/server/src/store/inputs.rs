//! Inputs: what was sent into agents' sessions. An input is queued until its machine tells what became of it, and then never
//! changes again.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::{AgentInput, InputState};
use chatroom_protocol::api::agents::QueuedInput;
use chatroom_protocol::id::{AgentId, InputId, MachineId};
use sqlx::any::AnyRow;

/// How long an input that has its end is kept: 14 days.
pub const KEPT_MS: i64 = 14 * 24 * 60 * 60_000;

/// How much one list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Rows at most.
    pub rows: i64,
    /// Bytes at which no further row is begun.
    pub bytes: i64,
}

/// The inputs of `$of` in the order `$order`: the first `$2`, as far as those before come to less than `$3` bytes.
macro_rules! page {
    ($of:literal, $order:literal) => {
        concat!(
            "WITH page AS (SELECT id, bytes FROM agent_inputs WHERE ",
            $of,
            " ORDER BY id ",
            $order,
            " LIMIT $2),
             measured AS (SELECT id, bytes, SUM(bytes) OVER (ORDER BY id ",
            $order,
            ") AS total FROM page)
             SELECT i.* FROM measured m JOIN agent_inputs i ON i.id = m.id
             WHERE m.total - m.bytes < $3 ORDER BY m.id ",
            $order
        )
    };
}

/// Stores an input that waits for its machine.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, machine_id: &MachineId, input: &AgentInput) -> Result<()> {
    debug_assert_eq!(input.state, InputState::Queued);
    let body = sql::to_json(&input.input)?;
    let statement = sql::statement(
        "INSERT INTO agent_inputs (id, agent_id, machine_id, state, created_at, bytes, body)
         VALUES ($1, $2, $3, 'queued', $4, $5, $6)",
    )
    .bind(input.input_id.0.clone())
    .bind(input.agent_id.0.clone())
    .bind(machine_id.0.clone())
    .bind(input.created_at.0)
    .bind(i64::try_from(body.len()).unwrap_or(i64::MAX))
    .bind(body);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Inputs(input.agent_id.clone()));
    tx.wake(Topic::Inbox(machine_id.clone()));
    Ok(())
}

/// The newest inputs of an agent, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, agent_id: &AgentId, bound: Bound) -> Result<Vec<AgentInput>> {
    let statement =
        sql::statement(page!("agent_id = $1", "DESC")).bind(agent_id.0.clone()).bind(bound.rows).bind(bound.bytes);
    sql::all(tx, statement).await?.iter().rev().map(read).collect()
}

/// What waits for a machine, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list_queued(tx: &mut Tx, machine_id: &MachineId, bound: Bound) -> Result<Vec<QueuedInput>> {
    let statement = sql::statement(page!("machine_id = $1 AND state = 'queued'", "ASC"))
        .bind(machine_id.0.clone())
        .bind(bound.rows)
        .bind(bound.bytes);
    let rows = sql::all(tx, statement).await?;
    rows.iter()
        .map(|row| {
            let AgentInput { input_id, agent_id, input, .. } = read(row)?;
            Ok(QueuedInput { input_id, agent_id, input })
        })
        .collect()
}

/// How many inputs of an agent wait.
///
/// # Errors
/// When the database fails.
pub async fn count_queued(tx: &mut Tx, agent_id: &AgentId) -> Result<i64> {
    let statement =
        sql::statement("SELECT COUNT(*) AS count FROM agent_inputs WHERE agent_id = $1 AND state = 'queued'")
            .bind(agent_id.0.clone());
    let Some(row) = sql::one(tx, statement).await? else { return Ok(0) };
    sql::int(&row, "count")
}

/// Records what became of an input. False when there is no such input of this agent, or its end is recorded already.
///
/// # Errors
/// When the database fails.
pub async fn finish(tx: &mut Tx, agent_id: &AgentId, id: &InputId, end: &InputState) -> Result<bool> {
    let (state, at, reason) = match end {
        InputState::Queued => return Ok(false),
        InputState::Delivered { at } => ("delivered", at, None),
        InputState::Refused { at, reason } => ("refused", at, Some(sql::storable(reason))),
    };
    let statement = sql::statement(
        "UPDATE agent_inputs SET state = $3, ended_at = $4, reason = $5
         WHERE id = $1 AND agent_id = $2 AND state = 'queued' RETURNING agent_id, machine_id",
    )
    .bind(sql::storable(id.as_str()))
    .bind(agent_id.0.clone())
    .bind(state.to_owned())
    .bind(at.0)
    .bind(reason);
    Ok(ended(tx, statement).await? > 0)
}

/// Refuses everything that waits for an agent. Gives how many there were.
///
/// # Errors
/// When the database fails.
pub async fn refuse_of_agent(tx: &mut Tx, agent_id: &AgentId, reason: &str, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "UPDATE agent_inputs SET state = 'refused', ended_at = $2, reason = $3
         WHERE agent_id = $1 AND state = 'queued' RETURNING agent_id, machine_id",
    )
    .bind(agent_id.0.clone())
    .bind(now.0)
    .bind(reason.to_owned());
    ended(tx, statement).await
}

/// Forgets inputs that had their end longer than [`KEPT_MS`] ago; none waits for an agent that has ended.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(tx: &mut Tx, now: UnixMs) -> Result<u64> {
    let statement =
        sql::statement("DELETE FROM agent_inputs WHERE state <> 'queued' AND ended_at < $1").bind((now - KEPT_MS).0);
    sql::execute(tx, statement).await
}

async fn ended(tx: &mut Tx, statement: sql::Statement) -> Result<u64> {
    let rows = sql::all(tx, statement).await?;
    for row in &rows {
        tx.wake(Topic::Inputs(sql::text(row, "agent_id")?.into()));
        tx.wake(Topic::Inbox(sql::text(row, "machine_id")?.into()));
    }
    Ok(rows.len() as u64)
}

fn read(row: &AnyRow) -> Result<AgentInput> {
    let at = UnixMs(sql::opt_int(row, "ended_at")?.unwrap_or_default());
    Ok(AgentInput {
        input_id: sql::text(row, "id")?.into(),
        agent_id: sql::text(row, "agent_id")?.into(),
        input: sql::json(row, "body")?,
        state: match sql::text(row, "state")?.as_str() {
            "queued" => InputState::Queued,
            "delivered" => InputState::Delivered { at },
            _ => InputState::Refused { at, reason: sql::opt_text(row, "reason")?.unwrap_or_default() },
        },
        created_at: UnixMs(sql::int(row, "created_at")?),
    })
}

#[cfg(test)]
mod tests {
    use crate::live::Hub;
    use crate::store::{Store, sql};
    use std::sync::Arc;

    #[tokio::test]
    async fn an_inbox_is_read_by_its_index_however_much_was_sent_before() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_sqlite(&dir.path().join("db"), Arc::new(Hub::new("plan"))).await.unwrap();
        let mut tx = store.read().await.unwrap();
        let statement = page!("machine_id = $1 AND state = 'queued'", "ASC");
        let explain: &'static str = format!("EXPLAIN QUERY PLAN {statement}").leak();
        let rows = sql::all(&mut tx, sql::statement(explain)).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| sql::text(row, "detail").unwrap()).collect();
        assert!(steps.iter().any(|step| step.contains("agent_inputs_queued (machine_id=?)")), "{steps:#?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN agent_inputs")), "{steps:#?}");
    }
}
