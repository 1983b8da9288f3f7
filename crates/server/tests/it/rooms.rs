//! Rooms and their work, as people and waiters meet them.

use crate::support::{Socket, TestServer};
use chatroom_protocol::UnixMs;
use chatroom_protocol::room::Chatroom;
use chatroom_server::functions::chatrooms::MAX_ROOMS;
use chatroom_server::functions::messages::MAX_OPEN_TASKS;
use chatroom_server::store::{chatrooms, users};
use serde_json::{Value, json};

const MACHINE: &str = "3f0f8f4e-6c1b-4b7e-9d7e-0a4a1b9f0001";

async fn create(server: &TestServer, team: &str) -> Value {
    server.ok("chatrooms.create", json!({"name": " Shop ", "team": team})).await["chatroomId"].clone()
}

async fn refused(server: &TestServer, name: &str, args: Value) -> Value {
    let (status, body) = server.run(name, args, Some(&server.token)).await;
    assert_ne!(status, 200, "{name}: {body}");
    body["errorData"].clone()
}

async fn join(server: &TestServer, room: &Value, role: &str, waiter: &str) {
    server.ok("participants.join", json!({"chatroomId": room, "role": role, "waiterId": waiter})).await;
}

/// Joins, asks for the next task and claims it: task id, delivery number and what to print.
async fn take(server: &TestServer, room: &Value, role: &str, waiter: &str) -> (Value, Value, String) {
    join(server, room, role, waiter).await;
    let who = json!({"chatroomId": room, "role": role, "waiterId": waiter});
    let next = server.ok("tasks.getNextTask", who.clone()).await;
    assert_eq!(next["next"], "claim", "{next}");
    let mut claim = who;
    claim["taskId"] = next["taskId"].clone();
    let claimed = server.ok("tasks.claim", claim).await;
    let delivery = &claimed["delivery"];
    let brief = delivery["brief"].as_str().unwrap().to_owned();
    (delivery["task"]["taskId"].clone(), delivery["task"]["delivery"].clone(), brief)
}

fn handoff(room: &Value, role: &str, task: &Value, delivery: &Value, next: &str, content: &str) -> Value {
    json!({"chatroomId": room, "role": role, "taskId": task, "delivery": delivery, "nextRole": next, "content": content})
}

/// Waits until the socket shows this answer of its only subscription.
async fn shows(socket: &mut Socket, what: impl Fn(&Value) -> bool) {
    loop {
        if socket.transition().await.iter().any(|change| what(&change["value"])) {
            return;
        }
    }
}

async fn waiting(server: &TestServer, room: &Value) -> bool {
    server.ok("participants.list", json!({"chatroomId": room})).await[0]["waiting"] == true
}

