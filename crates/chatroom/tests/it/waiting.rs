//! `wait-for-task`, run by hand: what it tells the server about this machine, and how it begins and ends.

use crate::world::{World, eventually};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn machine_file(world: &World) -> Value {
    serde_json::from_slice(&fs::read(world.chatroom_dir().join("machine.json")).unwrap()).unwrap()
}

/// Versions of the tools that are there, by name.
fn tools(reports: &Value) -> Vec<(String, String)> {
    let reports = reports.as_array().unwrap().iter().filter(|report| report["status"] == "ok");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    reports.map(|report| (text(&report["name"]), text(&report["version"]))).filter(|(name, _)| name != "echo").collect()
}

#[test]
fn without_a_login_the_identity_is_made_and_the_login_command_is_told() {
    let world = World::new();
    world.line("wait-for-task --chatroom-id=r --role=builder").refused().says("chatroom auth login");
    let file = world.chatroom_dir().join("machine.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(world.chatroom_dir()).unwrap().permissions().mode() & 0o777, 0o700);
    let first = machine_file(&world)["machineId"].clone();
    let with_server = world.line("wait-for-task --chatroom-id=r --role=builder --server=http://127.0.0.1:9").refused();
    with_server.says("chatroom auth login --server=http://127.0.0.1:9");
    assert_eq!(machine_file(&world)["machineId"], first);
}

#[test]
fn the_first_wait_registers_the_machine_and_the_second_keeps_it_up_to_date() {
    let world = World::new();
    // `up` would register this machine by itself: here only a wait does.
    let server = world.server();
    world.sign_in(&server.url, &server.sign_in_link);
    world.tool("opencode", "echo 1.18.33");
    world.tool("claude", "echo '2.1.330 (Claude Code)'");
    let room = world.room("solo");
    let wait = format!("wait-for-task --chatroom-id={room} --role=Builder --timeout=1s");

    let first = world.line(&format!("{wait} --agent-type=opencode")).ok();
    assert!(first.stdout.contains("No task yet"), "{first:?}");
    assert!(first.stdout.contains(&format!("--chatroom-id={room} --role=Builder")), "{first:?}");
    let file = machine_file(&world);
    let id = file["machineId"].as_str().unwrap().to_owned();
    let listed = world.line("machine list --json").ok().json()[0].clone();
    assert_eq!(listed["machineId"].as_str(), Some(id.as_str()));
    let expected = vec![("opencode".to_owned(), "1.18.33".to_owned()), ("claude".to_owned(), "2.1.330".to_owned())];
    assert_eq!(tools(&listed["availableTools"]), expected);
    assert_eq!(tools(&file["availableTools"]), expected);
    let configs =
        world.chatroom(["api", "machines.getAgentConfigs", &format!("{{\"chatroomId\":\"{room}\"}}")]).ok().json();
    assert_eq!(configs[0]["tool"], "opencode");
    assert_eq!(configs[0]["role"], "builder");
    assert_eq!(configs[0]["workingDir"].as_str(), world.work().canonicalize().unwrap().to_str());

    fs::remove_file(world.root().join("tools/opencode")).unwrap();
    world.tool("codex", "echo 'codex-cli 0.169.0'");
    // The tool is not told and cannot be guessed: the one that is known is kept, the directory is the new one.
    let elsewhere = world.root().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    world.line(&wait).dir(&elsewhere).ok();
    let again = world.line("machine list --json").ok().json()[0].clone();
    assert_eq!(again["machineId"].as_str(), Some(id.as_str()));
    assert!(again["lastSeenAt"].as_f64() > listed["lastSeenAt"].as_f64());
    assert_eq!(
        tools(&again["availableTools"]),
        [("claude".to_owned(), "2.1.330".to_owned()), ("codex".to_owned(), "0.169.0".to_owned())]
    );
    assert_eq!(machine_file(&world)["machineId"].as_str(), Some(id.as_str()));
    let configs =
        world.chatroom(["api", "machines.getAgentConfigs", &format!("{{\"chatroomId\":\"{room}\"}}")]).ok().json();
    assert_eq!(configs[0]["tool"], "opencode");
    assert_eq!(configs[0]["workingDir"].as_str(), elsewhere.canonicalize().unwrap().to_str());
}

#[test]
fn a_waiter_gets_a_task_that_is_sent_while_it_waits() {
    let world = World::new();
    let _server = world.signed_in();
    let room = world.room("solo");
    let mut waiter = world.line(&format!("wait-for-task --chatroom-id={room} --role=builder")).start();
    waiter.prints("waiting for a task");
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    let done = waiter.done();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("| build a house"), "{done:?}");
    assert!(done.stdout.contains("--delivery=1"), "{done:?}");
}

