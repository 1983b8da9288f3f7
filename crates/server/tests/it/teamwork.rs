//! What teams do besides their tasks: teams of one's own, receipts, progress, contexts, the backlog, artifacts; and input that
//! makes no sense.

use crate::support::TestServer;
use serde_json::{Value, json};

async fn create(server: &TestServer, team: &str) -> Value {
    server.ok("chatrooms.create", json!({"name": "Shop", "team": team})).await["chatroomId"].clone()
}

async fn refused(server: &TestServer, name: &str, args: Value) -> Value {
    let (status, body) = server.run(name, args, Some(&server.token)).await;
    assert_ne!(status, 200, "{name}: {body}");
    body["errorData"].clone()
}

/// Joins, asks for the next task and claims it: arguments of a fenced write, and what to print.
async fn take(server: &TestServer, room: &Value, role: &str, waiter: &str) -> (Value, String) {
    let mut who = json!({"chatroomId": room, "role": role, "waiterId": waiter});
    server.ok("participants.join", who.clone()).await;
    let next = server.ok("tasks.getNextTask", who.clone()).await;
    assert_eq!(next["next"], "claim", "{next}");
    who["taskId"] = next["taskId"].clone();
    let claimed = server.ok("tasks.claim", who).await;
    let delivery = &claimed["delivery"];
    let task = &delivery["task"];
    let held = json!({"chatroomId": room, "role": role, "taskId": task["taskId"], "delivery": task["delivery"]});
    (held, delivery["brief"].as_str().unwrap().to_owned())
}

fn with(args: &Value, more: Value) -> Value {
    let mut args = args.clone();
    for (name, value) in more.as_object().unwrap() {
        args[name] = value.clone();
    }
    args
}

async fn stages(server: &TestServer, room: &Value) -> Vec<String> {
    let said = server.ok("messages.list", json!({"chatroomId": room})).await;
    let stage = |message: &Value| match &message["receipt"] {
        Value::Null => message["kind"].as_str().unwrap().to_owned(),
        receipt => format!("{} {}", receipt["role"].as_str().unwrap(), receipt["stage"].as_str().unwrap()),
    };
    said.as_array().unwrap().iter().map(stage).collect()
}

fn role(name: &str, hands_to: &[&str]) -> Value {
    json!({"name": name, "title": name, "instructions": format!("You are the {name}."), "handsTo": hands_to})
}

fn team(name: &str, entry: &str, roles: &[Value]) -> Value {
    json!({"name": name, "entryRole": entry, "roles": roles})
}

#[tokio::test]
async fn a_team_of_ones_own_is_made_changed_used_and_removed() {
    let server = TestServer::start().await;
    let roles = [role(" Writer ", &["Editor"]), role("editor", &["writer", "user", "user"])];
    let saved = server.ok("teams.upsert", team("Docs", " WRITER", &roles)).await;
    assert_eq!((&saved["isNew"], &saved["team"]["name"]), (&json!(true), &json!("docs")));
    assert_eq!(saved["team"]["roles"][0]["handsTo"], json!(["editor"]));
    assert_eq!(saved["team"]["roles"][1]["handsTo"], json!(["writer", "user"]));
    assert_eq!(saved["team"]["entryRole"], "writer");
    let listed = server.ok("teams.list", json!({})).await;
    let listed: Vec<_> =
        listed.as_array().unwrap().iter().map(|team| (team["name"].as_str().unwrap(), &team["builtIn"])).collect();
    let (yes, no) = (json!(true), json!(false));
    assert_eq!(listed, [("solo", &yes), ("duo", &yes), ("pair", &yes), ("squad", &yes), ("docs", &no)]);
    assert_eq!(server.ok("teams.get", json!({"name": "DOCS"})).await["builtIn"], false);

    let room = create(&server, "docs").await;
    let sent = server.ok("messages.send", json!({"chatroomId": room, "content": "write"})).await;
    assert_eq!(sent["role"], "writer");
    // A room keeps its copy.
    let changed = server.ok("teams.upsert", team("docs", "editor", &roles)).await;
    assert_eq!(changed["isNew"], false);
    assert_eq!(server.ok("chatrooms.get", json!({"chatroomId": room})).await["team"]["entryRole"], "writer");
    server.ok("teams.remove", json!({"name": "docs"})).await;
    assert_eq!(refused(&server, "teams.remove", json!({"name": "docs"})).await["code"], "not_found");
    assert_eq!(refused(&server, "teams.get", json!({"name": "docs"})).await["code"], "unknown_team");
    assert_eq!(server.ok("chatrooms.get", json!({"chatroomId": room})).await["team"]["name"], "docs");
    server.stop().await;
}

