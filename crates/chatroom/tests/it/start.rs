//! Starting agents, and every reason not to.

use crate::world::{World, eventually};
use serde_json::{Value, json};
use std::fs;

fn start(room: &str, more: &str) -> String {
    format!("agent start --chatroom-id={room} --role=builder {more}")
}

fn commands(world: &World) -> Vec<Value> {
    let machine = world.line("machine show --json").ok().json();
    machine["commands"].as_array().unwrap().clone()
}

fn machine_id(world: &World) -> String {
    world.line("machine show --json").ok().json()["machineId"].as_str().unwrap().to_owned()
}

fn send_command(world: &World, args: &Value) -> crate::world::Done {
    world.chatroom(["api", "machines.sendCommand", &args.to_string()]).done()
}

#[test]
fn a_tool_that_is_not_installed_is_refused_before_a_command_exists() {
    let world = World::new();
    let _up = world.up();
    let room = world.room("solo");
    world.line(&start(&room, "--tool=opencode")).refused().says("opencode");
    assert_eq!(commands(&world), Vec::<Value>::new());
}

#[test]
fn a_tool_that_was_removed_after_registration_fails_with_the_reason_and_the_daemon_lives() {
    let world = World::new();
    let tool = world.tool("opencode", "echo 1.18.33");
    let _up = world.up();
    let room = world.room("solo");
    fs::remove_file(tool).unwrap();
    world.line(&start(&room, "--tool=opencode")).refused().says("opencode");
    assert_eq!(commands(&world)[0]["status"], "failed");
    assert_eq!(commands(&world)[0]["failure"]["code"], "tool_missing");
    world.line(&start(&room, "--tool=echo")).ok();
}

#[test]
fn a_tool_that_is_installed_beside_a_running_daemon_can_be_started_after_a_detection() {
    let world = World::new();
    let _up = world.up();
    let room = world.room("solo");
    world.line(&start(&room, "--tool=opencode")).refused();
    world.tool("opencode", "[ \"$1\" = --version ] && echo 1.18.33");
    world.line("machine detect").ok();
    let start = world.line(&start(&room, "--tool=opencode")).done();
    assert!(!start.stderr.contains("not installed"), "{start:?}");
    assert_ne!(commands(&world)[0]["failure"]["code"], "tool_missing");
}

#[test]
fn a_missing_directory_fails_with_the_reason() {
    let world = World::new();
    let _up = world.up();
    let room = world.room("solo");
    let gone = world.root().join("gone");
    world.line(&start(&room, &format!("--tool=echo --dir={}", gone.display()))).refused().says("gone");
    assert_eq!(commands(&world)[0]["failure"]["code"], "working_dir_missing");
}

#[test]
fn a_role_that_the_team_does_not_have_is_refused() {
    let world = World::new();
    let _up = world.up();
    let room = world.room("solo");
    world.line(&format!("agent start --chatroom-id={room} --role=poet --tool=echo")).refused().says("poet");
    assert_eq!(commands(&world), Vec::<Value>::new());
}

#[test]
fn rooms_and_machines_of_another_user_do_not_exist() {
    let world = World::new();
    let up = world.up();
    let room = world.room("solo");
    let machine = machine_id(&world);
    let link = world.line("user invite mallory").ok().stdout.trim().to_owned();
    let other = World::new();
    other.sign_in(&up.url, &link);
    let start =
        json!({"machineId": machine, "type": "start-agent", "payload": {"chatroomId": room, "role": "builder"}});
    let foreign = other.chatroom(["api", "machines.sendCommand", &start.to_string()]).refused();
    foreign.says("machine not found");
    let mut missing = start.clone();
    missing["machineId"] = json!("00000000-0000-4000-8000-000000000000");
    assert_eq!(other.chatroom(["api", "machines.sendCommand", &missing.to_string()]).refused().stderr, foreign.stderr);
    other.line(&format!("messages list --chatroom-id={room}")).refused().says("not found");
    assert_eq!(commands(&world), Vec::<Value>::new());
}

