//! What is shown of a machine whose daemon is cut off, killed or stopped, and what becomes of commands meanwhile.

use crate::api::Api;
use crate::proxy::Proxy;
use crate::world::{World, eventually, signal};
use serde_json::{Value, json};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

#[allow(clippy::disallowed_methods)] // Compared with what the server's clock says.
fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn integer(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_f64().map(|float| float as i64)).unwrap()
}

fn machine(api: &Api) -> Value {
    api.ok("machines.listMachines", &json!({}))[0].clone()
}

/// Waits until the machine is so; gives since when, by the server's clock.
fn becomes(api: &Api, state: &str) -> i64 {
    eventually(&format!("the machine is {state}"), || {
        let machine = machine(api);
        (machine["connection"] == state).then(|| integer(&machine["connectionSince"]))
    })
}

fn daemon_pid(world: &World) -> u32 {
    fs::read_to_string(world.chatroom_dir().join("daemon.pid")).unwrap().trim().parse().unwrap()
}

#[test]
fn a_killed_daemon_is_shown_within_a_second() {
    let world = World::new();
    let server = world.signed_in();
    let api = Api::of(&world, &server.url);
    world.line("machine daemon start").ok();
    becomes(&api, "connected");
    let killed = now_ms();
    signal(daemon_pid(&world), "KILL");
    let shown = becomes(&api, "disconnected");
    assert!(shown - killed < 1_000, "shown after {} ms", shown - killed);
}

#[test]
fn a_stopped_daemon_is_silent_within_31_seconds_and_comes_back() {
    let world = World::new();
    let server = world.signed_in();
    let api = Api::of(&world, &server.url);
    world.line("machine daemon start").ok();
    becomes(&api, "connected");
    let pid = daemon_pid(&world);
    let stopped = now_ms();
    signal(pid, "STOP");
    let shown = becomes(&api, "silent");
    assert!(shown - stopped <= 31_000, "shown after {} ms", shown - stopped);
    signal(pid, "CONT");
    becomes(&api, "connected");
    assert_eq!(daemon_pid(&world), pid);
}

#[test]
fn a_restarted_server_does_not_know_how_a_machine_is_until_it_is_heard() {
    let world = World::new();
    let server = world.signed_in();
    let address = server.address();
    let api = Api::of(&world, &server.url);
    world.line("machine daemon start").ok();
    becomes(&api, "connected");
    let pid = daemon_pid(&world);
    signal(pid, "STOP");
    signal(server.process.pid(), "KILL");
    drop(server);
    let _server = world.server_at(&address);
    assert_eq!(machine(&api)["connection"], "unknown");
    signal(pid, "CONT");
    becomes(&api, "connected");
}

#[test]
fn a_command_that_is_sent_while_the_network_is_cut_and_the_server_restarts_runs_once() {
    let world = World::new();
    let server = world.server();
    let address = server.address();
    let proxy = Proxy::to(&address);
    // The CLI and the daemon of this machine know the server by the proxy's address.
    world.sign_in(&server.url, &server.sign_in_link);
    let direct = Api::of(&world, &server.url);
    let token = world.line("auth token --name=proxied --expires-in=1h").ok().stdout.trim().to_owned();
    world.line(&format!("auth login --token --server={}", proxy.url())).stdin(&token).ok();
    world.line("machine daemon start").ok();
    becomes(&direct, "connected");
    let room = world.room("solo");
    let machine_id = machine(&direct)["machineId"].clone();
    let config = json!({
        "machineId": machine_id, "chatroomId": room, "role": "builder", "tool": "echo",
        "workingDir": world.work().to_str().unwrap(),
    });
    direct.ok("machines.updateAgentConfig", &config);

    proxy.cut();
    becomes(&direct, "disconnected");
    let start = json!({
        "machineId": machine_id, "type": "start-agent", "payload": {"chatroomId": room, "role": "builder"},
        "idempotencyKey": "while-cut",
    });
    let sent = direct.ok("machines.sendCommand", &start);
    signal(server.process.pid(), "KILL");
    drop(server);
    let _server = world.server_at(&address);
    // Whoever sent it did not get the answer and sends it again.
    assert_eq!(direct.ok("machines.sendCommand", &start)["commandId"], sent["commandId"]);
    proxy.mend();
    becomes(&direct, "connected");
    let ended = eventually("the command is completed", || {
        let command = direct.ok("machines.getCommand", &json!({"commandId": sent["commandId"]}));
        (command["status"] == "completed").then_some(command)
    });
    assert_eq!(ended["result"]["kind"], "started");
    let agents = fs::read_dir(world.chatroom_dir().join("agents")).unwrap().count();
    assert_eq!(agents, 1);
    world.chatroom(["send", &format!("--chatroom-id={room}"), "hello"]).ok();
    assert_eq!(world.answer(&room), "echo: hello");
}
