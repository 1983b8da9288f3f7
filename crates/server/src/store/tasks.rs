//! Tasks: the queue of each role, and the fence of each hand-over.
//!
//! A role holds one task at a time: [`find_offer`] is the one place that says what a waiter is to take, and a unique index
//! holds it against everything else. Every write of a holder names its delivery number in the `WHERE`. A task that was not
//! confirmed in time goes back into the queue but remembers its holder: until it is handed out again, that one's late answer
//! counts. Put back by its owner, or because its agent has ended, it forgets the holder, and whatever that one writes is stale.

use super::{Result, Tx, sql};
use crate::live::Topic;
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{AgentId, ChatroomId, MessageId, TaskId, UserId, WaiterId};
use chatroom_protocol::task::{CONFIRM_MS, Task, TaskState};

/// Characters of each text in a list.
const LISTED_CHARS: usize = 1_000;

/// A task to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTask<'a> {
    /// Its id.
    pub task_id: &'a TaskId,
    /// The room.
    pub chatroom_id: &'a ChatroomId,
    /// For which role.
    pub role: &'a str,
    /// Its place in the queue: the sequence number of its message.
    pub position: i64,
    /// The message that makes it.
    pub message_id: &'a MessageId,
    /// Who wrote that message.
    pub from_role: &'a str,
    /// Its text.
    pub content: &'a str,
}

/// A task with what only the rules need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// As people see it.
    pub task: Task,
    /// The sequence number of its message.
    pub position: i64,
    /// Who holds it; in the queue, who was handed it last and may still answer.
    pub holder_waiter: Option<WaiterId>,
    /// The agent behind that waiter.
    pub holder_agent: Option<AgentId>,
    /// The hand-over that completed it.
    pub ended_delivery: Option<i64>,
    /// The message that its handoff made.
    pub next_message_id: Option<MessageId>,
    /// The task that its handoff made.
    pub next_task_id: Option<TaskId>,
}

/// What a waiter is to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// This task, as it stands.
    Take(Box<Row>),
    /// Nothing: the role's task is held by another agent that lives.
    Busy {
        /// The agent.
        agent_id: AgentId,
        /// Its task.
        task_id: TaskId,
    },
    /// Nothing: the queue is empty.
    Empty,
}

/// The fence of a holder's write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence<'a> {
    /// The room.
    pub chatroom_id: &'a ChatroomId,
    /// The role.
    pub role: &'a str,
    /// The task.
    pub task_id: &'a TaskId,
    /// The number of the hand-over.
    pub delivery: i64,
    /// When an agent writes: which. It must be the one that it was handed to.
    pub agent_id: Option<&'a AgentId>,
}

/// Puts a new task at the end of its role's queue.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, new: &NewTask<'_>, now: UnixMs) -> Result<()> {
    let statement = sql::statement(
        "INSERT INTO tasks (id, chatroom_id, role, state, position, delivery, confirmed, message_id, from_role, content,
                            created_at, updated_at)
         VALUES ($1, $2, $3, 'pending', $4, 0, 0, $5, $6, $7, $8, $8)",
    )
    .bind(new.task_id.0.clone())
    .bind(new.chatroom_id.0.clone())
    .bind(new.role.to_owned())
    .bind(new.position)
    .bind(new.message_id.0.clone())
    .bind(new.from_role.to_owned())
    .bind(new.content.to_owned())
    .bind(now.0);
    sql::execute(tx, statement).await?;
    tx.wake(Topic::Tasks(new.chatroom_id.clone()));
    Ok(())
}

/// How many tasks of a room have not ended.
///
/// # Errors
/// When the database fails.
pub async fn count_open(tx: &mut Tx, chatroom_id: &ChatroomId) -> Result<i64> {
    let statement = sql::statement(
        "SELECT COUNT(*) AS open FROM tasks
         WHERE chatroom_id = $1 AND state IN ('pending', 'acknowledged', 'in_progress')",
    )
    .bind(chatroom_id.0.clone());
    sql::one(tx, statement).await?.map_or(Ok(0), |row| sql::int(&row, "open"))
}

