//! A transcript may come again, in part and in overlapping batches, while people, rules and time answer: each request ends once.

use super::{World, asks, call, events, exited, later, on_each, says, turn_ended};
use chatroom_server::live::Hub;
use chatroom_server::reconcile::settle;
use chatroom_server::store::Store;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that a transcript changes.
async fn everything(world: &World, agent: &str) -> Value {
    json!([
        world.agent(agent).await,
        world.transcript(agent).await,
        world.permissions().await,
        world.inputs(agent).await,
        world.inbox(&world.machine).await,
        world.ok(&world.ada, "tasks.list", json!({"chatroomId": world.room})).await,
    ])
}

#[tokio::test]
async fn the_same_events_again_and_overlapping_batches_change_nothing() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let sent = world.ok(&world.ada, "agents.send", json!({"agentId": agent, "text": "hello"})).await;
        let rule = json!({"chatroomId": world.room, "allow": true, "match": "command", "command": "make"});
        world.ok(&world.ada, "permissions.addRule", rule).await;
        let all = vec![
            json!({"kind": "session_started", "driver": "claude", "sessionId": "s", "resumed": false}),
            json!({"kind": "input_taken", "inputId": sent["inputId"]}),
            json!({"kind": "prompt", "source": {"by": "person", "inputId": sent["inputId"]}, "text": "hello"}),
            asks("a", "make"),
            asks("b", "rm -r x"),
            json!({"kind": "permission_settled", "requestId": "a",
                   "outcome": {"how": "selected", "choice": "allow_once", "by": "rule"}}),
            says("done"),
            turn_ended(),
            json!({"kind": "trouble", "trouble": {"kind": "quota", "message": "no more", "at": 1}}),
            asks("c", "make it"),
        ];
        let numbered = events(1, all);
        let batch = |from: usize, to: usize| Value::Array(numbered.as_array().unwrap()[from..to].to_vec());
        for (from, to) in [(0, 4), (0, 4), (2, 6), (5, 6), (0, 10)] {
            world.append(&world.machine, &agent, batch(from, to)).await;
        }
        let before = everything(&world, &agent).await;
        for (from, to) in [(0, 10), (0, 1), (3, 10), (9, 10), (0, 10), (4, 4)] {
            assert_eq!(world.append(&world.machine, &agent, batch(from, to)).await, 10);
            assert_eq!(everything(&world, &agent).await, before, "{from}..{to}");
        }
        let states: Vec<_> = world.permissions().await.iter().map(|request| request["state"].clone()).collect();
        assert_eq!(states, ["answered", "withdrawn", "answered"]);
        let answers = world.inputs(&agent).await.into_iter().filter(|input| input["input"] == "answer").count();
        assert_eq!(answers, 2);
    })
    .await;
}

/// What may happen to the requests of a session.
#[derive(Clone, Debug)]
enum Deed {
    /// The host writes something down.
    Ask(u8),
    Settle(u8, bool),
    EndTurn,
    Say,
    /// The daemon sends what the server has not, and this many events that it has, up to this many in all.
    Send(usize, usize),
    /// The owner answers.
    Answer(u8, &'static str),
    /// The owner makes a rule for the commands of a request.
    Rule(u8, bool),
    /// A day passes.
    Expire,
    /// The process ends.
    Exit,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        5 => (0..4u8).prop_map(Deed::Ask),
        2 => (0..4u8, any::<bool>()).prop_map(|(request, yes)| Deed::Settle(request, yes)),
        1 => Just(Deed::EndTurn),
        1 => Just(Deed::Say),
        8 => (0..6usize, 1..8usize).prop_map(|(again, most)| Deed::Send(again, most)),
        4 => (0..4u8, prop::sample::select(vec!["allow_once", "allow_always", "reject_once", "reject_always"]))
            .prop_map(|(request, choice)| Deed::Answer(request, choice)),
        1 => (0..4u8, any::<bool>()).prop_map(|(request, allow)| Deed::Rule(request, allow)),
        1 => Just(Deed::Expire),
    ]
}

/// A session whose host writes a journal that its daemon sends in pieces.
struct Session {
    world: World,
    agent: String,
    journal: Vec<Value>,
    through: usize,
    /// How requests stood when they were looked at last, by the agent's name of them.
    ends: BTreeMap<String, Value>,
}

