use super::{NOW, World};
use chatroom_protocol::id::{ChatroomId, MessageId, UserId};
use chatroom_protocol::room::{ArtifactRef, MessageKind, ReceiptStage};
use chatroom_server::live::Topic;
use chatroom_server::secret;
use chatroom_server::store::messages::{self, Bound, NewMessage};
use chatroom_server::store::{Result, Tx, chatrooms, tasks};
use std::sync::Arc;

super::cases! {
    messages_are_numbered_room_by_room: ["messages::insert", "messages::list_after", "messages::list_between"];
    a_message_is_found_in_its_room_as_it_was_written: ["messages::insert", "messages::find"];
    only_the_owner_writes_and_an_archived_room_takes_no_new_talk: ["messages::insert"];
    two_writers_leave_no_gap_and_no_double: ["messages::insert"];
    a_page_ends_when_its_texts_come_to_the_bound: ["messages::list_after", "messages::list_between"];
    a_message_to_the_user_is_seen_once: ["messages::mark_seen", "messages::find"];
    the_receipt_of_a_message_follows_its_task: ["messages::find", "messages::list_after"];
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
        artifacts: &[],
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
    assert_eq!(numbers(world.read(async |tx| messages::list_after(tx, &one, 2, Bound::whole(2)).await).await), [3, 4]);
    assert_eq!(
        numbers(world.read(async |tx| messages::list_between(tx, &one, 0, 5, Bound::whole(2)).await).await),
        [3, 4]
    );
    assert_eq!(
        numbers(world.read(async |tx| messages::list_between(tx, &one, 0, i64::MAX, Bound::whole(50)).await).await),
        [1, 2, 3, 4, 5]
    );
    let between = world.read(async |tx| messages::list_between(tx, &one, 1, 5, Bound::whole(2)).await).await;
    assert_eq!(numbers(between), [3, 4]);
    assert!(world.read(async |tx| messages::list_after(tx, &two, 1, Bound::whole(50)).await).await.is_empty());
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
        artifacts: &[ArtifactRef { name: "plan.md".to_owned(), version: 3 }],
    };
    world.write(async |tx| messages::insert(tx, &ada, &new, true, NOW).await).await;
    let found = world.read(async |tx| messages::find(tx, &one, &message_id).await).await.unwrap();
    assert_eq!((found.kind, found.content.as_str()), (MessageKind::Handoff, new.content));
    assert_eq!((found.sender_role.as_str(), found.target_role.as_str()), ("planner", "builder"));
    assert_eq!(found.artifacts, new.artifacts);
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

async fn a_page_ends_when_its_texts_come_to_the_bound(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    for text in ["ää", "bbbb", "c", &"d".repeat(50), "e"] {
        world.write(async |tx| say(tx, &ada, &room, text, true).await).await;
    }
    let bound = |rows, bytes| Bound { rows, bytes, chars: 100 };
    let after = async |after, bound| {
        let page = world.read(async |tx| messages::list_after(tx, &room, after, bound).await).await;
        page.iter().map(|m| m.sequence).collect::<Vec<_>>()
    };
    let before = async |before, bound| {
        let page = world.read(async |tx| messages::list_between(tx, &room, 0, before, bound).await).await;
        page.iter().map(|m| m.sequence).collect::<Vec<_>>()
    };
    // Bytes, not characters; whichever message begins below the bound is there as a whole, so a page is never empty.
    assert_eq!(after(0, bound(9, 1)).await, [1]);
    assert_eq!(after(0, bound(9, 4)).await, [1]);
    assert_eq!(after(0, bound(9, 5)).await, [1, 2]);
    assert_eq!(after(2, bound(9, 2)).await, [3, 4]);
    assert_eq!(after(0, bound(3, 1000)).await, [1, 2, 3]);
    assert_eq!(before(i64::MAX, bound(9, 2)).await, [4, 5]);
    assert_eq!(before(4, bound(9, 5)).await, [2, 3]);
    let cut = Bound { rows: 9, bytes: 6, chars: 3 };
    let page = world.read(async |tx| messages::list_between(tx, &room, 0, 5, cut).await).await;
    assert_eq!(page.iter().map(|m| m.content.as_str()).collect::<Vec<_>>(), ["bbb", "c", "ddd"]);
}

