use super::{NOW, World};
use chatroom_server::store::replicas::{self, DEAD_AFTER_MS};
use std::sync::Arc;

super::cases! {
    a_replica_lives_while_it_is_heard: ["replicas::upsert", "replicas::delete_dead"];
    a_replica_is_found_dead_once: ["replicas::delete_dead"];
}

async fn a_replica_lives_while_it_is_heard(world: Arc<World>) {
    for (id, at) in [("a", NOW), ("b", NOW), ("a", NOW + 10)] {
        world.write(async |tx| replicas::upsert(tx, id, at).await).await;
    }
    let dead = async |leaving, at| world.write(async |tx| replicas::delete_dead(tx, leaving, at).await).await;
    assert!(dead(None, NOW + DEAD_AFTER_MS).await.is_empty());
    assert_eq!(dead(None, NOW + DEAD_AFTER_MS + 1).await, ["b"]);
    assert_eq!(dead(Some("a"), NOW + DEAD_AFTER_MS + 1).await, ["a"]);
}

async fn a_replica_is_found_dead_once(world: Arc<World>) {
    world.write(async |tx| replicas::upsert(tx, "a", NOW).await).await;
    world
        .race_is_won_once(async |tx| Ok(!replicas::delete_dead(tx, None, NOW + 2 * DEAD_AFTER_MS).await?.is_empty()))
        .await;
}
