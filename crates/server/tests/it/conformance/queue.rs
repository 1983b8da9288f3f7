//! Any interleaving of what people and waiters do with the queues of two roles, held against a model.

use super::World;
use chatroom_protocol::api::messages::Sent;
use chatroom_protocol::api::tasks::{ClaimOutcome, HandedOff, TaskWritten};
use chatroom_protocol::id::{ChatroomId, MessageId, TaskId, UserId};
use chatroom_protocol::task::{CONFIRM_MS, NextTask, Task, TaskWrite};
use chatroom_protocol::user::TokenScope;
use chatroom_protocol::{ErrorCode, Refusal};
use chatroom_server::app::App;
use chatroom_server::caller::Caller;
use chatroom_server::live::Hub;
use chatroom_server::registry::Request;
use chatroom_server::store::tasks;
use chatroom_server::{clock, functions};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

super::cases! {
    no_interleaving_gives_two_holders_loses_order_or_ends_twice: [
        "tasks::find_offer", "tasks::claim", "tasks::start", "tasks::finish", "tasks::give_back", "tasks::requeue",
        "tasks::cancel", "tasks::requeue_unconfirmed", "participants::join",
    ];
}

const ROLES: [&str; 2] = ["planner", "builder"];

/// What happens. Indices are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Send {
        role: usize,
    },
    Join {
        role: usize,
        slot: usize,
    },
    /// Joins, then takes.
    Enter {
        role: usize,
        slot: usize,
    },
    /// Asks what is next and claims it.
    Take {
        role: usize,
        slot: usize,
    },
    /// Claims some task, offered or not.
    Claim {
        role: usize,
        slot: usize,
        task: usize,
    },
    Confirm {
        role: usize,
    },
    /// Writes of a hand-over, fresh or old.
    Start {
        hand_over: usize,
    },
    Complete {
        hand_over: usize,
    },
    Handoff {
        hand_over: usize,
        to_user: bool,
    },
    GiveBack {
        hand_over: usize,
    },
    Requeue {
        task: usize,
    },
    Cancel {
        task: usize,
    },
    /// Ten minutes pass.
    Expire,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = || 0..1000usize;
    // The newest hand-overs are the ones that matter; old ones must be refused, and come now and then.
    let hand_over = || prop_oneof![4 => 0..2usize, 1 => 0..1000usize];
    let step = prop_oneof![
        3 => (0..2usize).prop_map(|role| Step::Send { role }),
        1 => (0..2usize, 0..2usize).prop_map(|(role, slot)| Step::Join { role, slot }),
        6 => (0..2usize, 0..2usize).prop_map(|(role, slot)| Step::Enter { role, slot }),
        3 => (0..2usize, 0..2usize).prop_map(|(role, slot)| Step::Take { role, slot }),
        1 => (0..2usize, 0..2usize, some()).prop_map(|(role, slot, task)| Step::Claim { role, slot, task }),
        1 => (0..2usize).prop_map(|role| Step::Confirm { role }),
        3 => hand_over().prop_map(|hand_over| Step::Start { hand_over }),
        2 => hand_over().prop_map(|hand_over| Step::Complete { hand_over }),
        3 => (hand_over(), any::<bool>()).prop_map(|(hand_over, to_user)| Step::Handoff { hand_over, to_user }),
        2 => hand_over().prop_map(|hand_over| Step::GiveBack { hand_over }),
        1 => some().prop_map(|task| Step::Requeue { task }),
        1 => some().prop_map(|task| Step::Cancel { task }),
        2 => Just(Step::Expire),
    ];
    prop::collection::vec(step, 20..60)
}

/// Where a task stands in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// In the queue; `answerable`: its last hand-over ran out and may still be answered.
    Queued {
        answerable: bool,
    },
    Held {
        confirmed: bool,
    },
    Started,
    Completed {
        by: i64,
    },
    Cancelled,
}

impl Stand {
    fn is_held(self) -> bool {
        matches!(self, Self::Held { .. } | Self::Started)
    }

    fn is_open(self) -> bool {
        !matches!(self, Self::Completed { .. } | Self::Cancelled)
    }

