//! Waiting for a task of a role: join, subscribe, claim. Shared by `wait-for-task` and the built-in `echo` agent.
//!
//! A waiter has one id for its life: joining or claiming again after a lost answer or a server restart changes nothing. A task
//! that was claimed, but could not be printed, is given back.

use crate::context::link;
use anyhow::Result;
use chatroom_machine::{CallError, Client, Link, LinkEvent};
use chatroom_protocol::api::{participants, tasks};
use chatroom_protocol::id::{ChatroomId, MachineId, TaskId, WaiterId};
use chatroom_protocol::task::{Delivery, NextTask};
use chatroom_protocol::{ErrorCode, Refusal};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pause before a call is made again.
const RETRY: Duration = Duration::from_millis(500);

/// One process that waits for tasks of a role.
pub(crate) struct Waiter {
    client: Client,
    link: Link,
    args: tasks::WaiterArgs,
    machine_id: Option<MachineId>,
}

/// What came of waiting.
#[derive(Debug)]
pub(crate) enum Waited {
    /// A task, claimed for this waiter.
    Task(Box<Delivery>),
    /// A newer waiter holds the role; why, for a person.
    Superseded(String),
    /// The wait was ended from here.
    Over,
}

/// What is worth telling while waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The server cannot be reached; why.
    Down(String),
    /// The server is there.
    Up,
    /// Why nothing comes although work stands in the queue; `None` when nothing stands in the way.
    Held(Option<String>),
}

impl Waiter {
    /// A waiter for a role. The link ends with `shutdown`.
    pub(crate) fn new(
        client: Client,
        chatroom_id: ChatroomId,
        role: String,
        machine_id: Option<MachineId>,
        shutdown: &CancellationToken,
    ) -> Result<Self> {
        let link = link(&client, shutdown)?;
        let waiter_id = WaiterId::from(uuid::Uuid::now_v7());
        Ok(Self { client, link, args: tasks::WaiterArgs { chatroom_id, role, waiter_id }, machine_id })
    }

    /// Makes this the waiter of its role.
    pub(crate) async fn join(&self) -> Result<participants::Joined, CallError> {
        let args = participants::JoinArgs {
            chatroom_id: self.args.chatroom_id.clone(),
            role: self.args.role.clone(),
            waiter_id: self.args.waiter_id.clone(),
            machine_id: self.machine_id.clone(),
        };
        self.client.call::<participants::Join>(&args).await
    }

    /// Waits until there is a task, a newer waiter, or `over`. A claim under way is brought to its end even when `over` comes.
    ///
    /// # Errors
    /// A refusal that waiting does not heal: no such room or role, or the credential is not valid (any more).
    pub(crate) async fn next(
        &self,
        over: &CancellationToken,
        mut notice: impl FnMut(Notice),
    ) -> Result<Waited, CallError> {
        let mut live = self.link.subscribe::<tasks::GetNextTask>(&self.args);
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
    pub(crate) async fn give_back(&self, delivery: &Delivery) {
        let args = self.fence(delivery);
        for _ in 0..3 {
            match self.client.call::<tasks::GiveBack>(&args).await {
                Err(error) if error.is_retryable() => tokio::time::sleep(RETRY).await,
                _ => return,
            }
        }
    }

    /// The arguments of a write to a task that this waiter holds.
    pub(crate) fn fence(&self, delivery: &Delivery) -> tasks::TaskArgs {
        tasks::TaskArgs {
            chatroom_id: self.args.chatroom_id.clone(),
            role: self.args.role.clone(),
            task_id: delivery.task.task_id.clone(),
            delivery: delivery.task.delivery,
        }
    }

    /// The client that it calls with.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

/// Whether the link heals this by trying again.
fn is_passing(refusal: &Refusal) -> bool {
    matches!(refusal.code, ErrorCode::Unavailable | ErrorCode::RateLimited | ErrorCode::Internal)
}