/// A room's tasks in queue order: those of one state (the newest `limit` of them), by default every one that has not ended.
/// Of each text its first 1,000 characters.
///
/// # Errors
/// When the database fails.
pub async fn list(
    tx: &mut Tx,
    chatroom_id: &ChatroomId,
    state: Option<TaskState>,
    role: Option<&str>,
    limit: i64,
) -> Result<Vec<Task>> {
    let statement = sql::statement(
        "SELECT id, chatroom_id, role, state, position, delivery, confirmed, holder_waiter, holder_agent, message_id, from_role,
                SUBSTR(content, 1, 1001) AS content, ended_delivery, next_message_id, next_task_id, created_at, updated_at
         FROM tasks
         WHERE chatroom_id = $1 AND ($3 = '' OR role = $3)
           AND (state = $2 OR ($2 = '' AND state IN ('pending', 'acknowledged', 'in_progress')))
         ORDER BY position DESC LIMIT $4",
    )
    .bind(chatroom_id.0.clone())
    .bind(state.map_or("", TaskState::as_str).to_owned())
    .bind(role.unwrap_or_default().to_owned())
    .bind(limit);
    let mut list = Vec::new();
    for row in sql::all(tx, statement).await?.iter().rev() {
        let mut task = read(row)?.task;
        if let Some((end, _)) = task.content.char_indices().nth(LISTED_CHARS) {
            task.content.truncate(end);
            task.content.push('…');
        }
        list.push(task);
    }
    Ok(list)
}

/// Finds a task of a room.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, chatroom_id: &ChatroomId, id: &TaskId) -> Result<Option<Row>> {
    let statement = sql::statement("SELECT * FROM tasks WHERE id = $1 AND chatroom_id = $2")
        .bind(id.0.clone())
        .bind(chatroom_id.0.clone());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// Finds a task in a room of this user.
