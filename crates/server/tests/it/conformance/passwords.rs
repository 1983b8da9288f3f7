use super::{NOW, World};
use chatroom_protocol::id::UserId;
use chatroom_server::password::Hash;
use chatroom_server::store::passwords::{self, Password};
use std::sync::Arc;

super::cases! {
    a_password_is_found_by_its_user_and_by_their_name_in_any_case: ["passwords::find", "passwords::find_by_name"];
    a_password_replaces_the_one_that_was_looked_at_only: ["passwords::set", "passwords::delete"];
    of_two_first_passwords_one_is_set: ["passwords::set"];
    of_two_changes_at_once_one_takes_effect: ["passwords::set", "passwords::delete"];
}

fn hash(text: &str) -> Hash {
    Hash::from(text.to_owned())
}

async fn find(world: &World, user: &UserId) -> Option<Hash> {
    world.read(async |tx| passwords::find(tx, user).await).await.map(|kept| kept.hash)
}

async fn set(world: &World, user: &UserId, old: Option<&str>, new: &str) -> bool {
    let old = old.map(hash);
    world.write(async |tx| passwords::set(tx, user, old.as_ref(), &hash(new), NOW).await).await
}

async fn a_password_is_found_by_its_user_and_by_their_name_in_any_case(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    assert!(set(&world, &ada, None, "one").await);
    let kept = Password { user_id: ada.clone(), hash: hash("one"), set_at: NOW };
    assert_eq!(world.read(async |tx| passwords::find(tx, &ada).await).await, Some(kept.clone()));
    assert_eq!(world.read(async |tx| passwords::find_by_name(tx, "aDA").await).await, Some(kept));
    for nobody in ["bob", "nobody", ""] {
        assert_eq!(world.read(async |tx| passwords::find_by_name(tx, nobody).await).await, None);
    }
    assert_eq!(find(&world, &bob).await, None);
}

async fn a_password_replaces_the_one_that_was_looked_at_only(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    assert!(!set(&world, &ada, Some("one"), "two").await, "there is none yet");
    assert!(set(&world, &ada, None, "one").await);
    assert!(set(&world, &bob, None, "one").await);
    assert!(!set(&world, &ada, None, "two").await);
    assert!(!set(&world, &ada, Some("other"), "two").await);
    assert!(set(&world, &ada, Some("one"), "two").await);
    assert_eq!((find(&world, &ada).await, find(&world, &bob).await), (Some(hash("two")), Some(hash("one"))));
    let delete = async |old: &str| world.write(async |tx| passwords::delete(tx, &ada, &hash(old)).await).await;
    assert!(!delete("one").await);
    assert!(delete("two").await);
    assert!(!delete("two").await);
    assert_eq!((find(&world, &ada).await, find(&world, &bob).await), (None, Some(hash("one"))));
}

async fn of_two_first_passwords_one_is_set(world: Arc<World>) {
    let ada = world.user("Ada").await;
    world.race_is_won_once(async |tx| passwords::set(tx, &ada, None, &hash("one"), NOW).await).await;
    assert_eq!(find(&world, &ada).await, Some(hash("one")));
}

async fn of_two_changes_at_once_one_takes_effect(world: Arc<World>) {
    let ada = world.user("Ada").await;
    assert!(set(&world, &ada, None, "one").await);
    let done = world
        .race_two(
            async |tx| passwords::set(tx, &ada, Some(&hash("one")), &hash("two"), NOW).await,
            async |tx| passwords::delete(tx, &ada, &hash("one")).await,
        )
        .await;
    let left = find(&world, &ada).await;
    assert!(
        matches!(done, [true, false]) && left == Some(hash("two")) || matches!(done, [false, true]) && left.is_none()
    );
}
