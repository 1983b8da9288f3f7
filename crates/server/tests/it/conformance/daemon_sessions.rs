use super::{NOW, World};
use chatroom_protocol::id::MachineId;
use chatroom_server::store::daemon_sessions::{self, KEPT_PER_MACHINE, Row};
use chatroom_server::store::machines;
use std::sync::Arc;

super::cases! {
    a_session_is_found_by_the_daemons_own_id: ["daemon_sessions::insert", "daemon_sessions::find"];
    sessions_go_with_their_machine: ["daemon_sessions::delete_of_machine"];
    old_sessions_are_forgotten: ["daemon_sessions::delete_old"];
    two_who_open_the_same_session_leave_one: ["daemon_sessions::insert", "machines::advance_epoch"];
}

fn session(machine: &MachineId, epoch: i64) -> Row {
    Row {
        machine_id: machine.clone(),
        epoch,
        session_id: format!("s{epoch}").into(),
        boot_id: "boot".to_owned(),
        opened_at: NOW,
    }
}

async fn a_session_is_found_by_the_daemons_own_id(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (machine, other) = (world.machine(&ada).await, world.machine(&ada).await);
    let first = session(&machine, 1);
    world.write(async |tx| daemon_sessions::insert(tx, &first).await).await;
    let find = async |machine: &MachineId, id: &str| {
        world.read(async |tx| daemon_sessions::find(tx, machine, &id.into()).await).await
    };
    assert_eq!(find(&machine, "s1").await, Some(first));
    assert_eq!(find(&machine, "s2").await, None);
    assert_eq!(find(&other, "s1").await, None);
}

async fn sessions_go_with_their_machine(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (machine, other) = (world.machine(&ada).await, world.machine(&ada).await);
    for row in [session(&machine, 1), session(&machine, 2), session(&other, 1)] {
        world.write(async |tx| daemon_sessions::insert(tx, &row).await).await;
    }
    assert_eq!(world.write(async |tx| daemon_sessions::delete_of_machine(tx, &machine).await).await, 2);
    assert_eq!(world.read(async |tx| daemon_sessions::find(tx, &machine, &"s1".into()).await).await, None);
    assert!(world.read(async |tx| daemon_sessions::find(tx, &other, &"s1".into()).await).await.is_some());
}

async fn old_sessions_are_forgotten(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let machine = world.machine(&ada).await;
    for epoch in 0..=KEPT_PER_MACHINE {
        world
            .write(async |tx| {
                machines::advance_epoch(tx, &ada, &machine, epoch).await?;
                daemon_sessions::insert(tx, &session(&machine, epoch + 1)).await
            })
            .await;
    }
    assert_eq!(world.write(async |tx| daemon_sessions::delete_old(tx).await).await, 1);
    assert_eq!(world.read(async |tx| daemon_sessions::find(tx, &machine, &"s1".into()).await).await, None);
    assert!(world.read(async |tx| daemon_sessions::find(tx, &machine, &"s2".into()).await).await.is_some());
}

async fn two_who_open_the_same_session_leave_one(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let machine = world.machine(&ada).await;
    let opened = world
        .race(async |tx| {
            if let Some(known) = daemon_sessions::find(tx, &machine, &"same".into()).await? {
                return Ok(known.epoch);
            }
            let before = machines::find(tx, &ada, &machine).await?.unwrap().epoch;
            let epoch = machines::advance_epoch(tx, &ada, &machine, before).await?.unwrap();
            let row = Row { session_id: "same".into(), ..session(&machine, epoch) };
            daemon_sessions::insert(tx, &row).await?;
            Ok(epoch)
        })
        .await;
    assert_eq!(opened, [1, 1]);
}
