//! Any interleaving of what owners, daemons, tasks and time do with one role: it never has two agents, and the last intent wins.

use super::{Host, World, later, on_each, text};
use chatroom_server::reconcile::settle;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// What happens. The number is the machine.
#[derive(Clone, Copy, Debug)]
enum Step {
    Start(usize),
    Move(usize),
    Restart(usize),
    Stop(usize),
    /// Its daemon does the oldest thing that it was told.
    Obey(usize),
    /// Its daemon fails at it.
    Fail(usize),
    /// An agent on it ends by itself.
    Crash(usize),
    /// It shuts down with all of its agents.
    ShutDown(usize),
    /// Its daemon comes back in a new life.
    Connect(usize),
    /// It lost everything that ran on it, and its daemon comes back.
    Forget(usize),
    Disconnect(usize),
    Task,
    /// Time passes, in seconds.
    Pass(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0usize..2).prop_map(Step::Start),
        1 => (0usize..2).prop_map(Step::Move),
        1 => (0usize..2).prop_map(Step::Restart),
        1 => (0usize..2).prop_map(Step::Stop),
        6 => (0usize..2).prop_map(Step::Obey),
        1 => (0usize..2).prop_map(Step::Fail),
        3 => (0usize..2).prop_map(Step::Crash),
        3 => (0usize..2).prop_map(Step::ShutDown),
        2 => (0usize..2).prop_map(Step::Connect),
        2 => (0usize..2).prop_map(Step::Forget),
        1 => (0usize..2).prop_map(Step::Disconnect),
        1 => Just(Step::Task),
        4 => (1i64..90).prop_map(Step::Pass),
    ]
}

/// The world with what its two daemons know.
struct Storm {
    world: World,
    hosts: [Host; 2],
    /// The agents that run on each machine.
    running: [Vec<String>; 2],
    lives: usize,
    /// How far the clock of the reconciler is ahead, in milliseconds.
    ahead_ms: i64,
    /// What was wanted last, and where.
    wanted: Option<(bool, usize)>,
}

impl Storm {
    async fn new(world: World) -> Self {
        let hosts = [world.machine.clone(), world.other.clone()];
        for host in &hosts {
            world.configure(host, json!({"startOnTask": true})).await;
            world.connect(host).await;
        }
        Self { world, hosts, running: Default::default(), lives: 1, ahead_ms: 0, wanted: None }
    }

    async fn send(&mut self, machine: usize, kind: &str, take_over: bool) {
        let mut args = self.world.command(&self.hosts[machine], kind);
        // The clock of the reconciler is hours ahead.
        args["deadlineMs"] = json!(7 * 24 * 3_600_000_i64);
        if take_over {
            args["payload"]["move"] = json!(true);
        }
        if self.world.call(&self.world.ada, "machines.sendCommand", args).await.is_ok() {
            // A stop on a machine where the role is not wanted is none of the role.
            let elsewhere = matches!(self.wanted, Some((_, there)) if there != machine);
            if kind != "stop-agent" {
                self.wanted = Some((true, machine));
            } else if !elsewhere {
                self.wanted = Some((false, machine));
            }
        }
    }

    async fn oldest(&self, machine: usize) -> Option<Value> {
        let pending = self.world.pending(&self.hosts[machine]).await;
        pending["commands"].as_array().unwrap().first().cloned()
    }

    async fn obey(&mut self, machine: usize) {
        let Some(command) = self.oldest(machine).await else { return };
        let host = self.hosts[machine].clone();
        let order = self.world.claim(&host, &command).await["order"].clone();
        let start = if order["do"] == "restart" { order["start"].clone() } else { order.clone() };
        let stop = if order["do"] == "restart" { order["stop"].clone() } else { order["agentId"].clone() };
        match order["do"].as_str() {
            Some("stop") if stop.is_null() => {
                self.world.complete(&host, &command, json!({"kind": "not_running"})).await;
            }
            Some("stop") => {
                self.running[machine].retain(|id| *id != stop);
                let end = json!({"kind": "stopped", "agentId": stop, "exit": {"how": "stopped"}});
                self.world.complete(&host, &command, end).await;
            }
            Some(_) => {
                let agent = text(&start["agentId"]);
                self.running[machine].retain(|id| *id != stop);
                self.running[machine].push(agent.clone());
                self.world.complete(&host, &command, json!({"kind": "started", "agentId": agent, "pid": 7})).await;
            }
            None => {}
        }
    }

    async fn fail(&mut self, machine: usize) {
        let Some(command) = self.oldest(machine).await else { return };
        if command["type"] == "stop-agent" {
            return;
        }
        let host = self.hosts[machine].clone();
        let order = self.world.claim(&host, &command).await["order"].clone();
        if order["do"] == "restart" {
            self.running[machine].retain(|id| *id != order["stop"]);
        }
        if !order.is_null() {
            self.world.fail(&host, &command, "spawn_failed").await;
        }
    }

    async fn end(&mut self, machine: usize, exit: Value) {
        if let Some(agent) = self.running[machine].pop() {
            self.world.exit(&self.hosts[machine], &agent, exit).await;
        }
    }