async fn a_message_to_the_user_is_seen_once(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    let ids: [MessageId; 3] = [secret::new_id(), secret::new_id(), secret::new_id()];
    for (id, target) in ids.iter().zip(["user", "builder", "user"]) {
        let new = NewMessage {
            message_id: id,
            chatroom_id: &room,
            kind: MessageKind::Handoff,
            sender_role: "planner",
            target_role: target,
            content: "x",
            task_id: None,
            artifacts: &[],
        };
        world.write(async |tx| messages::insert(tx, &ada, &new, true, NOW).await).await;
    }
    let receipt =
        async |id: &MessageId| world.read(async |tx| messages::find(tx, &room, id).await).await.unwrap().receipt;
    assert_eq!(receipt(&ids[0]).await.unwrap().stage, ReceiptStage::Queued);
    let waker = world.watch(&[Topic::Messages(room.clone())]);
    assert_eq!(world.write(async |tx| messages::mark_seen(tx, &room, 2, NOW + 1).await).await, 1);
    assert!(!waker.take().is_empty());
    assert_eq!(world.race(async |tx| messages::mark_seen(tx, &room, 2, NOW + 2).await).await, [0, 0]);
    assert!(waker.take().is_empty());
    let first = receipt(&ids[0]).await.unwrap();
    assert_eq!((first.stage, first.seen_at, first.role.as_str()), (ReceiptStage::Seen, Some(NOW + 1), "user"));
    assert_eq!(receipt(&ids[1]).await, None);
    assert_eq!(receipt(&ids[2]).await.unwrap().stage, ReceiptStage::Queued);
}

async fn the_receipt_of_a_message_follows_its_task(world: Arc<World>) {
    let ada = world.user("Ada").await;
    let room = world.room(&ada).await.chatroom_id;
    let task_id = world.task(&ada, &room, "builder", "go").await;
    let receipt = async || {
        let page = world.read(async |tx| messages::list_after(tx, &room, 0, Bound::whole(1)).await).await;
        page[0].receipt.clone().unwrap()
    };
    let claim = async |at| {
        let row = world.read(async |tx| tasks::find(tx, &room, &task_id).await).await.unwrap();
        world.write(async |tx| tasks::claim(tx, &row, &"w".into(), None, at).await).await.unwrap();
    };
    let fence =
        |delivery| tasks::Fence { chatroom_id: &room, role: "builder", task_id: &task_id, delivery, agent_id: None };
    let queued = receipt().await;
    assert_eq!((queued.stage, queued.role.as_str(), queued.queued_at), (ReceiptStage::Queued, "builder", NOW));
    assert_eq!((queued.delivery, queued.delivered_at), (0, None));
    claim(NOW + 1).await;
    let delivered = receipt().await;
    assert_eq!((delivered.stage, delivered.delivered_at), (ReceiptStage::Delivered, Some(NOW + 1)));
    world.write(async |tx| tasks::confirm(tx, &room, "builder", None, NOW + 2).await).await.unwrap();
    let seen = receipt().await;
    assert_eq!((seen.stage, seen.seen_at, seen.started_at), (ReceiptStage::Seen, Some(NOW + 2), None));
    world.write(async |tx| tasks::start(tx, &fence(1), NOW + 3).await).await.unwrap();
    let started = receipt().await;
    assert_eq!(
        (started.stage, started.started_at, started.seen_at),
        (ReceiptStage::Started, Some(NOW + 3), Some(NOW + 2))
    );
    // Put back, it begins anew.
    world.write(async |tx| tasks::requeue(tx, &ada, &task_id, NOW + 4).await).await.unwrap();
    let again = receipt().await;
    assert_eq!((again.stage, again.delivered_at, again.started_at), (ReceiptStage::Queued, None, None));
    claim(NOW + 5).await;
    let delivered = receipt().await;
    assert_eq!((delivered.stage, delivered.delivery, delivered.seen_at), (ReceiptStage::Delivered, 2, None));
    world.write(async |tx| tasks::finish(tx, &fence(2), None, None, NOW + 6).await).await.unwrap();
    let done = receipt().await;
    assert_eq!((done.stage, done.ended_at), (ReceiptStage::Done, Some(NOW + 6)));
    assert_eq!((done.seen_at, done.started_at), (Some(NOW + 6), Some(NOW + 6)));
    let second = world.task(&ada, &room, "builder", "no").await;
    world.write(async |tx| tasks::cancel(tx, &ada, &second, NOW + 7).await).await.unwrap();
    let page = world.read(async |tx| messages::list_after(tx, &room, 1, Bound::whole(1)).await).await;
    let cancelled = page[0].receipt.clone().unwrap();
    assert_eq!((cancelled.stage, cancelled.ended_at), (ReceiptStage::Cancelled, Some(NOW + 7)));
}
