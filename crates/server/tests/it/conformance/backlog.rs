use super::{NOW, World};
use chatroom_protocol::id::{BacklogItemId, ChatroomId};
use chatroom_protocol::room::{BacklogItem, BacklogState};
use chatroom_server::live::Topic;
use chatroom_server::secret;
use chatroom_server::store::backlog::{self, Begun, COMPLETED_KEPT};
use chatroom_server::store::{Result, Tx};
use std::sync::Arc;

super::cases! {
    an_item_is_found_in_its_room_as_it_was_written: ["backlog::insert", "backlog::find", "backlog::delete"];
    items_are_listed_oldest_first: ["backlog::list", "backlog::count_open"];
    an_item_is_started_once: ["backlog::start"];
    an_item_is_completed_once: ["backlog::complete"];
    old_completed_items_are_forgotten: ["backlog::complete"];
}

fn new_item(room: &ChatroomId, content: &str) -> BacklogItem {
    BacklogItem {
        item_id: secret::new_id(),
        chatroom_id: room.clone(),
        content: content.to_owned(),
        state: BacklogState::Open,
        author_role: "planner".to_owned(),
        task_id: None,
        task_role: None,
        created_at: NOW,
        updated_at: NOW,
    }
}

async fn add(world: &World, room: &ChatroomId, content: &str) -> BacklogItemId {
    let item = new_item(room, content);
    world.write(async |tx| backlog::insert(tx, &item).await).await;
    item.item_id
}

async fn start(tx: &mut Tx, room: &ChatroomId, id: &BacklogItemId) -> Result<Option<backlog::Row>> {
    let begun = Begun { message_id: &"message".into(), task_id: &"task".into(), role: "builder" };
    backlog::start(tx, room, id, begun, NOW + 1).await
}

async fn an_item_is_found_in_its_room_as_it_was_written(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (room, other) = (world.room(&ada).await.chatroom_id, world.room(&ada).await.chatroom_id);
    let item = new_item(&room, "ä 'quoted'");
    let waker = world.watch(&[Topic::Desk(room.clone())]);
    world.write(async |tx| backlog::insert(tx, &item).await).await;
    assert!(!waker.take().is_empty());
    let found = world.read(async |tx| backlog::find(tx, &room, &item.item_id).await).await.unwrap();
    assert_eq!((found.item, found.message_id), (item.clone(), None));
    assert_eq!(world.read(async |tx| backlog::find(tx, &other, &item.item_id).await).await, None);
    assert!(!world.write(async |tx| backlog::delete(tx, &other, &item.item_id).await).await);
    assert!(waker.take().is_empty());
    world.race_is_won_once(async |tx| backlog::delete(tx, &room, &item.item_id).await).await;
    assert_eq!(world.read(async |tx| backlog::find(tx, &room, &item.item_id).await).await, None);
}

async fn items_are_listed_oldest_first(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    let (one, two, three) =
        (add(&world, &room, "one").await, add(&world, &room, "two").await, add(&world, &room, "three").await);
    let list = async |state, limit| {
        let list = world.read(async |tx| backlog::list(tx, &room, state, limit).await).await;
        list.into_iter().map(|item| item.item_id).collect::<Vec<_>>()
    };
    world.write(async |tx| start(tx, &room, &two).await).await;
    assert_eq!(list(None, 9).await, [one.clone(), two.clone(), three.clone()]);
    assert_eq!(list(None, 2).await, [two.clone(), three.clone()]);
    assert_eq!(list(Some(BacklogState::Started), 9).await, std::slice::from_ref(&two));
    world.write(async |tx| backlog::complete(tx, &room, &one, NOW).await).await.unwrap();
    assert_eq!(list(None, 9).await, [two, three]);
    assert_eq!(list(Some(BacklogState::Completed), 9).await, [one]);
    assert_eq!(world.read(async |tx| backlog::count_open(tx, &room).await).await, 2);
}

async fn an_item_is_started_once(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (room, other) = (world.room(&ada).await.chatroom_id, world.room(&ada).await.chatroom_id);
    let item = add(&world, &room, "x").await;
    assert_eq!(world.write(async |tx| start(tx, &other, &item).await).await, None);
    world.race_is_won_once(async |tx| Ok(start(tx, &room, &item).await?.is_some())).await;
    let row = world.read(async |tx| backlog::find(tx, &room, &item).await).await.unwrap();
    assert_eq!((row.item.state, row.item.updated_at), (BacklogState::Started, NOW + 1));
    assert_eq!((row.item.task_id, row.message_id), (Some("task".into()), Some("message".into())));
    assert_eq!(row.item.task_role.as_deref(), Some("builder"));
}

async fn an_item_is_completed_once(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    for begin in [true, false] {
        let item = add(&world, &room, "x").await;
        if begin {
            world.write(async |tx| start(tx, &room, &item).await).await.unwrap();
        }
        world.race_is_won_once(async |tx| Ok(backlog::complete(tx, &room, &item, NOW).await?.is_some())).await;
        assert_eq!(world.write(async |tx| start(tx, &room, &item).await).await, None);
    }
}

async fn old_completed_items_are_forgotten(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    world
        .write(async |tx| {
            for number in 0..COMPLETED_KEPT + 2 {
                let item = new_item(&room, &number.to_string());
                backlog::insert(tx, &item).await?;
                backlog::complete(tx, &room, &item.item_id, NOW + number).await?;
            }
            backlog::insert(tx, &new_item(&room, "open")).await
        })
        .await;
    let left = world.read(async |tx| backlog::list(tx, &room, Some(BacklogState::Completed), 1000).await).await;
    assert_eq!((left.len() as i64, left[0].content.as_str()), (COMPLETED_KEPT, "2"));
    assert_eq!(world.read(async |tx| backlog::count_open(tx, &room).await).await, 1);
}
