//! Transcripts: what agents said and did, numbered as their hosts numbered it, and how each session stands by that. Of each agent
//! the newest part is kept, bounded by events and bytes.

use super::inputs::Bound;
use super::{Result, Tx, agents, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::Trouble;
use chatroom_protocol::id::{AgentId, MachineId, UserId};
use chatroom_protocol::transcript::{Reading, TranscriptEvent};
use serde::Deserialize;
use sqlx::any::AnyRow;
use std::borrow::Cow;

/// Events that are kept of one agent.
pub const KEPT_EVENTS: i64 = 20_000;
/// Bytes of events that are kept of one agent.
pub const KEPT_BYTES: i64 = 32 * 1024 * 1024;
/// How long the transcript of an agent that has ended is kept: 14 days.
pub const KEPT_MS: i64 = 14 * 24 * 60 * 60_000;

/// Characters that are kept of the words of a trouble, beside the transcript.
const WORDS: usize = 1000;
/// Characters of a name that a tool gave: a longer one is none.
const NAME: usize = 1000;
/// Events that one statement drops at most.
const DROPPED_AT_ONCE: i64 = 1000;

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent<'a> {
    event: Cow<'a, TranscriptEvent>,
    kind: String,
    body: String,
}

impl<'a> NewEvent<'a> {
    /// What is stored of an event.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn new(event: Cow<'a, TranscriptEvent>) -> Result<Self> {
        #[derive(Deserialize)]
        struct Tag {
            kind: String,
        }
        let body = sql::to_json(&event.entry)?;
        let kind = serde_json::from_str::<Tag>(&body).map(|tag| tag.kind).unwrap_or_default();
        Ok(Self { event, kind, body })
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &TranscriptEvent {
        &self.event
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> i64 {
        i64::try_from(self.body.len()).unwrap_or(i64::MAX)
    }
}

/// How far a transcript goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The number of the oldest event that is kept; zero when there is none.
    pub first_seq: i64,
    /// The number of the newest event; zero before the first.
    pub last_seq: i64,
}

/// The numbers between `$2` and `$3` in the order `$order`: the first `$4`, as far as the events before come to less than `$5` bytes.
/// It touches no row outside the page.
macro_rules! page {
    ($order:literal) => {
        concat!(
            "WITH page AS (
                 SELECT seq, bytes FROM transcript_events WHERE agent_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq ",
            $order,
            " LIMIT $4),
             measured AS (SELECT seq, bytes, SUM(bytes) OVER (ORDER BY seq ",
            $order,
            ") AS total FROM page)
             SELECT e.seq, e.at, e.body FROM measured m JOIN transcript_events e ON e.agent_id = $1 AND e.seq = m.seq
             WHERE m.total - m.bytes < $5 ORDER BY m.seq ",
            $order
        )
    };
}

/// An agent with what only its transcript needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The agent.
    pub row: agents::Row,
    /// The number of the hand-over of the task that its turn is about.
    pub turn_delivery: Option<i64>,
}

/// Events to add to a transcript.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The agent's owner.
    pub user_id: &'a UserId,
    /// The agent's machine.
    pub machine_id: &'a MachineId,
    /// The agent.
    pub agent_id: &'a AgentId,
    /// The number of the newest event before them.
    pub after: i64,
    /// The events, in order.
    pub events: &'a [NewEvent<'a>],
    /// How the session stands after them.
    pub reading: &'a Reading,
    /// The number of the hand-over of the task that its turn is about.
    pub turn_delivery: Option<i64>,
    /// Whether the session stands otherwise than before: then those who watch the agent hear of it.
    pub is_news: bool,
}

/// Finds an agent of a machine, with how far its transcript has come.
///
/// # Errors
/// When the database fails.
pub async fn find_head(
    tx: &mut Tx,
    user_id: &UserId,
    machine_id: &MachineId,
    agent_id: &AgentId,
) -> Result<Option<Head>> {
    let statement = sql::statement(concat!(
        "SELECT ",
        agents::columns!(),
        " FROM agents a WHERE a.id = $1 AND a.user_id = $2 AND a.machine_id = $3"
    ))
    .bind(agent_id.0.clone())
    .bind(user_id.0.clone())
    .bind(machine_id.0.clone());
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    Ok(Some(Head { row: agents::read(&row)?, turn_delivery: sql::opt_int(&row, "turn_delivery")? }))
}