#[test]
fn the_same_idempotency_key_twice_is_one_command() {
    let world = World::new();
    let _up = world.up();
    let room = world.room("solo");
    world.line(&start(&room, "--tool=echo")).ok();
    let args = json!({
        "machineId": machine_id(&world), "type": "restart-agent", "idempotencyKey": "one",
        "payload": {"chatroomId": room, "role": "builder"},
    });
    let first: Value = serde_json::from_str(&send_command(&world, &args).stdout).unwrap();
    let second: Value = serde_json::from_str(&send_command(&world, &args).stdout).unwrap();
    assert_eq!(first["commandId"], second["commandId"]);
    assert_eq!(commands(&world).len(), 2);
    let mut other = args.clone();
    other["type"] = json!("stop-agent");
    let refused = send_command(&world, &other);
    assert_eq!(refused.code, 1, "{refused:?}");
}

#[test]
fn two_clicks_at_once_start_one_agent() {
    let world = World::new();
    let _up = world.up();
    let room = world.room("solo");
    world.line(&start(&room, "--tool=echo")).ok();
    world.line(&format!("agent stop --chatroom-id={room} --role=builder")).ok();
    let click = start(&room, "--json");
    let clicks = [world.line(&click).start(), world.line(&click).start()];
    let agents: Vec<Value> =
        clicks.into_iter().map(|click| click.done()).map(|done| done.json()["result"]["agentId"].clone()).collect();
    assert_eq!(agents[0], agents[1]);
    let running = world.line(&format!("agent list --chatroom-id={room} --json")).ok().json();
    assert_eq!(running.as_array().unwrap().len(), 1, "{running}");
}

#[test]
fn a_role_whose_agent_runs_on_another_machine_is_taken_until_moved() {
    let world = World::new();
    let up = world.up();
    let room = world.room("solo");
    world.line(&start(&room, "--tool=echo")).ok();
    let mut other = World::new();
    other.env("CHATROOM_TEST_FINGERPRINT", "another-machine");
    let link = world.line("auth token --name=other --expires-in=1h").ok().stdout.trim().to_owned();
    other.line(&format!("auth login --token --server={}", up.url)).stdin(&link).ok();
    other.line("machine daemon start").ok();
    let taken = other.line(&start(&room, "--tool=echo")).refused();
    taken.says("--move");
    other.line(&start(&room, "--tool=echo --move")).ok();
    eventually("one agent, on the other machine", || {
        let agents = world.line(&format!("agent list --chatroom-id={room} --json")).ok().json();
        let agents = agents.as_array()?;
        let here = fs::read_to_string(other.chatroom_dir().join("machine.json")).unwrap();
        (agents.len() == 1 && here.contains(agents[0]["machineId"].as_str()?)).then_some(())
    });
}

#[test]
fn a_command_past_its_deadline_is_never_started() {
    let world = World::new();
    let server = world.server();
    world.sign_in(&server.url, &server.sign_in_link);
    world.line("machine daemon start").ok();
    let room = world.room("solo");
    world.line(&start(&room, "--tool=echo")).ok();
    world.line(&format!("agent stop --chatroom-id={room} --role=builder")).ok();
    let machine = machine_id(&world);
    world.line("machine daemon stop").ok();
    let args = json!({
        "machineId": machine, "type": "start-agent", "deadlineMs": 1000,
        "payload": {"chatroomId": room, "role": "builder"},
    });
    let sent: Value = serde_json::from_str(&send_command(&world, &args).stdout).unwrap();
    let id = sent["commandId"].clone();
    eventually("the command is expired", || {
        let all = commands(&world);
        let command = all.iter().find(|command| command["commandId"] == id)?;
        (command["failure"]["code"] == "expired").then_some(())
    });
    world.line("machine daemon start").ok();
    world.connected();
    let running = world.line(&format!("agent list --chatroom-id={room} --json")).ok().json();
    assert_eq!(running, json!([]));
}