    fn takes_answers(self) -> bool {
        self.is_held() || self == Self::Queued { answerable: true }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Queued { .. } => "pending",
            Self::Held { .. } => "acknowledged",
            Self::Started => "in_progress",
            Self::Completed { .. } => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

#[derive(Clone, Debug)]
struct ModelTask {
    id: TaskId,
    role: usize,
    stand: Stand,
    delivery: i64,
    holder: Option<String>,
    /// What its handoff answered.
    next: Option<(MessageId, Option<TaskId>)>,
}

/// The model, next to the real thing.
struct Queues {
    app: Arc<App>,
    user_id: UserId,
    room: ChatroomId,
    /// In the order in which they were made, which is the order of each queue.
    tasks: Vec<ModelTask>,
    slots: [[Option<String>; 2]; 2],
    current: [Option<String>; 2],
    /// Task and delivery number, newest first.
    hand_overs: Vec<(usize, i64)>,
    ended: BTreeSet<TaskId>,
    waiters: usize,
}

async fn no_interleaving_gives_two_holders_loses_order_or_ends_twice(world: Arc<World>) {
    let user_id = world.user("Ada").await;
    let hub = Arc::new(Hub::new("queue"));
    let app = App::new(world.store.clone(), hub, functions::registry(), "queue".into(), "http://localhost".into());
    let app = Arc::new(app);
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let runtime = tokio::runtime::Handle::current();
    let held = tokio::task::block_in_place(|| {
        runner.run(&steps(), |steps| {
            runtime.block_on(async {
                let room = world.room(&user_id).await.chatroom_id;
                let mut queues = Queues::new(Arc::clone(&app), user_id.clone(), room);
                for step in &steps {
                    queues.step(step).await;
                    queues.compare().await;
                }
            });
            Ok(())
        })
    });
    held.unwrap();
}

impl Queues {
    fn new(app: Arc<App>, user_id: UserId, room: ChatroomId) -> Self {
        Self {
            app,
            user_id,
            room,
            tasks: Vec::new(),
            slots: Default::default(),
            current: Default::default(),
            hand_overs: Vec::new(),
            ended: BTreeSet::new(),
            waiters: 0,
        }
    }

    async fn call<T: DeserializeOwned>(&self, function: &str, mut args: Value) -> Result<T, Refusal> {
        if !matches!(function, "tasks.requeue" | "tasks.cancel") {
            args["chatroomId"] = json!(self.room);
        }
        let caller = Caller::User {
            user_id: self.user_id.clone(),
            user_name: "Ada".into(),
            is_admin: false,
            credential_id: "credential".into(),
            scope: TokenScope::Full,
        };
        let request = Request { caller, address: None, args, replay_key: None };
        let answer = self.app.call(function, None, &request).await?;
        Ok(serde_json::from_value(answer).unwrap())
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Send { role } => {
                let args = json!({"role": ROLES[role], "content": "work"});
                let sent: Sent = self.call("messages.send", args).await.unwrap();
                self.made(sent.task_id, role);
            }
            Step::Join { role, slot } => self.join(role, slot).await,
            Step::Enter { role, slot } => {
                self.join(role, slot).await;
                self.take(role, slot).await;
            }
            Step::Take { role, slot } => self.take(role, slot).await,
            Step::Claim { role, slot, task } => {
                if let (Some(waiter), false) = (self.slots[role][slot].clone(), self.tasks.is_empty()) {
                    self.claim(role, &waiter, task % self.tasks.len()).await;
                }
            }
            Step::Confirm { role } => {
                let _: Value = self.call("tasks.confirm", json!({"role": ROLES[role]})).await.unwrap();
                for task in self.tasks.iter_mut().filter(|task| task.role == role) {
                    if task.stand == (Stand::Held { confirmed: false }) {
                        task.stand = Stand::Held { confirmed: true };
                    }
                }
            }
            Step::Start { hand_over } => self.start(hand_over).await,
            Step::Complete { hand_over } => self.complete(hand_over).await,
            Step::Handoff { hand_over, to_user } => self.handoff(hand_over, to_user).await,
            Step::GiveBack { hand_over } => self.give_back(hand_over).await,
            Step::Requeue { task } => self.requeue(task).await,
            Step::Cancel { task } => self.cancel(task).await,
            Step::Expire => {
                let mut tx = self.app.store.write().await.unwrap();
                tasks::requeue_unconfirmed(&mut tx, clock::now() + CONFIRM_MS).await.unwrap();
                tx.commit().await.unwrap();
                for task in &mut self.tasks {
                    if task.stand == (Stand::Held { confirmed: false }) {
                        task.stand = Stand::Queued { answerable: true };
                    }
                }
            }
        }
    }

    async fn join(&mut self, role: usize, slot: usize) {
        // A slot whose waiter was superseded gets a new process; any other joins again.
        let superseded = self.slots[role][slot] != self.current[role];
        if self.slots[role][slot].is_none() || superseded {
            if let Some(old) = self.slots[role][slot].clone() {
                let again = json!({"role": ROLES[role], "waiterId": old});
                let refused = self.call::<Value>("participants.join", again).await.unwrap_err();
                assert_eq!(refused.code, ErrorCode::Superseded);
            }
            self.waiters += 1;
            self.slots[role][slot] = Some(format!("{}-{}", self.room, self.waiters));
        }
        let waiter = self.slots[role][slot].clone();
        let args = json!({"role": ROLES[role], "waiterId": waiter});
        let _: Value = self.call("participants.join", args).await.unwrap();
        self.current[role] = waiter;
    }

    async fn take(&mut self, role: usize, slot: usize) {
        let Some(waiter) = self.slots[role][slot].clone() else { return };
        let args = json!({"role": ROLES[role], "waiterId": waiter});
        let next: NextTask = self.call("tasks.getNextTask", args).await.unwrap();
        let expected = self.offered(role).map(|index| self.tasks[index].id.clone());
        match next {
            NextTask::Superseded { .. } => assert_ne!(self.current[role], Some(waiter)),
            NextTask::Wait { reason } => {
                assert_eq!((self.current[role].as_ref(), expected, reason), (Some(&waiter), None, None));
            }
            NextTask::Claim { task_id } => {
                assert_eq!((self.current[role].as_ref(), expected), (Some(&waiter), Some(task_id)));
                let index = self.offered(role).unwrap();
                self.claim(role, &waiter, index).await;
            }
        }
    }

    /// The held task of a role, else the first of its queue.
    fn offered(&self, role: usize) -> Option<usize> {
        let open = |held: bool| {
            self.tasks.iter().position(|task| task.role == role && task.stand.is_open() && task.stand.is_held() == held)
        };
        open(true).or_else(|| open(false))
    }

    async fn claim(&mut self, role: usize, waiter: &str, index: usize) {
        let args = json!({"role": ROLES[role], "waiterId": waiter, "taskId": self.tasks[index].id});
        let outcome: ClaimOutcome = self.call("tasks.claim", args).await.unwrap();
        let offered = self.offered(role) == Some(index);
        let task = &mut self.tasks[index];
        match outcome {
            ClaimOutcome::Superseded { .. } => assert_ne!(self.current[role].as_deref(), Some(waiter)),
            ClaimOutcome::Gone => assert!(!offered && self.current[role].as_deref() == Some(waiter)),
            ClaimOutcome::Claimed { delivery } => {
                assert!(offered && self.current[role].as_deref() == Some(waiter));
                let repeated = task.stand.is_held() && task.holder.as_deref() == Some(waiter);
                if !repeated {
                    task.delivery += 1;
                    task.stand = Stand::Held { confirmed: false };
                    task.holder = Some(waiter.to_owned());
                    self.hand_overs.insert(0, (index, task.delivery));
                }
                assert_eq!(delivery.task.delivery, task.delivery);
                assert!(delivery.brief.contains(&format!("--delivery={}", task.delivery)));
            }
        }
    }

    fn hand_over(&self, at: usize) -> Option<(usize, i64, Value)> {
        if self.hand_overs.is_empty() {
            return None;
        }
        let (index, delivery) = self.hand_overs[at % self.hand_overs.len()];
        let task = &self.tasks[index];
        Some((index, delivery, json!({"role": ROLES[task.role], "taskId": task.id, "delivery": delivery})))
    }

    async fn start(&mut self, at: usize) {
        let Some((index, delivery, args)) = self.hand_over(at) else { return };
        let answer = self.call::<TaskWritten>("tasks.start", args).await;
        let task = &mut self.tasks[index];
        let newest = task.delivery == delivery;
        match task.stand {
            Stand::Started if newest => assert_eq!(answer.unwrap().write, TaskWrite::AlreadyApplied),
            stand if newest && stand.takes_answers() => {
                assert_eq!(answer.unwrap().write, TaskWrite::Applied);
                task.stand = Stand::Started;
            }
            Stand::Completed { by } if by == delivery => {
                assert_eq!(answer.unwrap().write, TaskWrite::AlreadyApplied);
            }
            _ => assert_eq!(answer.unwrap_err().code, ErrorCode::Stale),
        }
    }

    async fn complete(&mut self, at: usize) {
        let Some((index, delivery, args)) = self.hand_over(at) else { return };
        let answer = self.call::<TaskWritten>("tasks.complete", args).await;
        let task = &mut self.tasks[index];
        match task.stand {
            stand if task.delivery == delivery && stand.takes_answers() => {
                assert_eq!(answer.unwrap().write, TaskWrite::Applied);
                task.stand = Stand::Completed { by: delivery };
                self.end(index);
            }
            Stand::Completed { by } if by == delivery => {
                assert_eq!(answer.unwrap().write, TaskWrite::AlreadyApplied);
            }
            _ => assert_eq!(answer.unwrap_err().code, ErrorCode::Stale),
        }
    }

    async fn handoff(&mut self, at: usize, to_user: bool) {
        let Some((index, delivery, mut args)) = self.hand_over(at) else { return };
        let target = 1 - self.tasks[index].role;
        args["nextRole"] = json!(if to_user { "user" } else { ROLES[target] });
        args["content"] = json!("done");
        let answer = self.call::<HandedOff>("tasks.handoff", args).await;
        let task = &mut self.tasks[index];
        match task.stand {
            stand if task.delivery == delivery && stand.takes_answers() => {
                let handed = answer.unwrap();
                assert_eq!((handed.write, handed.next_task_id.is_none()), (TaskWrite::Applied, to_user));
                task.stand = Stand::Completed { by: delivery };
                task.next = Some((handed.message_id, handed.next_task_id.clone()));
                self.end(index);
                if let Some(id) = handed.next_task_id {
                    self.made(id, target);
                }
            }
            Stand::Completed { by } if by == delivery => match (&task.next, answer) {
                (Some(first), Ok(handed)) => {
                    assert_eq!(handed.write, TaskWrite::AlreadyApplied);
                    assert_eq!(&(handed.message_id, handed.next_task_id), first);
                }
                (None, Err(refused)) => assert_eq!(refused.code, ErrorCode::Conflict),
                (first, answer) => panic!("{first:?} was answered with {answer:?}"),
            },
            _ => assert_eq!(answer.unwrap_err().code, ErrorCode::Stale),
        }
    }

    async fn give_back(&mut self, at: usize) {
        let Some((index, delivery, args)) = self.hand_over(at) else { return };
        let answer = self.call::<TaskWritten>("tasks.giveBack", args).await;
        let task = &mut self.tasks[index];
        match task.stand {
            Stand::Held { confirmed: false } if task.delivery == delivery => {
                assert_eq!(answer.unwrap().write, TaskWrite::Applied);
                task.stand = Stand::Queued { answerable: false };
            }
            Stand::Queued { .. } if task.delivery == delivery => {
                assert_eq!(answer.unwrap().write, TaskWrite::AlreadyApplied);
            }
            stand if task.delivery == delivery && stand.is_held() => {
                assert_eq!(answer.unwrap_err().code, ErrorCode::Conflict);
            }
            _ => assert_eq!(answer.unwrap_err().code, ErrorCode::Stale),
        }
    }

    async fn requeue(&mut self, task: usize) {
        if self.tasks.is_empty() {
            return;
        }
        let index = task % self.tasks.len();
        let task = &mut self.tasks[index];
        let args = json!({"taskId": task.id});
        let stand = task.stand;
        let answer = self.call::<TaskWritten>("tasks.requeue", args).await;
        match stand {
            Stand::Queued { answerable: false } => assert_eq!(answer.unwrap().write, TaskWrite::AlreadyApplied),
            stand if stand.is_open() => {
                assert_eq!(answer.unwrap().write, TaskWrite::Applied);
                self.tasks[index].stand = Stand::Queued { answerable: false };
            }
            _ => assert_eq!(answer.unwrap_err().code, ErrorCode::Conflict),
        }
    }

    async fn cancel(&mut self, task: usize) {
        if self.tasks.is_empty() {
            return;
        }
        let index = task % self.tasks.len();
        let (stand, args) = (self.tasks[index].stand, json!({"taskId": self.tasks[index].id}));
        let answer = self.call::<TaskWritten>("tasks.cancel", args).await;
        match stand {
            Stand::Cancelled => assert_eq!(answer.unwrap().write, TaskWrite::AlreadyApplied),
            stand if stand.is_open() => {
                assert_eq!(answer.unwrap().write, TaskWrite::Applied);
                self.tasks[index].stand = Stand::Cancelled;
                self.end(index);
            }
            _ => assert_eq!(answer.unwrap_err().code, ErrorCode::Conflict),
        }
    }

    fn made(&mut self, id: TaskId, role: usize) {
        let stand = Stand::Queued { answerable: false };
        self.tasks.push(ModelTask { id, role, stand, delivery: 0, holder: None, next: None });
    }

    fn end(&mut self, index: usize) {
        assert!(self.ended.insert(self.tasks[index].id.clone()), "a task has ended twice");
    }

    /// The open tasks are those of the model, in its order; no role holds two.
    async fn compare(&self) {
        let open: Vec<Task> = self.call("tasks.list", json!({})).await.unwrap();
        let model: Vec<&ModelTask> = self.tasks.iter().filter(|task| task.stand.is_open()).collect();
        assert_eq!(open.len(), model.len());
        for (task, model) in open.iter().zip(model) {
            assert_eq!(
                (&task.task_id, task.state.as_str(), task.delivery, task.role.as_str()),
                (&model.id, model.stand.name(), model.delivery, ROLES[model.role])
            );
        }
        for role in ROLES {
            assert!(open.iter().filter(|task| task.role == role && task.state.is_held()).count() <= 1);
        }
    }
}
