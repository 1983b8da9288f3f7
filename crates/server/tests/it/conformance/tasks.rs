use super::{NOW, World};
use chatroom_protocol::agent::AgentExit;
use chatroom_protocol::id::{AgentId, ChatroomId, TaskId, UserId, WaiterId};
use chatroom_protocol::task::{CONFIRM_MS, TaskState};
use chatroom_server::live::Topic;
use chatroom_server::store::agents;
use chatroom_server::store::tasks::{self, Fence, Offer, Row};
use std::sync::Arc;

super::cases! {
    a_queue_is_listed_in_order: ["tasks::insert", "tasks::list", "tasks::count_open", "tasks::find", "tasks::find_own"];
    the_first_of_the_queue_is_offered_and_then_the_held_one: ["tasks::find_offer", "tasks::claim"];
    a_task_of_an_agent_that_lives_is_offered_to_nobody_else: ["tasks::find_offer"];
    a_task_is_claimed_once: ["tasks::claim"];
    a_hand_over_is_confirmed_by_whom_it_reached: ["tasks::confirm"];
    only_an_unconfirmed_hand_over_is_given_back: ["tasks::give_back"];
    a_task_starts_once_and_only_for_the_newest_hand_over: ["tasks::start"];
    a_task_is_finished_once: ["tasks::finish"];
    an_agent_writes_only_to_what_was_handed_to_it: ["tasks::start", "tasks::finish", "tasks::give_back"];
    a_first_sign_of_work_starts_the_held_task: ["tasks::mark_worked", "tasks::find_held"];
    progress_is_counted_while_work_goes_on_and_up_to_a_limit: ["tasks::count_progress"];
    tasks_of_a_removed_role_are_moved_or_cancelled: [
        "tasks::move_to_role", "tasks::cancel_of_role", "tasks::count_open_of_role",
    ];
    the_owner_puts_back_and_cancels: ["tasks::requeue", "tasks::cancel"];
    an_ended_agent_lets_go: ["tasks::release_of_agent"];
    an_unconfirmed_hand_over_runs_out_but_a_late_answer_counts: [
        "tasks::requeue_unconfirmed", "tasks::next_confirm_deadline",
    ];
}

/// A room with one task for the builder.
struct Desk {
    user: UserId,
    room: ChatroomId,
    task: TaskId,
}

impl Desk {
    async fn new(world: &World) -> Self {
        let user = world.user("Ada").await;
        let room = world.room(&user).await.chatroom_id;
        let task = world.task(&user, &room, "builder", "first").await;
        Self { user, room, task }
    }

    fn fence(&self, delivery: i64) -> Fence<'_> {
        Fence { chatroom_id: &self.room, role: "builder", task_id: &self.task, delivery, agent_id: None }
    }

    async fn row(&self, world: &World) -> Row {
        world.read(async |tx| tasks::find(tx, &self.room, &self.task).await).await.unwrap()
    }

    async fn offer(&self, world: &World, agent: Option<&AgentId>) -> Offer {
        world.read(async |tx| tasks::find_offer(tx, &self.room, "builder", agent).await).await
    }

    /// Claims what is offered.
    async fn claim(&self, world: &World, waiter: &str, agent: Option<&AgentId>) -> Row {
        let Offer::Take(offered) = self.offer(world, agent).await else { panic!("nothing is offered") };
        let waiter = WaiterId::from(waiter);
        world.write(async |tx| tasks::claim(tx, &offered, &waiter, agent, NOW).await).await.unwrap()
    }
}

