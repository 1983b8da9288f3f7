//! A conversation of 10,000 messages costs no more than a short one: rows and bytes are counted, not times.

use crate::support::TestServer;
use chatroom_protocol::id::{ChatroomId, MessageId, TaskId};
use chatroom_protocol::room::{MessageKind, USER_ROLE};
use chatroom_server::store::messages::{self, NewMessage};
use chatroom_server::store::tasks::{self, Fence, NewTask};
use chatroom_server::store::users;
use chatroom_server::{clock, secret};
use serde_json::{Value, json};

const MESSAGES: usize = 10_000;
/// Each text, as long as a page of a report.
const TEXT: usize = 2_000;

/// Fills a room with tasks that are done, and leaves one that waits.
async fn fill(server: &TestServer, room: &ChatroomId) {
    let text = "x".repeat(TEXT);
    let mut tx = server.app.store.write().await.unwrap();
    let user_id = users::find_admin(&mut tx).await.unwrap().unwrap().id;
    for number in 1..=MESSAGES {
        let (message_id, task_id): (MessageId, TaskId) = (secret::new_id(), secret::new_id());
        let message = NewMessage {
            message_id: &message_id,
            chatroom_id: room,
            kind: MessageKind::Message,
            sender_role: USER_ROLE,
            target_role: "builder",
            content: &text,
            task_id: Some(&task_id),
            artifacts: &[],
        };
        let position = messages::insert(&mut tx, &user_id, &message, true, clock::now()).await.unwrap().unwrap();
        let task = NewTask {
            task_id: &task_id,
            chatroom_id: room,
            role: "builder",
            position,
            message_id: &message_id,
            from_role: USER_ROLE,
            content: &text,
        };
        tasks::insert(&mut tx, &task, clock::now()).await.unwrap();
        if number < MESSAGES {
            let offer = tasks::find_offer(&mut tx, room, "builder", None).await.unwrap();
            let tasks::Offer::Take(row) = offer else { panic!("{offer:?}") };
            tasks::claim(&mut tx, &row, &"w".into(), None, clock::now()).await.unwrap().unwrap();
            let fence = Fence { chatroom_id: room, role: "builder", task_id: &task_id, delivery: 1, agent_id: None };
            tasks::finish(&mut tx, &fence, None, None, clock::now()).await.unwrap().unwrap();
        }
    }
    tx.commit().await.unwrap();
}

/// The answer of a function, and that it cost no more than so many rows and bytes.
async fn within(server: &TestServer, name: &str, args: Value, rows: u64, bytes: usize) -> Value {
    let before = server.app.store.rows_read();
    let answer = server.ok(name, args).await;
    let (read, size) = (server.app.store.rows_read() - before, answer.to_string().len());
    assert!(read <= rows, "{name} read {read} rows; at most {rows} were expected");
    assert!(size <= bytes, "{name} answered {size} bytes; at most {bytes} were expected");
    answer
}

#[tokio::test]
async fn ten_thousand_messages_cost_no_more_than_a_page() {
    let server = TestServer::start().await;
    let room = server.ok("chatrooms.create", json!({"name": "long", "team": "solo"})).await["chatroomId"].clone();
    fill(&server, &room.as_str().unwrap().into()).await;
    let (room_args, who) = (json!({"chatroomId": room}), json!({"chatroomId": room, "role": "builder"}));
    // A few rows more than the page: the caller, the room, its context.
    let page = within(&server, "messages.list", room_args.clone(), 60, 50 * (TEXT + 1_000)).await;
    assert_eq!((page.as_array().unwrap().len(), &page[49]["sequence"]), (50, &json!(MESSAGES)));
    let middle = json!({"chatroomId": room, "after": 5_000, "limit": 20});
    let page = within(&server, "messages.list", middle, 30, 20 * (TEXT + 1_000)).await;
    assert_eq!((page.as_array().unwrap().len(), &page[0]["sequence"]), (20, &json!(5_001)));
    let back = json!({"chatroomId": room, "before": 5_000, "limit": 20});
    assert_eq!(within(&server, "messages.list", back, 30, 20 * (TEXT + 1_000)).await[19]["sequence"], 4_999);

    let mut waiter = who.clone();
    waiter["waiterId"] = json!("w1");
    server.ok("participants.join", waiter.clone()).await;
    let next = within(&server, "tasks.getNextTask", waiter.clone(), 10, 1_000).await;
    waiter["taskId"] = next["taskId"].clone();
    within(&server, "tasks.claim", waiter, 40, 40_000).await;
    let read = within(&server, "contexts.read", who, 60, 64 * 1024 + 60_000).await;
    let said = read["messages"].as_array().unwrap();
    assert_eq!((said.len(), &read["earlier"]), (30, &json!(MESSAGES - 29)));
    within(&server, "tasks.list", room_args.clone(), 10, 5_000).await;
    within(&server, "tasks.list", json!({"chatroomId": room, "state": "completed"}), 210, 200 * 2_000).await;
    within(&server, "participants.list", room_args.clone(), 10, 1_000).await;

    // The live head: each change sends one page, however long the room is.
    let mut socket = server.socket().await;
    socket.authenticate(0, &server.token).await;
    socket.transition().await;
    socket.subscribe(0, 0, "messages:list", json!({"chatroomId": room, "limit": 20})).await;
    let head = socket.transition().await;
    assert_eq!(head[0]["value"].as_array().unwrap().len(), 20);
    let before = server.app.store.rows_read();
    server.ok("messages.send", json!({"chatroomId": room, "content": "one more"})).await;
    loop {
        let head = socket.transition().await;
        assert!(head[0].to_string().len() <= 20 * (TEXT + 1_000));
        if head[0]["value"][19]["content"] == "one more" {
            break;
        }
    }
    let read = server.app.store.rows_read() - before;
    assert!(read <= 100, "a new message made the server read {read} rows");
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_long_messages_ends_by_its_bytes_and_is_read_on_to_the_end() {
    let server = TestServer::start().await;
    let room = server.ok("chatrooms.create", json!({"name": "long", "team": "solo"})).await["chatroomId"].clone();
    for _ in 0..30 {
        server.ok("messages.send", json!({"chatroomId": room, "content": "ä".repeat(100_000)})).await;
    }
    let (mut after, mut pages, mut seen) = (0_u64, 0, 0);
    loop {
        let args = json!({"chatroomId": room, "after": after, "limit": 200});
        let page = within(&server, "messages.list", args, 20, 1024 * 1024 + 300_000).await;
        let Some(last) = page.as_array().unwrap().last() else { break };
        after = last["sequence"].as_u64().unwrap();
        (pages, seen) = (pages + 1, seen + page.as_array().unwrap().len());
    }
    assert_eq!((pages, seen), (5, 30));
    let newest = within(&server, "messages.list", json!({"chatroomId": room}), 20, 1024 * 1024 + 300_000).await;
    assert_eq!(newest.as_array().unwrap().last().unwrap()["sequence"], 30);
    let who = json!({"chatroomId": room, "role": "builder"});
    let read = within(&server, "contexts.read", who, 40, 64 * 1024 * 4).await;
    let cut = read["messages"][0]["content"].as_str().unwrap();
    assert!(cut.ends_with('…') && cut.chars().count() == 4_001);
    server.stop().await;
}
