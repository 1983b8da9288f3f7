//! `wait-for-task` where a daemon runs: the daemon waits for all of them, and nothing depends on its life.

use crate::world::{Process, ServerProcess, World, eventually, signal};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

/// A server and a daemon, each a process of its own.
fn with_daemon(world: &World) -> ServerProcess {
    let server = world.signed_in();
    world.line("machine daemon start").ok();
    world.connected();
    server
}

fn daemon_pid(world: &World) -> u32 {
    fs::read_to_string(world.chatroom_dir().join("daemon.pid")).unwrap().trim().parse().unwrap()
}

fn wait(world: &World, room: &str, role: &str) -> Process {
    let mut waiter = world.line(&format!("wait-for-task --chatroom-id={room} --role={role}")).start();
    waiter.prints("waiting for a task");
    waiter
}

/// What the file descriptors of a process are, as `/proc` names them.
fn descriptors(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map_while(Result::ok);
    entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string())).collect()
}

/// How many sockets a process has.
fn sockets(pid: u32) -> usize {
    descriptors(pid).iter().filter(|name| name.starts_with("socket:[")).count()
}

/// Whether a process is the other end of a connection to the daemon's socket: it has one socket, one thread, and no runtime,
/// which another kind of connection would need.
fn waits_over_daemon(waiter: &Process) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", waiter.pid())).unwrap().count();
    let has_runtime = descriptors(waiter.pid()).iter().any(|name| name == "anon_inode:[eventpoll]");
    sockets(waiter.pid()) == 1 && threads == 1 && !has_runtime
}

fn is_waiting(world: &World, room: &str) -> bool {
    let room = world.line(&format!("room show --chatroom-id={room} --json")).ok().json();
    room["participants"].as_array().unwrap().iter().any(|waiter| waiter["waiting"] == true)
}

#[test]
fn many_waiters_cost_the_server_no_connection_and_the_machine_one_small_process_each() {
    let world = World::new();
    let server = with_daemon(&world);
    let rooms: Vec<String> = (0..12).map(|_| world.room("solo")).collect();
    let mut waiters: Vec<Process> = rooms.iter().take(2).map(|room| wait(&world, room, "builder")).collect();
    let with_two = sockets(server.process.pid());
    waiters.extend(rooms.iter().skip(2).map(|room| wait(&world, room, "builder")));
    for (room, waiter) in rooms.iter().zip(&waiters) {
        eventually("the server knows that it waits", || is_waiting(&world, room).then_some(()));
        assert!(waits_over_daemon(waiter));
    }
    // Connections that calls were made over may be open for a while; they do not grow with the waiters.
    let with_twelve = sockets(server.process.pid());
    assert!(with_twelve <= with_two + 2, "{with_two} with 2 waiters, {with_twelve} with 12");
    for (number, room) in rooms.iter().enumerate() {
        world.chatroom(["send", &format!("--chatroom-id={room}"), &format!("task {number}")]).ok();
    }
    for (number, waiter) in waiters.into_iter().enumerate() {
        let done = waiter.done();
        assert_eq!(done.code, 0, "{done:?}");
        assert!(
            done.stdout.contains(&format!("| task {number}\n")) && done.stdout.contains("--delivery=1"),
            "{done:?}"
        );
    }
}

#[test]
fn a_killed_daemon_leaves_the_waiter_waiting_by_itself_and_nothing_is_doubled() {
    let world = World::new();
    let _server = with_daemon(&world);
    let room = world.room("solo");
    let waiter = wait(&world, &room, "builder");
    signal(daemon_pid(&world), "KILL");
    eventually("it waits by itself", || (!waits_over_daemon(&waiter) && sockets(waiter.pid()) > 0).then_some(()));
    eventually("the server knows it", || is_waiting(&world, &room).then_some(()));
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    let done = waiter.done();
    assert!(done.stdout.contains("| build a house") && done.stdout.contains("--delivery=1"), "{done:?}");
    assert_eq!(done.stdout.matches("waiting for a task").count(), 1, "{done:?}");
    // What it left behind is in nobody's way.
    world.line("machine daemon start").ok();
    assert!(waits_over_daemon(&wait(&world, &world.room("solo"), "builder")));
}

