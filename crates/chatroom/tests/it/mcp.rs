//! `chatroom mcp`, spoken to as a client of the Model Context Protocol does: JSON-RPC, one message a line, on stdio.

use crate::world::{Process, World, eventually};
use serde_json::{Value, json};

/// A client that has shaken hands.
struct Client {
    process: Process,
    next_id: i64,
}

impl Client {
    fn start(world: &World, room: &str, role: &str) -> Self {
        let line = format!("mcp --chatroom-id={room} --role={role}");
        let mut client = Self { process: world.line(&line).talking().start(), next_id: 0 };
        let hello = client.request(
            "initialize",
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}),
        );
        assert_eq!(hello["result"]["serverInfo"]["name"], "chatroom", "{hello}");
        assert!(hello["result"]["instructions"].as_str().unwrap().contains(&format!("`{role}`")), "{hello}");
        client.notify("notifications/initialized", json!({}));
        client
    }

    fn notify(&mut self, method: &str, params: Value) {
        self.process.say(&json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string());
    }

    /// Sends a request and gives its number.
    fn send(&mut self, method: &str, params: Value) -> i64 {
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params});
        self.process.say(&request.to_string());
        self.next_id
    }

    /// The answer to the request of this number.
    fn answer(&mut self, id: i64) -> Value {
        eventually(&format!("an answer to request {id}"), || {
            assert!(!self.process.has_ended(), "{}{}", self.process.stdout(), self.process.stderr());
            let stdout = self.process.stdout();
            let mut messages = stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON-RPC only"));
            messages.find(|message| message["id"] == id)
        })
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        self.answer(id)
    }

    fn begin(&mut self, tool: &str, args: Value) -> i64 {
        self.send("tools/call", json!({"name": tool, "arguments": args}))
    }

    /// Calls a tool: its text, and whether it is an error.
    fn call(&mut self, tool: &str, args: Value) -> (String, bool) {
        let id = self.begin(tool, args);
        text(&self.answer(id))
    }

    fn ok(&mut self, tool: &str, args: Value) -> String {
        let (text, is_error) = self.call(tool, args);
        assert!(!is_error, "{tool}: {text}");
        text
    }

    fn fails(&mut self, tool: &str, args: Value) -> String {
        let (text, is_error) = self.call(tool, args);
        assert!(is_error, "{tool}: {text}");
        text
    }
}

fn text(answer: &Value) -> (String, bool) {
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    (text.to_owned(), answer["result"]["isError"] == true)
}

/// Id and delivery of a printed task.
fn task(brief: &str) -> (String, i64) {
    let field =
        |name: &str| brief.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{brief}"));
    (field("Task id: ").to_owned(), field("Delivery: ").parse().unwrap())
}

#[test]
fn an_agent_works_over_mcp_alone_from_task_to_handoff() {
    let world = World::new();
    let _server = world.signed_in();
    let room = world.room("duo");
    let mut planner = Client::start(&world, &room, "planner");
    let tools = planner.request("tools/list", json!({}));
    let names: Vec<&str> =
        tools["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let expected = [
        "wait_for_task",
        "task_started",
        "report_progress",
        "handoff",
        "task_complete",
        "read_context",
        "list_messages",
        "list_backlog",
        "put_artifact",
        "get_artifact",
    ];
    assert_eq!(names, expected);

    assert_eq!(planner.ok("wait_for_task", json!({"timeout_seconds": 1})), "No task yet: call wait_for_task again.");
    // It answers other calls while it waits.
    let waiting = planner.begin("wait_for_task", json!({}));
    assert_eq!(planner.ok("list_backlog", json!({})), "[]");
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    let (brief, is_error) = text(&planner.answer(waiting));
    assert!(!is_error && brief.contains("| build a house") && brief.contains("call them instead"), "{brief}");
    let (id, delivery) = task(&brief);
    assert_eq!(delivery, 1);
    let held = json!({"task_id": id, "delivery": delivery});
    planner.ok("task_started", held.clone());
    planner.ok("report_progress", json!({"task_id": id, "delivery": delivery, "text": "half of it"}));
    assert_eq!(planner.ok("put_artifact", json!({"name": "plan.md", "content": "# Plan"})), "plan.md@1");
    assert_eq!(planner.ok("get_artifact", json!({"name": "plan.md"})), "# Plan");
    assert!(planner.ok("read_context", json!({})).contains("build a house"));
    let handoff = |next: &str| json!({"task_id": id, "delivery": delivery, "next_role": next, "message": "as planned", "artifacts": ["plan.md@1"]});
    let itself = planner.fails("handoff", handoff("planner"));
    assert!(itself.contains("Hint: hand to one of: builder, user"), "{itself}");
    planner.ok("handoff", handoff("builder"));
    planner.ok("handoff", handoff("builder"));
    let messages: Value = serde_json::from_str(&planner.ok("list_messages", json!({}))).unwrap();
    assert_eq!(messages.as_array().unwrap().len(), 3, "{messages}");
    assert_eq!((&messages[2]["targetRole"], &messages[2]["artifacts"][0]["version"]), (&json!("builder"), &json!(1)));
    let wrong = planner.fails("task_complete", json!({"task_id": id, "delivery": 7}));
    assert!(wrong.contains("there was no delivery 7") || wrong.contains("completed"), "{wrong}");

    // What is bound cannot be named, and what is not known is told.
    let other = planner.fails("list_messages", json!({"chatroom_id": "other"}));
    assert!(other.contains("unknown field `chatroom_id`"), "{other}");
    let none = planner.request("tools/call", json!({"name": "reboot", "arguments": {}}));
    assert!(none["error"]["message"].as_str().unwrap().contains("no tool reboot"), "{none}");
}

