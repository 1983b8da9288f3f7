//! Messages: what is said in a room, numbered from 1 without gaps. What became of a message is read from its task, never stored
//! with it; only that the person saw a message to `user` stands here.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{AgentId, ChatroomId, MessageId, TaskId, UserId};
use chatroom_protocol::room::{ArtifactRef, Message, MessageKind, Receipt, ReceiptStage, USER_ROLE};
use chatroom_protocol::task::TaskState;

/// A message to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage<'a> {
    /// Its id.
    pub message_id: &'a MessageId,
    /// The room.
    pub chatroom_id: &'a ChatroomId,
    /// What kind.
    pub kind: MessageKind,
    /// Who wrote it: a role, or `user`.
    pub sender_role: &'a str,
    /// For whom: a role, or `user`.
    pub target_role: &'a str,
    /// The text.
    pub content: &'a str,
    /// The task that it makes, or that a progress note is about.
    pub task_id: Option<&'a TaskId>,
    /// The artifacts that go with it.
    pub artifacts: &'a [ArtifactRef],
}

/// How much of a conversation one answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Messages at most.
    pub rows: i64,
    /// Bytes of text at which no further message is begun.
    pub bytes: i64,
    /// Characters of each text; the rest is left away.
    pub chars: i64,
}

impl Bound {
    /// Whole texts, `rows` of them, up to 1 MiB in all.
    #[must_use]
    pub const fn whole(rows: i64) -> Self {
        Self { rows, bytes: 1024 * 1024, chars: 1_000_000 }
    }
}

/// A message `m` with its task `t`, without its text.
macro_rules! columns {
    () => {
        "m.id, m.chatroom_id, m.sequence, m.kind, m.sender_role, m.target_role, m.task_id, m.artifacts, m.seen_at,
         m.created_at, t.state AS task_state, t.role AS task_role, t.holder_agent, t.delivery, t.confirmed, t.handed_at,
         t.confirmed_at, t.started_at, t.ended_at"
    };
}

/// A page of messages in the order `$order`: the first `$4` between `$2` and `$3`, as far as the texts before a message come
/// to less than `$5` bytes. It touches no row outside the page.
macro_rules! page {
    ($order:literal) => {
        concat!(
            "WITH page AS (
                 SELECT id, chatroom_id, sequence, kind, sender_role, target_role, task_id, artifacts, seen_at, created_at,
                        SUBSTR(content, 1, CAST($6 AS INTEGER)) AS content
                 FROM messages WHERE chatroom_id = $1 AND sequence > $2 AND sequence < $3
                 ORDER BY sequence ",
            $order,
            " LIMIT $4),
             measured AS (
                 SELECT page.*, OCTET_LENGTH(content) AS own, SUM(OCTET_LENGTH(content)) OVER (ORDER BY sequence ",
            $order,
            ") AS total FROM page)
             SELECT ",
            columns!(),
            ", m.content FROM measured m LEFT JOIN tasks t ON t.id = m.task_id
             WHERE m.total - m.own < $5 ORDER BY m.sequence ",
            $order
        )
    };
}

const MARK_SEEN: &str = "UPDATE messages SET seen_at = $3
     WHERE chatroom_id = $1 AND sequence <= $2 AND target_role = 'user' AND seen_at IS NULL";

/// Stores a message in a room of this user and gives its sequence number. Nothing when there is no such room, or when it is
/// archived and `live_only` asks for one that is not.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    tx: &mut Tx,
    user_id: &UserId,
    new: &NewMessage<'_>,
    live_only: bool,
    now: UnixMs,
) -> Result<Option<i64>> {
    let statement = sql::statement(
        "UPDATE chatrooms SET last_sequence = last_sequence + 1
         WHERE id = $1 AND user_id = $2 AND (archived_at IS NULL OR $3 = 0) RETURNING last_sequence",
    )
    .bind(new.chatroom_id.0.clone())
    .bind(user_id.0.clone())
    .bind(i64::from(live_only));
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    let sequence = sql::int(&row, "last_sequence")?;
    let statement = sql::statement(
        "INSERT INTO messages (id, chatroom_id, sequence, kind, sender_role, target_role, content, task_id, created_at,
                               artifacts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(new.message_id.0.clone())
    .bind(new.chatroom_id.0.clone())
    .bind(sequence)
    .bind(new.kind.as_str().to_owned())
    .bind(new.sender_role.to_owned())
    .bind(new.target_role.to_owned())
    .bind(new.content.to_owned())
    .bind(new.task_id.map(|id| id.0.clone()))
    .bind(now.0)
    .bind(sql::to_json(&new.artifacts)?);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Messages(new.chatroom_id.clone()));
    Ok(Some(sequence))
}

/// Finds a message of a room.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, chatroom_id: &ChatroomId, id: &MessageId) -> Result<Option<Message>> {
    let statement = sql::statement(concat!(
        "SELECT ",
        columns!(),
        ", m.content FROM messages m LEFT JOIN tasks t ON t.id = m.task_id WHERE m.id = $1 AND m.chatroom_id = $2"
    ))
    .bind(id.0.clone())
    .bind(chatroom_id.0.clone());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// The first messages after a sequence number, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list_after(tx: &mut Tx, chatroom_id: &ChatroomId, after: i64, bound: Bound) -> Result<Vec<Message>> {
    let statement = bind_page(sql::statement(page!("ASC")), chatroom_id, after, i64::MAX, bound);
    sql::all(tx, statement).await?.iter().map(read).collect()
}