#[tokio::test]
async fn a_team_that_makes_no_sense_is_refused_with_what_is_wrong() {
    let server = TestServer::start().await;
    let one = || role("one", &["user"]);
    let many: Vec<Value> = (0..17).map(|n| role(&format!("r{n}"), &["user"])).collect();
    for (wrong, bad) in [
        (team("a b", "one", &[one()]), "cannot be the name of a team"),
        (team("", "one", &[one()]), "cannot be the name of a team"),
        (team("t", "one", &[]), "a team has 1 to 16 roles; this one has 0"),
        (team("t", "r0", &many), "this one has 17"),
        (team("t", "one", &[role("O\u{1b}[2J", &["user"])]), "cannot be the name of a role"),
        (team("t", "user", &[role("user", &["user"])]), "that is the person"),
        (team("t", "one", &[one(), role("ONE", &["user"])]), "the role one stands there twice"),
        (team("t", "one", &[role("one", &["two"])]), "neither a role of this team nor user"),
        (team("t", "one", &[role("one", &["one"])]), "one cannot hand to itself"),
        (team("t", "one", &[role("one", &[])]), "one hands to nobody"),
        (team("t", "two", &[one()]), "the entry role \"two\" is not a role of this team"),
    ] {
        let refusal = refused(&server, "teams.upsert", wrong).await;
        assert_eq!(refusal["code"], "bad_request");
        assert!(refusal["message"].as_str().unwrap().contains(bad), "{refusal} should say {bad}");
    }
    let silent = json!({"name": "one", "title": "One", "instructions": " ", "handsTo": ["user"]});
    assert_eq!(refused(&server, "teams.upsert", team("t", "one", &[silent])).await["code"], "bad_request");
    for name in ["teams.upsert", "teams.remove"] {
        assert_eq!(refused(&server, name, team(" Duo", "one", &[one()])).await["code"], "conflict");
    }
    server.stop().await;
}

#[tokio::test]
async fn another_team_says_what_becomes_of_the_tasks_of_removed_roles() {
    let server = TestServer::start().await;
    let room = create(&server, "squad").await;
    for (role, content) in [("reviewer", "first"), ("builder", "second"), ("reviewer", "third")] {
        server.ok("messages.send", json!({"chatroomId": room, "role": role, "content": content})).await;
    }
    let (held, _) = take(&server, &room, "reviewer", "w1").await;
    let duo = json!({"chatroomId": room, "team": "duo"});
    let undecided = refused(&server, "chatrooms.updateTeam", duo.clone()).await;
    assert_eq!(undecided["code"], "conflict");
    assert!(undecided["message"].as_str().unwrap().ends_with("there are open tasks of: reviewer (2)"), "{undecided}");

    let updated = server.ok("chatrooms.updateTeam", with(&duo, json!({"removedRoleTasks": "move"}))).await;
    assert_eq!((&updated["removedRoles"], &updated["addedRoles"]), (&json!(["reviewer"]), &json!([])));
    assert_eq!(updated["movedTasks"].as_array().unwrap().len(), 2);
    assert_eq!(updated["movedTasks"][0], held["taskId"]);
    assert_eq!(updated["supersededWaiters"], json!(["reviewer"]));
    assert_eq!(updated["chatroom"]["team"]["name"], "duo");
    // The waiter is told, and who held the task is fenced off.
    let waiter = json!({"chatroomId": room, "role": "reviewer", "waiterId": "w1"});
    let next = server.ok("tasks.getNextTask", waiter.clone()).await;
    assert_eq!(next["next"], "superseded");
    assert!(next["reason"].as_str().unwrap().contains("the role reviewer was removed"), "{next}");
    let claim = with(&waiter, json!({"taskId": held["taskId"]}));
    assert_eq!(server.ok("tasks.claim", claim).await["outcome"], "superseded");
    assert_eq!(refused(&server, "tasks.complete", held.clone()).await["code"], "unknown_role");
    let late = with(&held, json!({"role": "planner"}));
    assert_eq!(refused(&server, "tasks.complete", late).await["code"], "stale");
    assert_eq!(server.ok("participants.list", json!({"chatroomId": room})).await, json!([]));
    let queue = server.ok("tasks.list", json!({"chatroomId": room, "role": "planner"})).await;
    let queue: Vec<_> = queue.as_array().unwrap().iter().map(|task| task["content"].as_str().unwrap()).collect();
    assert_eq!(queue, ["first", "third"]);
    let (moved, brief) = take(&server, &room, "planner", "w2").await;
    assert_eq!((&moved["taskId"], &moved["delivery"]), (&held["taskId"], &json!(2)));
    assert!(brief.contains("this is hand-over 2"), "{brief}");

    // A role that gave work is no more: nobody hands back to it.
    let to_builder = with(&moved, json!({"nextRole": "builder", "content": "do it"}));
    server.ok("tasks.handoff", to_builder).await;
    let solo = json!({"chatroomId": room, "team": "solo", "removedRoleTasks": "cancel"});
    let updated = server.ok("chatrooms.updateTeam", solo).await;
    assert_eq!(updated["removedRoles"], json!(["planner"]));
    assert_eq!(updated["cancelledTasks"].as_array().unwrap().len(), 1);
    server
        .ok("tasks.cancel", json!({"taskId": server.ok("tasks.list", json!({"chatroomId": room})).await[0]["taskId"]}))
        .await;
    let (given, brief) = take(&server, &room, "builder", "w3").await;
    assert!(brief.contains("From: `planner`") && !brief.contains("--next-role=planner"), "{brief}");
    let back = with(&given, json!({"nextRole": "planner", "content": "done"}));
    assert_eq!(refused(&server, "tasks.handoff", back).await["code"], "unknown_role");
    server.ok("tasks.handoff", with(&given, json!({"nextRole": "user", "content": "done"}))).await;
    server.stop().await;
}

