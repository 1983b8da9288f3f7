use super::{NOW, World};
use chatroom_server::store::audit::{self, Deed, KEPT_MS};
use std::sync::Arc;

super::cases! {
    deeds_are_kept_for_their_time: ["audit::insert", "audit::delete_old"];
}

async fn deeds_are_kept_for_their_time(world: Arc<World>) {
    let user_id = world.user("Ada").await;
    for (user_id, at) in [(Some(&user_id), NOW), (None, NOW + 10)] {
        let deed = Deed {
            user_id,
            actor: "public",
            address: Some("127.0.0.1".to_owned()),
            action: "auth.approveDeviceLogin",
            subject: "x",
            outcome: "done",
        };
        world.write(async |tx| audit::insert(tx, &deed, at).await).await;
    }
    assert_eq!(world.write(async |tx| audit::delete_old(tx, NOW + KEPT_MS).await).await, 0);
    assert_eq!(world.write(async |tx| audit::delete_old(tx, NOW + KEPT_MS + 10).await).await, 1);
    assert_eq!(world.write(async |tx| audit::delete_old(tx, NOW + KEPT_MS + 11).await).await, 1);
}