#[tokio::test]
async fn work_goes_from_the_user_through_the_team_and_back() {
    let server = TestServer::start().await;
    let room = create(&server, "duo").await;
    let sent = server.ok("messages.send", json!({"chatroomId": room, "content": "build a cart"})).await;
    assert_eq!(sent["role"], "planner");

    let (task, delivery, brief) = take(&server, &room, "Planner", "w1").await;
    assert_eq!((&task, &delivery), (&sent["taskId"], &json!(1)));
    assert!(brief.contains("| build a cart\n"), "{brief}");
    let to_builder = handoff(&room, "planner", &task, &delivery, "builder", "a cart with tests");
    let first = server.ok("tasks.handoff", to_builder.clone()).await;
    assert_eq!((&first["write"], &first["nextRole"]), (&json!("applied"), &json!("builder")));
    let again = server.ok("tasks.handoff", to_builder).await;
    assert_eq!(again["write"], "already_applied");
    assert_eq!((&again["messageId"], &again["nextTaskId"]), (&first["messageId"], &first["nextTaskId"]));

    let (task, delivery, brief) = take(&server, &room, "builder", "w2").await;
    assert_eq!(task, first["nextTaskId"]);
    assert!(
        brief.contains("From: `planner`") && brief.contains("1. `user` to `planner`:\n| build a cart\n"),
        "{brief}"
    );
    let held = json!({"chatroomId": room, "role": "builder", "taskId": task, "delivery": delivery});
    for write in ["applied", "already_applied"] {
        assert_eq!(server.ok("tasks.start", held.clone()).await["write"], write);
    }
    let open = server.ok("tasks.list", json!({"chatroomId": room, "role": "builder"})).await;
    assert_eq!((&open[0]["state"], &open[0]["confirmed"]), (&json!("in_progress"), &json!(true)));
    server.ok("tasks.handoff", handoff(&room, "builder", &task, &delivery, "planner", "done, see the tests")).await;

    let (task, delivery, _) = take(&server, &room, "planner", "w3").await;
    let back =
        server.ok("tasks.handoff", handoff(&room, "planner", &task, &delivery, "user", "the cart is there")).await;
    assert_eq!((&back["nextTaskId"], &back["nextRole"]), (&Value::Null, &json!("user")));

    let said = server.ok("messages.list", json!({"chatroomId": room})).await;
    let said: Vec<String> = said
        .as_array()
        .unwrap()
        .iter()
        .map(|m| format!("{} {} {}->{}", m["sequence"], m["kind"], m["senderRole"], m["targetRole"]).replace('"', ""))
        .collect();
    assert_eq!(
        said,
        [
            "1 message user->planner",
            "2 handoff planner->builder",
            "3 handoff builder->planner",
            "4 handoff planner->user"
        ]
    );
    assert_eq!(server.ok("messages.list", json!({"chatroomId": room, "after": 2, "limit": 1})).await[0]["sequence"], 3);
    assert_eq!(server.ok("tasks.list", json!({"chatroomId": room})).await, json!([]));
    assert_eq!(
        server.ok("tasks.list", json!({"chatroomId": room, "state": "completed"})).await.as_array().unwrap().len(),
        3
    );
    server.stop().await;
}

#[tokio::test]
async fn a_waiter_waits_while_its_socket_is_open_and_hears_at_once_that_a_newer_one_came() {
    let server = TestServer::start().await;
    let room = create(&server, "solo").await;
    join(&server, &room, "builder", "w1").await;
    assert!(!waiting(&server, &room).await);
    let mut socket = server.socket().await;
    socket.authenticate(0, &server.token).await;
    socket.transition().await;
    let who = json!({"chatroomId": room, "role": "builder", "waiterId": "w1"});
    socket.subscribe(0, 0, "tasks:getNextTask", who).await;
    shows(&mut socket, |value| value["next"] == "wait").await;
    assert!(waiting(&server, &room).await);

    server.ok("messages.send", json!({"chatroomId": room, "content": "go"})).await;
    shows(&mut socket, |value| value["next"] == "claim").await;

    join(&server, &room, "builder", "w2").await;
    shows(&mut socket, |value| value["next"] == "superseded").await;
    assert!(!waiting(&server, &room).await);
    let again = json!({"chatroomId": room, "role": "builder", "waiterId": "w1"});
    assert_eq!(refused(&server, "participants.join", again).await["code"], "superseded");

    // The newer one's socket, and its end.
    let mut newer = server.socket().await;
    newer.authenticate(0, &server.token).await;
    newer.transition().await;
    newer.subscribe(0, 0, "tasks:getNextTask", json!({"chatroomId": room, "role": "builder", "waiterId": "w2"})).await;
    shows(&mut newer, |value| value["next"] == "claim").await;
    drop(socket);
    assert!(waiting(&server, &room).await, "the end of the older socket says nothing of the newer waiter");
    let mut watcher = server.socket().await;
    watcher.authenticate(0, &server.token).await;
    watcher.transition().await;
    watcher.subscribe(0, 0, "participants:list", json!({"chatroomId": room})).await;
    shows(&mut watcher, |value| value[0]["waiting"] == true).await;
    drop(newer);
    shows(&mut watcher, |value| value[0]["waiting"] == false).await;
    server.stop().await;
}

