use super::{NOW, World};
use chatroom_protocol::UnixMs;
use chatroom_protocol::id::{MachineId, UserId};
use chatroom_protocol::machine::ConnectionState;
use chatroom_protocol::tool::{ToolReport, ToolStatus};
use chatroom_server::live::Topic;
use chatroom_server::store::machines::{self, Facts, Row, Socket};
use std::sync::Arc;

super::cases! {
    a_machine_is_its_owners_alone: ["machines::insert", "machines::find", "machines::find_any", "machines::list"];
    what_a_machine_tells_is_read_back_whole: ["machines::set_facts", "machines::find"];
    being_seen_wakes_nobody_and_never_goes_back: ["machines::set_last_seen"];
    a_name_is_the_owners: ["machines::rename"];
    a_removed_machine_is_gone_and_can_come_back_for_another: ["machines::remove", "machines::revive"];
    a_machine_is_removed_and_revived_once: ["machines::remove", "machines::revive"];
    an_epoch_is_granted_once: ["machines::advance_epoch"];
    only_the_newest_epoch_connects: ["machines::set_connected"];
    only_the_socket_that_holds_it_ends_a_connection: ["machines::set_left"];
    a_connection_ends_once: ["machines::set_left"];
    what_dead_servers_held_is_unknown: ["machines::set_unknown_of_replicas"];
    at_a_start_every_machine_is_unknown_until_heard: ["machines::set_all_unknown"];
}

const ONE: Socket<'static> = Socket { socket: "s1", replica: "r1" };
const TWO: Socket<'static> = Socket { socket: "s2", replica: "r2" };

async fn get(world: &World, user: &UserId, id: &MachineId) -> Row {
    world.read(async |tx| machines::find(tx, user, id).await).await.expect("the machine is there")
}

async fn connect(world: &World, user: &UserId, id: &MachineId, epoch: i64, socket: Socket<'_>, at: UnixMs) -> bool {
    world.write(async |tx| machines::set_connected(tx, user, id, epoch, socket, at).await).await
}

/// What another machine of the same name would tell.
fn facts() -> Facts {
    let tool = |name: &str, status| ToolReport {
        name: name.into(),
        path: Some(format!("/bin/{name}")),
        driver: None,
        asks: false,
        status,
    };
    Facts {
        hostname: "box".to_owned(),
        os: "macos".to_owned(),
        arch: "aarch64".to_owned(),
        cli_version: "2".to_owned(),
        cli_path: "/opt/new/chatroom".to_owned(),
        tools: vec![
            tool("echo", ToolStatus::Ok { version: "1 \u{0} \"x\"".to_owned() }),
            tool("claude", ToolStatus::Broken { reason: "ü".to_owned(), repair: "r".to_owned() }),
        ],
    }
}