/// Adds the next events to a transcript, with how the session stands after them, and drops the oldest beyond what is kept. False,
/// and nothing changed, when the newest event is not the one before them (any more), or there is no such agent.
///
/// # Errors
/// When the database fails.
pub async fn append(tx: &mut Tx, batch: &Batch<'_>, now: UnixMs) -> Result<bool> {
    let reading = batch.reading;
    let turn = reading.turn.as_ref();
    let added = i64::try_from(batch.events.len()).unwrap_or(i64::MAX);
    let bytes: i64 = batch.events.iter().map(NewEvent::bytes).sum();
    let statement = sql::statement(
        "UPDATE agents SET last_seq = $5, session_heard_at = $6, turn_state = $7, turn_since = $8, turn_task_id = $9,
                turn_delivery = $10, trouble = $11, session_id = $12, transcript_events = transcript_events + $13,
                transcript_bytes = transcript_bytes + $14
         WHERE id = $1 AND user_id = $2 AND machine_id = $3 AND last_seq = $4
         RETURNING chatroom_id, transcript_events, transcript_bytes",
    )
    .bind(batch.agent_id.0.clone())
    .bind(batch.user_id.0.clone())
    .bind(batch.machine_id.0.clone())
    .bind(batch.after)
    .bind(reading.last_seq)
    .bind(now.0)
    .bind(turn.map(|turn| turn.state.as_str().to_owned()))
    .bind(turn.map(|turn| turn.since.0))
    .bind(turn.and_then(|turn| name(turn.task_id.as_ref()?.as_str())))
    .bind(batch.turn_delivery)
    .bind(reading.trouble.as_ref().map(|trouble| sql::to_json(&cut(trouble))).transpose()?)
    .bind(reading.session_id.as_deref().and_then(name))
    .bind(added)
    .bind(bytes);
    let Some(row) = sql::one(tx, statement).await? else { return Ok(false) };
    for new in batch.events {
        let statement = sql::statement(
            "INSERT INTO transcript_events (agent_id, seq, at, kind, bytes, body) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(batch.agent_id.0.clone())
        .bind(new.event.seq)
        .bind(new.event.at.0)
        .bind(new.kind.clone())
        .bind(new.bytes())
        .bind(new.body.clone());
        sql::execute(tx, statement).await?;
    }
    let (kept, kept_bytes) = (sql::int(&row, "transcript_events")?, sql::int(&row, "transcript_bytes")?);
    drop_oldest(tx, batch.agent_id, kept, kept_bytes).await?;
    tx.wake(Topic::Transcript(batch.agent_id.clone()));
    if batch.is_news {
        tx.wake(Topic::Chatroom(sql::text(&row, "chatroom_id")?.into()));
        tx.wake(Topic::Machines(batch.user_id.clone()));
    }
    Ok(true)
}

/// How far the transcript of a user's agent goes; nothing when there is no such agent.
///
/// # Errors
/// When the database fails.
pub async fn find_extent(tx: &mut Tx, user_id: &UserId, agent_id: &AgentId) -> Result<Option<Extent>> {
    let statement = sql::statement(
        "SELECT a.last_seq, (SELECT MIN(e.seq) FROM transcript_events e WHERE e.agent_id = a.id) AS first_seq
         FROM agents a WHERE a.id = $1 AND a.user_id = $2",
    )
    .bind(agent_id.0.clone())
    .bind(user_id.0.clone());
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    Ok(Some(Extent {
        first_seq: sql::opt_int(&row, "first_seq")?.unwrap_or_default(),
        last_seq: sql::int(&row, "last_seq")?,
    }))
}

/// The first events after a number, in order.
///
/// # Errors
/// When the database fails.
pub async fn list_after(tx: &mut Tx, agent_id: &AgentId, after: i64, bound: Bound) -> Result<Vec<TranscriptEvent>> {
    let statement = bind_page(sql::statement(page!("ASC")), agent_id, after, i64::MAX, bound);
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// The last events before a number, in order.
///
/// # Errors
/// When the database fails.
pub async fn list_before(tx: &mut Tx, agent_id: &AgentId, before: i64, bound: Bound) -> Result<Vec<TranscriptEvent>> {
    let statement = bind_page(sql::statement(page!("DESC")), agent_id, 0, before, bound);
    sql::all(tx, statement).await?.iter().rev().map(read).collect()
}

/// Forgets the transcripts of agents that ended longer than [`KEPT_MS`] ago, at most `limit` of them. Gives how many.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(tx: &mut Tx, now: UnixMs, limit: i64) -> Result<u64> {
    let statement = sql::statement(
        "SELECT id FROM agents WHERE transcript_events > 0 AND state IN ('exited', 'failed') AND state_since < $1 LIMIT $2",
    )
    .bind((now - KEPT_MS).0)
    .bind(limit);
    let rows = sql::all(tx, statement).await?;
    for row in &rows {
        let agent_id: AgentId = sql::text(row, "id")?.into();
        let statement = sql::statement("DELETE FROM transcript_events WHERE agent_id = $1").bind(agent_id.0.clone());
        sql::execute(tx, statement).await?;
        set_kept(tx, &agent_id, 0, 0).await?;
        tx.wake(Topic::Transcript(agent_id));
    }
    Ok(rows.len() as u64)
}

async fn drop_oldest(tx: &mut Tx, agent_id: &AgentId, mut events: i64, mut bytes: i64) -> Result<()> {
    let is_too_much = |events: i64, bytes: i64| events > KEPT_EVENTS || bytes > KEPT_BYTES;
    if !is_too_much(events, bytes) {
        return Ok(());
    }
    while is_too_much(events, bytes) {
        let statement =
            sql::statement("SELECT seq, bytes FROM transcript_events WHERE agent_id = $1 ORDER BY seq LIMIT $2")
                .bind(agent_id.0.clone())
                .bind(DROPPED_AT_ONCE);
        let mut through = None;
        for row in sql::all(tx, statement).await? {
            if !is_too_much(events, bytes) {
                break;
            }
            through = Some(sql::int(&row, "seq")?);
            events -= 1;
            bytes -= sql::int(&row, "bytes")?;
        }
        let Some(through) = through else { break };
        let statement = sql::statement("DELETE FROM transcript_events WHERE agent_id = $1 AND seq <= $2")
            .bind(agent_id.0.clone())
            .bind(through);
        sql::execute(tx, statement).await?;
    }
    set_kept(tx, agent_id, events, bytes).await
}

async fn set_kept(tx: &mut Tx, agent_id: &AgentId, events: i64, bytes: i64) -> Result<()> {
    let statement = sql::statement("UPDATE agents SET transcript_events = $2, transcript_bytes = $3 WHERE id = $1")
        .bind(agent_id.0.clone())
        .bind(events)
        .bind(bytes);
    sql::execute(tx, statement).await.map(drop)
}

/// A name that a tool gave, unless it is too long for one.
fn name(text: &str) -> Option<String> {
    (text.chars().count() <= NAME).then(|| sql::storable(text))
}

/// A trouble with words of bounded length; the transcript has all of them.
fn cut(trouble: &Trouble) -> Trouble {
    let cut = |text: &str| text.chars().take(WORDS).collect::<String>();
    Trouble { message: cut(&trouble.message), repair: trouble.repair.as_deref().map(cut), ..trouble.clone() }
}

fn bind_page(statement: sql::Statement, agent_id: &AgentId, after: i64, before: i64, bound: Bound) -> sql::Statement {
    statement.bind(agent_id.0.clone()).bind(after).bind(before).bind(bound.rows).bind(bound.bytes)
}

fn read(row: &AnyRow) -> Result<TranscriptEvent> {
    Ok(TranscriptEvent { seq: sql::int(row, "seq")?, at: UnixMs(sql::int(row, "at")?), entry: sql::json(row, "body")? })
}

#[cfg(test)]
mod tests {
    use crate::live::Hub;
    use crate::store::{Store, sql};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_page_is_read_by_number_and_touches_no_event_outside_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_sqlite(&dir.path().join("db"), Arc::new(Hub::new("plan"))).await.unwrap();
        for (order, statement) in [("ASC", page!("ASC")), ("DESC", page!("DESC"))] {
            let mut tx = store.read().await.unwrap();
            let explain: &'static str = format!("EXPLAIN QUERY PLAN {statement}").leak();
            let rows = sql::all(&mut tx, sql::statement(explain)).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| sql::text(row, "detail").unwrap()).collect();
            let reads = |what: &str| steps.iter().filter(|step| step.contains(what)).count();
            assert_eq!(reads("(agent_id=? AND seq>? AND seq<?)"), 1, "{order}: {steps:#?}");
            assert_eq!(reads("(agent_id=? AND seq=?)"), 1, "{order}: {steps:#?}");
            assert_eq!(reads("SCAN e") + reads("SCAN transcript_events"), 0, "{order}: {steps:#?}");
        }
    }
}