async fn a_queue_is_listed_in_order(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    let bob = world.user("Bob").await;
    let waker = world.watch(&[Topic::Tasks(desk.room.clone())]);
    let second = world.task(&desk.user, &desk.room, "planner", "second").await;
    assert!(!waker.take().is_empty());
    let third = world.task(&desk.user, &desk.room, "builder", "third").await;
    world.write(async |tx| tasks::cancel(tx, &desk.user, &second, NOW).await).await.unwrap();
    let list = async |state, role, limit| {
        let list = world.read(async |tx| tasks::list(tx, &desk.room, state, role, limit).await).await;
        list.into_iter().map(|task| task.task_id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None, 9).await, [desk.task.clone(), third.clone()]);
    assert_eq!(list(None, Some("planner"), 9).await, []);
    assert_eq!(list(Some(TaskState::Cancelled), None, 9).await, [second]);
    assert_eq!(list(Some(TaskState::Pending), Some("builder"), 1).await, [third]);
    assert_eq!(world.read(async |tx| tasks::count_open(tx, &desk.room).await).await, 2);
    let row = desk.row(&world).await;
    assert_eq!((row.position, row.task.state, row.task.delivery), (1, TaskState::Pending, 0));
    assert_eq!((row.task.content.as_str(), row.task.from_role.as_str()), ("first", "user"));
    assert_eq!(world.read(async |tx| tasks::find(tx, &"other".into(), &desk.task).await).await, None);
    assert_eq!(world.read(async |tx| tasks::find_own(tx, &desk.user, &desk.task).await).await, Some(row));
    assert_eq!(world.read(async |tx| tasks::find_own(tx, &bob, &desk.task).await).await, None);
}

async fn the_first_of_the_queue_is_offered_and_then_the_held_one(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    world.task(&desk.user, &desk.room, "builder", "second").await;
    let first = desk.claim(&world, "a", None).await;
    assert_eq!((&first.task.task_id, first.task.delivery, first.task.state), (&desk.task, 1, TaskState::Acknowledged));
    assert_eq!(first.holder_waiter, Some("a".into()));
    let again = desk.claim(&world, "b", None).await;
    assert_eq!((&again.task.task_id, again.task.delivery), (&desk.task, 2));
    assert_eq!(again.holder_waiter, Some("b".into()));
    world.write(async |tx| tasks::start(tx, &desk.fence(2), NOW).await).await.unwrap();
    let third = desk.claim(&world, "c", None).await;
    assert_eq!((third.task.delivery, third.task.state, third.task.confirmed), (3, TaskState::Acknowledged, false));
    world.write(async |tx| tasks::finish(tx, &desk.fence(3), None, None, NOW).await).await.unwrap();
    assert_ne!(desk.claim(&world, "c", None).await.task.task_id, desk.task);
    let empty = world.read(async |tx| tasks::find_offer(tx, &desk.room, "planner", None).await).await;
    assert_eq!(empty, Offer::Empty);
}

async fn a_task_of_an_agent_that_lives_is_offered_to_nobody_else(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    let machine = world.machine(&desk.user).await;
    let agent = world.agent(&desk.user, &desk.room, "builder", &machine).await;
    let held = desk.claim(&world, "a", Some(&agent)).await;
    assert_eq!((held.task.agent_id.as_ref(), held.task.delivery), (Some(&agent), 1));
    let busy = Offer::Busy { agent_id: agent.clone(), task_id: desk.task.clone() };
    assert_eq!(desk.offer(&world, None).await, busy);
    assert_eq!(desk.offer(&world, Some(&"other".into())).await, busy);
    // The agent itself gets its task again, under the next number.
    assert_eq!(desk.claim(&world, "b", Some(&agent)).await.task.delivery, 2);
    // Once it has ended, whoever waits gets it.
    world.write(async |tx| agents::set_exited(tx, &agent, &AgentExit::Lost, false, NOW).await).await;
    assert_eq!(desk.claim(&world, "c", None).await.task.delivery, 3);
}

async fn a_task_is_claimed_once(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    for round in 1..=10 {
        let Offer::Take(offered) = desk.offer(&world, None).await else { panic!("nothing is offered") };
        world
            .race_is_won_once(async |tx| Ok(tasks::claim(tx, &offered, &"w".into(), None, NOW).await?.is_some()))
            .await;
        assert_eq!(desk.row(&world).await.task.delivery, round);
    }
    world.write(async |tx| tasks::cancel(tx, &desk.user, &desk.task, NOW).await).await;
    let ended = desk.row(&world).await;
    assert_eq!(world.write(async |tx| tasks::claim(tx, &ended, &"w".into(), None, NOW).await).await, None);
}

async fn a_hand_over_is_confirmed_by_whom_it_reached(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    let confirm = async |agent: Option<&AgentId>| {
        world.write(async |tx| tasks::confirm(tx, &desk.room, "builder", agent, NOW).await).await.is_some()
    };
    assert!(!confirm(None).await, "nothing was handed over");
    desk.claim(&world, "a", None).await;
    let other = AgentId::from("other");
    assert!(!confirm(Some(&other)).await);
    let waker = world.watch(&[Topic::Tasks(desk.room.clone())]);
    assert!(confirm(None).await);
    assert!(!waker.take().is_empty());
    assert!(desk.row(&world).await.task.confirmed);
    assert!(!confirm(None).await);
    assert!(waker.take().is_empty());
}