#[tokio::test]
async fn receipts_tell_the_way_of_a_message_and_the_user_sees_answers_once() {
    let server = TestServer::start().await;
    let room = create(&server, "solo").await;
    server.ok("messages.send", json!({"chatroomId": room, "content": "go"})).await;
    assert_eq!(stages(&server, &room).await, ["builder queued"]);
    let (held, _) = take(&server, &room, "builder", "w1").await;
    assert_eq!(stages(&server, &room).await, ["builder delivered"]);
    server.ok("tasks.confirm", json!({"chatroomId": room, "role": "builder"})).await;
    assert_eq!(stages(&server, &room).await, ["builder seen"]);
    let note = with(&held, json!({"content": "half of it"}));
    let first = server.ok("messages.reportProgress", note.clone()).await;
    assert_eq!(first["started"], "applied");
    assert_eq!(server.ok("messages.reportProgress", note.clone()).await["started"], "already_applied");
    assert_eq!(stages(&server, &room).await, ["builder started", "progress", "progress"]);
    server.ok("tasks.handoff", with(&held, json!({"nextRole": "user", "content": "done"}))).await;
    assert_eq!(stages(&server, &room).await, ["builder done", "progress", "progress", "user queued"]);
    assert_eq!(refused(&server, "messages.reportProgress", note).await["code"], "stale");
    let list = server.ok("messages.list", json!({"chatroomId": room, "limit": 1, "before": 2})).await;
    let receipt = &list[0]["receipt"];
    let times: Vec<i64> = ["queuedAt", "deliveredAt", "seenAt", "startedAt", "endedAt"]
        .iter()
        .map(|name| receipt[name].as_f64().unwrap_or_else(|| panic!("{name} in {receipt}")) as i64)
        .collect();
    assert!(times.is_sorted(), "{receipt}");
    assert_eq!(server.ok("messages.markSeen", json!({"chatroomId": room, "upTo": 99})).await["count"], 3);
    assert_eq!(server.ok("messages.markSeen", json!({"chatroomId": room, "upTo": 99})).await["count"], 0);
    assert_eq!(stages(&server, &room).await[3], "user seen");
    server.stop().await;
}

#[tokio::test]
async fn notes_about_progress_have_a_limit_and_the_work_goes_on() {
    let server = TestServer::start().await;
    let room = create(&server, "solo").await;
    server.ok("messages.send", json!({"chatroomId": room, "content": "go"})).await;
    let (held, _) = take(&server, &room, "builder", "w1").await;
    let note = |content: &str| with(&held, json!({"content": content}));
    for bad in ["", "a\0b", &"x".repeat(10_001)] {
        assert_eq!(refused(&server, "messages.reportProgress", note(bad)).await["code"], "bad_request");
    }
    for _ in 0..200 {
        server.ok("messages.reportProgress", note("on it")).await;
    }
    assert_eq!(refused(&server, "messages.reportProgress", note("more")).await["code"], "limit_reached");
    server.ok("tasks.complete", held).await;
    server.stop().await;
}

