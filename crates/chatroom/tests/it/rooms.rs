//! Rooms from the command line: teams, what is said wrongly, contexts, backlog, artifacts, and following a room.

use crate::world::{Process, World, eventually};
use serde_json::{Value, json};
use std::fs;

/// Takes the next task of a role by hand: its id and delivery.
fn take(world: &World, room: &str, role: &str) -> (String, String) {
    let taken = world.line(&format!("wait-for-task --chatroom-id={room} --role={role} --json")).ok().json();
    let task = &taken["task"];
    (task["taskId"].as_str().unwrap().to_owned(), task["delivery"].to_string())
}

fn held(room: &str, role: &str, task: &(String, String)) -> String {
    format!("--chatroom-id={room} --role={role} --task-id={} --delivery={}", task.0, task.1)
}

#[test]
fn what_is_said_wrongly_is_answered_clearly() {
    let world = World::new();
    let _server = world.signed_in();
    let room = world.room("duo");
    let send = |args: &[&str], stdin: &str| {
        let mut line = vec!["send".to_owned(), format!("--chatroom-id={room}")];
        line.extend(args.iter().map(|&arg| arg.to_owned()));
        world.chatroom(line).stdin(stdin)
    };
    send(&["--role=boss", "hello"], "").refused().says("no role \"boss\"").says("its roles are: planner, builder");
    for nothing in ["", "  \n "] {
        send(&["-"], nothing).refused().says("the message is empty");
    }
    send(&[""], "").refused().says("Error: ");
    send(&["-"], &"x".repeat(10 * 1024 * 1024)).refused().says("standard input is longer than 4194304 bytes");
    send(&["-"], &"x".repeat(100_001)).refused().says("at most 100000 are taken");
    send(&["-"], "a\0b").refused().says("Error: ");
    for foreign in ["01981111-0000-7000-8000-000000000001", "../../etc/passwd", "\u{1b}[2J"] {
        world.chatroom(["send", &format!("--chatroom-id={foreign}"), "hello"]).refused().says("chatroom not found");
    }
    assert!(world.messages(&room).is_empty());

    // Escape sequences are kept, and never reach a terminal.
    send(&["-"], "look: \x1b[2J\x1b]0;owned\x07 \u{202e}end").ok();
    let printed = world.line(&format!("messages list --chatroom-id={room}")).ok().stdout;
    assert!(printed.contains("look: \\u{1b}[2J\\u{1b}]0;owned\\u{7} \\u{202e}end"), "{printed}");
    let task = take(&world, &room, "planner");
    assert!(!world.line(&format!("context read --chatroom-id={room} --role=planner")).ok().stdout.contains('\x1b'));

    let handoff =
        |who: &str, next: &str| world.line(&format!("handoff {who} --next-role={next}")).stdin("please build it");
    let mine = held(&room, "planner", &task);
    handoff(&mine, "planner")
        .refused()
        .says("planner cannot hand its work to itself")
        .says("hand to one of: builder, user");
    handoff(&mine, "boss").refused().says("no role \"boss\"");
    world.line(&format!("handoff {mine} --next-role=builder")).stdin("").refused().says("the handoff message is empty");
    handoff(&held(&room, "builder", &task), "planner").refused().says("task not found");
    handoff(&held(&room, "planner", &("none".to_owned(), "1".to_owned())), "builder").refused().says("task not found");
    handoff(&held(&room, "planner", &(task.0.clone(), "2".to_owned())), "builder")
        .refused()
        .says("there was no delivery 2 of this task");
    let missing = format!("handoff {mine} --next-role=builder --attach-artifact=plan.md");
    world.line(&missing).stdin("see the plan").refused().says("plan.md");

    // Twice is once.
    let first = world.line(&format!("handoff {mine} --next-role=builder --json")).stdin("please build it").ok().json();
    let again = world.line(&format!("handoff {mine} --next-role=builder --json")).stdin("please build it").ok().json();
    assert_eq!((&first["write"], &again["write"]), (&json!("applied"), &json!("already_applied")));
    assert_eq!((&first["messageId"], &first["nextTaskId"]), (&again["messageId"], &again["nextTaskId"]));
    assert_eq!(world.messages(&room).len(), 2);
    world.line(&format!("task-complete {mine}")).ok();
    // A task that nobody took cannot be handed on.
    let waiting = (first["nextTaskId"].as_str().unwrap().to_owned(), "1".to_owned());
    handoff(&held(&room, "builder", &waiting), "planner").refused().says("there was no delivery 1 of this task");
}

