//! `chatroom machine daemon`: one daemon for a machine, whatever happens to the one before.

use crate::api::Api;
use crate::world::{ServerProcess, World, eventually, signal};
use serde_json::json;
use std::fs;

/// A world that is signed in at a server of its own, without a daemon.
fn signed_in(world: &World) -> ServerProcess {
    let server = world.server();
    world.sign_in(&server.url, &server.sign_in_link);
    server
}

fn daemon_pid(world: &World) -> u32 {
    fs::read_to_string(world.chatroom_dir().join("daemon.pid")).unwrap().trim().parse().unwrap()
}

#[test]
fn a_second_start_reports_already_running() {
    let world = World::new();
    let _server = signed_in(&world);
    world.line("machine daemon status").refused();
    world.line("machine daemon start").ok();
    let pid = daemon_pid(&world);
    world.line("machine daemon start").refused().says(&format!("Error: daemon is already running (pid {pid})"));
    let status = world.line("machine daemon status").ok();
    assert!(status.stdout.contains(&format!("pid {pid}")) && status.stdout.contains("connected"), "{status:?}");
    world.connected();
    world.line("machine daemon stop").ok();
    let status = world.line("machine daemon status").refused();
    assert!(status.stdout.contains("not running"), "{status:?}");
    world.line("machine daemon stop").ok();
}

#[test]
fn a_start_returns_when_the_status_says_connected() {
    let world = World::new();
    let _server = signed_in(&world);
    for _ in 0..3 {
        let started = world.line("machine daemon start --json").ok().json();
        assert_eq!(started["connected"], true, "{started}");
        let state = world.line("machine daemon status --json").ok().json();
        assert_eq!(state["state"]["state"], "connected", "{state}");
        world.line("machine daemon stop").ok();
    }
}

#[test]
fn a_killed_daemon_does_not_block_the_next_start() {
    let world = World::new();
    let _server = signed_in(&world);
    world.line("machine daemon start").ok();
    let old = daemon_pid(&world);
    signal(old, "KILL");
    // A busy machine takes a moment to end a process.
    eventually("it is gone", || (world.line("machine daemon status").done().code == 1).then_some(()));
    world.line("machine daemon start").ok();
    assert_ne!(daemon_pid(&world), old);
    world.connected();
}

#[test]
fn an_unrelated_process_with_the_old_pid_does_not_block_a_start_and_is_not_stopped() {
    let world = World::new();
    let _server = signed_in(&world);
    world.line("machine daemon start").ok();
    signal(daemon_pid(&world), "KILL");
    // A busy machine takes a moment to end a process.
    eventually("it is gone", || (world.line("machine daemon status").done().code == 1).then_some(()));
    let mut unrelated = world.command("/bin/sleep", ["300"]).start();
    fs::write(world.chatroom_dir().join("daemon.pid"), format!("{}\n", unrelated.pid())).unwrap();
    // What is told of the holder names the unrelated process, too.
    let lock = world.chatroom_dir().join("daemon.lock");
    let mut named: serde_json::Value = serde_json::from_slice(&fs::read(&lock).unwrap()).unwrap();
    named["process"]["pid"] = unrelated.pid().into();
    fs::write(&lock, named.to_string()).unwrap();
    world.line("machine daemon stop").ok();
    world.line("machine daemon status").refused();
    world.line("machine daemon start").ok();
    world.connected();
    assert!(!unrelated.has_ended());
}

#[test]
fn of_two_starts_at_the_same_instant_one_wins() {
    let world = World::new();
    let _server = signed_in(&world);
    let both = [world.line("machine daemon start").start(), world.line("machine daemon start").start()];
    let mut codes: Vec<i32> = both.into_iter().map(|start| start.done().code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 1]);
    world.line("machine daemon status").ok();
}

#[test]
fn a_restart_keeps_the_agents_and_a_stop_ends_them() {
    let world = World::new();
    let _server = signed_in(&world);
    world.line("machine daemon start").ok();
    let room = world.room("solo");
    let started =
        world.line(&format!("agent start --chatroom-id={room} --role=builder --tool=echo --json")).ok().json();
    let pid = u32::try_from(started["result"]["pid"].as_u64().unwrap()).unwrap();
    let daemon = daemon_pid(&world);
    world.line("machine daemon restart").ok();
    assert_ne!(daemon_pid(&world), daemon);
    assert!(world.processes().contains(&pid));
    world.connected();
    world.chatroom(["send", &format!("--chatroom-id={room}"), "still there?"]).ok();
    assert_eq!(world.answer(&room), "echo: still there?");
    world.line("machine daemon stop").ok();
    assert!(!world.processes().contains(&pid));
}

#[test]
fn the_daemon_inside_up_says_so_when_it_is_to_be_stopped() {
    let world = World::new();
    let up = world.up();
    let pid = up.process.pid();
    world.line("machine daemon stop").refused().says("chatroom up");
    world.line("machine daemon start").refused().says(&format!("(pid {pid}, inside `chatroom up`)"));
    let status = world.line("machine daemon status").ok();
    assert!(status.stdout.contains("chatroom up"), "{status:?}");
}

#[test]
fn a_daemon_that_a_signal_holds_is_told_so_and_can_be_stopped() {
    let world = World::new();
    let _server = signed_in(&world);
    world.line("machine daemon start").ok();
    let pid = daemon_pid(&world);
    signal(pid, "STOP");
    let status = eventually("it is held", || {
        let status = world.line("machine daemon status").done();
        (status.code == 1).then_some(status)
    });
    assert!(status.stdout.contains(&format!("kill -CONT {pid}")), "{status:?}");
    world.line("machine daemon stop").ok();
    assert!(!world.processes().contains(&pid));
}