#[tokio::test]
async fn what_a_role_reads_begins_with_the_current_context_and_says_what_to_do_next() {
    let server = TestServer::start().await;
    let room = create(&server, "duo").await;
    server.ok("messages.send", json!({"chatroomId": room, "content": "an old story"})).await;
    let (held, _) = take(&server, &room, "planner", "w1").await;
    let who = json!({"chatroomId": room, "role": "Planner"});
    let read = server.ok("contexts.read", who.clone()).await;
    assert_eq!((&read["task"]["taskId"], &read["message"]["sequence"]), (&held["taskId"], &json!(1)));
    assert_eq!((read["context"].is_null(), read["earlier"].is_null()), (true, true));
    let brief = read["brief"].as_str().unwrap();
    let id = held["taskId"].as_str().unwrap();
    assert!(
        brief.contains("| an old story")
            && brief.contains(&format!("handoff --chatroom-id={}", room.as_str().unwrap()))
    );
    assert!(brief.contains(&format!("--task-id={id} --delivery=1")), "{brief}");
    // A query confirms nothing.
    assert_eq!(stages(&server, &room).await, ["planner delivered"]);

    let new = json!({"chatroomId": room, "role": "planner", "title": "The cart", "content": "We build the cart."});
    let context = server.ok("contexts.create", new).await;
    assert_eq!((&context["afterSequence"], &context["authorRole"]), (&json!(1), &json!("planner")));
    // What a role writes is a sign of work.
    assert_eq!(stages(&server, &room).await, ["planner started"]);
    server.ok("tasks.handoff", with(&held, json!({"nextRole": "builder", "content": "the new story"}))).await;
    let (_, brief) = take(&server, &room, "builder", "w2").await;
    assert!(brief.contains("| The cart\n| We build the cart.\n") && !brief.contains("an old story"), "{brief}");
    for n in 0..5 {
        server.ok("messages.send", json!({"chatroomId": room, "content": format!("more {n}")})).await;
    }
    let who = json!({"chatroomId": room, "role": "builder", "limit": 4});
    let read = server.ok("contexts.read", who.clone()).await;
    assert_eq!(read["context"]["title"], "The cart");
    let numbers = |read: &Value| -> Vec<i64> {
        read["messages"].as_array().unwrap().iter().map(|m| m["sequence"].as_f64().unwrap() as i64).collect()
    };
    assert_eq!((numbers(&read), &read["earlier"]), (vec![4, 5, 6, 7], &json!(4)));
    let earlier = server.ok("contexts.read", with(&who, json!({"before": read["earlier"]}))).await;
    assert_eq!((numbers(&earlier), earlier["earlier"].is_null()), (vec![2, 3], true));
    let listed = server.ok("contexts.list", json!({"chatroomId": room})).await;
    assert_eq!(listed[0]["contextId"], context["contextId"]);
    assert_eq!(refused(&server, "contexts.read", with(&who, json!({"role": "boss"}))).await["code"], "unknown_role");
    assert_eq!(refused(&server, "contexts.read", with(&who, json!({"limit": 0}))).await["code"], "bad_request");
    let bad = json!({"chatroomId": room, "title": "a\nb", "content": "x"});
    assert_eq!(refused(&server, "contexts.create", bad).await["code"], "bad_request");
    server.stop().await;
}

