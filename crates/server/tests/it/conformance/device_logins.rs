use super::{NOW, World};
use chatroom_protocol::api::auth::{DeviceLogin, DeviceLoginStatus};
use chatroom_server::live::Topic;
use chatroom_server::store::device_logins::{self, Row};
use std::sync::Arc;

super::cases! {
    a_login_is_found_by_either_code: [
        "device_logins::insert", "device_logins::find_by_user_code", "device_logins::find_by_device_code",
        "device_logins::count_pending", "device_logins::delete_old",
    ];
    a_login_is_decided_once_and_in_time: ["device_logins::decide"];
    an_approved_login_is_redeemed_once: ["device_logins::redeem"];
}

const LIVES_MS: i64 = 600_000;
const DAY_MS: i64 = 24 * 60 * 60_000;

async fn ask(world: &World) -> Row {
    let login = DeviceLogin {
        user_code: "BCDF-GHJK".into(),
        machine_name: "laptop".into(),
        address: "127.0.0.1".into(),
        requested_at: NOW,
        expires_at: NOW + LIVES_MS,
        status: DeviceLoginStatus::Pending,
    };
    world.write(async |tx| device_logins::insert(tx, "hash", &login).await).await;
    let row = find(world).await;
    assert_eq!(row.login, login);
    row
}

async fn find(world: &World) -> Row {
    world.read(async |tx| device_logins::find_by_user_code(tx, "BCDF-GHJK").await).await.unwrap()
}

async fn a_login_is_found_by_either_code(world: Arc<World>) {
    let row = ask(&world).await;
    assert_eq!(world.read(async |tx| device_logins::find_by_device_code(tx, "hash").await).await, Some(row));
    assert_eq!(world.read(async |tx| device_logins::find_by_device_code(tx, "other").await).await, None);
    assert_eq!(world.read(async |tx| device_logins::find_by_user_code(tx, "XXXX-XXXX").await).await, None);
    for (at, waiting) in [(NOW + LIVES_MS - 1, 1), (NOW + LIVES_MS, 0)] {
        assert_eq!(world.read(async |tx| device_logins::count_pending(tx, at).await).await, waiting);
    }
    for (at, forgotten) in [(NOW + LIVES_MS + DAY_MS, 0), (NOW + LIVES_MS + DAY_MS + 1, 1)] {
        assert_eq!(world.write(async |tx| device_logins::delete_old(tx, at).await).await, forgotten);
    }
}

async fn a_login_is_decided_once_and_in_time(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let row = ask(&world).await;
    let waker = world.watch(&[Topic::Credentials(ada.clone())]);
    let decide =
        async |status, at| world.write(async |tx| device_logins::decide(tx, &row.id, &ada, status, at).await).await;
    assert!(!decide(DeviceLoginStatus::Approved, NOW + LIVES_MS).await);
    world
        .race_is_won_once(async |tx| {
            device_logins::decide(tx, &row.id, &ada, DeviceLoginStatus::Denied, NOW + LIVES_MS - 1).await
        })
        .await;
    assert!(!waker.take().is_empty());
    assert!(!decide(DeviceLoginStatus::Approved, NOW).await);
    let row = find(&world).await;
    assert_eq!((row.login.status, row.user_id.as_ref()), (DeviceLoginStatus::Denied, Some(&ada)));
}

async fn an_approved_login_is_redeemed_once(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let row = ask(&world).await;
    let redeem = async |at| world.write(async |tx| device_logins::redeem(tx, &row.id, at).await).await;
    assert!(!redeem(NOW).await, "nobody has approved it");
    world.write(async |tx| device_logins::decide(tx, &row.id, &ada, DeviceLoginStatus::Approved, NOW).await).await;
    assert!(!redeem(NOW + LIVES_MS).await, "it is too old");
    world.race_is_won_once(async |tx| device_logins::redeem(tx, &row.id, NOW).await).await;
    assert!(!redeem(NOW).await);
}