#[tokio::test]
async fn a_machines_one_connection_carries_the_waiters_that_joined_on_it_and_no_others() {
    let server = TestServer::start().await;
    let room = create(&server, "duo").await;
    let machine = json!({"machineId": MACHINE, "hostname": "laptop", "os": "linux", "arch": "x86_64", "cliVersion": "1",
        "cliPath": "/opt/chatroom", "availableTools": [], "issueCredential": true});
    let machine = server.ok("machines.register", machine).await["credential"].as_str().unwrap().to_owned();
    let joins =
        |role: &str, waiter: &str| json!({"chatroomId": room, "role": role, "waiterId": waiter, "machineId": MACHINE});
    for (role, waiter) in [("planner", "w1"), ("builder", "w2")] {
        server.ok("participants.join", joins(role, waiter)).await;
    }
    let mut socket = server.socket().await;
    socket.authenticate(0, &machine).await;
    socket.transition().await;
    for (number, (role, waiter)) in [("planner", "w1"), ("builder", "w2")].into_iter().enumerate() {
        let number = u32::try_from(number).unwrap();
        let who = json!({"chatroomId": room, "role": role, "waiterId": waiter});
        socket.subscribe(number, number, "tasks:getNextTask", who).await;
        shows(&mut socket, |value| value["next"] == "wait").await;
    }
    let listed = server.ok("participants.list", json!({"chatroomId": room})).await;
    assert!(listed.as_array().unwrap().iter().all(|waiter| waiter["waiting"] == true), "{listed}");
    server.ok("messages.send", json!({"chatroomId": room, "role": "builder", "content": "go"})).await;
    shows(&mut socket, |value| value["next"] == "claim").await;
    // The machine hears of it; it cannot take it.
    let claim = json!({"chatroomId": room, "role": "builder", "waiterId": "w2", "taskId": "any"});
    assert_eq!(server.run("tasks.claim", claim, Some(&machine)).await.0, 403);
    // A newer waiter that joined elsewhere is none of the machine's.
    join(&server, &room, "builder", "w3").await;
    shows(&mut socket, |value| value["next"] == "superseded").await;
    let who = json!({"chatroomId": room, "role": "builder", "waiterId": "w3"});
    let (status, body) = server.run("tasks.getNextTask", who, Some(&machine)).await;
    assert_eq!((status, &body["errorData"]["code"]), (404, &json!("not_found")), "{body}");
    drop(socket);
    server.stop().await;
}

#[tokio::test]
async fn what_does_not_exist_is_refused_with_what_does() {
    let server = TestServer::start().await;
    let unknown = refused(&server, "chatrooms.create", json!({"name": "x", "team": "army"})).await;
    assert_eq!(
        unknown,
        json!({"code": "unknown_team", "message": "there is no team \"army\"",
        "hint": "choose one of: solo, duo, pair, squad"})
    );
    assert_eq!(refused(&server, "teams.get", json!({"name": "army"})).await["code"], "unknown_team");
    for name in ["", "a\u{1b}[2Jb"] {
        assert_eq!(
            refused(&server, "chatrooms.create", json!({"name": name, "team": "solo"})).await["code"],
            "bad_request"
        );
    }
    let room = create(&server, "duo").await;
    assert_eq!(server.ok("chatrooms.get", json!({"chatroomId": room})).await["name"], "Shop");
    let unknown = refused(&server, "messages.send", json!({"chatroomId": room, "role": "Boss", "content": "x"})).await;
    assert_eq!(
        unknown,
        json!({"code": "unknown_role", "message": "the team of this room has no role \"boss\"",
        "hint": "its roles are: planner, builder"})
    );
    for content in ["", " \n", "a\0b"] {
        let empty = json!({"chatroomId": room, "content": content});
        assert_eq!(refused(&server, "messages.send", empty).await["code"], "bad_request");
    }
    server.ok("messages.send", json!({"chatroomId": room, "content": "go"})).await;
    let (task, delivery, _) = take(&server, &room, "planner", "w1").await;
    let to = |next: &str| handoff(&room, "planner", &task, &delivery, next, "x");
    assert_eq!(refused(&server, "tasks.handoff", to("boss")).await["code"], "unknown_role");
    let itself = refused(&server, "tasks.handoff", to("planner")).await;
    assert_eq!((&itself["code"], &itself["hint"]), (&json!("conflict"), &json!("hand to one of: builder, user")));
    let future = handoff(&room, "planner", &task, &json!(2), "user", "x");
    let future = refused(&server, "tasks.handoff", future).await;
    assert_eq!(future["message"], "there was no delivery 2 of this task; the newest is 1");
    for name in ["builder", "planner"] {
        let args = json!({"chatroomId": room, "role": name, "taskId": "none", "delivery": 1});
        assert_eq!(refused(&server, "tasks.complete", args).await["code"], "not_found");
    }
    let of_planner = json!({"chatroomId": room, "role": "builder", "taskId": task, "delivery": delivery});
    assert_eq!(refused(&server, "tasks.complete", of_planner).await["code"], "not_found");
    server.stop().await;
}