#[tokio::test]
async fn a_backlog_item_becomes_a_task_once() {
    let server = TestServer::start().await;
    let room = create(&server, "squad").await;
    let add = |content: &str| json!({"chatroomId": room, "content": content});
    let item = server.ok("backlog.add", add("a faster parser")).await;
    assert_eq!((&item["state"], &item["authorRole"]), (&json!("open"), &json!("user")));
    let start = json!({"chatroomId": room, "itemId": item["itemId"], "targetRole": "builder"});
    let started = server.ok("backlog.start", start.clone()).await;
    assert_eq!((&started["write"], &started["role"]), (&json!("applied"), &json!("builder")));
    let again = server.ok("backlog.start", with(&start, json!({"targetRole": "planner"}))).await;
    assert_eq!((&again["write"], &again["taskId"]), (&json!("already_applied"), &started["taskId"]));
    assert_eq!(again["role"], "builder");
    let (held, brief) = take(&server, &room, "builder", "w1").await;
    assert_eq!(held["taskId"], started["taskId"]);
    assert!(brief.contains("| a faster parser\n"), "{brief}");
    let by = |role: &str| json!({"chatroomId": room, "itemId": item["itemId"], "role": role});
    let foreign = refused(&server, "backlog.complete", by("reviewer")).await;
    assert_eq!(
        (&foreign["code"], &foreign["hint"]),
        (&json!("conflict"), &json!("leave it to builder or to the user"))
    );
    assert_eq!(server.ok("backlog.complete", by("builder")).await["write"], "applied");
    assert_eq!(server.ok("backlog.complete", by("user")).await["write"], "already_applied");
    assert_eq!(refused(&server, "backlog.start", start).await["code"], "conflict");
    assert_eq!(server.ok("backlog.list", json!({"chatroomId": room})).await, json!([]));
    let done = server.ok("backlog.list", json!({"chatroomId": room, "state": "completed"})).await;
    assert_eq!(done[0]["itemId"], item["itemId"]);

    // A role gives work only to where it hands to.
    let item = server.ok("backlog.add", with(&add("review"), json!({"role": "planner"}))).await;
    let start = json!({"chatroomId": room, "itemId": item["itemId"], "role": "planner", "targetRole": "reviewer"});
    let refusal = refused(&server, "backlog.start", start.clone()).await;
    assert_eq!(refusal["message"], "planner does not give work to reviewer in this team");
    let started = server.ok("backlog.start", with(&start, json!({"targetRole": "builder"}))).await;
    let said = server.ok("messages.list", json!({"chatroomId": room, "limit": 1})).await;
    assert_eq!((&said[0]["messageId"], &said[0]["senderRole"]), (&started["messageId"], &json!("planner")));
    server.ok("backlog.remove", json!({"chatroomId": room, "itemId": item["itemId"]})).await;
    let gone = json!({"chatroomId": room, "itemId": item["itemId"]});
    for name in ["backlog.remove", "backlog.start", "backlog.complete"] {
        assert_eq!(refused(&server, name, gone.clone()).await["code"], "not_found", "{name}");
    }
    for bad in ["", "\0", &"x".repeat(10_001)] {
        assert_eq!(refused(&server, "backlog.add", add(bad)).await["code"], "bad_request");
    }
    server.stop().await;
}