async fn a_machine_is_its_owners_alone(world: Arc<World>) {
    let (ada, bea) = (world.user("Ada").await, world.user("Bea").await);
    let waker = world.watch(&[Topic::Machines(ada.clone())]);
    let (one, two) = (world.machine(&ada).await, world.machine(&ada).await);
    assert!(!waker.take().is_empty());
    let row = get(&world, &ada, &one).await;
    assert_eq!((row.name.as_str(), row.epoch, row.connection), ("host", 0, ConnectionState::Disconnected));
    assert_eq!((row.registered_at, row.last_seen_at, row.connection_since), (NOW, NOW, NOW));
    assert_eq!(world.read(async |tx| machines::find(tx, &bea, &one).await).await, None);
    assert_eq!(world.read(async |tx| machines::find_any(tx, &one).await).await, Some(row));
    let list = async |user: &UserId| {
        let rows = world.read(async |tx| machines::list(tx, user).await).await;
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let mut both = vec![one, two];
    both.sort();
    assert_eq!(list(&ada).await, both);
    assert!(list(&bea).await.is_empty());
}

async fn what_a_machine_tells_is_read_back_whole(world: Arc<World>) {
    let (ada, bea) = (world.user("Ada").await, world.user("Bea").await);
    let id = world.machine(&ada).await;
    let waker = world.watch(&[Topic::Machines(ada.clone())]);
    assert!(!world.write(async |tx| machines::set_facts(tx, &bea, &id, &facts(), NOW).await).await);
    assert!(waker.take().is_empty());
    assert!(world.write(async |tx| machines::set_facts(tx, &ada, &id, &facts(), NOW + 5).await).await);
    assert!(!waker.take().is_empty());
    let row = get(&world, &ada, &id).await;
    assert_eq!(row.facts, facts());
    assert_eq!((row.name.as_str(), row.registered_at, row.last_seen_at), ("host", NOW, NOW + 5));
    assert!(row.tool(&"echo".into()).is_some() && row.tool(&"codex".into()).is_none());
}

async fn being_seen_wakes_nobody_and_never_goes_back(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let id = world.machine(&ada).await;
    let waker = world.watch(&[Topic::Machines(ada.clone()), Topic::Machine(id.clone())]);
    let seen = async |at: UnixMs| world.write(async |tx| machines::set_last_seen(tx, &ada, &id, at).await).await;
    assert!(seen(NOW + 10).await);
    assert!(!seen(NOW + 5).await);
    assert_eq!(get(&world, &ada, &id).await.last_seen_at, NOW + 10);
    assert!(waker.take().is_empty());
}

async fn a_name_is_the_owners(world: Arc<World>) {
    let (ada, bea) = (world.user("Ada").await, world.user("Bea").await);
    let id = world.machine(&ada).await;
    assert!(!world.write(async |tx| machines::rename(tx, &bea, &id, "Mine").await).await);
    assert!(world.write(async |tx| machines::rename(tx, &ada, &id, "Tower").await).await);
    assert_eq!(get(&world, &ada, &id).await.name, "Tower");
}

async fn a_removed_machine_is_gone_and_can_come_back_for_another(world: Arc<World>) {
    let (ada, bea) = (world.user("Ada").await, world.user("Bea").await);
    let id = world.machine(&ada).await;
    let revive =
        async |user: &UserId| world.write(async |tx| machines::revive(tx, &id, user, &facts(), NOW + 9).await).await;
    assert!(!revive(&bea).await, "it is not removed");
    assert!(connect(&world, &ada, &id, 0, ONE, NOW).await);
    assert!(!world.write(async |tx| machines::remove(tx, &bea, &id, NOW).await).await);
    let waker = world.watch(&[Topic::Machine(id.clone())]);
    assert!(world.write(async |tx| machines::remove(tx, &ada, &id, NOW + 1).await).await);
    assert!(!waker.take().is_empty());
    assert_eq!(world.read(async |tx| machines::find(tx, &ada, &id).await).await, None);
    assert!(world.read(async |tx| machines::list(tx, &ada).await).await.is_empty());
    let gone = world.read(async |tx| machines::find_any(tx, &id).await).await.unwrap();
    assert_eq!((gone.removed_at, gone.epoch, gone.connection_socket), (Some(NOW + 1), 1, None));
    assert!(!connect(&world, &ada, &id, 1, ONE, NOW).await);
    assert!(revive(&bea).await);
    let back = get(&world, &bea, &id).await;
    assert_eq!((back.name.as_str(), back.registered_at, back.epoch), ("box", NOW + 9, 1));
    assert_eq!(back.connection, ConnectionState::Disconnected);
    assert_eq!(world.read(async |tx| machines::find(tx, &ada, &id).await).await, None);
}

async fn a_machine_is_removed_and_revived_once(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let id = world.machine(&ada).await;
    world.race_is_won_once(async |tx| machines::remove(tx, &ada, &id, NOW).await).await;
    world.race_is_won_once(async |tx| machines::revive(tx, &id, &ada, &facts(), NOW).await).await;
}

async fn an_epoch_is_granted_once(world: Arc<World>) {
    let (ada, bea) = (world.user("Ada").await, world.user("Bea").await);
    let id = world.machine(&ada).await;
    let waker = world.watch(&[Topic::Machine(id.clone())]);
    assert_eq!(world.write(async |tx| machines::advance_epoch(tx, &bea, &id, 0).await).await, None);
    assert_eq!(world.write(async |tx| machines::advance_epoch(tx, &ada, &id, 3).await).await, None);
    assert!(waker.take().is_empty());
    assert_eq!(world.write(async |tx| machines::advance_epoch(tx, &ada, &id, 0).await).await, Some(1));
    assert!(!waker.take().is_empty());
    let granted = world.race(async |tx| machines::advance_epoch(tx, &ada, &id, 1).await).await;
    assert!(granted == [Some(2), None] || granted == [None, Some(2)], "{granted:?}");
}

async fn only_the_newest_epoch_connects(world: Arc<World>) {
    let (ada, bea) = (world.user("Ada").await, world.user("Bea").await);
    let id = world.machine(&ada).await;
    world.write(async |tx| machines::advance_epoch(tx, &ada, &id, 0).await).await;
    let waker = world.watch(&[Topic::Machines(ada.clone())]);
    assert!(!connect(&world, &ada, &id, 0, ONE, NOW).await);
    assert!(!connect(&world, &ada, &id, 2, ONE, NOW).await);
    assert!(!connect(&world, &bea, &id, 1, ONE, NOW).await);
    assert!(waker.take().is_empty());
    assert!(connect(&world, &ada, &id, 1, ONE, NOW + 3).await);
    assert!(!waker.take().is_empty());
    assert!(connect(&world, &ada, &id, 1, TWO, NOW + 7).await);
    assert!(waker.take().is_empty(), "it was connected before");
    let row = get(&world, &ada, &id).await;
    assert_eq!((row.connection, row.connection_since), (ConnectionState::Connected, NOW + 3));
    assert_eq!((row.connection_socket.as_deref(), row.connection_replica.as_deref()), (Some("s2"), Some("r2")));
}

async fn only_the_socket_that_holds_it_ends_a_connection(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let id = world.machine(&ada).await;
    assert!(connect(&world, &ada, &id, 0, ONE, NOW).await);
    assert!(connect(&world, &ada, &id, 0, TWO, NOW).await);
    let waker = world.watch(&[Topic::Machines(ada.clone())]);
    let leave = async |socket: &str, state| {
        world.write(async |tx| machines::set_left(tx, &id, socket, state, NOW + 4).await).await
    };
    assert!(!leave("s1", ConnectionState::Disconnected).await);
    assert!(waker.take().is_empty());
    assert!(leave("s2", ConnectionState::Silent).await);
    assert!(!waker.take().is_empty());
    let row = get(&world, &ada, &id).await;
    assert_eq!((row.connection, row.connection_since), (ConnectionState::Silent, NOW + 4));
    assert_eq!((row.connection_socket, row.connection_replica), (None, None));
}

async fn a_connection_ends_once(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let id = world.machine(&ada).await;
    assert!(connect(&world, &ada, &id, 0, ONE, NOW).await);
    world
        .race_is_won_once(async |tx| machines::set_left(tx, &id, "s1", ConnectionState::Disconnected, NOW).await)
        .await;
}

async fn what_dead_servers_held_is_unknown(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (one, two) = (world.machine(&ada).await, world.machine(&ada).await);
    assert!(connect(&world, &ada, &one, 0, ONE, NOW).await);
    assert!(connect(&world, &ada, &two, 0, TWO, NOW).await);
    let dead = ["r1".to_owned(), "r9".to_owned()];
    let waker = world.watch(&[Topic::Machines(ada.clone())]);
    assert_eq!(world.write(async |tx| machines::set_unknown_of_replicas(tx, &dead, NOW + 2).await).await, 1);
    assert!(!waker.take().is_empty());
    let row = get(&world, &ada, &one).await;
    assert_eq!((row.connection, row.connection_since), (ConnectionState::Unknown, NOW + 2));
    assert_eq!(get(&world, &ada, &two).await.connection, ConnectionState::Connected);
    assert_eq!(world.write(async |tx| machines::set_unknown_of_replicas(tx, &dead, NOW + 3).await).await, 0);
}

async fn at_a_start_every_machine_is_unknown_until_heard(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (one, two) = (world.machine(&ada).await, world.machine(&ada).await);
    assert!(connect(&world, &ada, &one, 0, ONE, NOW).await);
    assert_eq!(world.write(async |tx| machines::set_all_unknown(tx, NOW + 2).await).await, 2);
    for machine in [&one, &two] {
        let row = get(&world, &ada, machine).await;
        assert_eq!((row.connection, row.connection_since), (ConnectionState::Unknown, NOW + 2));
    }
    assert_eq!(world.write(async |tx| machines::set_all_unknown(tx, NOW + 3).await).await, 0);
}
