use super::{NOW, World};
use chatroom_protocol::UnixMs;
use chatroom_protocol::api::participants::Participant;
use chatroom_protocol::id::{AgentId, ChatroomId, MachineId, UserId, WaiterId};
use chatroom_server::live::Topic;
use chatroom_server::store::participants::{self, Holding, Joining, SUPERSEDED_KEPT, Waiter};
use std::sync::Arc;

super::cases! {
    the_newest_waiter_wins_and_the_older_stays_out: ["participants::join", "participants::find"];
    joining_again_changes_nothing: ["participants::join", "participants::list"];
    of_two_new_waiters_one_is_superseded: ["participants::join"];
    an_open_socket_is_what_waiting_means: [
        "participants::set_waiting", "participants::set_gone", "participants::list",
    ];
    only_the_current_waiter_of_the_owner_waits: ["participants::set_waiting"];
    the_waiter_of_a_removed_role_stays_out: ["participants::supersede", "participants::list"];
    an_ended_agent_waits_no_more: ["participants::clear_of_agent"];
    what_a_dead_server_held_waits_no_more: ["participants::set_gone_of_replicas", "participants::set_gone_all"];
}

const SOCKET: Holding<'static> = Holding { socket: "s1", replica: "r1" };

fn waiter(id: &str, agent: Option<&str>) -> Waiter {
    Waiter {
        waiter_id: id.into(),
        agent_id: agent.map(AgentId::from),
        machine_id: agent.map(|_| MachineId::from("machine")),
    }
}

async fn join(world: &World, room: &ChatroomId, role: &str, waiter: &Waiter, at: UnixMs) -> Joining {
    world.write(async |tx| participants::join(tx, room, role, waiter, at).await).await
}

async fn wait(
    world: &World,
    user: &UserId,
    room: &ChatroomId,
    waiter: &str,
    holding: &Holding<'_>,
    at: UnixMs,
) -> bool {
    let id = WaiterId::from(waiter);
    world.write(async |tx| participants::set_waiting(tx, user, room, "builder", &id, holding, at).await).await
}

async fn only(world: &World, room: &ChatroomId) -> Participant {
    let mut list = world.read(async |tx| participants::list(tx, room).await).await;
    assert_eq!(list.len(), 1);
    list.remove(0)
}

async fn the_newest_waiter_wins_and_the_older_stays_out(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    let current = async || world.read(async |tx| participants::find(tx, &room, "builder").await).await;
    assert_eq!(current().await, None);
    let (first, second) = (waiter("b", None), waiter("a", Some("agent")));
    assert_eq!(join(&world, &room, "builder", &first, NOW).await, Joining::Joined);
    let waker = world.watch(&[Topic::Tasks(room.clone())]);
    assert_eq!(join(&world, &room, "builder", &second, NOW).await, Joining::Joined);
    assert!(!waker.take().is_empty(), "the older waiter must hear of it");
    assert_eq!(current().await, Some(second.clone()));
    for _ in 0..2 {
        assert_eq!(join(&world, &room, "builder", &first, NOW).await, Joining::Superseded);
        assert_eq!(current().await, Some(second.clone()));
    }
    // Another role is another queue.
    assert_eq!(join(&world, &room, "planner", &first, NOW).await, Joining::Joined);
    // Still out when many have come since, as many as are remembered.
    for n in 1..SUPERSEDED_KEPT {
        assert_eq!(join(&world, &room, "builder", &waiter(&format!("w{n}"), None), NOW).await, Joining::Joined);
    }
    assert_eq!(join(&world, &room, "builder", &first, NOW).await, Joining::Superseded);
}

async fn joining_again_changes_nothing(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    let one = waiter("a", Some("agent"));
    join(&world, &room, "builder", &one, NOW).await;
    wait(&world, &ada, &room, "a", &SOCKET, NOW + 1).await;
    let before = only(&world, &room).await;
    let waker = world.watch(&[Topic::Tasks(room.clone())]);
    assert_eq!(join(&world, &room, "builder", &one, NOW + 2).await, Joining::Joined);
    assert_eq!(only(&world, &room).await, before);
    assert!(waker.take().is_empty());
}

async fn of_two_new_waiters_one_is_superseded(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    for round in 0..10 {
        let [one, two] = ["a", "b"].map(|name| waiter(&format!("{round}-{name}"), None));
        let joined = world
            .race_two(
                async |tx| participants::join(tx, &room, "builder", &one, NOW).await,
                async |tx| participants::join(tx, &room, "builder", &two, NOW).await,
            )
            .await;
        assert_eq!(joined, [Joining::Joined; 2], "whoever is new wins, one after the other");
        let again = [join(&world, &room, "builder", &one, NOW).await, join(&world, &room, "builder", &two, NOW).await];
        assert!(again == [Joining::Joined, Joining::Superseded] || again == [Joining::Superseded, Joining::Joined]);
    }
}

