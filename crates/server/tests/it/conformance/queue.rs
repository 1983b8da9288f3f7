//! Any interleaving of what people and waiters do with the queues of three roles, held against a model. Of each role
//! two processes wait by hand, and one is an agent that may crash.

use super::world::new_room;
use super::{NOW, World};
use chatroom_protocol::api::messages::{ProgressReported, Sent};
use chatroom_protocol::api::tasks::{ClaimOutcome, HandedOff, TaskWritten};
use chatroom_protocol::id::{AgentId, ChatroomId, MachineId, MessageId, TaskId, UserId};
use chatroom_protocol::room::{Message, MessageKind, ReceiptStage, TeamRole};
use chatroom_protocol::task::{CONFIRM_MS, NextTask, Task, TaskWrite};
use chatroom_protocol::user::TokenScope;
use chatroom_protocol::{ErrorCode, Refusal};
use chatroom_server::app::App;
use chatroom_server::caller::Caller;
use chatroom_server::live::Hub;
use chatroom_server::registry::Request;
use chatroom_server::store::{Backend, chatrooms, tasks};
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
        "tasks::cancel", "tasks::requeue_unconfirmed", "participants::join", "tasks::mark_worked", "tasks::count_progress",
        "tasks::release_of_agent", "tasks::confirm",
    ];
}