#[test]
fn a_task_that_could_not_be_printed_is_given_back() {
    let world = World::new();
    let _server = world.signed_in();
    let room = world.room("solo");
    // Its reader goes away before the task comes.
    let mut waiter = world
        .command(
            "/bin/sh",
            ["-c", &format!("chatroom wait-for-task --chatroom-id={room} --role=builder | head -n 1; sleep 5")],
        )
        .start();
    waiter.prints("waiting for a task");
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    let next = world.line(&format!("wait-for-task --chatroom-id={room} --role=builder")).ok();
    assert!(next.stdout.contains("| build a house"), "{next:?}");
}

#[test]
fn a_signal_ends_the_wait_and_the_task_stays_in_the_queue() {
    let world = World::new();
    let _server = world.signed_in();
    let room = world.room("solo");
    for name in ["TERM", "HUP", "INT"] {
        let mut waiter = world.line(&format!("wait-for-task --chatroom-id={room} --role=builder")).start();
        waiter.prints("waiting for a task");
        waiter.signal(name);
        let done = waiter.done();
        assert_eq!(done.code, 1, "{name}: {done:?}");
    }
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    let tasks = world.line(&format!("task list --chatroom-id={room} --json")).ok().json();
    assert_eq!(tasks[0]["state"], "pending");
}

#[test]
fn a_newer_waiter_of_the_role_supersedes_the_older_at_once() {
    let world = World::new();
    let _server = world.signed_in();
    let room = world.room("solo");
    let wait = format!("wait-for-task --chatroom-id={room} --role=builder");
    let mut old = world.line(&wait).start();
    old.prints("waiting for a task");
    let mut new = world.line(&wait).start();
    new.prints("waiting for a task");
    let ended = old.done();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("no longer waiting"), "{ended:?}");
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    assert!(new.done().stdout.contains("| build a house"));
}

#[test]
fn a_waiter_survives_a_restart_of_the_server() {
    let world = World::new();
    let server = world.signed_in();
    let address = server.address();
    let room = world.room("solo");
    let mut waiter = world.line(&format!("wait-for-task --chatroom-id={room} --role=builder")).start();
    waiter.prints("waiting for a task");
    server.stop();
    assert!(!waiter.has_ended());
    let _server = world.server_at(&address);
    // Seen by the server again before there is work.
    eventually("the waiter is back", || {
        let room = world.line(&format!("room show --chatroom-id={room} --json")).ok().json();
        room["participants"].as_array()?.iter().any(|waiter| waiter["waiting"] == true).then_some(())
    });
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    let done = waiter.done();
    assert!(done.stdout.contains("| build a house"), "{done:?}");
}

#[test]
fn what_the_brief_tells_to_run_hands_the_task_back_to_the_user() {
    let world = World::new();
    let _server = world.signed_in();
    let room = world.room("solo");
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    let brief = world.line(&format!("wait-for-task --chatroom-id={room} --role=builder")).ok().stdout;
    let commands: Vec<&str> = brief.split("```sh\n").skip(1).map(|block| block.split_once("```").unwrap().0).collect();
    let find = |name: &str| *commands.iter().find(|command| command.contains(name)).unwrap();
    world.command("/bin/sh", ["-c", find(" task-started ")]).ok();
    let started = world.line(&format!("task list --chatroom-id={room} --json")).ok().json();
    assert_eq!(started[0]["state"], "in_progress");
    world
        .command(
            "/bin/sh",
            ["-c", &find("--next-role=user").replace("REPLACE THIS LINE WITH YOUR MESSAGE", "it stands")],
        )
        .ok();
    assert_eq!(world.answer(&room), "it stands");
    // The same hand-over again changes nothing.
    world
        .command(
            "/bin/sh",
            ["-c", &find("--next-role=user").replace("REPLACE THIS LINE WITH YOUR MESSAGE", "it stands")],
        )
        .ok();
    assert_eq!(world.messages(&room).len(), 2);
}