#[test]
fn a_daemon_that_is_stopped_and_a_waiter_that_is_told_to_end_leave_the_task_in_the_queue() {
    let world = World::new();
    let _server = with_daemon(&world);
    let room = world.room("solo");
    let waiter = wait(&world, &room, "builder");
    waiter.signal("TERM");
    assert_eq!(waiter.done().code, 128 + 15);
    eventually("the server knows that it is gone", || (!is_waiting(&world, &room)).then_some(()));
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    let tasks = world.line(&format!("task list --chatroom-id={room} --json")).ok().json();
    assert_eq!((&tasks[0]["state"], &tasks[0]["delivery"]), (&json!("pending"), &json!(0)));

    let other = world.room("solo");
    let waiter = wait(&world, &other, "builder");
    world.line("machine daemon stop").ok();
    assert!(!world.chatroom_dir().join("daemon.sock").exists());
    world.chatroom(["send", &format!("--chatroom-id={other}"), "paint it"]).ok();
    let done = waiter.done();
    assert!(done.stdout.contains("| paint it") && done.stdout.contains("--delivery=1"), "{done:?}");
}

#[test]
fn a_daemon_that_stands_still_is_not_waited_for() {
    let world = World::new();
    let _server = with_daemon(&world);
    let room = world.room("solo");
    signal(daemon_pid(&world), "STOP");
    // A busy machine takes a moment to hold a process.
    eventually("it is held", || (world.line("machine daemon status").done().code == 1).then_some(()));
    let waiter = wait(&world, &room, "builder");
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    let done = waiter.done();
    signal(daemon_pid(&world), "CONT");
    assert!(done.stdout.contains("| build a house"), "{done:?}");
}

#[test]
fn a_wait_over_the_daemon_survives_a_restart_of_the_server() {
    let world = World::new();
    let server = with_daemon(&world);
    let address = server.address();
    let room = world.room("solo");
    let mut waiter = wait(&world, &room, "builder");
    server.stop();
    assert!(!waiter.has_ended());
    let _server = world.server_at(&address);
    eventually("the waiter is back", || is_waiting(&world, &room).then_some(()));
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    let done = waiter.done();
    assert!(done.stdout.contains("| build a house") && done.stdout.contains("--delivery=1"), "{done:?}");
}

#[test]
fn a_waiter_killed_before_it_printed_all_gives_the_task_back_at_once() {
    let world = World::new();
    let _server = with_daemon(&world);
    let room = world.room("solo");
    // Nobody reads: a task of more bytes than a pipe holds cannot be printed whole.
    let waiter = world
        .command("/bin/sh", ["-c", &format!("chatroom wait-for-task --chatroom-id={room} --role=builder | sleep 600")])
        .start();
    eventually("it waits", || is_waiting(&world, &room).then_some(()));
    let long = format!("build a house\n{}", "🧱".repeat(19_900));
    world.chatroom(["send", &format!("--chatroom-id={room}"), "-"]).stdin(&long).ok();
    let list = || world.line(&format!("task list --chatroom-id={room} --json")).ok().json();
    eventually("the task is handed out", || (list()[0]["state"] == "acknowledged").then_some(()));
    let child = world.processes().into_iter().find(|pid| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.windows(13).any(|part| part == b"wait-for-task") && command.starts_with(b"chatroom")
    });
    signal(child.unwrap(), "KILL");
    eventually("the task is back in the queue", || (list()[0]["state"] == "pending").then_some(()));
    let next = world.line(&format!("wait-for-task --chatroom-id={room} --role=builder")).ok();
    assert!(next.stdout.contains("| build a house") && next.stdout.contains("--delivery=2"), "{next:?}");
    drop(waiter);
}

#[test]
fn a_task_whose_agent_died_after_it_was_printed_comes_back_when_the_role_waits_again() {
    let world = World::new();
    let _server = with_daemon(&world);
    let room = world.room("solo");
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    // The agent, a shell here, is killed as soon as it has read its task.
    let mut agent = world
        .command("/bin/sh", ["-c", &format!("chatroom wait-for-task --chatroom-id={room} --role=builder; sleep 600")])
        .start();
    agent.prints("--delivery=1");
    agent.signal("KILL");
    let next = world.line(&format!("wait-for-task --chatroom-id={room} --role=builder")).ok();
    assert!(next.stdout.contains("| build a house") && next.stdout.contains("--delivery=2"), "{next:?}");
    let tasks = world.line(&format!("task list --chatroom-id={room} --json")).ok().json();
    assert_eq!(tasks.as_array().unwrap().len(), 1);
}