#[test]
fn a_restart_stays_at_its_server_when_the_default_has_become_another_one() {
    let world = World::new();
    let server = signed_in(&world);
    world.line("machine daemon start").ok();
    let elsewhere = World::new();
    let other = elsewhere.server();
    world.sign_in(&other.url, &other.sign_in_link);
    world.line("machine daemon restart").ok();
    let status = world.line("machine daemon status").ok();
    assert!(status.stdout.contains(&server.url), "{status:?}");
}

#[test]
fn a_new_identity_is_refused_beside_a_running_daemon() {
    let world = World::new();
    let _server = signed_in(&world);
    world.line("machine daemon start").ok();
    world.line("machine repair --new").refused().says("machine daemon stop");
    world.line("machine daemon stop").ok();
    world.line("machine repair --new").ok();
}

#[test]
fn neither_daemon_nor_agent_holds_what_the_caller_had_open() {
    let world = World::new();
    let _server = signed_in(&world);
    let held = world.root().join("held");
    let script = format!("exec 7>{}; chatroom machine daemon start", held.display());
    world.command("/bin/sh", ["-c", &script]).ok();
    let room = world.room("solo");
    world.line(&format!("agent start --chatroom-id={room} --role=builder --tool=echo")).ok();
    for pid in world.processes() {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for descriptor in open {
            assert_ne!(fs::read_link(descriptor.path()).ok().as_ref(), Some(&held), "process {pid}");
        }
    }
}

#[test]
fn the_daemon_becomes_a_service_of_its_user_and_stops_being_one() {
    let world = World::new();
    let log = world.root().join("home/manager.log");
    world.tool("systemctl", "echo \"systemctl $@\" >> \"$HOME/manager.log\"");
    world.tool("loginctl", "echo \"loginctl $@\" >> \"$HOME/manager.log\"; echo not allowed >&2; exit 1");
    let _server = world.signed_in();
    let installed = world.line("machine daemon install --json").ok();
    installed.says("not allowed");
    assert_eq!(installed.json()["startsAtBoot"], false);
    let unit = fs::read_to_string(world.root().join("home/.config/systemd/user/chatroom.service")).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap().to_owned();
    assert_eq!(
        fs::read_to_string(&log).unwrap(),
        "systemctl --user show-environment\nsystemctl --user daemon-reload\nsystemctl --user enable --now chatroom.service\nloginctl enable-linger\n"
    );
    // What the service manager would run is a daemon that connects.
    let words: Vec<String> = line.split('"').filter(|word| !word.trim().is_empty()).map(str::to_owned).collect();
    let daemon = world.command(&words[0], &words[1..]).start();
    world.connected();
    daemon.signal("USR1");
    assert_eq!(daemon.done().code, 0);
    world.line("machine daemon uninstall").ok();
    assert!(!world.root().join("home/.config/systemd/user/chatroom.service").exists());
    assert_eq!(world.line("machine daemon uninstall --json").ok().json()["removed"], false);
}

#[test]
fn a_service_that_cannot_be_installed_leaves_daemon_and_files_as_they_were() {
    let world = World::new();
    let _server = world.signed_in();
    let unit = world.root().join("home/.config/systemd/user/chatroom.service");
    let pid = || world.line("machine daemon status --json").ok().json()["pid"].clone();
    world.line("machine daemon start").ok();
    world.connected();
    let before = pid();
    world.tool("systemctl", "echo no bus here >&2; exit 1");
    world.line("machine daemon install").refused().says("no bus here").says("nothing was changed").says("~/.profile");
    assert_eq!(pid(), before);
    assert!(!unit.exists());

    // It is there, and refuses to start the service.
    world.tool("systemctl", "case \"$2\" in enable) echo masked >&2; exit 1;; esac");
    world.line("machine daemon install").refused().says("masked").says("runs again as before");
    assert_ne!(pid(), before);
    assert!(!unit.exists());
    world.connected();
}

#[test]
fn the_agents_of_a_machine_end_when_it_is_removed_and_not_when_its_credential_is_revoked() {
    let world = World::new();
    let server = signed_in(&world);
    let api = Api::of(&world, &server.url);
    world.line("machine daemon start").ok();
    world.connected();
    let room = world.room("solo");
    world.line(&format!("agent start --chatroom-id={room} --role=builder --tool=echo")).ok();
    let agents = || fs::read_dir(world.chatroom_dir().join("agents")).unwrap().flatten().map(|entry| entry.path());
    let is_ended = || agents().all(|run| run.join("exit.json").exists());
    let says = |what: &str| {
        eventually(&format!("the daemon says {what}"), || {
            let state = fs::read_to_string(world.chatroom_dir().join("daemon.json")).ok()?;
            state.contains(what).then_some(())
        });
    };

    let credentials = api.ok("auth.listCredentials", &json!({}));
    let machines = credentials.as_array().unwrap().iter().filter(|known| known["kind"] == "machine");
    for known in machines {
        api.ok("auth.revokeCredential", &json!({"credentialId": known["credentialId"]}));
    }
    says("does not take this machine's credential");
    assert!(!is_ended());
    world.line("machine daemon restart").ok();
    world.connected();
    assert!(!is_ended());

    let machine = api.ok("machines.listMachines", &json!({}))[0]["machineId"].clone();
    api.ok("machines.remove", &json!({"machineId": machine}));
    eventually("its agents end", || is_ended().then_some(()));
    says("removed this machine");
}