///
/// # Errors
/// When the database fails.
pub async fn find_own(tx: &mut Tx, user_id: &UserId, id: &TaskId) -> Result<Option<Row>> {
    let statement = sql::statement(
        "SELECT t.* FROM tasks t JOIN chatrooms c ON c.id = t.chatroom_id WHERE t.id = $1 AND c.user_id = $2",
    )
    .bind(id.0.clone())
    .bind(user_id.0.clone());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// What a waiter of this role is to take: the task that the role holds, unless it is held by another agent that lives; else
/// the first of the queue. `agent_id` is the agent behind the waiter; none when it waits by hand.
///
/// # Errors
/// When the database fails.
pub async fn find_offer(
    tx: &mut Tx,
    chatroom_id: &ChatroomId,
    role: &str,
    agent_id: Option<&AgentId>,
) -> Result<Offer> {
    // Two reads that each touch one row, however long the queue is.
    let statement = sql::statement(
        "SELECT t.*, a.id AS living_agent FROM tasks t
         LEFT JOIN agents a ON a.id = t.holder_agent AND a.state IN ('starting', 'running', 'stopping')
         WHERE t.chatroom_id = $1 AND t.role = $2 AND t.state IN ('acknowledged', 'in_progress')",
    )
    .bind(chatroom_id.0.clone())
    .bind(role.to_owned());
    if let Some(row) = sql::one(tx, statement).await? {
        let living = sql::opt_text(&row, "living_agent")?.map(AgentId);
        let row = read(&row)?;
        return Ok(match living {
            Some(holder) if Some(&holder) != agent_id => Offer::Busy { agent_id: holder, task_id: row.task.task_id },
            _ => Offer::Take(Box::new(row)),
        });
    }
    let statement = sql::statement(
        "SELECT * FROM tasks WHERE chatroom_id = $1 AND role = $2 AND state = 'pending' ORDER BY position LIMIT 1",
    )
    .bind(chatroom_id.0.clone())
    .bind(role.to_owned());
    let first = sql::one(tx, statement).await?.as_ref().map(read).transpose()?;
    Ok(first.map_or(Offer::Empty, |row| Offer::Take(Box::new(row))))
}

/// Hands an offered task to a waiter under the next delivery number. Nothing when it is no longer as it was offered.
///
/// # Errors
/// When the database fails.
pub async fn claim(
    tx: &mut Tx,
    offered: &Row,
    waiter_id: &WaiterId,
    agent_id: Option<&AgentId>,
    now: UnixMs,
) -> Result<Option<Row>> {
    let statement = sql::statement(
        "UPDATE tasks SET state = 'acknowledged', delivery = delivery + 1, confirmed = 0, holder_waiter = $5,
                holder_agent = $6, handed_at = $7, confirmed_at = NULL, started_at = NULL, updated_at = $7
         WHERE id = $1 AND chatroom_id = $2 AND state = $3 AND delivery = $4
           AND state IN ('pending', 'acknowledged', 'in_progress')
         RETURNING *",
    )
    .bind(offered.task.task_id.0.clone())
    .bind(offered.task.chatroom_id.0.clone())
    .bind(offered.task.state.as_str().to_owned())
    .bind(offered.task.delivery)
    .bind(waiter_id.0.clone())
    .bind(agent_id.map(|id| id.0.clone()))
    .bind(now.0);
    written(tx, statement).await
}

/// Confirms that a role got the task that it holds. By an agent: the task that was handed to it; by hand: one that was handed
/// to no agent.
///
/// # Errors
/// When the database fails.
pub async fn confirm(
    tx: &mut Tx,
    chatroom_id: &ChatroomId,
    role: &str,
    agent_id: Option<&AgentId>,
    now: UnixMs,
) -> Result<Option<Row>> {
    let statement = sql::statement(
        "UPDATE tasks SET confirmed = 1, confirmed_at = $4
         WHERE chatroom_id = $1 AND role = $2 AND state = 'acknowledged' AND confirmed = 0
           AND COALESCE(holder_agent, '') = $3
         RETURNING *",
    )
    .bind(chatroom_id.0.clone())
    .bind(role.to_owned())
    .bind(agent_id.map_or_else(String::new, |id| id.0.clone()))
    .bind(now.0);
    written(tx, statement).await
}

/// A role gave a first sign of work: the task that it holds is started, and thereby confirmed. By an agent: the task that was
/// handed to it; by hand: one that was handed to no agent.
///
/// # Errors
/// When the database fails.
pub async fn mark_worked(
    tx: &mut Tx,
    chatroom_id: &ChatroomId,
    role: &str,
    agent_id: Option<&AgentId>,
    now: UnixMs,
) -> Result<Option<Row>> {
    let statement = sql::statement(
        "UPDATE tasks SET state = 'in_progress', confirmed = 1, confirmed_at = COALESCE(confirmed_at, $4), started_at = $4,
                updated_at = $4
         WHERE chatroom_id = $1 AND role = $2 AND state = 'acknowledged' AND COALESCE(holder_agent, '') = $3
         RETURNING *",
    )
    .bind(chatroom_id.0.clone())
    .bind(role.to_owned())
    .bind(agent_id.map_or_else(String::new, |id| id.0.clone()))
    .bind(now.0);
    written(tx, statement).await
}

/// Counts one more progress note of a hand-over that was started, up to `limit` for each task. Nothing beyond it, or when the
/// hand-over counts no more.
///
/// # Errors
/// When the database fails.
pub async fn count_progress(tx: &mut Tx, fence: &Fence<'_>, limit: i64) -> Result<Option<Row>> {
    let statement = sql::statement(
        "UPDATE tasks SET progress_count = progress_count + 1
         WHERE id = $1 AND chatroom_id = $2 AND role = $3 AND delivery = $4 AND ($5 = '' OR holder_agent = $5)
           AND state = 'in_progress' AND progress_count < $6
         RETURNING *",
    );
    written(tx, bind_fence(statement, fence).bind(limit)).await
}

/// The task that a role holds.
///
/// # Errors
/// When the database fails.
pub async fn find_held(tx: &mut Tx, chatroom_id: &ChatroomId, role: &str) -> Result<Option<Row>> {
    let statement = sql::statement(
        "SELECT * FROM tasks WHERE chatroom_id = $1 AND role = $2 AND state IN ('acknowledged', 'in_progress')",
    )
    .bind(chatroom_id.0.clone())
    .bind(role.to_owned());
    sql::one(tx, statement).await?.as_ref().map(read).transpose()
}

/// How many tasks of a role have not ended.
///
/// # Errors
/// When the database fails.
pub async fn count_open_of_role(tx: &mut Tx, chatroom_id: &ChatroomId, role: &str) -> Result<i64> {
    let statement = sql::statement(
        "SELECT COUNT(*) AS open FROM tasks
         WHERE chatroom_id = $1 AND role = $2 AND state IN ('pending', 'acknowledged', 'in_progress')",
    )
    .bind(chatroom_id.0.clone())
    .bind(role.to_owned());
    sql::one(tx, statement).await?.map_or(Ok(0), |row| sql::int(&row, "open"))
}

/// Moves the tasks of a role that have not ended into the queue of another, at the place of their messages; whoever held one is
/// fenced off. Gives them in that order.
///
/// # Errors
/// When the database fails.
pub async fn move_to_role(
    tx: &mut Tx,
    chatroom_id: &ChatroomId,
    role: &str,
    to: &str,
    now: UnixMs,
) -> Result<Vec<TaskId>> {
    let statement = sql::statement(
        "UPDATE tasks SET role = $3, state = 'pending', confirmed = 0, holder_waiter = NULL, holder_agent = NULL,
                handed_at = NULL, confirmed_at = NULL, started_at = NULL, updated_at = $4
         WHERE chatroom_id = $1 AND role = $2 AND state IN ('pending', 'acknowledged', 'in_progress')
         RETURNING id, position",
    )
    .bind(chatroom_id.0.clone())
    .bind(role.to_owned())
    .bind(to.to_owned())
    .bind(now.0);
    of_role(tx, chatroom_id, statement).await
}

/// Cancels the tasks of a role that have not ended. Gives them in the order of the queue.
///
/// # Errors
/// When the database fails.
pub async fn cancel_of_role(tx: &mut Tx, chatroom_id: &ChatroomId, role: &str, now: UnixMs) -> Result<Vec<TaskId>> {
    let statement = sql::statement(
        "UPDATE tasks SET state = 'cancelled', ended_at = $3, updated_at = $3
         WHERE chatroom_id = $1 AND role = $2 AND state IN ('pending', 'acknowledged', 'in_progress')
         RETURNING id, position",
    )
    .bind(chatroom_id.0.clone())
    .bind(role.to_owned())
    .bind(now.0);
    of_role(tx, chatroom_id, statement).await
}

/// Puts an unconfirmed hand-over back into the queue, by its holder's word that it reached nobody.
///
/// # Errors
/// When the database fails.
pub async fn give_back(tx: &mut Tx, fence: &Fence<'_>, now: UnixMs) -> Result<Option<Row>> {
    let statement = sql::statement(
        "UPDATE tasks SET state = 'pending', holder_waiter = NULL, holder_agent = NULL, handed_at = NULL,
                confirmed_at = NULL, started_at = NULL, updated_at = $6
         WHERE id = $1 AND chatroom_id = $2 AND role = $3 AND delivery = $4 AND ($5 = '' OR holder_agent = $5)
           AND state = 'acknowledged' AND confirmed = 0
         RETURNING *",
    );
    written(tx, bind_fence(statement, fence).bind(now.0)).await
}

/// Work on a hand-over began.
///
/// # Errors
/// When the database fails.
pub async fn start(tx: &mut Tx, fence: &Fence<'_>, now: UnixMs) -> Result<Option<Row>> {
    let statement = sql::statement(
        "UPDATE tasks SET state = 'in_progress', confirmed = 1, confirmed_at = COALESCE(confirmed_at, $6), started_at = $6,
                updated_at = $6
         WHERE id = $1 AND chatroom_id = $2 AND role = $3 AND delivery = $4 AND ($5 = '' OR holder_agent = $5)
           AND (state = 'acknowledged' OR (state = 'pending' AND holder_waiter IS NOT NULL))
         RETURNING *",
    );
    written(tx, bind_fence(statement, fence).bind(now.0)).await
}

/// Completes a task, and remembers what its handoff makes.
///
/// # Errors
/// When the database fails.
pub async fn finish(
    tx: &mut Tx,
    fence: &Fence<'_>,
    next_message_id: Option<&MessageId>,
    next_task_id: Option<&TaskId>,
    now: UnixMs,
) -> Result<Option<Row>> {
    let statement = sql::statement(
        "UPDATE tasks SET state = 'completed', confirmed = 1, ended_delivery = delivery, updated_at = $6,
                confirmed_at = COALESCE(confirmed_at, $6), started_at = COALESCE(started_at, $6), ended_at = $6,
                next_message_id = $7, next_task_id = $8
         WHERE id = $1 AND chatroom_id = $2 AND role = $3 AND delivery = $4 AND ($5 = '' OR holder_agent = $5)
           AND (state IN ('acknowledged', 'in_progress') OR (state = 'pending' AND holder_waiter IS NOT NULL))
         RETURNING *",
    );
    let statement = bind_fence(statement, fence)
        .bind(now.0)
        .bind(next_message_id.map(|id| id.0.clone()))
        .bind(next_task_id.map(|id| id.0.clone()));
    written(tx, statement).await
}

/// Puts a held task of this user back into the queue and fences its holder off; a queued one forgets its last holder.
///
/// # Errors
/// When the database fails.
pub async fn requeue(tx: &mut Tx, user_id: &UserId, id: &TaskId, now: UnixMs) -> Result<Option<Row>> {
    let statement = sql::statement(
        "UPDATE tasks SET state = 'pending', confirmed = 0, holder_waiter = NULL, holder_agent = NULL, handed_at = NULL,
                confirmed_at = NULL, started_at = NULL, updated_at = $3
         WHERE id = $1 AND chatroom_id IN (SELECT id FROM chatrooms WHERE user_id = $2)
           AND (state IN ('acknowledged', 'in_progress') OR (state = 'pending' AND holder_waiter IS NOT NULL))
         RETURNING *",
    )
    .bind(id.0.clone())
    .bind(user_id.0.clone())
    .bind(now.0);
    written(tx, statement).await
}

/// Cancels a task of this user that has not ended.
///
/// # Errors
/// When the database fails.
pub async fn cancel(tx: &mut Tx, user_id: &UserId, id: &TaskId, now: UnixMs) -> Result<Option<Row>> {
    let statement = sql::statement(
        "UPDATE tasks SET state = 'cancelled', ended_at = $3, updated_at = $3
         WHERE id = $1 AND chatroom_id IN (SELECT id FROM chatrooms WHERE user_id = $2)
           AND state IN ('pending', 'acknowledged', 'in_progress')
         RETURNING *",
    )
    .bind(id.0.clone())
    .bind(user_id.0.clone())
    .bind(now.0);
    written(tx, statement).await
}

/// Puts the tasks that an agent held back into their queues: it has ended. The next hand-over gets the next number.
///
/// # Errors
/// When the database fails.
pub async fn release_of_agent(tx: &mut Tx, agent_id: &AgentId, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "UPDATE tasks SET state = 'pending', confirmed = 0, holder_waiter = NULL, holder_agent = NULL, handed_at = NULL,
                confirmed_at = NULL, started_at = NULL, updated_at = $2
         WHERE holder_agent = $1 AND state IN ('acknowledged', 'in_progress') RETURNING chatroom_id",
    )
    .bind(agent_id.0.clone())
    .bind(now.0);
    let rows = sql::all(tx, statement).await?;
    woken(tx, &rows)
}

