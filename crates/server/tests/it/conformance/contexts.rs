use super::{NOW, World};
use chatroom_protocol::id::{ChatroomId, UserId};
use chatroom_protocol::room::Context;
use chatroom_server::live::Topic;
use chatroom_server::secret;
use chatroom_server::store::contexts::{self, KEPT, NewContext};
use chatroom_server::store::{Result, Tx};
use std::sync::Arc;

super::cases! {
    a_context_begins_after_the_last_message_of_its_room: ["contexts::insert", "contexts::list"];
    two_contexts_begun_at_once_come_one_after_the_other: ["contexts::insert"];
    old_contexts_are_forgotten: ["contexts::insert", "contexts::list"];
}

async fn begin(tx: &mut Tx, user: &UserId, room: &ChatroomId, title: &str) -> Result<Option<Context>> {
    let new = NewContext {
        context_id: &secret::new_id(),
        chatroom_id: room,
        title,
        content: "ä 'quoted'",
        author_role: "planner",
    };
    contexts::insert(tx, user, &new, NOW).await
}

async fn titles(world: &World, room: &ChatroomId, limit: i64) -> Vec<String> {
    let list = world.read(async |tx| contexts::list(tx, room, limit).await).await;
    list.into_iter().map(|context| context.title).collect()
}

async fn a_context_begins_after_the_last_message_of_its_room(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    let (room, other) = (world.room(&ada).await.chatroom_id, world.room(&ada).await.chatroom_id);
    let first = world.write(async |tx| begin(tx, &ada, &room, "one").await).await.unwrap();
    assert_eq!((first.after_sequence, first.author_role.as_str(), first.created_at), (0, "planner", NOW));
    for _ in 0..3 {
        world.task(&ada, &room, "builder", "x").await;
    }
    let waker = world.watch(&[Topic::Desk(room.clone())]);
    assert_eq!(world.write(async |tx| begin(tx, &bob, &room, "no").await).await, None);
    assert!(waker.take().is_empty());
    let second = world.write(async |tx| begin(tx, &ada, &room, "two").await).await.unwrap();
    assert!(!waker.take().is_empty());
    assert_eq!((second.after_sequence, second.content.as_str()), (3, "ä 'quoted'"));
    assert_eq!(world.read(async |tx| contexts::list(tx, &room, 1).await).await, [second]);
    assert_eq!(titles(&world, &room, 9).await, ["two", "one"]);
    assert!(titles(&world, &other, 9).await.is_empty());
}

async fn two_contexts_begun_at_once_come_one_after_the_other(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    for round in 1..=5 {
        let both = world.race(async |tx| begin(tx, &ada, &room, "x").await).await;
        assert!(both.iter().all(Option::is_some));
        assert_eq!(titles(&world, &room, 99).await.len(), 2 * round);
    }
}

async fn old_contexts_are_forgotten(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    world
        .write(async |tx| {
            for number in 1..=KEPT + 2 {
                begin(tx, &ada, &room, &number.to_string()).await?;
            }
            Ok(())
        })
        .await;
    let left = titles(&world, &room, 1000).await;
    assert_eq!((left.len() as i64, left.last().map(String::as_str)), (KEPT, Some("3")));
}
