use super::world::new_room;
use super::{NOW, World};
use chatroom_server::live::Topic;
use chatroom_server::store::teams;
use std::sync::Arc;

super::cases! {
    a_team_is_its_owners_and_its_newest_definition_holds: ["teams::upsert", "teams::list"];
    a_team_is_removed_by_its_owner: ["teams::delete", "teams::count"];
}

async fn a_team_is_its_owners_and_its_newest_definition_holds(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    let waker = world.watch(&[Topic::Chatrooms(ada.clone())]);
    let mut team = new_room("x", NOW).team;
    world.write(async |tx| teams::upsert(tx, &ada, &team, NOW).await).await;
    assert!(!waker.take().is_empty());
    team.roles.remove(1);
    world.write(async |tx| teams::upsert(tx, &ada, &team, NOW + 1).await).await;
    assert_eq!(world.read(async |tx| teams::list(tx, &ada).await).await, [team]);
    assert!(world.read(async |tx| teams::list(tx, &bob).await).await.is_empty());
}

async fn a_team_is_removed_by_its_owner(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    let team = new_room("x", NOW).team;
    world.write(async |tx| teams::upsert(tx, &ada, &team, NOW).await).await;
    let count = async |user| world.read(async |tx| teams::count(tx, user).await).await;
    assert_eq!((count(&ada).await, count(&bob).await), (1, 0));
    let waker = world.watch(&[Topic::Chatrooms(ada.clone())]);
    assert!(!world.write(async |tx| teams::delete(tx, &bob, &team.name).await).await);
    assert!(waker.take().is_empty());
    assert!(world.write(async |tx| teams::delete(tx, &ada, &team.name).await).await);
    assert!(!waker.take().is_empty());
    world.write(async |tx| teams::upsert(tx, &ada, &team, NOW).await).await;
    world.race_is_won_once(async |tx| teams::delete(tx, &ada, &team.name).await).await;
    assert_eq!(count(&ada).await, 0);
}