/// Puts every hand-over that nobody confirmed within [`CONFIRM_MS`] back into its queue. It remembers its holder.
///
/// # Errors
/// When the database fails.
pub async fn requeue_unconfirmed(tx: &mut Tx, now: UnixMs) -> Result<u64> {
    let statement = sql::statement(
        "UPDATE tasks SET state = 'pending', updated_at = $2
         WHERE state = 'acknowledged' AND confirmed = 0 AND handed_at <= $1 RETURNING chatroom_id",
    )
    .bind((now - CONFIRM_MS).0)
    .bind(now.0);
    let rows = sql::all(tx, statement).await?;
    woken(tx, &rows)
}

/// When the next hand-over runs out, if nobody confirms it.
///
/// # Errors
/// When the database fails.
pub async fn next_confirm_deadline(tx: &mut Tx) -> Result<Option<UnixMs>> {
    let statement =
        sql::statement("SELECT MIN(handed_at) AS first FROM tasks WHERE state = 'acknowledged' AND confirmed = 0");
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    Ok(sql::opt_int(&row, "first")?.map(|at| UnixMs(at) + CONFIRM_MS))
}

/// Binds `$1` to `$5`.
fn bind_fence(statement: sql::Statement, fence: &Fence<'_>) -> sql::Statement {
    statement
        .bind(fence.task_id.0.clone())
        .bind(fence.chatroom_id.0.clone())
        .bind(fence.role.to_owned())
        .bind(fence.delivery)
        .bind(fence.agent_id.map_or_else(String::new, |id| id.0.clone()))
}