#[test]
fn a_team_of_ones_own_is_made_from_flags_or_a_file_and_given_to_a_room() {
    let world = World::new();
    let _server = world.signed_in();
    world
        .chatroom([
            "team",
            "create",
            "crew",
            "--role=lead",
            "--role=maker",
            "--role=tester",
            "--hands-to=lead:maker,user",
            "--instructions=maker:Make it: well.",
        ])
        .ok();
    world.line("team create crew --role=x").refused().says("there is a team crew already");
    let shown = world.line("team show crew --json").ok().json();
    assert_eq!((&shown["entryRole"], &shown["builtIn"]), (&json!("lead"), &json!(false)));
    assert_eq!(shown["roles"][1]["instructions"], "Make it: well.");

    // What is printed is a file that makes the same team.
    let file = world.work().join("crew.json");
    let mut other = shown.clone();
    other["name"] = json!("band");
    fs::write(&file, other.to_string()).unwrap();
    world.line("team create band --file=crew.json").ok();
    assert_eq!(world.line("team show band --json").ok().json(), other);
    fs::write(&file, "roles = [{ name = \"solo\", hands_to = [\"user\"] }]\ncolour = 1").unwrap();
    world.line("team edit band --file=crew.json").refused().says("does not hold a team").says("colour");
    world.line("team edit duo --role=x").refused().says("comes with chatroom").says("--from=duo");
    world.line("team edit crew --hands-to=boss:user").refused().says("no role boss");

    let room = world.room("crew");
    world.chatroom(["send", &format!("--chatroom-id={room}"), "--role=tester", "test it"]).ok();
    world.line("team edit crew --remove-role=tester").ok();
    let unchanged = world.line(&format!("room show --chatroom-id={room} --json")).ok().json();
    assert_eq!(unchanged["room"]["team"]["roles"].as_array().unwrap().len(), 3);
    let set = format!("room set-team --chatroom-id={room} --team=crew");
    world.line(&set).refused().says("tester");
    let told = world.line(&format!("{set} --removed-role-tasks=move")).ok().stdout;
    assert!(told.contains("removed: tester") && told.contains("moved into the queue of lead: 1"), "{told}");
    let task = take(&world, &room, "lead");
    assert_eq!(task.1, "1");
    world.line("team remove crew").ok();
    world.line("team show crew").refused().says("no team");
}

#[test]
fn contexts_backlog_artifacts_and_progress_work_from_the_command_line() {
    let world = World::new();
    let _server = world.signed_in();
    let room = world.room("duo");
    let id = format!("--chatroom-id={room}");
    let add = world.chatroom(["backlog", "add", &id, "paint the house", "--json"]).ok().json();
    let item = add["itemId"].as_str().unwrap().to_owned();
    let listed = world.line(&format!("backlog list {id}")).ok().stdout;
    assert!(listed.contains("paint the house") && listed.contains("open"), "{listed}");
    world.line(&format!("backlog start {id} --item-id={item}")).ok();

    let task = take(&world, &room, "planner");
    fs::write(world.work().join("plan.md"), "# Plan\nfirst\n").unwrap();
    let put = format!("artifact put {id} --role=planner plan.md");
    assert_eq!(world.line(&put).ok().stdout, "plan.md@1\n");
    assert_eq!(world.line(&put).ok().stdout, "plan.md@1\n", "the same text is no new version");
    world.line(&format!("artifact put {id} --role=planner --name=plan.md -")).stdin("# Plan\nsecond\n").ok();
    assert_eq!(world.line(&format!("artifact get {id} --name=plan.md --version=1")).ok().stdout, "# Plan\nfirst\n");
    let list = world.line(&format!("artifact list {id} --json")).ok().json();
    assert_eq!((&list[0]["version"], &list[0]["authorRole"]), (&json!(2), &json!("planner")));

    let mine = held(&room, "planner", &task);
    world.line(&format!("report-progress {mine}")).stdin("half of it").ok();
    world
        .line(&format!("handoff {mine} --next-role=builder --attach-artifact=plan.md@1"))
        .stdin("paint as planned")
        .ok();
    world.line(&format!("backlog complete {id} --item-id={item}")).ok();
    assert_eq!(world.line(&format!("backlog list {id} --json")).ok().json(), json!([]));

    let builder = take(&world, &room, "builder");
    let context = world.line(&format!("context read {id} --role=builder")).ok().stdout;
    for part in ["paint as planned", "plan.md", &builder.0, "half of it"] {
        assert!(context.contains(part), "no {part} in {context}");
    }
    let messages = world.line(&format!("messages list {id}")).ok().stdout;
    assert!(messages.contains("#1 user to planner") && messages.contains("ago, done\n"), "{messages}");
    assert!(messages.contains("(progress)") && messages.contains("  + plan.md@1\n"), "{messages}");
    assert!(messages.contains("planner to builder, ") && messages.contains("ago, seen\n"), "{messages}");

    world.line(&format!("handoff {} --next-role=planner", held(&room, "builder", &builder))).stdin("painted").ok();
    let task = take(&world, &room, "planner");
    world.line(&format!("handoff {} --next-role=user", held(&room, "planner", &task))).stdin("it is blue").ok();
    let stage = |world: &World| world.messages(&room).last().unwrap()["receipt"]["stage"].clone();
    assert_eq!(stage(&world), "queued");
    world.line(&format!("messages list {id} --mark-seen")).ok();
    assert_eq!(stage(&world), "seen");

    world.chatroom(["context", "new", &id, "--title=the garden"]).stdin("The house is done.").ok();
    let contexts = world.line(&format!("context list {id}")).ok().stdout;
    assert!(contexts.contains("the garden"), "{contexts}");
    let fresh = world.line(&format!("context read {id} --role=builder")).ok().stdout;
    assert!(fresh.contains("The house is done.") && !fresh.contains("paint as planned"), "{fresh}");
}