impl Session {
    async fn act(&mut self, deed: &Deed) {
        let world = &self.world;
        match deed {
            Deed::Ask(number) => self.journal.push(asks(&format!("r{number}"), &format!("run{number}"))),
            Deed::Settle(number, yes) => {
                let outcome = match yes {
                    true => json!({"how": "selected", "choice": "allow_once", "by": "mode"}),
                    false => json!({"how": "withdrawn"}),
                };
                let settled =
                    json!({"kind": "permission_settled", "requestId": format!("r{number}"), "outcome": outcome});
                self.journal.push(settled);
            }
            Deed::EndTurn => self.journal.push(turn_ended()),
            Deed::Say => self.journal.push(says("x")),
            Deed::Send(again, most) => {
                let from = self.through.saturating_sub(*again);
                let to = (from + most).min(self.journal.len());
                let batch = events(i64::try_from(from).unwrap() + 1, self.journal[from..to].to_vec());
                let through = world.append(&world.machine, &self.agent, batch).await;
                self.through = usize::try_from(through).unwrap();
            }
            Deed::Answer(number, choice) => {
                let name = format!("r{number}");
                let requests = world.permissions().await;
                let Some(request) = requests.iter().find(|request| request["requestId"] == name.as_str()) else {
                    return;
                };
                let args = json!({"permissionId": request["permissionId"], "choice": choice});
                let answered = call(&world.app, &world.ada, "permissions.answer", args).await;
                assert!(answered.is_ok() || request["state"] != "pending", "{answered:?}");
            }
            Deed::Rule(number, allow) => {
                let rule = json!({"chatroomId": world.room, "allow": allow, "match": "command",
                    "command": format!("run{number}")});
                world.ok(&world.ada, "permissions.addRule", rule).await;
            }
            Deed::Expire => settle(&world.app, later(25 * 60 * 60_000)).await,
            Deed::Exit => drop(world.heartbeat(&world.machine, json!([exited(&self.agent)])).await),
        }
    }

    async fn check(&mut self) {
        let (requests, inputs) = (self.world.permissions().await, self.world.inputs(&self.agent).await);
        let mut ends = BTreeMap::new();
        for request in &requests {
            let name = request["requestId"].as_str().unwrap().to_owned();
            let end = json!([request["state"], request["choice"], request["by"], request["at"]]);
            if let Some(before) = self.ends.get(&name).filter(|before| before[0] != "pending") {
                assert_eq!(*before, end, "an end never changes");
            }
            let answers: Vec<_> = inputs.iter().filter(|input| input["requestId"] == request["requestId"]).collect();
            let is_ours = request["state"] == "answered" && request["by"] != "mode";
            assert_eq!(answers.len(), usize::from(is_ours), "{request} {answers:?}");
            if let Some(answer) = answers.first() {
                assert_eq!((&answer["choice"], &answer["by"]), (&request["choice"], &request["by"]));
            }
            assert!(ends.insert(name, end).is_none(), "a request stands there once");
        }
        let pending = requests.iter().filter(|request| request["state"] == "pending").count();
        assert_eq!(self.world.agent(&self.agent).await["session"]["openPermissions"], pending);
        assert!(self.ends.keys().all(|name| ends.contains_key(name)));
        self.ends = ends;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_request_ends_once_with_one_answer_however_things_interleave(deeds in prop::collection::vec(deed(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let hub = Arc::new(Hub::new("test"));
            let store = Store::open_sqlite(&dir.path().join("chatroom.db"), Arc::clone(&hub)).await.unwrap();
            let world = World::new(store, hub).await;
            let (agent, _) = world.run_builder(&world.machine).await;
            let mut session = Session { world, agent, journal: Vec::new(), through: 0, ends: BTreeMap::new() };
            let all = Deed::Send(0, 400);
            for deed in deeds.iter().chain([&all, &Deed::Exit, &Deed::Ask(3), &all]) {
                session.act(deed).await;
                session.check().await;
            }
            assert_eq!(session.through, session.journal.len());
            assert!(session.ends.values().all(|end| end[0] != "pending"));
        });
    }
}