async fn of_role(tx: &mut Tx, chatroom_id: &ChatroomId, statement: sql::Statement) -> Result<Vec<TaskId>> {
    let mut tasks = Vec::new();
    for row in sql::all(tx, statement).await? {
        tasks.push((sql::int(&row, "position")?, TaskId(sql::text(&row, "id")?)));
    }
    if !tasks.is_empty() {
        tx.wake(Topic::Tasks(chatroom_id.clone()));
    }
    tasks.sort();
    Ok(tasks.into_iter().map(|(_, id)| id).collect())
}

async fn written(tx: &mut Tx, statement: sql::Statement) -> Result<Option<Row>> {
    let Some(row) = sql::one(tx, statement).await? else { return Ok(None) };
    let row = read(&row)?;
    tx.wake(Topic::Tasks(row.task.chatroom_id.clone()));
    Ok(Some(row))
}

fn woken(tx: &mut Tx, rows: &[sqlx::any::AnyRow]) -> Result<u64> {
    for row in rows {
        tx.wake(Topic::Tasks(sql::text(row, "chatroom_id")?.into()));
    }
    Ok(rows.len() as u64)
}

fn read(row: &sqlx::any::AnyRow) -> Result<Row> {
    let state = TaskState::parse(&sql::text(row, "state")?).unwrap_or(TaskState::Cancelled);
    let holder_agent = sql::opt_text(row, "holder_agent")?.map(AgentId);
    Ok(Row {
        task: Task {
            task_id: sql::text(row, "id")?.into(),
            chatroom_id: sql::text(row, "chatroom_id")?.into(),
            role: sql::text(row, "role")?,
            state,
            delivery: sql::int(row, "delivery")?,
            confirmed: sql::int(row, "confirmed")? != 0,
            agent_id: holder_agent.clone().filter(|_| state.is_held()),
            message_id: sql::text(row, "message_id")?.into(),
            from_role: sql::text(row, "from_role")?,
            content: sql::text(row, "content")?,
            created_at: UnixMs(sql::int(row, "created_at")?),
            updated_at: UnixMs(sql::int(row, "updated_at")?),
        },
        position: sql::int(row, "position")?,
        holder_waiter: sql::opt_text(row, "holder_waiter")?.map(WaiterId),
        holder_agent,
        ended_delivery: sql::opt_int(row, "ended_delivery")?,
        next_message_id: sql::opt_text(row, "next_message_id")?.map(MessageId),
        next_task_id: sql::opt_text(row, "next_task_id")?.map(TaskId),
    })
}