    async fn disconnect(&self, machine: usize) {
        let presence = self.world.app.registry.find("machines.getPendingCommands").unwrap().presence().unwrap();
        let host = &self.hosts[machine];
        let args = json!({"machineId": host.id, "epoch": host.epoch});
        let why = chatroom_server::registry::Closed::Gone;
        presence.closed(&self.world.app, &host.caller, &args, "socket", why).await.unwrap();
    }

    async fn connect(&mut self, machine: usize) {
        self.lives += 1;
        let agents: Vec<Value> = self.running[machine].iter().map(|id| super::running(id)).collect();
        let opened = self.world.open(&self.hosts[machine], &format!("life {}", self.lives), json!(agents)).await;
        self.hosts[machine].epoch = opened["epoch"].as_i64().unwrap();
        for unwanted in opened["unwanted"].as_array().unwrap() {
            self.running[machine].retain(|id| *unwanted != *id);
        }
        self.world.connect(&self.hosts[machine]).await;
    }

    async fn settle(&self) {
        settle(&self.world.app, later(self.ahead_ms)).await;
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Start(machine) => self.send(machine, "start-agent", false).await,
            Step::Move(machine) => self.send(machine, "start-agent", true).await,
            Step::Restart(machine) => self.send(machine, "restart-agent", false).await,
            Step::Stop(machine) => self.send(machine, "stop-agent", false).await,
            Step::Obey(machine) => self.obey(machine).await,
            Step::Fail(machine) => self.fail(machine).await,
            Step::Crash(machine) => self.end(machine, json!({"how": "code", "code": 1})).await,
            Step::ShutDown(machine) => {
                while !self.running[machine].is_empty() {
                    self.end(machine, json!({"how": "shut_down"})).await;
                }
                self.disconnect(machine).await;
            }
            Step::Connect(machine) => self.connect(machine).await,
            Step::Forget(machine) => {
                self.running[machine].clear();
                self.connect(machine).await;
            }
            Step::Disconnect(machine) => self.disconnect(machine).await,
            Step::Task => self.task().await,
            Step::Pass(seconds) => {
                self.ahead_ms += seconds * 1000;
                self.settle().await;
            }
        }
    }

    async fn task(&mut self) {
        let args = json!({"chatroomId": self.world.room, "role": "builder", "content": "work"});
        self.world.ok(&self.world.ada, "messages.send", args).await;
        let desired = self.world.builder().await["desired"].clone();
        let place = self.hosts.iter().position(|host| desired["machineId"] == host.id.as_str());
        if desired["by"] == "task"
            && let Some(place) = place
        {
            self.wanted = Some((true, place));
        }
    }

    /// What holds at every moment.
    async fn check(&self) {
        let active = self.world.ok(&self.world.ada, "agents.list", json!({})).await;
        let holders = active.as_array().unwrap().iter().filter(|agent| agent["state"] != "stopping").count();
        assert!(holders <= 1, "a role has two agents: {active}");
        let desired = self.world.builder().await["desired"].clone();
        match self.wanted {
            None => assert!(desired.is_null(), "{desired}"),
            Some((is_wanted, machine)) => {
                assert_eq!(desired["running"], is_wanted, "{desired}");
                assert_eq!(desired["machineId"], self.hosts[machine].id.as_str(), "{desired}");
            }
        }
    }

    /// When the storm is over, everybody does what they were told, and what was wanted last is what is.
    async fn calm(&mut self) {
        for machine in 0..2 {
            self.connect(machine).await;
        }
        for _ in 0..8 {
            self.ahead_ms += 70_000;
            self.settle().await;
            for machine in 0..2 {
                while self.oldest(machine).await.is_some() {
                    self.obey(machine).await;
                }
            }
        }
        self.check().await;
    }

    /// After a storm: what is wanted runs where it is wanted, and nothing else does. What was given up is wanted
    /// anew first.
    async fn settle_down(&mut self) {
        self.calm().await;
        let builder = self.world.builder().await;
        if let Some((true, machine)) = self.wanted
            && !builder["desired"]["givenUp"].is_null()
        {
            assert_eq!(self.running, [vec![], vec![]] as [Vec<String>; 2], "{builder}");
            self.send(machine, "start-agent", false).await;
            self.calm().await;
        }
        let builder = self.world.builder().await;
        let count = |machine: usize| self.running[machine].len();
        match self.wanted {
            Some((true, machine)) => {
                assert_eq!(builder["agent"]["state"], "running", "{builder}");
                assert_eq!((count(machine), count(1 - machine)), (1, 0), "{builder}");
                assert_eq!(builder["agent"]["agentId"], self.running[machine][0].as_str());
            }
            Some((false, _)) | None => assert_eq!((count(0), count(1)), (0, 0), "{builder}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_storm_gives_a_role_two_agents_and_the_last_intent_wins() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let storms = prop::collection::vec(prop::collection::vec(step(), 1..16), 20);
    for _ in 0..2 {
        let storms = storms.new_tree(&mut runner).unwrap().current();
        on_each(async |world| {
            let mut storm = Storm::new(world).await;
            for steps in &storms {
                for step in steps {
                    storm.step(*step).await;
                    storm.check().await;
                }
                storm.settle_down().await;
            }
        })
        .await;
    }
}
