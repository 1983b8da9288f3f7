//! `chatroom up`: everything in one process, and what a stop leaves.

use crate::world::{World, eventually};
use serde_json::Value;

fn start_echo(world: &World, room: &str) -> u32 {
    let started =
        world.line(&format!("agent start --chatroom-id={room} --role=builder --tool=echo --json")).ok().json();
    u32::try_from(started["result"]["pid"].as_u64().unwrap()).unwrap()
}

#[test]
fn the_first_ctrl_c_stops_the_agents_and_everything_else() {
    let world = World::new();
    let up = world.up();
    let address = up.address();
    let room = world.room("solo");
    start_echo(&world, &room);
    let done = up.stop();
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(world.processes(), Vec::<u32>::new());
    // The next one knows what became of it, and still has the room.
    let _up = world.up_at(&address);
    let agents = world.line(&format!("agent list --chatroom-id={room} --all --json")).ok().json();
    assert_eq!(agents[0]["state"], "exited", "{agents}");
    assert_eq!(agents[0]["exit"]["how"], "stopped", "{agents}");
}

#[test]
fn a_termination_leaves_the_agents_to_be_found_again() {
    let world = World::new();
    let up = world.up();
    let address = up.address();
    let room = world.room("solo");
    let pid = start_echo(&world, &room);
    up.process.signal("TERM");
    let done = up.process.done();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(world.processes().contains(&pid));
    let _up = world.up_at(&address);
    world.chatroom(["send", &format!("--chatroom-id={room}"), "hello again"]).ok();
    assert_eq!(world.answer(&room), "echo: hello again");
    let agents = world.line(&format!("agent list --chatroom-id={room} --json")).ok().json();
    assert_eq!(agents[0]["pid"].as_u64(), Some(u64::from(pid)), "{agents}");
}

#[test]
fn agents_outlive_a_killed_up_and_are_found_again() {
    let world = World::new();
    let up = world.up();
    let address = up.address();
    let room = world.room("solo");
    let pid = start_echo(&world, &room);
    up.process.signal("KILL");
    up.process.done();
    assert!(world.processes().contains(&pid));
    let _up = world.up_at(&address);
    eventually("the agent runs, by the server's word", || {
        let agents = world.line(&format!("agent list --chatroom-id={room} --json")).ok().json();
        (agents[0]["state"] == "running" && agents[0]["pid"].as_u64() == Some(u64::from(pid))).then_some(())
    });
    world.line(&format!("agent stop --chatroom-id={room} --role=builder")).ok();
    assert!(!world.processes().contains(&pid));
}

#[test]
fn a_login_at_another_server_is_kept() {
    let world = World::new();
    let elsewhere = World::new();
    let other = elsewhere.server();
    world.sign_in(&other.url, &other.sign_in_link);
    let up = world.up();
    assert!(world.line("auth status").ok().stdout.contains(&up.url));
    assert!(world.line(&format!("auth status --server={}", other.url)).ok().stdout.contains("signed in"));
}

#[test]
fn a_second_up_is_refused_and_changes_nothing() {
    let world = World::new();
    let up = world.up();
    let pid = up.process.pid();
    world.line("up --no-open --listen=127.0.0.1:0").refused().says(&format!("already running (pid {pid})"));
    world.connected();
}

#[test]
fn each_start_replaces_the_login_of_the_one_before() {
    let world = World::new();
    let up = world.up();
    let address = up.address();
    up.stop();
    let _up = world.up_at(&address);
    eventually("one login of `up`", || {
        let listed = world.chatroom(["api", "auth.listCredentials"]).ok().json();
        let logins = listed.as_array()?.iter().filter(|credential: &&Value| credential["kind"] == "cli").count();
        (logins == 1).then_some(())
    });
}