/// The events that a watch has printed as JSON lines.
fn events(watch: &Process) -> Vec<Value> {
    watch.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_room_is_followed_live_through_a_restart_of_the_server() {
    let world = World::new();
    let server = world.signed_in();
    let address = server.address();
    let room = world.room("duo");
    let id = format!("--chatroom-id={room}");
    for number in 1..=3 {
        world.chatroom(["send", &id, &format!("before {number}")]).ok();
    }
    let mut people = world.line(&format!("room watch {id} --history=1")).start();
    let mut script = world.line(&format!("room watch {id} --json --history=2")).start();
    people.prints("before 3");
    let task = take(&world, &room, "planner");
    people.prints("of planner: handed out");
    let mine = held(&room, "planner", &task);
    world.line(&format!("task-started {mine}")).ok();
    people.prints("of planner: in progress");
    server.stop();
    people.prints("no connection");
    let _server = world.server_at(&address);
    people.prints("connected again");
    world.line(&format!("handoff {mine} --next-role=builder")).stdin(&"word ".repeat(60)).ok();
    people.prints("planner to builder");
    people.prints("of planner: done");
    for number in 4..=80 {
        world
            .chatroom(["api", "messages.send", &json!({"chatroomId": room, "content": number.to_string()}).to_string()])
            .ok();
    }
    people.prints("#81 ");
    for watch in [&people, &script] {
        watch.signal("INT");
    }
    let told = people.done();
    assert_eq!(told.code, 0, "{told:?}");
    assert!(!told.stdout.contains("before 2"), "{told:?}");
    assert!(told.stdout.lines().all(|line| line.chars().count() <= 80), "{told:?}");
    eventually("its end", || script.has_ended().then_some(()));
    let numbers: Vec<i64> = events(&script)
        .iter()
        .filter(|event| event["event"] == "message")
        .map(|event| event["message"]["sequence"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, (2..=81).collect::<Vec<i64>>(), "each once, in order");
}

#[test]
fn one_command_starts_every_role_in_its_own_directory_and_one_stops_them() {
    let world = World::new();
    let _up = world.up();
    let room = world.room("duo");
    let id = format!("--chatroom-id={room}");
    for role in ["planner", "builder"] {
        fs::create_dir(world.root().join(role)).unwrap();
    }
    world.line(&format!("room start {id}")).refused();
    let dir = |role: &str| format!("--dir={role}:{}", world.root().join(role).display());
    let part = world.chatroom(["room", "start", &id, "--tool=planner:echo", &dir("planner")]).refused();
    assert!(part.stdout.contains("planner runs on "), "{part:?}");
    assert!(part.stdout.contains("builder: nothing says which tool it uses"), "{part:?}");
    let all = world.chatroom(["room", "start", &id, "--tool=echo", &dir("builder")]).ok();
    assert!(all.stdout.contains("planner runs already") && all.stdout.contains("builder runs on "), "{all:?}");
    let agents = world.line(&format!("agent list {id} --json")).ok().json();
    for agent in agents.as_array().unwrap() {
        let own = world.root().join(agent["role"].as_str().unwrap());
        assert_eq!(agent["workingDir"].as_str(), own.to_str(), "{agent}");
    }
    assert_eq!(agents.as_array().unwrap().len(), 2);
    let stopped = world.line(&format!("room stop {id}")).ok().stdout;
    assert_eq!(stopped.matches(" is stopped: ").count(), 2, "{stopped}");
    // Everything is known now.
    let again = world.line(&format!("room start {id} --json")).ok().json();
    assert!(again.as_array().unwrap().iter().all(|one| one["command"]["status"] == "completed"), "{again}");
}
