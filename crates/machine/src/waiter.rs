//! Waiting for a task of a role: join, subscribe, claim. Shared by the daemon, which waits for others, and by a process that
//! waits for itself.
//!
//! A waiter has one id for its life: joining or claiming again after a lost answer or a server restart changes nothing. A task
//! that was claimed, but could not be printed, is given back.

use crate::identity::{self, Fingerprint};
use crate::{CallError, Client, Home, Link, LinkEvent, clock};
use chatroom_protocol::api::machines::{ChatroomArgs, GetAgentConfigs, UpdateAgentConfig, UpdateAgentConfigArgs};
use chatroom_protocol::api::{participants, tasks};
use chatroom_protocol::id::{MachineId, TaskId};
use chatroom_protocol::local::ByHand;
use chatroom_protocol::task::{Delivery, NextTask};
use chatroom_protocol::{ErrorCode, Refusal};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// Pause before a call is made again.
const RETRY: Duration = Duration::from_millis(500);

/// What is told when nothing can be remembered of an agent that a person started.
pub const UNKNOWN_TOOL: &str =
    "which tool this is cannot be told, so nothing is remembered for starting it later; give --agent-type=TOOL";

/// One process that waits for tasks of a role.
#[derive(Clone, Debug)]
pub struct Waiter {
    client: Client,
    args: tasks::WaiterArgs,
    machine_id: Option<MachineId>,
    is_live: bool,
}

/// What came of waiting.
#[derive(Debug)]
pub enum Waited {
    /// A task, claimed for this waiter.
    Task(Box<Delivery>),
    /// A newer waiter holds the role; why, for a person.
    Superseded(String),
    /// The wait, or the link, was ended from here.
    Over,
}

/// What is worth telling while waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The server cannot be reached; why.
    Down(String),
    /// The server is there.
    Up,
    /// Why nothing comes although work stands in the queue; `None` when nothing stands in the way.
    Held(Option<String>),
}

impl Waiter {
    /// A waiter that calls with its own credential. `machine_id` is where it waits, unless it is an agent, whose machine the
    /// server knows.
    #[must_use]
    pub fn new(client: Client, args: tasks::WaiterArgs, machine_id: Option<MachineId>) -> Self {
        Self { client, args, machine_id, is_live: false }
    }

    /// The same waiter, for a live session: what it gets is said into that, not printed.
    #[must_use]
    pub fn live(self) -> Self {
        Self { is_live: true, ..self }
    }

    /// Makes this the waiter of its role.
    ///
    /// # Errors
    /// [`CallError`]: refused (`superseded`: a newer waiter holds the role) or no server.
    pub async fn join(&self) -> Result<participants::Joined, CallError> {
        let args = participants::JoinArgs {
            chatroom_id: self.args.chatroom_id.clone(),
            role: self.args.role.clone(),
            waiter_id: self.args.waiter_id.clone(),
            machine_id: self.machine_id.clone(),
        };
        self.client.call::<participants::Join>(&args).await
    }

    /// Waits over a link until there is a task, a newer waiter, `over`, or until the link ends. A claim under way is brought to
    /// its end even when `over` comes.
    ///
    /// # Errors
    /// A refusal that waiting does not heal: no such room or role, or the credential is not valid (any more).
    pub async fn next(
        &self,
        link: &Link,
        over: &CancellationToken,
        mut notice: impl FnMut(Notice),
    ) -> Result<Waited, CallError> {
        let mut live = link.subscribe::<tasks::GetNextTask>(&self.args);
        let mut is_first = true;
        loop {
            let event = tokio::select! {
                () = over.cancelled() => return Ok(Waited::Over),
                event = live.next() => event,
            };
            match event {
                None => return Ok(Waited::Over),
                Some(LinkEvent::Down { reason }) => notice(Notice::Down(reason)),
                Some(LinkEvent::Up) => {
                    notice(Notice::Up);
                    // A restarted server may not know this waiter any more.
                    if !std::mem::take(&mut is_first)
                        && let Err(error) = self.join().await
                    {
                        match error {
                            CallError::Refused(refusal) if refusal.code == ErrorCode::Superseded => {
                                return Ok(Waited::Superseded(refusal.message));
                            }
                            error if error.is_retryable() => {}
                            error => return Err(error),
                        }
                    }
                }
                Some(LinkEvent::Refused(refusal)) if is_passing(&refusal) => {}
                Some(LinkEvent::Refused(refusal)) if refusal.code == ErrorCode::Superseded => {
                    return Ok(Waited::Superseded(refusal.message));
                }
                Some(LinkEvent::Refused(refusal)) => return Err(refusal.into()),
                Some(LinkEvent::Value(NextTask::Wait { reason })) => notice(Notice::Held(reason)),
                Some(LinkEvent::Value(NextTask::Superseded { reason })) => return Ok(Waited::Superseded(reason)),
                Some(LinkEvent::Value(NextTask::Claim { task_id })) => match self.claim(task_id, over).await? {
                    Some(tasks::ClaimOutcome::Claimed { delivery }) => return Ok(Waited::Task(delivery)),
                    Some(tasks::ClaimOutcome::Superseded { reason }) => return Ok(Waited::Superseded(reason)),
                    Some(tasks::ClaimOutcome::Gone) => {}
                    None => return Ok(Waited::Over),
                },
            }
        }
    }