#[tokio::test]
async fn an_old_delivery_is_stale_and_says_why() {
    let server = TestServer::start().await;
    let room = create(&server, "solo").await;
    server.ok("messages.send", json!({"chatroomId": room, "content": "go"})).await;
    let (task, first, _) = take(&server, &room, "builder", "w1").await;
    let (_, second, brief) = take(&server, &room, "builder", "w2").await;
    assert_eq!((&first, &second), (&json!(1), &json!(2)));
    assert!(brief.contains("this is hand-over 2"), "{brief}");
    let complete =
        |delivery: &Value| json!({"chatroomId": room, "role": "builder", "taskId": task, "delivery": delivery});
    let stale = refused(&server, "tasks.complete", complete(&first)).await;
    assert_eq!(stale["code"], "stale");
    assert_eq!(stale["message"], "the task was handed out again as delivery 2; delivery 1 counts no more");
    server.ok("tasks.requeue", json!({"taskId": task})).await;
    let stale = refused(&server, "tasks.complete", complete(&second)).await;
    assert_eq!(stale["message"], "the task was put back into the queue; delivery 2 counts no more");
    assert_eq!(server.ok("tasks.cancel", json!({"taskId": task})).await["task"]["state"], "cancelled");
    assert_eq!(refused(&server, "tasks.complete", complete(&second)).await["message"], "the task was cancelled");
    assert_eq!(refused(&server, "tasks.requeue", json!({"taskId": task})).await["code"], "conflict");
    server.stop().await;
}

#[tokio::test]
async fn prompt_and_brief_name_the_cli_of_the_machine() {
    let server = TestServer::start().await;
    let machine = json!({"machineId": MACHINE, "hostname": "laptop", "os": "linux", "arch": "x86_64", "cliVersion": "1",
        "cliPath": "/home/o'neil/bin/chatroom", "availableTools": []});
    server.ok("machines.register", machine).await;
    let room = create(&server, "solo").await;
    let quoted = format!(
        r"'/home/o'\''neil/bin/chatroom' wait-for-task --chatroom-id={} --role=builder",
        room.as_str().unwrap()
    );
    let args = json!({"chatroomId": room, "role": "Builder", "machineId": MACHINE});
    let prompt = server.ok("messages.getInitPrompt", args).await;
    assert!(prompt["prompt"].as_str().unwrap().contains(&quoted), "{prompt}");
    let plain = server.ok("messages.getInitPrompt", json!({"chatroomId": room, "role": "builder"})).await;
    assert!(plain["prompt"].as_str().unwrap().contains("\nchatroom wait-for-task --chatroom-id="), "{plain}");
    assert_eq!(plain["version"], prompt["version"]);
    let foreign = json!({"chatroomId": room, "role": "builder", "machineId": "3f0f8f4e-6c1b-4b7e-9d7e-0a4a1b9f0009"});
    assert_eq!(refused(&server, "messages.getInitPrompt", foreign.clone()).await["code"], "not_found");
    let mut foreign_join = foreign;
    foreign_join["waiterId"] = json!("w0");
    assert_eq!(refused(&server, "participants.join", foreign_join).await["code"], "not_found");

    server.ok("messages.send", json!({"chatroomId": room, "content": "go"})).await;
    let who = json!({"chatroomId": room, "role": "builder", "waiterId": "w1", "machineId": MACHINE});
    server.ok("participants.join", who).await;
    let (_, _, brief) = take(&server, &room, "builder", "w1").await;
    assert!(brief.contains(&quoted), "{brief}");
    server.stop().await;
}

