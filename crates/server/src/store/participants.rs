//! Who waits for work: the newest waiter of each role, and whether a socket of it is open.
//!
//! The newest waiter wins at once. A waiter that was taken over from stays out: its id is remembered (the last
//! [`SUPERSEDED_KEPT`] of each role), so that its reconnect does not take the role back. No clock of a client decides.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::api::participants::Participant;
use chatroom_protocol::id::{AgentId, ChatroomId, MachineId, UserId, WaiterId};

/// How many waiters that were taken over from are remembered for each role.
pub const SUPERSEDED_KEPT: usize = 32;

/// The waiter of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// Which process.
    pub waiter_id: WaiterId,
    /// The agent that waits, when a started one does.
    pub agent_id: Option<AgentId>,
    /// The machine it waits on, if told.
    pub machine_id: Option<MachineId>,
}

/// How a join ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// It is the waiter of its role now (or was before).
    Joined,
    /// It was taken over from, and stays out.
    Superseded,
}

/// Makes this waiter the one of its role.
///
/// # Errors
/// When the database fails.
pub async fn join(tx: &mut Tx, chatroom_id: &ChatroomId, role: &str, waiter: &Waiter, now: UnixMs) -> Result<Joining> {
    let statement = sql::statement("SELECT * FROM participants WHERE chatroom_id = $1 AND role = $2")
        .bind(chatroom_id.0.clone())
        .bind(role.to_owned());
    let before = sql::one(tx, statement).await?;
    let mut superseded: Vec<WaiterId> = Vec::new();
    if let Some(row) = &before {
        superseded = sql::json(row, "superseded")?;
        let current = WaiterId(sql::text(row, "waiter_id")?);
        if current == waiter.waiter_id {
            return Ok(Joining::Joined);
        }
        if superseded.contains(&waiter.waiter_id) {
            return Ok(Joining::Superseded);
        }
        superseded.push(current);
        let surplus = superseded.len().saturating_sub(SUPERSEDED_KEPT);
        superseded.drain(..surplus);
    }
    let statement = sql::statement(
        "INSERT INTO participants (chatroom_id, role, waiter_id, superseded, agent_id, machine_id, waiting, since)
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7)
         ON CONFLICT (chatroom_id, role) DO UPDATE SET
             waiter_id = excluded.waiter_id, superseded = excluded.superseded, agent_id = excluded.agent_id,
             machine_id = excluded.machine_id, waiting = 0, since = excluded.since, socket = NULL, replica = NULL",
    )
    .bind(chatroom_id.0.clone())
    .bind(role.to_owned())
    .bind(waiter.waiter_id.0.clone())
    .bind(sql::to_json(&superseded)?)
    .bind(waiter.agent_id.as_ref().map(|id| id.0.clone()))
    .bind(waiter.machine_id.as_ref().map(|id| id.0.clone()))
    .bind(now.0);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Tasks(chatroom_id.clone()));
    Ok(Joining::Joined)
}

/// The waiter of a role, if it ever had one.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, chatroom_id: &ChatroomId, role: &str) -> Result<Option<Waiter>> {
    let statement = sql::statement("SELECT * FROM participants WHERE chatroom_id = $1 AND role = $2")
        .bind(chatroom_id.0.clone())
        .bind(role.to_owned());
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    Ok(Some(Waiter {
        waiter_id: sql::text(&row, "waiter_id")?.into(),
        agent_id: sql::opt_text(&row, "agent_id")?.map(AgentId),
        machine_id: sql::opt_text(&row, "machine_id")?.map(MachineId),
    }))
}

/// The role is no more: its waiter is superseded by nobody, and stays out should the role come back. Tells whether there was one.
///
/// # Errors
/// When the database fails.
pub async fn supersede(tx: &mut Tx, chatroom_id: &ChatroomId, role: &str, now: UnixMs) -> Result<bool> {
    let Some(waiter) = find(tx, chatroom_id, role).await? else { return Ok(false) };
    if waiter.waiter_id.as_str().is_empty() {
        return Ok(false);
    }
    let nobody = Waiter { waiter_id: WaiterId(String::new()), agent_id: None, machine_id: None };
    join(tx, chatroom_id, role, &nobody, now).await?;
    Ok(true)
}

/// The waiters of a room, by role.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, chatroom_id: &ChatroomId) -> Result<Vec<Participant>> {
    let statement =
        sql::statement("SELECT * FROM participants WHERE chatroom_id = $1 AND waiter_id <> '' ORDER BY role")
            .bind(chatroom_id.0.clone());
    sql::all(tx, statement)
        .await?
        .iter()
        .map(|row| {
            Ok(Participant {
                role: sql::text(row, "role")?,
                waiting: sql::int(row, "waiting")? != 0,
                since: UnixMs(sql::int(row, "since")?),
                agent_id: sql::opt_text(row, "agent_id")?.map(AgentId),
                machine_id: sql::opt_text(row, "machine_id")?.map(MachineId),
            })
        })
        .collect()
}