const ROLES: [&str; 3] = ["planner", "builder", "reviewer"];
/// Who waits for a role: slots 0 and 1 by hand, this one as an agent.
const AGENT: usize = 2;

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
        agent: bool,
    },
    /// The role writes something, which is a sign of work.
    Sign {
        role: usize,
        agent: bool,
    },
    /// Writes of a hand-over, fresh or old.
    Start {
        hand_over: usize,
    },
    Progress {
        hand_over: usize,
    },
    Complete {
        hand_over: usize,
    },
    Handoff {
        hand_over: usize,
        /// To the user, or to one of the other roles.
        to: usize,
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
    /// The agent of a role is gone, by its daemon's word.
    Crash {
        role: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = || 0..1000usize;
    // The newest hand-overs are the ones that matter; old ones must be refused, and come now and then.
    let hand_over = || prop_oneof![4 => 0..2usize, 1 => 0..1000usize];
    let role = || 0..ROLES.len();
    let slot = || 0..=AGENT;
    let step = prop_oneof![
        4 => role().prop_map(|role| Step::Send { role }),
        1 => (role(), slot()).prop_map(|(role, slot)| Step::Join { role, slot }),
        8 => (role(), slot()).prop_map(|(role, slot)| Step::Enter { role, slot }),
        3 => (role(), slot()).prop_map(|(role, slot)| Step::Take { role, slot }),
        1 => (role(), slot(), some()).prop_map(|(role, slot, task)| Step::Claim { role, slot, task }),
        1 => (role(), any::<bool>()).prop_map(|(role, agent)| Step::Confirm { role, agent }),
        1 => (role(), any::<bool>()).prop_map(|(role, agent)| Step::Sign { role, agent }),
        3 => hand_over().prop_map(|hand_over| Step::Start { hand_over }),
        2 => hand_over().prop_map(|hand_over| Step::Progress { hand_over }),
        2 => hand_over().prop_map(|hand_over| Step::Complete { hand_over }),
        3 => (hand_over(), 0..3usize).prop_map(|(hand_over, to)| Step::Handoff { hand_over, to }),
        2 => hand_over().prop_map(|hand_over| Step::GiveBack { hand_over }),
        1 => some().prop_map(|task| Step::Requeue { task }),
        1 => some().prop_map(|task| Step::Cancel { task }),
        2 => Just(Step::Expire),
        2 => role().prop_map(|role| Step::Crash { role }),
    ];
    prop::collection::vec(step, 20..80)
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
    /// The agent that has it, or had it last and may still answer.
    agent: Option<AgentId>,
    /// What its handoff answered.
    next: Option<(MessageId, Option<TaskId>)>,
}

/// A hand-over as whoever got it knows it.
#[derive(Clone, Debug)]
struct HandOver {
    task: usize,
    delivery: i64,
    agent: Option<AgentId>,
}

/// The model, next to the real thing.
struct Queues {
    app: Arc<App>,
    user_id: UserId,
    room: ChatroomId,
    /// In the order in which they were made, which is the order of each queue.
    tasks: Vec<ModelTask>,
    slots: [[Option<String>; AGENT + 1]; ROLES.len()],
    current: [Option<String>; ROLES.len()],
    /// The living agents.
    agents: [Option<AgentId>; ROLES.len()],
    machine: MachineId,
    /// Newest first.
    hand_overs: Vec<HandOver>,
    ended: BTreeSet<TaskId>,
    waiters: usize,
}

async fn no_interleaving_gives_two_holders_loses_order_or_ends_twice(world: Arc<World>) {
    let user_id = world.user("Ada").await;
    let machine = world.machine(&user_id).await;
    // Every case on PostgreSQL costs many round trips.
    let cases = if world.store.backend() == Backend::Sqlite { 128 } else { 32 };
    let hub = Arc::new(Hub::new("queue"));
    let app = App::new(world.store.clone(), hub, functions::registry(), "queue".into(), "http://localhost".into());
    let app = Arc::new(app);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let runtime = tokio::runtime::Handle::current();
    let held = tokio::task::block_in_place(|| {
        runner.run(&steps(), |steps| {
            runtime.block_on(async {
                let room = room_of_three(&world, &user_id).await;
                let mut queues = Queues::new(Arc::clone(&app), user_id.clone(), machine.clone(), room);
                for step in &steps {
                    queues.step(&world, step).await;
                    queues.compare().await;
                }
                queues.compare_receipts().await;
                queues.drain(&world).await;
            });
            Ok(())
        })
    });
    held.unwrap();
}

/// A room whose three roles hand to each other and to the user.
async fn room_of_three(world: &World, user_id: &UserId) -> ChatroomId {
    let mut room = new_room("Shop", NOW);
    let like = room.team.roles[0].clone();
    room.team.roles = ROLES
        .iter()
        .map(|name| TeamRole {
            name: (*name).to_owned(),
            hands_to: ROLES.iter().chain(&["user"]).filter(|to| *to != name).map(|to| (*to).to_owned()).collect(),
            ..like.clone()
        })
        .collect();
    world.write(async |tx| chatrooms::insert(tx, user_id, &room).await).await;
    room.chatroom_id
}

impl Queues {
    fn new(app: Arc<App>, user_id: UserId, machine: MachineId, room: ChatroomId) -> Self {
        Self {
            app,
            user_id,
            room,
            tasks: Vec::new(),
            slots: Default::default(),
            current: Default::default(),
            agents: Default::default(),
            machine,
            hand_overs: Vec::new(),
            ended: BTreeSet::new(),
            waiters: 0,
        }
    }

    async fn call<T: DeserializeOwned>(&self, function: &str, args: Value) -> Result<T, Refusal> {
        self.call_as(None, 0, function, args).await
    }

    /// Calls as the user, or as an agent of a role.
    async fn call_as<T: DeserializeOwned>(
        &self,
        agent: Option<&AgentId>,
        role: usize,
        function: &str,
        mut args: Value,
    ) -> Result<T, Refusal> {
        if !matches!(function, "tasks.requeue" | "tasks.cancel") {
            args["chatroomId"] = json!(self.room);
        }
        let (user_id, credential_id) = (self.user_id.clone(), "credential".into());
        let caller = match agent {
            None => Caller::User {
                user_id,
                user_name: "Ada".into(),
                is_admin: false,
                credential_id,
                scope: TokenScope::Full,
            },
            Some(agent_id) => Caller::Agent {
                user_id,
                machine_id: self.machine.clone(),
                agent_id: agent_id.clone(),
                chatroom_id: self.room.clone(),
                role: ROLES[role].to_owned(),
                credential_id,
            },
        };
        let request = Request { caller, address: None, args, replay_key: None };
        let answer = self.app.call(function, None, &request).await?;
        Ok(serde_json::from_value(answer).unwrap())
    }

    async fn step(&mut self, world: &World, step: &Step) {
        match *step {
            Step::Send { role } => {
                let args = json!({"role": ROLES[role], "content": "work"});
                let sent: Sent = self.call("messages.send", args).await.unwrap();
                self.made(sent.task_id, role);
            }
            Step::Join { role, slot } => self.join(world, role, slot).await,
            Step::Enter { role, slot } => {
                self.join(world, role, slot).await;
                self.take(role, slot).await;
            }
            Step::Take { role, slot } => self.take(role, slot).await,
            Step::Claim { role, slot, task } => {
                if let (Some(waiter), false) = (self.slots[role][slot].clone(), self.tasks.is_empty()) {
                    self.claim(role, slot, &waiter, task % self.tasks.len()).await;
                }
            }
            Step::Confirm { role, agent } => {
                let Some(agent) = self.speaker(role, agent) else { return };
                let _: Value =
                    self.call_as(agent.as_ref(), role, "tasks.confirm", json!({"role": ROLES[role]})).await.unwrap();
                self.heard(role, agent.as_ref(), Stand::Held { confirmed: true });
            }
            Step::Sign { role, agent } => {
                let Some(agent) = self.speaker(role, agent) else { return };
                let note = json!({"role": ROLES[role], "name": "plan.md", "content": "the plan"});
                let _: Value = self.call_as(agent.as_ref(), role, "artifacts.put", note).await.unwrap();
                self.heard(role, agent.as_ref(), Stand::Started);
            }
            Step::Start { hand_over } => self.start(hand_over).await,
            Step::Progress { hand_over } => self.progress(hand_over).await,
            Step::Complete { hand_over } => self.complete(hand_over).await,
            Step::Handoff { hand_over, to } => self.handoff(hand_over, to).await,
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
            Step::Crash { role } => self.crash(role).await,
        }
    }

    /// Who speaks for a role: by hand, or its agent if one lives.
    fn speaker(&self, role: usize, agent: bool) -> Option<Option<AgentId>> {
        if agent { self.agents[role].clone().map(Some) } else { Some(None) }
    }

    /// The role was heard by hand, or by its agent: that confirms (or starts) what was handed to just that one.
    fn heard(&mut self, role: usize, agent: Option<&AgentId>, stand: Stand) {
        for task in self.tasks.iter_mut().filter(|task| task.role == role && task.agent.as_ref() == agent) {
            let Stand::Held { confirmed } = task.stand else { continue };
            if !confirmed || stand == Stand::Started {
                task.stand = stand;
            }
        }
    }

    async fn crash(&mut self, role: usize) {
        let Some(agent) = self.agents[role].take() else { return };
        let caller = Caller::Machine {
            user_id: self.user_id.clone(),
            machine_id: self.machine.clone(),
            credential_id: "credential".into(),
        };
        let args = json!({"machineId": self.machine, "agents": [
            {"agentId": agent, "fact": "exited", "exit": {"how": "lost"}, "exitedAt": 1}]});
        let request = Request { caller, address: None, args, replay_key: None };
        self.app.call("agents.reportExited", None, &request).await.unwrap();
        for task in &mut self.tasks {
            if task.stand.is_held() && task.agent.as_ref() == Some(&agent) {
                task.stand = Stand::Queued { answerable: false };
            }
        }
        // Its process is gone: whoever comes next is another waiter.
        self.slots[role][AGENT] = None;
    }

    async fn join(&mut self, world: &World, role: usize, slot: usize) {
        if slot == AGENT && self.agents[role].is_none() {
            self.agents[role] = Some(world.agent(&self.user_id, &self.room, ROLES[role], &self.machine).await);
        }
        let agent = self.agent_in(role, slot);
        // A slot whose waiter was superseded gets a new process; any other joins again.
        let superseded = self.slots[role][slot] != self.current[role];
        if self.slots[role][slot].is_none() || superseded {
            if let Some(old) = self.slots[role][slot].clone() {
                let again = json!({"role": ROLES[role], "waiterId": old});
                let refused =
                    self.call_as::<Value>(agent.as_ref(), role, "participants.join", again).await.unwrap_err();
                assert_eq!(refused.code, ErrorCode::Superseded);
            }
            self.waiters += 1;
            self.slots[role][slot] = Some(format!("{}-{}", self.room, self.waiters));
        }
        let waiter = self.slots[role][slot].clone();
        let args = json!({"role": ROLES[role], "waiterId": waiter});
        let _: Value = self.call_as(agent.as_ref(), role, "participants.join", args).await.unwrap();
        self.current[role] = waiter;
    }

    fn agent_in(&self, role: usize, slot: usize) -> Option<AgentId> {
        if slot == AGENT { self.agents[role].clone() } else { None }
    }

    async fn take(&mut self, role: usize, slot: usize) {
        let Some(waiter) = self.slots[role][slot].clone() else { return };
        let args = json!({"role": ROLES[role], "waiterId": waiter});
        let agent = self.agent_in(role, slot);
        let next: NextTask = self.call_as(agent.as_ref(), role, "tasks.getNextTask", args).await.unwrap();
        let is_current = self.current[role].as_ref() == Some(&waiter);
        let offered = self.offered(role, agent.as_ref());
        match next {
            NextTask::Superseded { .. } => assert!(!is_current),
            NextTask::Wait { reason } => {
                let busy = offered.is_err();
                assert!(is_current && (busy || offered == Ok(None)) && reason.is_some() == busy);
            }
            NextTask::Claim { task_id } => {
                let index = offered.unwrap().expect("the model offers something too");
                assert!(is_current && self.tasks[index].id == task_id);
                self.claim(role, slot, &waiter, index).await;
            }
        }
    }

    /// The held task of a role, else the first of its queue; an error while another agent that lives holds the task.
    fn offered(&self, role: usize, agent: Option<&AgentId>) -> Result<Option<usize>, ()> {
        let open = |held: bool| {
            self.tasks.iter().position(|task| task.role == role && task.stand.is_open() && task.stand.is_held() == held)
        };
        if let Some(index) = open(true) {
            let holder = self.tasks[index].agent.as_ref();
            let lives = holder.is_some() && holder == self.agents[role].as_ref();
            return if lives && holder != agent { Err(()) } else { Ok(Some(index)) };
        }
        Ok(open(false))
    }

    async fn claim(&mut self, role: usize, slot: usize, waiter: &str, index: usize) {
        let agent = self.agent_in(role, slot);
        let args = json!({"role": ROLES[role], "waiterId": waiter, "taskId": self.tasks[index].id});
        let outcome: ClaimOutcome = self.call_as(agent.as_ref(), role, "tasks.claim", args).await.unwrap();
        let offered = self.offered(role, agent.as_ref()) == Ok(Some(index));
        let is_current = self.current[role].as_deref() == Some(waiter);
        let task = &mut self.tasks[index];
        match outcome {
            ClaimOutcome::Superseded { .. } => assert!(!is_current),
            ClaimOutcome::Gone => assert!(!offered && is_current),
            ClaimOutcome::Claimed { delivery } => {
                assert!(offered && is_current);
                let repeated = task.stand.is_held() && task.holder.as_deref() == Some(waiter);
                if !repeated {
                    task.delivery += 1;
                    task.stand = Stand::Held { confirmed: false };
                    task.holder = Some(waiter.to_owned());
                    task.agent = agent.clone();
                    self.hand_overs.insert(0, HandOver { task: index, delivery: task.delivery, agent });
                }
                assert_eq!(delivery.task.delivery, task.delivery);
                assert!(delivery.brief.contains(&format!("--delivery={}", task.delivery)));
            }
        }
    }

    fn hand_over(&self, at: usize) -> Option<(HandOver, Value)> {
        if self.hand_overs.is_empty() {
            return None;
        }
        let hand_over = self.hand_overs[at % self.hand_overs.len()].clone();
        let task = &self.tasks[hand_over.task];
        let args = json!({"role": ROLES[task.role], "taskId": task.id, "delivery": hand_over.delivery});
        Some((hand_over, args))
    }

    /// A write of whoever got a hand-over.
    async fn write<T: DeserializeOwned>(
        &self,
        function: &str,
        hand_over: &HandOver,
        args: Value,
    ) -> Result<T, Refusal> {
        let role = self.tasks[hand_over.task].role;
        self.call_as(hand_over.agent.as_ref(), role, function, args).await
    }

    async fn start(&mut self, at: usize) {
        let Some((hand_over, args)) = self.hand_over(at) else { return };
        let (index, delivery) = (hand_over.task, hand_over.delivery);
        let answer = self.write::<TaskWritten>("tasks.start", &hand_over, args).await;
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

    async fn progress(&mut self, at: usize) {
        let Some((hand_over, mut args)) = self.hand_over(at) else { return };
        args["content"] = json!("on it");
        let answer = self.write::<ProgressReported>("messages.reportProgress", &hand_over, args).await;
        let task = &mut self.tasks[hand_over.task];
        let newest = task.delivery == hand_over.delivery;
        match task.stand {
            Stand::Started if newest => assert_eq!(answer.unwrap().started, TaskWrite::AlreadyApplied),
            stand if newest && stand.takes_answers() => {
                assert_eq!(answer.unwrap().started, TaskWrite::Applied);
                task.stand = Stand::Started;
            }
            _ => assert_eq!(answer.unwrap_err().code, ErrorCode::Stale),
        }
    }

    async fn complete(&mut self, at: usize) {
        let Some((hand_over, args)) = self.hand_over(at) else { return };
        let (index, delivery) = (hand_over.task, hand_over.delivery);
        let answer = self.write::<TaskWritten>("tasks.complete", &hand_over, args).await;
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

    async fn handoff(&mut self, at: usize, to: usize) {
        let Some((hand_over, mut args)) = self.hand_over(at) else { return };
        let (index, delivery, to_user) = (hand_over.task, hand_over.delivery, to == 0);
        let target = (self.tasks[index].role + to) % ROLES.len();
        args["nextRole"] = json!(if to_user { "user" } else { ROLES[target] });
        args["content"] = json!("done");
        let answer = self.write::<HandedOff>("tasks.handoff", &hand_over, args).await;
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
        let Some((hand_over, args)) = self.hand_over(at) else { return };
        let (index, delivery) = (hand_over.task, hand_over.delivery);
        let answer = self.write::<TaskWritten>("tasks.giveBack", &hand_over, args).await;
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
        self.tasks.push(ModelTask { id, role, stand, delivery: 0, holder: None, agent: None, next: None });
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

    /// What the sender of each message is told is what the model says of its task.
    async fn compare_receipts(&self) {
        let said: Vec<Message> = self.call("messages.list", json!({"limit": 200})).await.unwrap();
        for message in said.iter().filter(|message| message.kind != MessageKind::Progress) {
            let Some(task) = self.tasks.iter().find(|task| Some(&task.id) == message.task_id.as_ref()) else {
                assert_eq!(message.target_role, "user");
                continue;
            };
            let stage = match task.stand {
                Stand::Queued { .. } => ReceiptStage::Queued,
                Stand::Held { confirmed: false } => ReceiptStage::Delivered,
                Stand::Held { confirmed: true } => ReceiptStage::Seen,
                Stand::Started => ReceiptStage::Started,
                Stand::Completed { .. } => ReceiptStage::Done,
                Stand::Cancelled => ReceiptStage::Cancelled,
            };
            let receipt = message.receipt.as_ref().expect("a message with a task has a receipt");
            assert_eq!((receipt.stage, receipt.delivery), (stage, task.delivery));
        }
    }

    /// Whatever has happened, one honest worker by hand for each role gets every task done, in order: nothing is stuck.
    async fn drain(&mut self, world: &World) {
        for role in 0..ROLES.len() {
            self.crash(role).await;
            while self.tasks.iter().any(|task| task.role == role && task.stand.is_open()) {
                let before = self.hand_overs.len();
                self.step(world, &Step::Enter { role, slot: 0 }).await;
                if self.hand_overs.len() == before {
                    // It was handed to this very waiter before: the same hand-over again.
                    let held = self.offered(role, None).unwrap().unwrap();
                    let at = self
                        .hand_overs
                        .iter()
                        .position(|given| given.task == held && given.delivery == self.tasks[held].delivery);
                    let given = self.hand_overs.remove(at.unwrap());
                    self.hand_overs.insert(0, given);
                }
                self.step(world, &Step::Complete { hand_over: 0 }).await;
            }
        }
        self.compare().await;
        let ended = self.tasks.iter().filter(|task| self.ended.contains(&task.id)).count();
        assert_eq!(ended, self.tasks.len(), "every task ends exactly once");
    }
}