async fn only_an_unconfirmed_hand_over_is_given_back(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    desk.claim(&world, "a", None).await;
    let give_back =
        async |delivery| world.write(async |tx| tasks::give_back(tx, &desk.fence(delivery), NOW).await).await;
    assert_eq!(give_back(2).await, None);
    world.race_is_won_once(async |tx| Ok(tasks::give_back(tx, &desk.fence(1), NOW).await?.is_some())).await;
    let row = desk.row(&world).await;
    assert_eq!((row.task.state, row.task.delivery, row.holder_waiter), (TaskState::Pending, 1, None));
    assert_eq!(world.write(async |tx| tasks::start(tx, &desk.fence(1), NOW).await).await, None);
    desk.claim(&world, "a", None).await;
    world.write(async |tx| tasks::confirm(tx, &desk.room, "builder", None, NOW).await).await;
    assert_eq!(give_back(2).await, None);
    assert_eq!(desk.row(&world).await.task.state, TaskState::Acknowledged);
}

async fn a_task_starts_once_and_only_for_the_newest_hand_over(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    let start = async |delivery| world.write(async |tx| tasks::start(tx, &desk.fence(delivery), NOW).await).await;
    assert_eq!(start(0).await, None);
    desk.claim(&world, "a", None).await;
    desk.claim(&world, "b", None).await;
    assert_eq!(start(1).await, None);
    world.race_is_won_once(async |tx| Ok(tasks::start(tx, &desk.fence(2), NOW).await?.is_some())).await;
    let row = desk.row(&world).await;
    assert_eq!((row.task.state, row.task.confirmed), (TaskState::InProgress, true));
    assert_eq!(start(2).await, None);
}

async fn a_task_is_finished_once(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    let finish = async |delivery| {
        let (message, task) = ("message".into(), "task".into());
        world.write(async |tx| tasks::finish(tx, &desk.fence(delivery), Some(&message), Some(&task), NOW).await).await
    };
    assert_eq!(finish(0).await, None);
    desk.claim(&world, "a", None).await;
    desk.claim(&world, "b", None).await;
    assert_eq!(finish(1).await, None);
    world
        .race_is_won_once(async |tx| Ok(tasks::finish(tx, &desk.fence(2), None, None, NOW + 1).await?.is_some()))
        .await;
    assert_eq!(finish(2).await, None, "the first end stands");
    let row = desk.row(&world).await;
    assert_eq!((row.task.state, row.ended_delivery, row.next_message_id), (TaskState::Completed, Some(2), None));
    assert_eq!(row.task.updated_at, NOW + 1);
    assert_eq!(world.write(async |tx| tasks::cancel(tx, &desk.user, &desk.task, NOW).await).await, None);
    assert_eq!(world.write(async |tx| tasks::requeue(tx, &desk.user, &desk.task, NOW).await).await, None);
}

async fn an_agent_writes_only_to_what_was_handed_to_it(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    let (agent, other) = (AgentId::from("agent"), AgentId::from("other"));
    desk.claim(&world, "a", Some(&agent)).await;
    let stranger = Fence { agent_id: Some(&other), ..desk.fence(1) };
    assert_eq!(world.write(async |tx| tasks::start(tx, &stranger, NOW).await).await, None);
    assert_eq!(world.write(async |tx| tasks::give_back(tx, &stranger, NOW).await).await, None);
    assert_eq!(world.write(async |tx| tasks::finish(tx, &stranger, None, None, NOW).await).await, None);
    for wrong in [Fence { role: "planner", ..desk.fence(1) }, Fence { chatroom_id: &"other".into(), ..desk.fence(1) }] {
        assert_eq!(world.write(async |tx| tasks::finish(tx, &wrong, None, None, NOW).await).await, None);
    }
    let own = Fence { agent_id: Some(&agent), ..desk.fence(1) };
    assert!(world.write(async |tx| tasks::start(tx, &own, NOW).await).await.is_some());
    assert!(world.write(async |tx| tasks::finish(tx, &own, None, None, NOW).await).await.is_some());
}