#[test]
fn a_waiter_without_a_reader_ends_and_its_role_gets_the_task_later() {
    let world = World::new();
    let _server = with_daemon(&world);
    let room = world.room("solo");
    let mut waiter = world
        .command(
            "/bin/sh",
            ["-c", &format!("chatroom wait-for-task --chatroom-id={room} --role=builder | head -n 1; sleep 5")],
        )
        .start();
    waiter.prints("waiting for a task");
    world.chatroom(["send", &format!("--chatroom-id={room}"), "build a house"]).ok();
    let next = world.line(&format!("wait-for-task --chatroom-id={room} --role=builder")).ok();
    assert!(next.stdout.contains("| build a house") && next.stdout.contains("--delivery=1"), "{next:?}");
}

#[test]
fn a_newer_waiter_and_the_end_of_the_time_are_told_over_the_daemon_too() {
    let world = World::new();
    let _server = with_daemon(&world);
    let room = world.room("solo");
    let old = wait(&world, &room, "builder");
    let _new = wait(&world, &room, "builder");
    let ended = old.done();
    assert!(ended.code == 0 && ended.stdout.contains("no longer waiting"), "{ended:?}");
    let late = world.line(&format!("wait-for-task --chatroom-id={room} --role=builder --timeout=300ms")).ok();
    assert!(late.stdout.contains("No task yet: run the same command again."), "{late:?}");
    let unknown = world.line(&format!("wait-for-task --chatroom-id={room} --role=boss")).refused();
    unknown.says("no role \"boss\"").says("its roles are: builder");
}

#[test]
fn tool_and_directory_of_an_agent_that_a_person_started_are_remembered_by_the_daemon() {
    let world = World::new();
    let _server = with_daemon(&world);
    let room = world.room("solo");
    let wait = format!("wait-for-task --chatroom-id={room} --role=builder --timeout=1s");
    world.line(&wait).ok().says("which tool this is cannot be told");
    world.tool("opencode", "echo 1.18.33");
    world.line(&format!("{wait} --agent-type=opencode")).ok();
    let configs =
        world.chatroom(["api", "machines.getAgentConfigs", &json!({"chatroomId": room}).to_string()]).ok().json();
    assert_eq!(configs[0]["tool"], "opencode", "{configs}");
    assert_eq!(configs[0]["workingDir"].as_str(), world.work().canonicalize().unwrap().to_str());
    eventually("the daemon has looked for the new tool", || {
        let machines = world.line("machine list --json").ok().json();
        let tools = machines[0]["availableTools"].as_array()?.clone();
        tools.iter().any(|tool| tool["name"] == "opencode" && tool["status"] == "ok").then_some(())
    });
}

/// Says something to the daemon and gives its first two answers.
fn ask(world: &World, line: &str) -> Vec<Value> {
    let mut stream = UnixStream::connect(world.chatroom_dir().join("daemon.sock")).unwrap();
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .take(2)
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect()
}

