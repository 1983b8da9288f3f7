//! The daemon is killed at any instant, and still every command ends, every agent is started once, and nothing is left.

use crate::api::Api;
use crate::world::{World, eventually};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Stands in for an agent tool: it writes its agent's id into a file, by one append, and says soon after that nobody is signed
/// in, so that it is not started again by itself.
const STUB: &str = r#"
if [ "$1" = --version ]; then echo 1.18.33; exit; fi
echo "$CHATROOM_AGENT_ID" >> "$HOME/starts.log"
sleep 0.2
read -r line
id=${line#*'"id":'}; id=${id%%[!0-9]*}
printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32000,"message":"Authentication required"}}\n' "$id"
sleep 5
"#;

struct Crashes {
    world: World,
    api: Api,
    machine_id: String,
    _server: crate::world::ServerProcess,
}

impl Crashes {
    fn new() -> Self {
        let world = World::new();
        world.tool("opencode", STUB);
        let server = world.signed_in();
        let api = Api::of(&world, &server.url);
        // Registers the machine and its tools.
        world.line("machine daemon start").ok();
        world.connected();
        world.line("machine daemon stop").ok();
        let machine_id = api.ok("machines.listMachines", &json!({}))[0]["machineId"].as_str().unwrap().to_owned();
        Self { world, api, machine_id, _server: server }
    }

    /// Sends a start for a role of a room of its own; gives the command's id.
    fn send_start(&self) -> Value {
        let room = self.api.ok("chatrooms.create", &json!({"name": "crash", "team": "solo"}))["chatroomId"].clone();
        let config = json!({
            "machineId": self.machine_id, "chatroomId": room, "role": "builder", "tool": "opencode",
            "workingDir": self.world.work().to_str().unwrap(),
        });
        self.api.ok("machines.updateAgentConfig", &config);
        let start = json!({
            "machineId": self.machine_id, "type": "start-agent", "deadlineMs": 3_600_000,
            "payload": {"chatroomId": room, "role": "builder"},
        });
        self.api.ok("machines.sendCommand", &start)["commandId"].clone()
    }

    fn command(&self, id: &Value) -> Value {
        self.api.ok("machines.getCommand", &json!({"commandId": id}))
    }

    fn daemon(&self, failpoint: Option<&str>) -> crate::world::Process {
        let run = self.world.line("machine daemon start --foreground");
        match failpoint {
            Some(point) => run.env("CHATROOM_FAILPOINT", point).start(),
            None => run.start(),
        }
    }

    /// What an agent left in its directory, to tell from what became of it.
    fn traces(&self, agent: &str) -> Vec<String> {
        let dir = self.world.chatroom_dir().join("agents").join(agent);
        let files =
            fs::read_dir(&dir).map(|files| files.filter_map(Result::ok).collect::<Vec<_>>()).unwrap_or_default();
        let secret = |name: &str| name.starts_with("credential") || name.starts_with("prompt");
        files
            .iter()
            .filter(|file| !secret(&file.file_name().to_string_lossy()))
            .map(|file| format!("{}: {}", file.path().display(), fs::read_to_string(file.path()).unwrap_or_default()))
            .collect()
    }

    /// How often each agent was started.
    fn starts(&self) -> BTreeMap<String, usize> {
        let log = fs::read_to_string(self.world.root().join("home/starts.log")).unwrap_or_default();
        log.lines().fold(BTreeMap::new(), |mut starts, line| {
            *starts.entry(line.to_owned()).or_default() += 1;
            starts
        })
    }

    /// Starts log, database and processes agree: each command completed, each agent started once and ended. Where the agent's
    /// host was killed before it could tell, nobody can know: then it is said to be lost, and was not started.
    fn check(&self, commands: &[Value], never_started: usize) {
        let mut starts = self.starts();
        let mut agents = Vec::new();
        let mut without_start = Vec::new();
        for id in commands {
            let command = self.command(id);
            assert_eq!(command["status"], "completed", "{command}");
            let agent = command["result"]["agentId"].as_str().unwrap().to_owned();
            let kind = command["result"]["kind"].as_str().unwrap();
            match starts.remove(&agent) {
                // The second kind: the agent's end was told before the outcome of its start.
                Some(1) if ["started", "started_then_exited"].contains(&kind) => {}
                None if kind == "started_then_lost" => without_start.push(self.traces(&agent)),
                count => panic!("{count:?} starts of agent {agent}, told as {kind}: {:#?}", self.traces(&agent)),
            }
            agents.push(agent);
        }
        assert_eq!(without_start.len(), never_started, "{without_start:#?}");
        // An agent that was lost is started again by the server itself, once.
        assert!(starts.len() <= never_started, "agents were started that nobody asked for: {starts:?}");
        assert!(starts.values().all(|count| *count == 1), "{starts:?}");
        eventually("every agent has ended, by the server's word", || {
            agents
                .iter()
                .all(|agent| self.api.ok("agents.get", &json!({"agentId": agent}))["state"] == "exited")
                .then_some(())
        });
        eventually("no process of an agent is left", || {
            let carriers = self.world.processes().into_iter().filter(|pid| {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                environment.windows(16).any(|part| part == b"CHATROOM_RUN_ID=")
            });
            (carriers.count() == 0).then_some(())
        });
    }
}

/// A small generator of numbers that look random: the same sequence in every run.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn five_hundred_starts_survive_a_daemon_that_is_killed_again_and_again() {
    let crashes = Crashes::new();
    let commands: Vec<Value> = (0..500).map(|_| crashes.send_start()).collect();
    let mut random = 20_261_123;
    let mut lives = 0;
    let mut open: Vec<&Value> = commands.iter().collect();
    // Killed until most is done, then left alone for the rest.
    while open.len() > 20 && lives < 300 {
        lives += 1;
        let daemon = crashes.daemon(None);
        std::thread::sleep(Duration::from_millis(next_random(&mut random) % 300));
        daemon.signal("KILL");
        daemon.done();
        if lives % 10 == 0 {
            open.retain(|id| crashes.command(id)["status"] != "completed");
        }
    }
    let _daemon = crashes.daemon(None);
    for id in open {
        eventually("the command is at its end", || {
            ["completed", "failed"].contains(&crashes.command(id)["status"].as_str()?).then_some(())
        });
    }
    assert!(lives >= 20, "only {lives} daemons were killed");
    crashes.check(&commands, 0);
}

#[test]
fn a_daemon_or_host_that_dies_at_any_of_its_steps_has_started_the_agent_once() {
    let crashes = Crashes::new();
    let mut commands = Vec::new();
    for point in chatroom_machine::daemon::failpoint::POINTS {
        let id = crashes.send_start();
        let is_completed = || (crashes.command(&id)["status"] == "completed").then_some(());
        let mut next = crashes.daemon(Some(point));
        // This point is in the agent's host: the daemon lives on.
        if point != "after_host_claim" {
            let died = next.done();
            assert_eq!(died.code, 128 + 9, "at {point}: {died:?}");
            next = crashes.daemon(None);
        }
        eventually(&format!("the command is completed after a death at {point}"), is_completed);
        next.signal("USR1");
        next.done();
        commands.push(id);
    }
    let _daemon = crashes.daemon(None);
    crashes.check(&commands, 1);
}
