use super::{NOW, World};
use chatroom_server::secret;
use chatroom_server::store::users::{self, User};
use std::sync::Arc;

super::cases! {
    a_user_is_found_by_id_and_by_name_in_any_case: ["users::insert", "users::find", "users::find_by_name"];
    a_name_is_taken_once: ["users::insert"];
    the_first_user_is_the_admin: ["users::find_admin"];
    the_first_sign_in_is_kept: ["users::set_signed_in"];
}

async fn a_user_is_found_by_id_and_by_name_in_any_case(world: Arc<World>) {
    let id = world.user("Ada").await;
    let found = world.read(async |tx| users::find(tx, &id).await).await.unwrap();
    assert_eq!((found.name.as_str(), found.is_admin, found.signed_in_at), ("Ada", false, None));
    assert_eq!(world.read(async |tx| users::find_by_name(tx, "aDA").await).await, Some(found));
    assert_eq!(world.read(async |tx| users::find_by_name(tx, "Bob").await).await, None);
    assert_eq!(world.read(async |tx| users::find(tx, &"nobody".into()).await).await, None);
}

async fn a_name_is_taken_once(world: Arc<World>) {
    world
        .race_is_won_once(async |tx| {
            if users::find_by_name(tx, "ada").await?.is_some() {
                return Ok(false);
            }
            let user = User { id: secret::new_id(), name: "Ada".into(), is_admin: false, signed_in_at: None };
            users::insert(tx, &user, NOW).await?;
            Ok(true)
        })
        .await;
}

async fn the_first_user_is_the_admin(world: Arc<World>) {
    assert_eq!(world.read(users::find_admin).await, None);
    world.user("Ada").await;
    assert_eq!(world.read(users::find_admin).await, None);
    let admin = User { id: secret::new_id(), name: "root".into(), is_admin: true, signed_in_at: Some(NOW) };
    world.write(async |tx| users::insert(tx, &admin, NOW).await).await;
    assert_eq!(world.read(users::find_admin).await, Some(admin));
}

async fn the_first_sign_in_is_kept(world: Arc<World>) {
    let id = world.user("Ada").await;
    for at in [NOW, NOW + 5] {
        world.write(async |tx| users::set_signed_in(tx, &id, at).await).await;
    }
    assert_eq!(world.read(async |tx| users::find(tx, &id).await).await.unwrap().signed_in_at, Some(NOW));
}