    /// Claims a task, again while the answer is lost: the same waiter gets the same hand-over.
    async fn claim(&self, task_id: TaskId, over: &CancellationToken) -> Result<Option<tasks::ClaimOutcome>, CallError> {
        let args = tasks::ClaimArgs {
            chatroom_id: self.args.chatroom_id.clone(),
            role: self.args.role.clone(),
            waiter_id: self.args.waiter_id.clone(),
            task_id,
            live: self.is_live,
        };
        loop {
            match self.client.call::<tasks::Claim>(&args).await {
                Ok(outcome) => return Ok(Some(outcome)),
                Err(error) if !error.is_retryable() => return Err(error),
                Err(_) => {}
            }
            tokio::select! {
                () = over.cancelled() => return Ok(None),
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    /// Gives a task back that nobody has got. Errors are left to the server, which queues an unconfirmed task again by itself.
    pub async fn give_back(&self, delivery: &Delivery) {
        let args = self.fence(delivery);
        for _ in 0..3 {
            match self.client.call::<tasks::GiveBack>(&args).await {
                Err(error) if error.is_retryable() => tokio::time::sleep(RETRY).await,
                _ => return,
            }
        }
    }

    /// The arguments of a write to a task that this waiter holds.
    pub fn fence(&self, delivery: &Delivery) -> tasks::TaskArgs {
        tasks::TaskArgs {
            chatroom_id: self.args.chatroom_id.clone(),
            role: self.args.role.clone(),
            task_id: delivery.task.task_id.clone(),
            delivery: delivery.task.delivery,
        }
    }

    /// The client that it calls with.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Remembers which tool waits for a role by hand, and where, so that it can be started later. False: the tool cannot be told and
/// is not known from before, so nothing is remembered.
///
/// # Errors
/// [`CallError`]: refused or no server. What cannot be kept in `machine.json` is logged.
pub async fn remember(
    home: &Home,
    client: &Client,
    machine_id: &MachineId,
    waiter: &tasks::WaiterArgs,
    by_hand: ByHand,
) -> Result<bool, CallError> {
    let role = waiter.role.trim().to_lowercase();
    let known = by_hand.tool.is_some() || {
        let room = ChatroomArgs { chatroom_id: waiter.chatroom_id.clone() };
        let configs = client.call::<GetAgentConfigs>(&room).await?;
        configs.iter().any(|known| known.config.machine_id == *machine_id && known.config.role == role)
    };
    // Kept here is only what the server has taken: a role that it refuses is none.
    if !known {
        return Ok(false);
    }
    let config = UpdateAgentConfigArgs {
        machine_id: machine_id.clone(),
        chatroom_id: waiter.chatroom_id.clone(),
        role: waiter.role.clone(),
        tool: by_hand.tool.clone(),
        model: None,
        working_dir: Some(by_hand.working_dir.clone()),
        permission_mode: None,
        start_on_task: None,
    };
    client.call::<UpdateAgentConfig>(&config).await?;
    let (home, room) = (home.clone(), waiter.chatroom_id.clone());
    let kept = spawn_blocking(move || {
        identity::update(&home, &Fingerprint::read(), |file| {
            file.remember_agent(&room, &role, by_hand.tool, &by_hand.working_dir, clock::now());
        })
    });
    match kept.await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the role's directory is not kept in machine.json"),
        Err(error) => tracing::warn!(%error, "the role's directory is not kept in machine.json"),
    }
    Ok(true)
}

/// Whether the link heals this by trying again.
fn is_passing(refusal: &Refusal) -> bool {
    matches!(refusal.code, ErrorCode::Unavailable | ErrorCode::RateLimited | ErrorCode::Internal)
}