async fn the_owner_puts_back_and_cancels(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    let bob = world.user("Bob").await;
    desk.claim(&world, "a", None).await;
    world.write(async |tx| tasks::start(tx, &desk.fence(1), NOW).await).await;
    assert_eq!(world.write(async |tx| tasks::requeue(tx, &bob, &desk.task, NOW).await).await, None);
    assert_eq!(world.write(async |tx| tasks::cancel(tx, &bob, &desk.task, NOW).await).await, None);
    let waker = world.watch(&[Topic::Tasks(desk.room.clone())]);
    world.race_is_won_once(async |tx| Ok(tasks::requeue(tx, &desk.user, &desk.task, NOW).await?.is_some())).await;
    let row = desk.row(&world).await;
    assert_eq!((row.task.state, row.task.confirmed, row.holder_waiter), (TaskState::Pending, false, None));
    assert_eq!(world.write(async |tx| tasks::finish(tx, &desk.fence(1), None, None, NOW).await).await, None);
    assert_eq!(desk.claim(&world, "b", None).await.task.delivery, 2);
    drop(waker);
    world.race_is_won_once(async |tx| Ok(tasks::cancel(tx, &desk.user, &desk.task, NOW).await?.is_some())).await;
    assert_eq!(desk.row(&world).await.task.state, TaskState::Cancelled);
    assert_eq!(world.write(async |tx| tasks::finish(tx, &desk.fence(2), None, None, NOW).await).await, None);
    assert_eq!(desk.offer(&world, None).await, Offer::Empty);
}

async fn an_ended_agent_lets_go(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    let agent = AgentId::from("agent");
    desk.claim(&world, "a", Some(&agent)).await;
    world.write(async |tx| tasks::confirm(tx, &desk.room, "builder", Some(&agent), NOW).await).await;
    let release =
        async |agent: &str| world.write(async |tx| tasks::release_of_agent(tx, &agent.into(), NOW).await).await;
    assert_eq!(release("other").await, 0);
    let waker = world.watch(&[Topic::Tasks(desk.room.clone())]);
    assert_eq!(release("agent").await, 1);
    assert!(!waker.take().is_empty());
    assert_eq!(release("agent").await, 0);
    let own = Fence { agent_id: Some(&agent), ..desk.fence(1) };
    assert_eq!(world.write(async |tx| tasks::finish(tx, &own, None, None, NOW).await).await, None);
    assert_eq!(desk.claim(&world, "b", None).await.task.delivery, 2);
}

async fn an_unconfirmed_hand_over_runs_out_but_a_late_answer_counts(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    assert_eq!(world.read(tasks::next_confirm_deadline).await, None);
    desk.claim(&world, "a", None).await;
    assert_eq!(world.read(tasks::next_confirm_deadline).await, Some(NOW + CONFIRM_MS));
    let expire = async |at| world.write(async |tx| tasks::requeue_unconfirmed(tx, at).await).await;
    assert_eq!(expire(NOW + CONFIRM_MS - 1).await, 0);
    assert_eq!(expire(NOW + CONFIRM_MS).await, 1);
    assert_eq!(world.read(tasks::next_confirm_deadline).await, None);
    let row = desk.row(&world).await;
    assert_eq!((row.task.state, row.task.agent_id.clone()), (TaskState::Pending, None));
    // Nobody else was handed it: the late start counts.
    assert!(world.write(async |tx| tasks::start(tx, &desk.fence(1), NOW).await).await.is_some());
    desk.claim(&world, "b", None).await;
    world.write(async |tx| tasks::confirm(tx, &desk.room, "builder", None, NOW).await).await;
    assert_eq!(expire(NOW + 9 * CONFIRM_MS).await, 0, "what was confirmed does not run out");
    // Handed to somebody else: the late end does not count.
    desk.claim(&world, "c", None).await;
    assert_eq!(expire(NOW + CONFIRM_MS).await, 1);
    assert_eq!(world.write(async |tx| tasks::finish(tx, &desk.fence(2), None, None, NOW).await).await, None);
    assert!(world.write(async |tx| tasks::finish(tx, &desk.fence(3), None, None, NOW).await).await.is_some());
}

