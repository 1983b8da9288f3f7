use super::{NOW, World};
use chatroom_protocol::id::{ChatroomId, UserId};
use chatroom_server::live::Topic;
use chatroom_server::store::artifacts::{self, NewVersion, Size, VERSIONS_KEPT};
use chatroom_server::store::{Result, Tx};
use std::sync::Arc;

super::cases! {
    the_same_name_again_is_the_next_version: ["artifacts::insert", "artifacts::find", "artifacts::find_text"];
    two_writers_make_two_versions: ["artifacts::insert"];
    artifacts_are_listed_in_their_newest_versions: ["artifacts::list", "artifacts::measure"];
    a_removed_name_never_gives_a_number_again: ["artifacts::delete", "artifacts::insert", "artifacts::find"];
    old_versions_are_forgotten: ["artifacts::insert"];
}

async fn put(tx: &mut Tx, user: &UserId, room: &ChatroomId, name: &str, content: &str) -> Result<i64> {
    let new = NewVersion { chatroom_id: room, name, content, author_role: "planner", author_id: user };
    artifacts::insert(tx, &new, NOW).await
}

async fn the_same_name_again_is_the_next_version(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (room, other) = (world.room(&ada).await.chatroom_id, world.room(&ada).await.chatroom_id);
    let waker = world.watch(&[Topic::Desk(room.clone())]);
    for (content, version) in [("# ä", 1), ("# two", 2)] {
        assert_eq!(world.write(async |tx| put(tx, &ada, &room, "plan.md", content).await).await, version);
        assert!(!waker.take().is_empty());
    }
    let find = async |room: &ChatroomId, version| {
        world.read(async |tx| artifacts::find(tx, room, "plan.md", version).await).await
    };
    let first = find(&room, Some(1)).await.unwrap();
    assert_eq!((first.version, first.bytes, first.created_at), (1, 4, NOW));
    assert_eq!((first.author_role.as_str(), first.author_name.as_str()), ("planner", "Ada"));
    assert_eq!(find(&room, None).await.unwrap().version, 2);
    assert_eq!(find(&room, Some(3)).await, None);
    assert_eq!(find(&other, None).await, None);
    let text = async |version, chars| {
        world.read(async |tx| artifacts::find_text(tx, &room, "plan.md", version, chars).await).await
    };
    assert_eq!(text(1, 99).await.as_deref(), Some("# ä"));
    assert_eq!(text(2, 3).await.as_deref(), Some("# t"));
    assert_eq!(text(3, 3).await, None);
}

async fn two_writers_make_two_versions(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    for round in 0..5 {
        let mut both = world.race(async |tx| put(tx, &ada, &room, "a.md", "x").await).await;
        both.sort_unstable();
        assert_eq!(both, [2 * round + 1, 2 * round + 2]);
    }
}

async fn artifacts_are_listed_in_their_newest_versions(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (room, other) = (world.room(&ada).await.chatroom_id, world.room(&ada).await.chatroom_id);
    for (name, content) in [("b.md", "xx"), ("a.md", "1"), ("b.md", "xxx")] {
        world.write(async |tx| put(tx, &ada, &room, name, content).await).await;
    }
    let list = async |limit| {
        let list = world.read(async |tx| artifacts::list(tx, &room, limit).await).await;
        list.into_iter().map(|artifact| (artifact.name, artifact.version)).collect::<Vec<_>>()
    };
    assert_eq!(list(9).await, [("a.md".to_owned(), 1), ("b.md".to_owned(), 2)]);
    assert_eq!(list(1).await, [("a.md".to_owned(), 1)]);
    let size = async |room: &ChatroomId| world.read(async |tx| artifacts::measure(tx, room).await).await;
    assert_eq!(size(&room).await, Size { names: 2, bytes: 6 });
    assert_eq!(size(&other).await, Size { names: 0, bytes: 0 });
}

async fn a_removed_name_never_gives_a_number_again(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    for _ in 0..2 {
        world.write(async |tx| put(tx, &ada, &room, "a.md", "x").await).await;
    }
    world.race_is_won_once(async |tx| artifacts::delete(tx, &room, "a.md", NOW).await).await;
    assert!(!world.write(async |tx| artifacts::delete(tx, &room, "none.md", NOW).await).await);
    let find = async |version| world.read(async |tx| artifacts::find(tx, &room, "a.md", version).await).await;
    for version in [None, Some(1), Some(2)] {
        assert_eq!(find(version).await, None);
    }
    assert_eq!(world.read(async |tx| artifacts::find_text(tx, &room, "a.md", 2, 9).await).await, None);
    assert!(world.read(async |tx| artifacts::list(tx, &room, 9).await).await.is_empty());
    assert_eq!(world.read(async |tx| artifacts::measure(tx, &room).await).await, Size { names: 0, bytes: 0 });
    assert_eq!(world.write(async |tx| put(tx, &ada, &room, "a.md", "new").await).await, 3);
    assert_eq!(find(None).await.unwrap().version, 3);
    assert_eq!(find(Some(2)).await, None);
    assert!(world.write(async |tx| artifacts::delete(tx, &room, "a.md", NOW).await).await);
    assert_eq!(world.write(async |tx| put(tx, &ada, &room, "a.md", "newer").await).await, 4);
}

async fn old_versions_are_forgotten(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    world
        .write(async |tx| {
            for _ in 0..VERSIONS_KEPT + 1 {
                put(tx, &ada, &room, "a.md", "x").await?;
            }
            Ok(())
        })
        .await;
    let find = async |version| world.read(async |tx| artifacts::find(tx, &room, "a.md", Some(version)).await).await;
    assert_eq!(find(1).await, None);
    assert!(find(2).await.is_some());
    let size = world.read(async |tx| artifacts::measure(tx, &room).await).await;
    assert_eq!(size, Size { names: 1, bytes: VERSIONS_KEPT });
}
