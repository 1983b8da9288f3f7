use super::{NOW, World};
use chatroom_protocol::id::{ChatroomId, MessageId, UserId};
use chatroom_protocol::room::MessageKind;
use chatroom_server::live::Topic;
use chatroom_server::secret;
use chatroom_server::store::messages::{self, NewMessage};
use chatroom_server::store::{Result, Tx, chatrooms};
use std::sync::Arc;

super::cases! {
    messages_are_numbered_room_by_room: ["messages::insert", "messages::list_after", "messages::list_before"];
    a_message_is_found_in_its_room_as_it_was_written: ["messages::insert", "messages::find"];
    only_the_owner_writes_and_an_archived_room_takes_no_new_talk: ["messages::insert"];
    two_writers_leave_no_gap_and_no_double: ["messages::insert"];
}

async fn say(tx: &mut Tx, user: &UserId, room: &ChatroomId, text: &str, live_only: bool) -> Result<Option<i64>> {
    let new = NewMessage {
        message_id: &secret::new_id(),
        chatroom_id: room,
        kind: MessageKind::Message,
        sender_role: "user",
        target_role: "planner",
        content: text,
        task_id: None,
    };
    messages::insert(tx, user, &new, live_only, NOW).await
}

async fn messages_are_numbered_room_by_room(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (one, two) = (world.room(&ada).await.chatroom_id, world.room(&ada).await.chatroom_id);
    let waker = world.watch(&[Topic::Messages(one.clone())]);
    for expected in 1..=5 {
        assert_eq!(world.write(async |tx| say(tx, &ada, &one, "x", true).await).await, Some(expected));
    }
    assert_eq!(waker.take().len(), 1);
    assert_eq!(world.write(async |tx| say(tx, &ada, &two, "x", true).await).await, Some(1));
    let numbers = |list: Vec<chatroom_protocol::room::Message>| list.iter().map(|m| m.sequence).collect::<Vec<_>>();
    assert_eq!(numbers(world.read(async |tx| messages::list_after(tx, &one, 2, 2).await).await), [3, 4]);
    assert_eq!(numbers(world.read(async |tx| messages::list_before(tx, &one, 5, 2).await).await), [3, 4]);
    assert_eq!(
        numbers(world.read(async |tx| messages::list_before(tx, &one, i64::MAX, 50).await).await),
        [1, 2, 3, 4, 5]
    );
    assert!(world.read(async |tx| messages::list_after(tx, &two, 1, 50).await).await.is_empty());
}

async fn a_message_is_found_in_its_room_as_it_was_written(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let (one, two) = (world.room(&ada).await.chatroom_id, world.room(&ada).await.chatroom_id);
    let message_id: MessageId = secret::new_id();
    let new = NewMessage {
        message_id: &message_id,
        chatroom_id: &one,
        kind: MessageKind::Handoff,
        sender_role: "planner",
        target_role: "builder",
        content: "ä 'quoted' \"twice\"\n\u{1b}[2J $1 ?",
        task_id: Some(&"task".into()),
    };
    world.write(async |tx| messages::insert(tx, &ada, &new, true, NOW).await).await;
    let found = world.read(async |tx| messages::find(tx, &one, &message_id).await).await.unwrap();
    assert_eq!((found.kind, found.content.as_str()), (MessageKind::Handoff, new.content));
    assert_eq!((found.sender_role.as_str(), found.target_role.as_str()), ("planner", "builder"));
    assert_eq!((found.task_id, found.created_at, found.sequence), (Some("task".into()), NOW, 1));
    assert_eq!(world.read(async |tx| messages::find(tx, &two, &message_id).await).await, None);
}

async fn only_the_owner_writes_and_an_archived_room_takes_no_new_talk(world: Arc<World>) {
    let (ada, bob) = (world.user("Ada").await, world.user("Bob").await);
    let room = world.room(&ada).await.chatroom_id;
    assert_eq!(world.write(async |tx| say(tx, &bob, &room, "x", true).await).await, None);
    world.write(async |tx| chatrooms::archive(tx, &ada, &room, NOW).await).await;
    assert_eq!(world.write(async |tx| say(tx, &ada, &room, "x", true).await).await, None);
    assert_eq!(world.write(async |tx| say(tx, &ada, &room, "x", false).await).await, Some(1));
}

async fn two_writers_leave_no_gap_and_no_double(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    for round in 0..10 {
        let mut numbers = world.race(async |tx| say(tx, &ada, &room, "x", true).await).await;
        numbers.sort_unstable();
        assert_eq!(numbers, [Some(2 * round + 1), Some(2 * round + 2)]);
    }
}