async fn a_first_sign_of_work_starts_the_held_task(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    let worked = async |agent: Option<&AgentId>, at| {
        world.write(async |tx| tasks::mark_worked(tx, &desk.room, "builder", agent, at).await).await.is_some()
    };
    let held = async |role: &str| world.read(async |tx| tasks::find_held(tx, &desk.room, role).await).await;
    assert!(!worked(None, NOW).await);
    assert_eq!(held("builder").await, None);
    let claimed = desk.claim(&world, "a", None).await;
    assert_eq!(held("builder").await, Some(claimed));
    assert_eq!(held("planner").await, None);
    // The word of an agent that it was not handed to is not the holder's.
    assert!(!worked(Some(&"agent".into()), NOW + 1).await);
    let waker = world.watch(&[Topic::Tasks(desk.room.clone())]);
    assert!(worked(None, NOW + 1).await);
    assert!(!waker.take().is_empty());
    assert!(!worked(None, NOW + 2).await);
    let row = held("builder").await.unwrap();
    assert_eq!((row.task.state, row.task.confirmed, row.task.updated_at), (TaskState::InProgress, true, NOW + 1));
}

async fn progress_is_counted_while_work_goes_on_and_up_to_a_limit(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    let note = async |delivery| {
        world.write(async |tx| tasks::count_progress(tx, &desk.fence(delivery), 3).await).await.is_some()
    };
    desk.claim(&world, "a", None).await;
    assert!(!note(1).await, "work has not begun");
    world.write(async |tx| tasks::start(tx, &desk.fence(1), NOW).await).await.unwrap();
    assert!(!note(2).await);
    assert!(note(1).await);
    let both = world.race(async |tx| tasks::count_progress(tx, &desk.fence(1), 2).await).await;
    assert_eq!(both.iter().flatten().count(), 1);
    assert!(note(1).await);
    assert!(!note(1).await);
    world.write(async |tx| tasks::finish(tx, &desk.fence(1), None, None, NOW).await).await.unwrap();
    assert!(!note(1).await);
}

async fn tasks_of_a_removed_role_are_moved_or_cancelled(world: Arc<World>) {
    let desk = Desk::new(&world).await;
    let planned = world.task(&desk.user, &desk.room, "planner", "planned").await;
    let second = world.task(&desk.user, &desk.room, "builder", "second").await;
    let ended = world.task(&desk.user, &desk.room, "builder", "ended").await;
    world.write(async |tx| tasks::cancel(tx, &desk.user, &ended, NOW).await).await.unwrap();
    desk.claim(&world, "a", None).await;
    world.write(async |tx| tasks::start(tx, &desk.fence(1), NOW).await).await.unwrap();
    let open = async |role: &str| world.read(async |tx| tasks::count_open_of_role(tx, &desk.room, role).await).await;
    assert_eq!((open("builder").await, open("planner").await), (2, 1));
    let waker = world.watch(&[Topic::Tasks(desk.room.clone())]);
    let moved = world.write(async |tx| tasks::move_to_role(tx, &desk.room, "builder", "planner", NOW + 1).await).await;
    assert_eq!(moved, [desk.task.clone(), second.clone()]);
    assert!(!waker.take().is_empty());
    assert!(
        world.write(async |tx| tasks::move_to_role(tx, &desk.room, "builder", "planner", NOW).await).await.is_empty()
    );
    assert!(waker.take().is_empty());
    let row = desk.row(&world).await;
    assert_eq!((row.task.role.as_str(), row.task.state, row.task.delivery), ("planner", TaskState::Pending, 1));
    assert_eq!((row.holder_waiter, row.task.confirmed), (None, false));
    // Whoever held it is fenced off, whichever role it names.
    let mut late = desk.fence(1);
    late.role = "planner";
    assert_eq!(world.write(async |tx| tasks::finish(tx, &late, None, None, NOW).await).await, None);
    // They stand where their messages stand.
    let queue = world.read(async |tx| tasks::list(tx, &desk.room, None, Some("planner"), 9).await).await;
    let queue: Vec<TaskId> = queue.into_iter().map(|task| task.task_id).collect();
    assert_eq!(queue, [desk.task.clone(), planned.clone(), second.clone()]);
    let cancelled = world.write(async |tx| tasks::cancel_of_role(tx, &desk.room, "planner", NOW + 2).await).await;
    assert_eq!(cancelled, [desk.task.clone(), planned, second]);
    assert_eq!((open("builder").await, open("planner").await), (0, 0));
    assert_eq!(desk.row(&world).await.task.state, TaskState::Cancelled);
}
