use super::world::new_room;
use super::{NOW, World};
use chatroom_server::live::Topic;
use chatroom_server::store::chatrooms;
use std::sync::Arc;

super::cases! {
    a_room_is_found_by_its_owner_only: ["chatrooms::insert", "chatrooms::find", "chatrooms::list"];
    an_archived_room_is_found_but_not_listed: ["chatrooms::archive", "chatrooms::list", "chatrooms::count"];
    a_room_gets_another_team_from_its_owner: ["chatrooms::set_team", "chatrooms::find"];
    a_room_is_archived_once: ["chatrooms::archive"];
}

async fn a_room_is_found_by_its_owner_only(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    let waker = world.watch(&[Topic::Chatrooms(ada.clone())]);
    let (old, new) = (new_room("old \"ä\"", NOW), new_room("new", NOW + 1));
    for room in [&old, &new] {
        world.write(async |tx| chatrooms::insert(tx, &ada, room).await).await;
    }
    assert!(!waker.take().is_empty());
    assert_eq!(world.read(async |tx| chatrooms::find(tx, &ada, &old.chatroom_id).await).await.as_ref(), Some(&old));
    assert_eq!(world.read(async |tx| chatrooms::find(tx, &bob, &old.chatroom_id).await).await, None);
    assert_eq!(world.read(async |tx| chatrooms::list(tx, &ada).await).await, [new, old]);
    assert!(world.read(async |tx| chatrooms::list(tx, &bob).await).await.is_empty());
}

async fn an_archived_room_is_found_but_not_listed(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    let id = world.room(&ada).await.chatroom_id;
    world.room(&ada).await;
    let waker = world.watch(&[Topic::Chatroom(id.clone())]);
    assert!(!world.write(async |tx| chatrooms::archive(tx, &bob, &id, NOW).await).await);
    assert!(waker.take().is_empty());
    assert!(world.write(async |tx| chatrooms::archive(tx, &ada, &id, NOW + 7).await).await);
    assert!(!waker.take().is_empty());
    assert!(!world.write(async |tx| chatrooms::archive(tx, &ada, &id, NOW + 9).await).await);
    let found = world.read(async |tx| chatrooms::find(tx, &ada, &id).await).await.unwrap();
    assert_eq!(found.archived_at, Some(NOW + 7));
    assert!(world.read(async |tx| chatrooms::list(tx, &ada).await).await.iter().all(|room| room.chatroom_id != id));
    assert_eq!(world.read(async |tx| chatrooms::count(tx, &ada).await).await, 1);
    assert_eq!(world.read(async |tx| chatrooms::count(tx, &bob).await).await, 0);
}

async fn a_room_is_archived_once(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let id = world.room(&ada).await.chatroom_id;
    world.race_is_won_once(async |tx| chatrooms::archive(tx, &ada, &id, NOW).await).await;
}

async fn a_room_gets_another_team_from_its_owner(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    let room = world.room(&ada).await;
    let mut team = room.team.clone();
    team.roles.remove(1);
    let id = &room.chatroom_id;
    let waker = world.watch(&[Topic::Chatroom(id.clone())]);
    assert!(!world.write(async |tx| chatrooms::set_team(tx, &bob, id, &team).await).await);
    assert!(waker.take().is_empty());
    assert!(world.write(async |tx| chatrooms::set_team(tx, &ada, id, &team).await).await);
    assert!(!waker.take().is_empty());
    assert_eq!(world.read(async |tx| chatrooms::find(tx, &ada, id).await).await.unwrap().team, team);
}
