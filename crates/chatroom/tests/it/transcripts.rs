//! What a machine tells of an agent, as its owner sees it: here the test itself is the machine, so that each event is known.

use crate::world::{Process, ServerProcess, World, binary, eventually};
use serde_json::{Value, json};

/// A machine that tells what the test wants it to.
struct Machine {
    url: String,
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    token: String,
    machine_id: String,
    room: String,
    agent: String,
    seq: i64,
}

impl Machine {
    /// Registers itself, and has an agent in a room of its own.
    fn new(world: &World, server: &ServerProcess) -> Self {
        let machine_id = "7b6fd3ca-18d0-4f34-8a53-0a3b6d1f5d11".to_owned();
        let api = |function: &str, args: &Value| world.chatroom(["api", function, &args.to_string()]).ok().json();
        let tool = json!({"name": "echo", "path": "/x", "driver": "acp", "asks": true, "status": "ok", "version": "1"});
        let about = json!({
            "machineId": machine_id, "hostname": "lab", "os": "linux", "arch": "x86_64", "availableTools": [tool],
            "cliVersion": "1", "cliPath": "/x", "issueCredential": true,
        });
        let token = api("machines.register", &about)["credential"].as_str().unwrap().to_owned();
        let room = world.room("solo");
        let slot = json!({"chatroomId": room, "role": "builder"});
        let mut config = slot.clone();
        config["machineId"] = json!(machine_id);
        config["tool"] = json!("echo");
        config["workingDir"] = json!("/work");
        api("machines.updateAgentConfig", &config);
        api("machines.sendCommand", &json!({"machineId": machine_id, "type": "start-agent", "payload": slot}));
        let agents = api("agents.list", &json!({"chatroomId": room}));
        let agent = agents[0]["agentId"].as_str().unwrap().to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { url: server.url.clone(), runtime, client, token, machine_id, room, agent, seq: 0 }
    }

    /// Tells what happened in the agent's session.
    fn tell(&mut self, entries: impl IntoIterator<Item = Value>) {
        let mut events = Vec::new();
        for mut entry in entries {
            self.seq += 1;
            entry["seq"] = json!(self.seq);
            entry["at"] = json!(1_700_000_000_000i64 + self.seq);
            events.push(entry);
        }
        let args = json!({"args": {"machineId": self.machine_id, "agentId": self.agent, "events": events}});
        let request = self
            .client
            .post(format!("{}/api/run/agents/appendTranscript", self.url))
            .bearer_auth(&self.token)
            .header("Content-Type", "application/json")
            .body(args.to_string());
        let answer = self.runtime.block_on(async { request.send().await.unwrap().text().await.unwrap() });
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["value"]["through"], self.seq, "{answer}");
    }

    fn about(&self, verb: &str) -> String {
        format!("{verb} --chatroom-id={} --role=builder", self.room)
    }
}

fn started() -> Value {
    json!({"kind": "session_started", "driver": "acp", "resumed": false})
}

fn said(text: &str) -> Value {
    json!({"kind": "text", "text": text})
}

fn prompted(text: &str) -> Value {
    json!({"kind": "prompt", "source": {"by": "task", "taskId": "t", "delivery": 1}, "text": text})
}

fn asks(request: &str, command: &str) -> Value {
    let options = json!([
        {"optionId": "1", "name": "Yes, once", "kind": "allow_once"},
        {"optionId": "2", "name": "No", "kind": "reject_once"},
    ]);
    json!({
        "kind": "permission_asked", "requestId": request, "title": "Run a command", "toolKind": "execute",
        "command": command, "options": options,
    })
}

fn numbers(lines: &str) -> Vec<i64> {
    lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_i64().unwrap()).collect()
}

/// `agent attach` at a terminal of its own.
fn attach(world: &World, machine: &Machine) -> Process {
    let command = format!("exec {} {}", binary().display(), machine.about("agent attach"));
    world.command("script", ["-qefc", &command, "/dev/null"]).talking().start()
}

#[test]
fn a_terminal_shows_what_comes_and_answers_what_is_asked() {
    let world = World::new();
    let server = world.signed_in();
    let mut machine = Machine::new(&world, &server);
    machine.tell([started(), prompted("| build a house"), asks("first", "touch \u{1b}]0;x\u{7}a")]);
    let mut terminal = attach(&world, &machine);
    terminal.prints("  | build a house");
    terminal.prints("? request 1: Run a command\u{1b}[0m\n  $ touch \\u{1b}]0;x\\u{7}a\n  /allow 1    Yes, once");
    machine.tell([said("While I "), said("wait:\n"), asks("second", "make")]);
    terminal.prints("While I wait:\n");
    terminal.say("/deny 2");
    terminal.prints("- Run a command: denied");
    terminal.say("/allow");
    terminal.prints("- Run a command: allowed once");
    terminal.say("/allow");
    terminal.prints("! nothing is asked");
    let answered = world.line("permission list --all --json").ok().json();
    let choices: Vec<&Value> = answered.as_array().unwrap().iter().map(|asked| &asked["choice"]).collect();
    assert_eq!(choices, ["allow_once", "reject_once"], "{answered}");
    terminal.say("and tell me");
    terminal.prints("- a turn runs: it is said when that is over");
    terminal.say("/nothing");
    terminal.prints("! there is no /nothing");
    terminal.say("\x03");
    terminal.prints("- cancelling the turn");
    let inputs = eventually("all that was typed is sent", || {
        let args = json!({"agentId": machine.agent}).to_string();
        let inputs = world.chatroom(["api", "agents.listInputs", &args]).ok().json();
        (inputs.as_array().unwrap().len() == 4).then_some(inputs)
    });
    let kinds: Vec<&Value> = inputs.as_array().unwrap().iter().map(|input| &input["input"]).collect();
    assert_eq!(kinds, ["answer", "answer", "say", "cancel"], "{inputs}");
    machine.tell([json!({"kind": "turn_ended", "reason": "cancelled"})]);
    terminal.prints("- the turn was cancelled");
    terminal.say("\x04");
    terminal.prints("- left; builder goes on");
    assert_eq!(terminal.done().code, 0);
}