#[tokio::test]
async fn in_an_archived_room_work_is_finished_and_none_begins() {
    let server = TestServer::start().await;
    let room = create(&server, "pair").await;
    for content in ["one", "two"] {
        server.ok("messages.send", json!({"chatroomId": room, "content": content})).await;
    }
    let (task, delivery, _) = take(&server, &room, "builder", "w1").await;
    for _ in 0..2 {
        let archived = server.ok("chatrooms.archive", json!({"chatroomId": room})).await;
        assert!(archived["archivedAt"].is_i64());
    }
    assert_eq!(server.ok("chatrooms.list", json!({})).await, json!([]));
    assert_eq!(
        refused(&server, "messages.send", json!({"chatroomId": room, "content": "x"})).await["code"],
        "conflict"
    );
    let newcomer = json!({"chatroomId": room, "role": "builder", "waiterId": "w2"});
    assert_eq!(refused(&server, "participants.join", newcomer).await["code"], "conflict");
    server.ok("tasks.handoff", handoff(&room, "builder", &task, &delivery, "reviewer", "done")).await;
    let who = json!({"chatroomId": room, "role": "builder", "waiterId": "w1"});
    let next = server.ok("tasks.getNextTask", who.clone()).await;
    assert_eq!(next, json!({"next": "wait", "reason": "the chatroom is archived"}));
    let open = server.ok("tasks.list", json!({"chatroomId": room, "role": "builder"})).await;
    let mut claim = who;
    claim["taskId"] = open[0]["taskId"].clone();
    assert_eq!(server.ok("tasks.claim", claim).await["outcome"], "gone");
    server.stop().await;
}

#[tokio::test]
async fn rooms_and_open_tasks_have_a_limit() {
    let server = TestServer::start().await;
    let room = create(&server, "solo").await;
    for _ in 0..MAX_OPEN_TASKS {
        server.ok("messages.send", json!({"chatroomId": room, "content": "x"})).await;
    }
    let more = json!({"chatroomId": room, "content": "x"});
    assert_eq!(refused(&server, "messages.send", more.clone()).await["code"], "limit_reached");
    // What is handed on in place of what has ended is not counted as more.
    let (task, delivery, _) = take(&server, &room, "builder", "w1").await;
    server.ok("tasks.handoff", handoff(&room, "builder", &task, &delivery, "user", "x")).await;
    server.ok("messages.send", more).await;

    let mut tx = server.app.store.write().await.unwrap();
    let user = users::find_admin(&mut tx).await.unwrap().unwrap();
    let like = chatrooms::list(&mut tx, &user.id).await.unwrap().remove(0);
    for n in 1..MAX_ROOMS {
        let copy = Chatroom { chatroom_id: format!("room-{n}").into(), created_at: UnixMs(n), ..like.clone() };
        chatrooms::insert(&mut tx, &user.id, &copy).await.unwrap();
    }
    tx.commit().await.unwrap();
    let another = json!({"name": "x", "team": "solo"});
    assert_eq!(refused(&server, "chatrooms.create", another.clone()).await["code"], "limit_reached");
    server.ok("chatrooms.archive", json!({"chatroomId": "room-7"})).await;
    server.ok("chatrooms.create", another).await;
    server.stop().await;
}