/// Which socket of which server process holds a waiter's subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding<'a> {
    /// The socket.
    pub socket: &'a str,
    /// The server process.
    pub replica: &'a str,
}

/// A socket of this waiter is open: it waits. Tells whether it is the waiter of the role, in a room of this user.
///
/// # Errors
/// When the database fails.
pub async fn set_waiting(
    tx: &mut Tx,
    user_id: &UserId,
    chatroom_id: &ChatroomId,
    role: &str,
    waiter_id: &WaiterId,
    holding: &Holding<'_>,
    now: UnixMs,
) -> Result<bool> {
    let statement = sql::statement(
        "SELECT p.waiting FROM participants p JOIN chatrooms c ON c.id = p.chatroom_id
         WHERE p.chatroom_id = $1 AND p.role = $2 AND p.waiter_id = $3 AND c.user_id = $4",
    )
    .bind(chatroom_id.0.clone())
    .bind(role.to_owned())
    .bind(waiter_id.0.clone())
    .bind(user_id.0.clone());
    let Some(row) = sql::one(tx, statement).await? else { return Ok(false) };
    let waited = sql::int(&row, "waiting")? != 0;
    let statement = sql::statement(
        "UPDATE participants SET since = CASE WHEN waiting = 1 THEN since ELSE $4 END,
                waiting = 1, socket = $5, replica = $6
         WHERE chatroom_id = $1 AND role = $2 AND waiter_id = $3",
    )
    .bind(chatroom_id.0.clone())
    .bind(role.to_owned())
    .bind(waiter_id.0.clone())
    .bind(now.0)
    .bind(holding.socket.to_owned())
    .bind(holding.replica.to_owned());
    let set = sql::execute(tx, statement).await? == 1;
    if set && !waited {
        tx.wake(Topic::Tasks(chatroom_id.clone()));
    }
    Ok(set)
}

/// A socket has closed: the waiter that it held waits no more, unless another socket of it has opened since. Tells whether
/// that was so.
///
/// # Errors
/// When the database fails.
pub async fn set_gone(
    tx: &mut Tx,
    chatroom_id: &ChatroomId,
    role: &str,
    waiter_id: &WaiterId,
    holding: &Holding<'_>,
    now: UnixMs,
) -> Result<bool> {
    let statement = sql::statement(
        "UPDATE participants SET waiting = 0, since = $6, socket = NULL, replica = NULL
         WHERE chatroom_id = $1 AND role = $2 AND waiter_id = $3 AND socket = $4 AND replica = $5 AND waiting = 1
         RETURNING chatroom_id",
    )
    .bind(chatroom_id.0.clone())
    .bind(role.to_owned())
    .bind(waiter_id.0.clone())
    .bind(holding.socket.to_owned())
    .bind(holding.replica.to_owned())
    .bind(now.0);
    Ok(gone(tx, statement).await? > 0)
}

/// An agent has ended: its waiter waits no more. The row keeps whose it was, for the case that the agent turns out to live.
///
/// # Errors
/// When the database fails.
pub async fn clear_of_agent(tx: &mut Tx, agent_id: &AgentId, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "UPDATE participants SET waiting = 0, since = $2, socket = NULL, replica = NULL
         WHERE agent_id = $1 AND waiting = 1 RETURNING chatroom_id",
    )
    .bind(agent_id.0.clone())
    .bind(now.0);
    gone(tx, statement).await
}

/// These server processes are dead: what their sockets held waits no more.
///
/// # Errors
/// When the database fails.
pub async fn set_gone_of_replicas(tx: &mut Tx, replicas: &[String], now: UnixMs) -> Result<u64> {
    let mut count = 0;
    for replica in replicas {
        let statement = sql::statement(
            "UPDATE participants SET waiting = 0, since = $2, socket = NULL, replica = NULL
             WHERE replica = $1 AND waiting = 1 RETURNING chatroom_id",
        )
        .bind(replica.clone())
        .bind(now.0);
        count += gone(tx, statement).await?;
    }
    Ok(count)
}

/// No socket of any server process is open (the only one starts): nobody waits.
///
/// # Errors
/// When the database fails.
pub async fn set_gone_all(tx: &mut Tx, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "UPDATE participants SET waiting = 0, since = $1, socket = NULL, replica = NULL
         WHERE waiting = 1 RETURNING chatroom_id",
    )
    .bind(now.0);
    gone(tx, statement).await
}

async fn gone(tx: &mut Tx, statement: sql::Statement) -> Result<u64> {
    let rows = sql::all(tx, statement).await?;
    for row in &rows {
        tx.wake(Topic::Tasks(sql::text(row, "chatroom_id")?.into()));
    }
    Ok(rows.len() as u64)
}