#[test]
fn the_daemon_lends_nobody_its_authority() {
    let world = World::new();
    let server = with_daemon(&world);
    let room = world.room("duo");
    let socket = world.chatroom_dir().join("daemon.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    world.line(&format!("agent start --chatroom-id={room} --role=builder --tool=echo --dir=/tmp")).ok();
    let credential: Value = eventually("the agent's credential", || {
        let runs = fs::read_dir(world.chatroom_dir().join("agents")).ok()?;
        runs.map_while(Result::ok).find_map(|run| {
            let files = fs::read_dir(run.path()).ok()?.map_while(Result::ok);
            files
                .filter_map(|file| serde_json::from_slice(&fs::read(file.path()).ok()?).ok())
                .find(|value: &Value| value["token"].is_string() && value["role"] == "builder")
        })
    });
    let request = |token: &Value, role: &str| json!({"version": 1, "server": server.url, "token": token, "chatroomId": room, "role": role, "waiterId": "w"});
    // An agent stays in its role, a token that is none gets nowhere, and other requests than to wait are not known.
    for request in [request(&credential["token"], "planner"), request(&json!("guess"), "planner")] {
        let said = ask(&world, &request.to_string());
        assert_eq!((&said[0]["say"], &said[1]["say"]), (&json!("accepted"), &json!("direct")), "{said:?}");
    }
    let mut elsewhere = request(&credential["token"], "builder");
    elsewhere["server"] = json!("https://elsewhere.example");
    for line in ["{}", "rm -rf /", &elsewhere.to_string(), r#"{"type":"start-agent"}"#] {
        assert_eq!(ask(&world, line)[0]["say"], "direct", "{line}");
    }
    assert!(
        !is_waiting(&world, &room) || {
            let list = world.line(&format!("room show --chatroom-id={room} --json")).ok().json();
            list["participants"].as_array().unwrap().iter().all(|waiter| waiter["role"] == "builder")
        }
    );
}

#[test]
fn a_chatroom_directory_with_a_long_path_has_a_socket_too_and_a_planted_link_is_replaced() {
    let mut world = World::new();
    let home = world.root().join("a very long name of a directory ".repeat(5).trim()).join("chatroom");
    fs::create_dir_all(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    let treasure = world.root().join("treasure");
    fs::write(&treasure, "gold").unwrap();
    std::os::unix::fs::symlink(&treasure, home.join("daemon.sock")).unwrap();
    world.env("CHATROOM_HOME", home.to_str().unwrap());
    let _up = world.up();
    let room = world.room("solo");
    let waiter = wait(&world, &room, "builder");
    assert!(waits_over_daemon(&waiter));
    assert_eq!(fs::read_to_string(&treasure).unwrap(), "gold");
}

/// Eight hours pass for a server that stands still: all that it has written is as much older.
fn eight_hours_pass(world: &World) {
    use sqlx::Connection as _;
    let file = world.chatroom_dir().join("server/chatroom.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut database = sqlx::SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
        let past = "UPDATE tasks SET handed_at = handed_at - 28800000, created_at = created_at - 28800000,
                                     updated_at = updated_at - 28800000";
        sqlx::query(past).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
    });
}

#[test]
fn a_laptop_that_slept_eight_hours_has_lost_nothing() {
    let world = World::new();
    let server = with_daemon(&world);
    let address = server.address();
    let (held_room, waiting_room) = (world.room("solo"), world.room("solo"));
    let tasks = |room: &str| world.line(&format!("task list --chatroom-id={room} --json")).ok().json();

    // One role has its task, unconfirmed; another one waits. Then the lid is closed.
    world.chatroom(["send", &format!("--chatroom-id={held_room}"), "build a house"]).ok();
    let taken = world.line(&format!("wait-for-task --chatroom-id={held_room} --role=builder --json")).ok().json();
    let waiter = wait(&world, &waiting_room, "builder");
    let asleep = [daemon_pid(&world), waiter.pid()];
    asleep.iter().for_each(|pid| signal(*pid, "STOP"));
    server.stop();
    eight_hours_pass(&world);
    let server = world.server_at(&address);
    // Meanwhile the task is in the queue again, and the waiter is not taken for one that waits.
    eventually("the task is back in the queue", || (tasks(&held_room)[0]["state"] == "pending").then_some(()));
    assert!(!is_waiting(&world, &waiting_room));
    world.chatroom(["send", &format!("--chatroom-id={waiting_room}"), "paint it"]).ok();

    asleep.iter().for_each(|pid| signal(*pid, "CONT"));
    let done = waiter.done();
    assert!(done.stdout.contains("| paint it") && done.stdout.contains("--delivery=1"), "{done:?}");
    // The agent goes on with its task where it was; nobody else has got it meanwhile.
    let task = taken["task"]["taskId"].as_str().unwrap();
    let write = |command: &str, delivery: i64| {
        world
            .line(&format!("{command} --chatroom-id={held_room} --role=builder --task-id={task} --delivery={delivery}"))
    };
    write("task-started", 1).ok();
    assert_eq!(tasks(&held_room)[0]["delivery"], 1);

    // The second night somebody else of the role gets it: one task still, and only its newest holder's word counts.
    signal(daemon_pid(&world), "STOP");
    server.stop();
    eight_hours_pass(&world);
    let _server = world.server_at(&address);
    let again = world.line(&format!("wait-for-task --chatroom-id={held_room} --role=builder --json")).ok().json();
    assert_eq!((again["task"]["taskId"].as_str(), &again["task"]["delivery"]), (Some(task), &json!(2)));
    signal(daemon_pid(&world), "CONT");
    write("task-complete", 1).refused().says("delivery 1 counts no more");
    write("task-complete", 2).ok();
    let ended = world.line(&format!("task list --chatroom-id={held_room} --state=completed --json")).ok().json();
    assert_eq!(ended.as_array().unwrap().len(), 1);
}