#[test]
fn a_stream_tells_every_event_once_however_many_come_and_through_a_restart_of_the_server() {
    let world = World::new();
    let server = world.signed_in();
    let mut machine = Machine::new(&world, &server);
    machine.tell((0..40).map(|number| said(&format!("old {number}\n"))));
    let mut json = world.line(&format!("{} --json", machine.about("agent attach"))).start();
    json.prints("old 39");
    let mut plain = world.line(&format!("{} -f --lines=1", machine.about("agent logs"))).start();
    plain.prints("old 39\n");
    for round in 0..4 {
        machine.tell((0..230).map(|number| said(&format!("round {round} line {number}\n"))));
    }
    json.prints("round 3 line 229");
    let address = server.address();
    server.stop();
    plain.prints("- no connection to the server: ");
    let _server = world.server_at(&address);
    plain.prints("- connected again");
    machine.tell([said("the last word\n")]);
    json.prints("the last word");
    plain.prints("the last word");
    // The last 30 of the 40 first, then all.
    assert_eq!(numbers(&json.stdout()), (11..=machine.seq).collect::<Vec<_>>());
    let told = plain.stdout();
    assert_eq!(told.lines().filter(|line| !line.starts_with("- ")).count(), 1 + 4 * 230 + 1, "{told}");
}

#[test]
fn logs_are_as_long_as_was_asked_for_and_reach_over_pages() {
    let world = World::new();
    let server = world.signed_in();
    let mut machine = Machine::new(&world, &server);
    let nothing = world.line(&machine.about("agent logs")).ok();
    nothing.says("has said and done nothing yet");
    for _ in 0..3 {
        machine.tell((0..300).map(|number| said(&format!("line {number}\n"))));
    }
    let count = |lines: usize| {
        let events = world.line(&format!("{} --json --lines={lines}", machine.about("agent logs"))).ok().json();
        let numbers: Vec<i64> = events.as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect();
        assert_eq!(numbers.last().copied().unwrap_or(900), 900);
        assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "{numbers:?}");
        numbers.len()
    };
    assert_eq!([count(1), count(500), count(777), count(5_000)], [1, 500, 777, 900]);
    let by_id = world.line(&format!("agent logs {} --lines=1", &machine.agent[..20])).ok();
    assert_eq!(by_id.stdout, "line 299\n");
    world.line(&format!("{} --raw", machine.about("agent logs"))).refused().says("on this machine");
}

#[test]
fn a_room_is_watched_with_its_turns_requests_and_who_needs_its_owner() {
    let world = World::new();
    let server = world.signed_in();
    let mut machine = Machine::new(&world, &server);
    let mut watch = world.line(&format!("room watch --chatroom-id={}", machine.room)).start();
    let mut json = world.line(&format!("room watch --chatroom-id={} --json", machine.room)).start();
    watch.prints("agent of builder");
    machine.tell([started()]);
    watch.prints("- builder: idle\n");
    machine.tell([prompted("x"), asks("q", "cargo test --all")]);
    watch.prints("- builder asks for a permission: $ cargo test --all\n  chatroom permission answer ");
    let words = ["permission", "rule", "add", "--allow", "--command=cargo test"].map(str::to_owned);
    world.chatroom(words.into_iter().chain([format!("--chatroom-id={}", machine.room)])).ok();
    watch.prints("- request of builder allowed once by a rule: $ cargo test --all\n");
    machine.tell([json!({"kind": "needs_you", "taskId": "t", "delivery": 1})]);
    watch.prints(&format!(
        "- builder needs you: its turn is over and its task is still open\n  chatroom {}",
        machine.about("agent attach")
    ));
    json.prints("\"needs_you\"");
    for line in json.stdout().lines() {
        let happened: Value = serde_json::from_str(line).unwrap();
        assert!(happened["event"].is_string(), "{line}");
    }
    assert!(json.stdout().contains("\"event\":\"permission\"") && json.stdout().contains("\"event\":\"turn\""));
}

#[test]
fn what_is_sent_to_a_machine_that_is_away_stays_queued_and_why_says_so() {
    let world = World::new();
    let server = world.signed_in();
    let mut machine = Machine::new(&world, &server);
    machine.tell([started()]);
    let sent = world.chatroom(machine.about("agent send").split(' ').chain(["good morning"])).ok();
    assert!(sent.stdout.starts_with("queued for builder"), "{sent:?}");
    let waited = world.chatroom(machine.about("agent send").split(' ').chain(["--wait", "--timeout=200ms", "hi"]));
    waited.refused().says("it has not reached builder after 200 ms").says("it stays queued");
    let why = world.line(&machine.about("agent why")).refused();
    assert!(why.stdout.contains("lab") && why.stdout.contains("\nmachine  lab is "), "{why:?}");
    assert!(why.stdout.contains("\nturn     idle "), "{why:?}");
    let list = world.line(&format!("agent list --chatroom-id={}", machine.room)).ok().stdout;
    assert!(list.contains("  unknown (was idle) "), "{list}");
}