/// The last messages between two sequence numbers (neither of them included), oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list_between(
    tx: &mut Tx,
    chatroom_id: &ChatroomId,
    after: i64,
    before: i64,
    bound: Bound,
) -> Result<Vec<Message>> {
    let statement = bind_page(sql::statement(page!("DESC")), chatroom_id, after, before, bound);
    sql::all(tx, statement).await?.iter().rev().map(read).collect()
}

/// The person has seen the messages to `user` up to a sequence number. Gives how many had not been seen before.
///
/// # Errors
/// When the database fails.
pub async fn mark_seen(tx: &mut Tx, chatroom_id: &ChatroomId, up_to: i64, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(MARK_SEEN).bind(chatroom_id.0.clone()).bind(up_to).bind(now.0);
    let seen = sql::execute(tx, statement).await?;
    if seen > 0 {
        tx.wake(Topic::Messages(chatroom_id.clone()));
    }
    Ok(seen)
}

fn bind_page(
    statement: sql::Statement,
    chatroom_id: &ChatroomId,
    after: i64,
    before: i64,
    bound: Bound,
) -> sql::Statement {
    statement.bind(chatroom_id.0.clone()).bind(after).bind(before).bind(bound.rows).bind(bound.bytes).bind(bound.chars)
}

fn read(row: &sqlx::any::AnyRow) -> Result<Message> {
    let kind = MessageKind::parse(&sql::text(row, "kind")?).unwrap_or(MessageKind::Message);
    Ok(Message {
        message_id: sql::text(row, "id")?.into(),
        chatroom_id: sql::text(row, "chatroom_id")?.into(),
        sequence: sql::int(row, "sequence")?,
        kind,
        sender_role: sql::text(row, "sender_role")?,
        target_role: sql::text(row, "target_role")?,
        content: sql::text(row, "content")?,
        task_id: sql::opt_text(row, "task_id")?.map(TaskId),
        artifacts: sql::json(row, "artifacts")?,
        receipt: match kind {
            MessageKind::Progress => None,
            MessageKind::Message | MessageKind::Handoff => receipt(row)?,
        },
        created_at: UnixMs(sql::int(row, "created_at")?),
    })
}

/// What became of a message, by its task; by the person's eyes when it went to `user`. Nothing when its task is not known.
fn receipt(row: &sqlx::any::AnyRow) -> Result<Option<Receipt>> {
    let time = |column: &str| Ok::<_, super::StoreError>(sql::opt_int(row, column)?.map(UnixMs));
    let queued_at = UnixMs(sql::int(row, "created_at")?);
    let Some(state) = sql::opt_text(row, "task_state")? else {
        if sql::text(row, "target_role")? != USER_ROLE {
            return Ok(None);
        }
        let seen_at = time("seen_at")?;
        return Ok(Some(Receipt {
            stage: if seen_at.is_some() { ReceiptStage::Seen } else { ReceiptStage::Queued },
            role: USER_ROLE.to_owned(),
            agent_id: None,
            delivery: 0,
            queued_at,
            delivered_at: None,
            seen_at,
            started_at: None,
            ended_at: None,
        }));
    };
    let confirmed = sql::opt_int(row, "confirmed")? == Some(1);
    Ok(Some(Receipt {
        stage: match TaskState::parse(&state).unwrap_or(TaskState::Cancelled) {
            TaskState::Pending => ReceiptStage::Queued,
            TaskState::Acknowledged if confirmed => ReceiptStage::Seen,
            TaskState::Acknowledged => ReceiptStage::Delivered,
            TaskState::InProgress => ReceiptStage::Started,
            TaskState::Completed => ReceiptStage::Done,
            TaskState::Cancelled => ReceiptStage::Cancelled,
        },
        role: sql::opt_text(row, "task_role")?.unwrap_or_default(),
        agent_id: sql::opt_text(row, "holder_agent")?.map(AgentId),
        delivery: sql::opt_int(row, "delivery")?.unwrap_or_default(),
        queued_at,
        delivered_at: time("handed_at")?,
        seen_at: time("confirmed_at")?,
        started_at: time("started_at")?,
        ended_at: time("ended_at")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::MARK_SEEN;
    use crate::live::Hub;
    use crate::store::{Store, sql};
    use std::sync::Arc;

    /// How SQLite goes about a statement, step by step.
    async fn plan(statement: &'static str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_sqlite(&dir.path().join("db"), Arc::new(Hub::new("plan"))).await.unwrap();
        let mut tx = store.read().await.unwrap();
        let explain: &'static str = format!("EXPLAIN QUERY PLAN {statement}").leak();
        let rows = sql::all(&mut tx, sql::statement(explain)).await.unwrap();
        rows.iter().map(|row| sql::text(row, "detail").unwrap()).collect()
    }

    #[tokio::test]
    async fn a_page_is_read_by_index_and_touches_no_message_outside_it() {
        for (order, statement) in [("ASC", page!("ASC")), ("DESC", page!("DESC"))] {
            let steps = plan(statement).await;
            let reads: Vec<_> = steps.iter().filter(|step| step.contains("messages")).collect();
            assert_eq!(reads.len(), 1, "{order}: {steps:#?}");
            assert!(reads[0].contains("(chatroom_id=? AND sequence>? AND sequence<?)"), "{order}: {steps:#?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN t")), "{order}: {steps:#?}");
        }
    }

    #[tokio::test]
    async fn what_was_not_seen_is_found_by_its_index() {
        let steps = plan(MARK_SEEN).await;
        assert!(steps.iter().any(|step| step.contains("messages_unseen")), "{steps:#?}");
    }
}