#[test]
fn a_wait_whose_answer_was_lost_or_cancelled_loses_no_task() {
    let world = World::new();
    let _server = world.signed_in();
    let room = world.room("solo");
    let mut builder = Client::start(&world, &room, "builder");
    let waiting = builder.begin("wait_for_task", json!({}));
    eventually("it waits", || {
        let room = world.line(&format!("room show --chatroom-id={room} --json")).ok().json();
        (room["participants"][0]["waiting"] == true).then_some(())
    });
    builder.notify("notifications/cancelled", json!({"requestId": waiting, "reason": "timeout"}));
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    let brief = builder.ok("wait_for_task", json!({}));
    let (id, delivery) = task(&brief);
    // The same wait again is the same hand-over.
    assert_eq!(task(&builder.ok("wait_for_task", json!({}))), (id, delivery));

    // The client dies: the role gets its task when it waits again.
    builder.process.signal("KILL");
    let mut next = Client::start(&world, &room, "builder");
    let (again, later) = task(&next.ok("wait_for_task", json!({})));
    assert_eq!(later, delivery + 1);
    // A waiter elsewhere takes the role over; the wait says so, and ends.
    next.ok("task_complete", json!({"task_id": again, "delivery": later}));
    let waiting = next.begin("wait_for_task", json!({}));
    eventually("it waits", || {
        let room = world.line(&format!("room show --chatroom-id={room} --json")).ok().json();
        (room["participants"][0]["waiting"] == true).then_some(())
    });
    let mut newer = world.line(&format!("wait-for-task --chatroom-id={room} --role=builder")).start();
    newer.prints("waiting for a task");
    let (over, _) = text(&next.answer(waiting));
    assert!(over.starts_with("no longer waiting: "), "{over}");
}

/// How many connections to other hosts or this one a process has open; pipes and local sockets are none.
fn connections(pid: u32) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let inodes: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(9)).collect();
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map_while(Result::ok);
    let names = entries.filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.display().to_string()));
    names.filter(|name| inodes.iter().any(|inode| *name == format!("socket:[{inode}]"))).count()
}

#[test]
fn where_a_daemon_runs_it_waits_over_the_daemons_connection_and_goes_on_without_it() {
    let world = World::new();
    let _server = world.signed_in();
    world.line("machine daemon start").ok();
    world.connected();
    let room = world.room("solo");
    let waits = || {
        eventually("it waits", || {
            let room = world.line(&format!("room show --chatroom-id={room} --json")).ok().json();
            (room["participants"][0]["waiting"] == true).then_some(())
        });
    };
    let mut builder = Client::start(&world, &room, "builder");
    let waiting = builder.begin("wait_for_task", json!({}));
    waits();
    assert_eq!(connections(builder.process.pid()), 0);
    // A wait that was cancelled takes no task.
    builder.notify("notifications/cancelled", json!({"requestId": waiting, "reason": "timeout"}));
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    let (id, delivery) = task(&builder.ok("wait_for_task", json!({})));
    assert_eq!(task(&builder.ok("wait_for_task", json!({}))), (id.clone(), delivery), "the answer may have been lost");
    builder.ok("task_complete", json!({"task_id": id, "delivery": delivery}));

    let waiting = builder.begin("wait_for_task", json!({}));
    waits();
    let pid: u32 = std::fs::read_to_string(world.chatroom_dir().join("daemon.pid")).unwrap().trim().parse().unwrap();
    crate::world::signal(pid, "KILL");
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a garden"]).ok();
    let (brief, is_error) = text(&builder.answer(waiting));
    assert!(!is_error && brief.contains("| build a garden"), "{brief}");
}

#[test]
fn without_room_and_role_only_an_agent_of_the_daemon_is_served() {
    let world = World::new();
    let _server = world.signed_in();
    world.line("mcp").refused().says("no room and role are given");
    let room = world.room("solo");
    let done = world.line(&format!("mcp --chatroom-id={room} --role=builder")).ok();
    assert_eq!(done.stdout, "", "a client that says nothing ends it");
}