async fn an_open_socket_is_what_waiting_means(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    join(&world, &room, "builder", &waiter("a", Some("agent")), NOW).await;
    let state = async || {
        let one = only(&world, &room).await;
        (one.waiting, one.since)
    };
    assert_eq!(state().await, (false, NOW));
    let waker = world.watch(&[Topic::Tasks(room.clone())]);
    assert!(wait(&world, &ada, &room, "a", &SOCKET, NOW + 1).await);
    assert_eq!(state().await, (true, NOW + 1));
    assert!(!waker.take().is_empty());
    // A newer socket of the same waiter takes its place quietly; the older one's end means nothing then.
    let newer = Holding { socket: "s2", replica: "r1" };
    assert!(wait(&world, &ada, &room, "a", &newer, NOW + 2).await);
    assert_eq!(state().await, (true, NOW + 1));
    assert!(waker.take().is_empty());
    let gone = async |holding: &Holding<'_>, at| {
        world.write(async |tx| participants::set_gone(tx, &room, "builder", &"a".into(), holding, at).await).await
    };
    assert!(!gone(&SOCKET, NOW + 3).await);
    assert_eq!(state().await, (true, NOW + 1));
    assert!(gone(&newer, NOW + 4).await);
    assert_eq!(state().await, (false, NOW + 4));
    assert!(!waker.take().is_empty());
    assert!(!gone(&newer, NOW + 5).await);
    let one = only(&world, &room).await;
    assert_eq!((one.agent_id, one.machine_id), (Some("agent".into()), Some("machine".into())));
}

async fn only_the_current_waiter_of_the_owner_waits(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    let room = world.room(&ada).await.chatroom_id;
    join(&world, &room, "builder", &waiter("a", None), NOW).await;
    wait(&world, &ada, &room, "a", &SOCKET, NOW).await;
    assert!(!wait(&world, &bob, &room, "a", &SOCKET, NOW).await);
    join(&world, &room, "builder", &waiter("b", None), NOW + 1).await;
    assert!(!only(&world, &room).await.waiting, "whoever has just joined has no socket yet");
    assert!(!wait(&world, &ada, &room, "a", &SOCKET, NOW + 2).await);
    assert!(!only(&world, &room).await.waiting);
}

async fn an_ended_agent_waits_no_more(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    join(&world, &room, "builder", &waiter("a", Some("agent")), NOW).await;
    wait(&world, &ada, &room, "a", &SOCKET, NOW).await;
    let clear =
        async |agent: &str, at| world.write(async |tx| participants::clear_of_agent(tx, &agent.into(), at).await).await;
    let waker = world.watch(&[Topic::Tasks(room.clone())]);
    assert_eq!(clear("other", NOW + 1).await, 0);
    assert!(waker.take().is_empty());
    assert_eq!(clear("agent", NOW + 1).await, 1);
    assert!(!waker.take().is_empty());
    assert_eq!(clear("agent", NOW + 2).await, 0);
    let one = only(&world, &room).await;
    assert_eq!((one.waiting, one.since, one.agent_id), (false, NOW + 1, Some("agent".into())));
}

async fn what_a_dead_server_held_waits_no_more(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    join(&world, &room, "builder", &waiter("a", None), NOW).await;
    wait(&world, &ada, &room, "a", &SOCKET, NOW).await;
    let gone = async |replicas: &[&str], at| {
        let replicas: Vec<String> = replicas.iter().map(|&name| name.to_owned()).collect();
        world.write(async |tx| participants::set_gone_of_replicas(tx, &replicas, at).await).await
    };
    assert_eq!(gone(&[], NOW + 1).await, 0);
    assert_eq!(gone(&["r2"], NOW + 1).await, 0);
    assert!(only(&world, &room).await.waiting);
    assert_eq!(gone(&["r2", "r1"], NOW + 1).await, 1);
    assert!(!only(&world, &room).await.waiting);
    wait(&world, &ada, &room, "a", &SOCKET, NOW + 2).await;
    assert_eq!(world.write(async |tx| participants::set_gone_all(tx, NOW + 3).await).await, 1);
    let one = only(&world, &room).await;
    assert_eq!((one.waiting, one.since), (false, NOW + 3));
}

async fn the_waiter_of_a_removed_role_stays_out(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    let supersede = async || world.write(async |tx| participants::supersede(tx, &room, "builder", NOW + 1).await).await;
    assert!(!supersede().await);
    join(&world, &room, "builder", &waiter("a", Some("agent")), NOW).await;
    wait(&world, &ada, &room, "a", &SOCKET, NOW).await;
    let waker = world.watch(&[Topic::Tasks(room.clone())]);
    assert!(supersede().await);
    assert!(!waker.take().is_empty());
    assert!(!supersede().await);
    assert!(world.read(async |tx| participants::list(tx, &room).await).await.is_empty());
    assert!(!wait(&world, &ada, &room, "a", &SOCKET, NOW + 2).await);
    // The role comes back: its old waiter does not.
    assert_eq!(join(&world, &room, "builder", &waiter("a", Some("agent")), NOW + 3).await, Joining::Superseded);
    assert_eq!(join(&world, &room, "builder", &waiter("b", None), NOW + 3).await, Joining::Joined);
    assert_eq!(only(&world, &room).await.since, NOW + 3);
}