#[tokio::test]
async fn artifacts_go_with_messages_in_the_version_that_was_meant() {
    let server = TestServer::start().await;
    let room = create(&server, "duo").await;
    let put =
        |role: &str, content: &str| json!({"chatroomId": room, "role": role, "name": "plan.md", "content": content});
    let first = server.ok("artifacts.put", put("user", "# Plan\nfirst")).await;
    assert_eq!(
        (&first["version"], &first["authorRole"], &first["authorName"]),
        (&json!(1), &json!("user"), &json!("ada"))
    );
    assert_eq!(server.ok("artifacts.put", put("user", "# Plan\nfirst")).await["version"], 1);
    let send = json!({"chatroomId": room, "content": "go", "artifacts": [{"name": "plan.md"}]});
    server.ok("messages.send", send.clone()).await;
    let (held, brief) = take(&server, &room, "planner", "w1").await;
    assert!(brief.contains("`plan.md`, version 1, 12 bytes, by `user`:\n| # Plan\n| first\n"), "{brief}");
    let second = server.ok("artifacts.put", put("planner", "# Plan\nsecond")).await;
    assert_eq!((&second["version"], &second["authorRole"]), (&json!(2), &json!("planner")));
    assert_eq!(stages(&server, &room).await, ["planner started"]);
    let handoff = with(
        &held,
        json!({"nextRole": "builder", "content": "build", "artifacts": [{"name": "plan.md", "version": 2}]}),
    );
    server.ok("tasks.handoff", handoff.clone()).await;
    let said = server.ok("messages.list", json!({"chatroomId": room})).await;
    assert_eq!(said[0]["artifacts"], json!([{"name": "plan.md", "version": 1}]));
    assert_eq!(said[1]["artifacts"], json!([{"name": "plan.md", "version": 2}]));
    let read = server.ok("contexts.read", json!({"chatroomId": room, "role": "builder"})).await;
    assert_eq!(read["artifacts"][0]["version"], 2);

    for (attached, code) in [
        (json!([{"name": "none.md"}]), "not_found"),
        (json!([{"name": "plan.md", "version": 3}]), "not_found"),
        (json!([{"name": "plan.md", "version": 0}]), "bad_request"),
        (json!([{"name": "plan.md"}, {"name": "plan.md", "version": 1}]), "bad_request"),
        (json!(vec![json!({"name": "plan.md"}); 21]), "bad_request"),
    ] {
        let refusal = refused(&server, "messages.send", with(&send, json!({"artifacts": attached}))).await;
        assert_eq!(refusal["code"], code, "{refusal}");
    }
    // What is refused has changed nothing: the first handoff's answer stays, with whatever comes after it.
    let again = server.ok("tasks.handoff", with(&handoff, json!({"artifacts": [{"name": "none.md"}]}))).await;
    assert_eq!(again["write"], "already_applied");
    let get = |version: Value| json!({"chatroomId": room, "name": "plan.md", "version": version});
    assert_eq!(server.ok("artifacts.get", get(json!(1))).await["content"], "# Plan\nfirst");
    assert_eq!(server.ok("artifacts.get", get(Value::Null)).await["content"], "# Plan\nsecond");
    for (name, content) in
        [("plan.txt", "x"), ("../x.md", "x"), ("x.md", ""), ("x.md", "a\0"), ("x.md", &"x".repeat(262_145))]
    {
        let bad = json!({"chatroomId": room, "name": name, "content": content});
        assert_eq!(refused(&server, "artifacts.put", bad).await["code"], "bad_request", "{name}");
    }
    server.ok("artifacts.remove", json!({"chatroomId": room, "name": "plan.md"})).await;
    assert_eq!(refused(&server, "artifacts.get", get(json!(2))).await["code"], "not_found");
    let (_, brief) = take(&server, &room, "builder", "w2").await;
    assert!(!brief.contains("## Files that came with it"), "{brief}");
    server.stop().await;
}

#[tokio::test]
async fn input_that_makes_no_sense_is_answered_clearly() {
    let server = TestServer::start().await;
    let room = create(&server, "duo").await;
    let huge = json!({"chatroomId": room, "content": "x".repeat(10 * 1024 * 1024)});
    let (status, body) = server.post_text("/api/run/messages/send", &json!({"args": huge}).to_string()).await;
    assert_eq!(status, 413, "{body}");
    assert!(body.contains("at most"), "{body}");
    let long = json!({"chatroomId": room, "content": "ä".repeat(100_001)});
    let refusal = refused(&server, "messages.send", long).await;
    assert_eq!(refusal["message"], "the message has 100001 characters; at most 100000 are taken");

    let escapes = "\u{1b}[2J\u{202e}gone\r\u{7}";
    server.ok("messages.send", json!({"chatroomId": room, "content": escapes})).await;
    let (held, brief) = take(&server, &room, "planner", "w1").await;
    assert!(brief.contains("\n| [2Jgone\n"), "{brief:?}");
    assert!(!brief.chars().any(|c| c.is_control() && c != '\n'), "{brief:?}");

    let handoff = |more: Value| with(&with(&held, json!({"nextRole": "builder", "content": "x"})), more);
    let itself = refused(&server, "tasks.handoff", handoff(json!({"nextRole": "Planner"}))).await;
    assert_eq!(itself["message"], "planner cannot hand its work to itself; it still holds the task");
    let without = refused(&server, "tasks.handoff", handoff(json!({"taskId": "none"}))).await;
    assert_eq!(without["code"], "not_found");
    assert!(without["hint"].as_str().unwrap().starts_with("use the task id that was printed"), "{without}");
    let foreign = refused(&server, "tasks.handoff", handoff(json!({"chatroomId": "none"}))).await;
    assert_eq!(foreign["message"], "chatroom not found");
    let first = server.ok("tasks.handoff", handoff(json!({}))).await;
    let second = server.ok("tasks.handoff", handoff(json!({"nextRole": "user", "content": "something else"}))).await;
    assert_eq!((&second["write"], &second["messageId"]), (&json!("already_applied"), &first["messageId"]));
    assert_eq!(second["nextRole"], "builder");
    assert_eq!(stages(&server, &room).await, ["planner done", "builder queued"]);
    server.stop().await;
}
