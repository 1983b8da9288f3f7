//! Live agents from the command line, with the built-in `echo`: what it is told, asks, does and how it stands.

use crate::api::Api;
use crate::world::{Process, ServerProcess, World, binary, eventually, signal};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const BUILDER: &str = "--role=builder";

/// A room with a running `echo` as its builder.
fn with_echo(world: &World) -> String {
    let room = world.room("solo");
    world.line(&format!("agent start --chatroom-id={room} {BUILDER} --tool=echo")).ok();
    room
}

/// A server and a daemon, each a process of its own.
fn with_daemon(world: &World) -> ServerProcess {
    let server = world.signed_in();
    world.line("machine daemon start").ok();
    world.connected();
    server
}

/// A command about the builder of a room; `more` may hold blanks.
fn about<'a>(world: &'a World, verb: &str, room: &str, more: &[&str]) -> crate::world::Run<'a> {
    let begin = verb.split(' ').map(str::to_owned).chain([format!("--chatroom-id={room}"), BUILDER.to_owned()]);
    world.chatroom(begin.chain(more.iter().map(|word| (*word).to_owned())))
}

fn logs(world: &World, room: &str) -> String {
    about(world, "agent logs", room, &[]).ok().stdout
}

/// Waits until the builder's transcript tells this.
#[track_caller]
fn told(world: &World, room: &str, text: &str) -> String {
    eventually(&format!("`{text}` in the transcript"), || {
        let logs = logs(world, room);
        logs.contains(text).then_some(logs)
    })
}

/// Waits until the builder's turn stands so.
#[track_caller]
fn turn(world: &World, room: &str, state: &str) {
    eventually(&format!("a turn that is {state}"), || {
        let agents = world.line(&format!("agent list --chatroom-id={room} --json")).ok().json();
        (agents[0]["session"]["turn"]["state"] == state).then_some(())
    });
}

/// Waits for a request that waits, and gives it.
#[track_caller]
fn request(world: &World, room: &str) -> Value {
    eventually("a request for a permission", || {
        let list = world.line(&format!("permission list --chatroom-id={room} --json")).ok().json();
        list.as_array().unwrap().first().cloned()
    })
}

/// What keeps the builder from working, and the exit code that goes with it.
fn why(world: &World, room: &str) -> Option<String> {
    let done = about(world, "agent why", room, &["--json"]).done();
    let status = done.json();
    assert_eq!(status["facts"].as_array().unwrap().len(), 4, "{status}");
    let by = status["blocked"]["by"].as_str().map(str::to_owned);
    assert_eq!(done.code, i32::from(by.is_some()), "{done:?}");
    by
}

/// Waits until this is what keeps the builder from working.
#[track_caller]
fn blocked(world: &World, room: &str, by: &str) {
    eventually(&format!("blocked by {by}"), || (why(world, room).as_deref() == Some(by)).then_some(()));
}

/// `agent attach` at a terminal of its own.
fn attach(world: &World, room: &str) -> Process {
    let command = format!("exec {} agent attach --chatroom-id={room} {BUILDER}", binary().display());
    world.command("script", ["-qefc", &command, "/dev/null"]).env("NO_COLOR", "1").talking().start()
}

#[test]
fn a_start_returns_when_the_agent_can_be_spoken_to() {
    let world = World::new();
    let _up = world.up();
    let room = world.room("solo");
    let started = about(&world, "agent start", &room, &["--tool=echo", "--start-on-task=false"]).ok();
    assert!(started.stdout.contains("builder is ready"), "{started:?}");
    let agents = world.line(&format!("agent list --chatroom-id={room} --json")).ok().json();
    assert_eq!(agents[0]["session"]["turn"]["state"], "idle", "{agents}");
    assert_eq!(agents[0]["permissionMode"], "ask", "{agents}");
    let list = world.line(&format!("agent list --chatroom-id={room}")).ok().stdout;
    assert!(list.contains("idle for "), "{list}");
    let again = about(&world, "agent start", &room, &["--json"]).ok().json();
    assert_eq!((&again["result"]["kind"], &again["agent"]["role"]), (&"already_running".into(), &"builder".into()));
}

#[test]
fn what_is_sent_reaches_the_agent_and_its_answer_stands_in_the_logs() {
    let world = World::new();
    let _up = world.up();
    let room = with_echo(&world);
    let sent = about(&world, "agent send", &room, &["--wait", "good morning"]).ok();
    assert!(sent.stdout.starts_with("it reached builder"), "{sent:?}");
    about(&world, "agent send", &room, &["-"]).stdin("and from a pipe\n").ok();
    let logs = told(&world, &room, "from a pipe");
    assert!(logs.contains("> you:\n  good morning\n"), "{logs}");
    // Once as it was said, once in the answer.
    eventually("the answer", || (self::logs(&world, &room).matches("from a pipe").count() >= 2).then_some(()));
    let events = about(&world, "agent logs", &room, &["--json"]).ok().json();
    let numbers: Vec<i64> = events.as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=i64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    let last = about(&world, "agent logs", &room, &["--lines=2", "--json"]).ok().json();
    assert_eq!(last.as_array().unwrap().len(), 2, "{last}");
    about(&world, "agent logs", &room, &["--raw"]).ok().says("wrote nothing of its own");
    world.line("agent send --agent=none hello").refused().says("there is no agent none");
}

#[test]
fn what_a_task_asks_for_is_answered_by_another_process() {
    let world = World::new();
    let _up = world.up();
    let room = with_echo(&world);
    let mut watch = world.line(&format!("room watch --chatroom-id={room}")).start();
    world.chatroom(["send", &format!("--chatroom-id={room}"), "/ask touch asked.txt"]).ok();
    let asked = request(&world, &room);
    assert_eq!(asked["command"], "touch asked.txt", "{asked}");
    turn(&world, &room, "waiting_for_permission");
    assert_eq!(why(&world, &room).as_deref(), Some("permission"));
    let told_why = about(&world, "agent why", &room, &[]).refused();
    assert!(told_why.stdout.contains("chatroom permission answer"), "{told_why:?}");
    let id = asked["permissionId"].as_str().unwrap();
    watch.prints(&format!("  chatroom permission answer {id} allow"));
    let listed = world.line("permission list").ok().stdout;
    assert!(listed.contains("$ touch asked.txt") && listed.contains(id), "{listed}");

    let answered = world.line(&format!("permission answer {id} allow")).ok();
    assert!(answered.stdout.contains("allowed once by you"), "{answered:?}");
    assert!(world.answer(&room).contains("touch asked.txt"));
    told(&world, &room, "request 1: allowed once by you");
    watch.prints("- request of builder allowed once by you");
    let again = world.line(&format!("permission answer {id} deny")).refused();
    assert!(!again.stderr.is_empty(), "the first answer counts: {again:?}");
    assert!(world.line("permission list").ok().stdout.contains("nothing is asked"));
    let all = world.line("permission list --all --json").ok().json();
    assert_eq!((&all[0]["state"], &all[0]["by"]), (&"answered".into(), &"person".into()), "{all}");
}

#[test]
fn a_rule_answers_what_it_is_about_and_nothing_else() {
    let world = World::new();
    let _up = world.up();
    let room = with_echo(&world);
    let rule = |more: &[&str]| {
        let begin = ["permission", "rule", "add", "--json"].map(str::to_owned).into_iter();
        let words = begin.chain([format!("--chatroom-id={room}")]).chain(more.iter().map(|word| (*word).to_owned()));
        world.chatroom(words).done()
    };
    let added = rule(&["--allow", "--command=cargo test", "--for=2h", BUILDER]);
    assert_eq!(added.code, 0, "{added:?}");
    assert_ne!(rule(&["--allow", "--command=cargo test; rm -rf x"]).code, 0);
    about(&world, "agent send", &room, &["/ask cargo test --workspace"]).ok();
    told(&world, &room, "request 1: allowed once by a rule");
    about(&world, "agent send", &room, &["/ask cargo testify"]).ok();
    let asked = request(&world, &room);
    assert_eq!(asked["command"], "cargo testify");
    // A rule that comes later answers what waits.
    assert_eq!(rule(&["--deny", "--kind=execute"]).code, 0);
    told(&world, &room, "request 2: denied by a rule");

    let list = world.line(&format!("permission rule list --chatroom-id={room}")).ok().stdout;
    assert!(list.contains("allow `cargo test` for builder, for ") && list.contains("deny every execute"), "{list}");
    let id = added.json()["ruleId"].as_str().unwrap().to_owned();
    world.line(&format!("permission rule remove {id}")).ok();
    let list = world.line(&format!("permission rule list --chatroom-id={room}")).ok().stdout;
    assert!(!list.contains("cargo test"), "{list}");
    world.line(&format!("permission rule remove {id}")).refused().says("there is no rule");
}

#[test]
fn a_terminal_that_is_attached_shows_speaks_answers_cancels_and_leaves() {
    let world = World::new();
    let _up = world.up();
    let room = with_echo(&world);
    about(&world, "agent send", &room, &["--wait", "said before"]).ok();
    told(&world, &room, "said before");
    let mut terminal = attach(&world, &room);
    terminal.prints("/help tells more");
    terminal.prints("> you:\n  said before");
    terminal.say("//think it over");
    terminal.prints("~ ");
    terminal.say("//ask make it");
    terminal.prints("? request 1: ");
    terminal.prints("$ make it");
    terminal.say("/deny 7");
    terminal.prints("! there is no request 7");
    terminal.say("/allow");
    terminal.prints("request 1: allowed once by you");
    terminal.say("/why");
    terminal.prints("nothing keeps builder from working");
    terminal.say("//slow 60");
    turn(&world, &room, "working");
    terminal.prints("> you:\n  /slow 60");
    terminal.say("\x03");
    terminal.prints("- cancelling the turn");
    terminal.prints("- the turn was cancelled");
    turn(&world, &room, "idle");
    terminal.say("\x04");
    terminal.prints("- left; builder goes on");
    assert_eq!(terminal.done().code, 0);
    let agents = world.line(&format!("agent list --chatroom-id={room} --json")).ok().json();
    assert_eq!(agents[0]["state"], "running", "{agents}");

    // While no turn runs, Ctrl-C leaves at once.
    let mut terminal = attach(&world, &room);
    terminal.prints("the turn was cancelled");
    terminal.say("\x03");
    terminal.prints("- left; builder goes on");
    assert_eq!(terminal.done().code, 0);
}

#[test]
fn without_a_terminal_attach_streams_until_the_agent_has_ended() {
    let world = World::new();
    let _up = world.up();
    let room = with_echo(&world);
    let mut plain = about(&world, "agent attach", &room, &[]).start();
    let mut json = about(&world, "agent attach", &room, &["--json"]).start();
    about(&world, "agent send", &room, &["hello there"]).ok();
    plain.prints("> you:\n  hello there\n");
    json.prints("hello there");
    about(&world, "agent stop", &room, &[]).ok();
    let done = plain.done();
    assert!(done.code == 0 && done.stdout.ends_with("builder has ended: stopped\n"), "{done:?}");
    let done = json.done();
    assert_eq!(done.code, 0, "{done:?}");
    for line in done.stdout.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["seq"].as_i64().is_some() && event["kind"].is_string(), "{line}");
    }
    done.says("builder has ended: stopped");
    about(&world, "agent send", &room, &["too late"]).refused();
}

#[test]
fn a_turn_is_cancelled_from_another_process_and_the_agent_stays() {
    let world = World::new();
    let _up = world.up();
    let room = with_echo(&world);
    about(&world, "agent send", &room, &["--wait", "/slow 60"]).ok();
    turn(&world, &room, "working");
    let cancelled = about(&world, "agent cancel", &room, &[]).ok();
    assert!(cancelled.stdout.contains("the turn is cancelled"), "{cancelled:?}");
    told(&world, &room, "- the turn was cancelled");
    turn(&world, &room, "idle");
    about(&world, "agent send", &room, &["--wait", "still there?"]).ok();
    told(&world, &room, "still there?");
}

#[test]
fn what_an_agent_did_while_no_daemon_ran_is_told_by_the_next_one() {
    let world = World::new();
    let _server = with_daemon(&world);
    let room = with_echo(&world);
    about(&world, "agent send", &room, &["--wait", "/slow 60"]).ok();
    turn(&world, &room, "working");
    let agent = world.line(&format!("agent list --chatroom-id={room} --json")).ok().json()[0].clone();
    let run = world.chatroom_dir().join("agents").join(agent["agentId"].as_str().unwrap());
    world.line("machine daemon stop --keep-agents").ok();
    signal(agent["pid"].as_u64().unwrap().try_into().unwrap(), "KILL");
    eventually("the end of the agent", || run.join("exit.json").exists().then_some(()));
    world.line("machine daemon start").ok();
    world.connected();
    let of_agent = serde_json::json!({"agentId": agent["agentId"]}).to_string();
    eventually("the end of its turn in its transcript", || {
        let page = world.chatroom(["api", "agents.transcript", &of_agent]).ok().json();
        (page["events"].as_array().unwrap().last().unwrap()["kind"] == "turn_ended").then_some(())
    });
}

#[test]
fn why_names_the_one_fact_in_each_state() {
    let world = World::new();
    let _server = with_daemon(&world);
    let room = world.room("solo");
    assert_eq!(why(&world, &room).as_deref(), Some("not_configured"));
    about(&world, "agent start", &room, &["--tool=echo"]).ok();
    assert_eq!(why(&world, &room), None);
    let fine = about(&world, "agent why", &room, &[]).ok().stdout;
    assert!(
        fine.starts_with("nothing keeps builder from working\n") && fine.contains("the transcript of its session"),
        "{fine}"
    );
    about(&world, "agent send", &room, &["/ask something"]).ok();
    blocked(&world, &room, "permission");
    let id = request(&world, &room)["permissionId"].as_str().unwrap().to_owned();
    world.line(&format!("permission answer {id} deny")).ok();
    turn(&world, &room, "idle");
    assert_eq!(why(&world, &room), None);

    // A task that is left open: one reminder, then its owner is needed.
    world.chatroom(["send", &format!("--chatroom-id={room}"), "/keep"]).ok();
    blocked(&world, &room, "needs_you");
    told(&world, &room, "> a reminder of task ");
    told(&world, &room, "! it needs you");
    // Somebody else ends it: nobody is needed any more, and the next task comes.
    let task = world.line(&format!("task list --chatroom-id={room} --json")).ok().json()[0]["taskId"].clone();
    world.line(&format!("task cancel {}", task.as_str().unwrap())).ok();
    turn(&world, &room, "idle");
    assert_eq!(why(&world, &room), None);
    world.chatroom(["send", &format!("--chatroom-id={room}"), "the next one"]).ok();
    told(&world, &room, "the next one");
    // Queued again by its owner, it is a new delivery for the same session.
    turn(&world, &room, "idle");
    world.chatroom(["send", &format!("--chatroom-id={room}"), "/keep"]).ok();
    blocked(&world, &room, "needs_you");
    let list = world.line(&format!("task list --chatroom-id={room} --json")).ok().json();
    let kept = |known: &&Value| known["content"] == "/keep" && known["state"] != "cancelled";
    let task = list.as_array().unwrap().iter().find(kept).unwrap()["taskId"].as_str().unwrap().to_owned();
    world.line(&format!("task requeue {task}")).ok();
    eventually("the task is delivered again", || {
        let list = world.line(&format!("task list --chatroom-id={room} --json")).ok().json();
        let task = list.as_array()?.iter().find(|known| known["taskId"] == task.as_str())?.clone();
        (task["delivery"].as_i64()? >= 2).then_some(())
    });
    world.line(&format!("task cancel {task}")).ok();
    world.chatroom(["send", &format!("--chatroom-id={room}"), "the one after"]).ok();
    told(&world, &room, "the one after");
    turn(&world, &room, "idle");

    about(&world, "agent stop", &room, &[]).ok();
    assert_eq!(why(&world, &room).as_deref(), Some("not_started"));
    let stopped = about(&world, "agent why", &room, &[]).refused();
    assert!(stopped.stdout.contains("to mend it: ") && stopped.stdout.contains("agent start"), "{stopped:?}");

    about(&world, "agent start", &room, &[]).ok();
    world.line("machine daemon stop --keep-agents").ok();
    blocked(&world, &room, "machine");
}

#[test]
fn an_attached_terminal_outlasts_a_restart_of_the_server() {
    let world = World::new();
    let server = with_daemon(&world);
    let room = with_echo(&world);
    let mut plain = about(&world, "agent attach", &room, &[]).start();
    about(&world, "agent send", &room, &["before"]).ok();
    plain.prints("> you:\n  before\n");
    let address = server.address();
    server.stop();
    plain.prints("- no connection to the server: ");
    let _server = world.server_at(&address);
    plain.prints("- connected again");
    world.connected();
    about(&world, "agent send", &room, &["--wait", "after"]).ok();
    plain.prints("> you:\n  after\n");
    assert_eq!(plain.stdout().matches("> you:\n  before\n").count(), 1, "{}", plain.stdout());
}

#[test]
fn an_attached_terminal_outlasts_the_daemon_and_no_event_is_lost_or_doubled() {
    let world = World::new();
    let _server = with_daemon(&world);
    let room = with_echo(&world);
    let mut json = about(&world, "agent attach", &room, &["--json", "--history=500"]).start();
    about(&world, "agent send", &room, &["--wait", "/slow 3"]).ok();
    turn(&world, &room, "working");
    let pid: u32 = std::fs::read_to_string(world.chatroom_dir().join("daemon.pid")).unwrap().trim().parse().unwrap();
    signal(pid, "KILL");
    world.line("machine daemon start").ok();
    world.connected();
    about(&world, "agent send", &room, &["--wait", "the last word"]).ok();
    json.prints("the last word");
    let numbers: Vec<i64> = json
        .stdout()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=i64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
}

#[test]
fn a_room_is_started_when_every_role_is_ready() {
    let world = World::new();
    let _up = world.up();
    let room = world.room("duo");
    let started = world.line(&format!("room start --chatroom-id={room} --tool=echo")).ok();
    assert!(started.stdout.contains("planner is ready") && started.stdout.contains("builder is ready"), "{started:?}");
    let agents = world.line(&format!("agent list --chatroom-id={room} --json")).ok().json();
    for agent in agents.as_array().unwrap() {
        assert_eq!(agent["session"]["turn"]["state"], "idle", "{agent}");
    }
}

#[test]
fn models_of_a_tool_that_is_not_there_are_refused_with_what_to_do() {
    let world = World::new();
    let _up = world.up();
    let refused = world.line("machine models opencode").refused();
    assert!(refused.stderr.contains("Hint: "), "{refused:?}");
}

#[test]
fn an_agent_whose_start_outlived_its_daemon_takes_a_task_at_once() {
    let world = World::new();
    let server = with_daemon(&world);
    let api = Api::of(&world, &server.url);
    world.line("machine daemon stop").ok();
    let machine = api.ok("machines.listMachines", &json!({}))[0]["machineId"].clone();
    let room = world.room("solo");
    let work = world.work();
    let config = json!({"machineId": machine, "chatroomId": room, "role": "builder", "tool": "echo",
                        "workingDir": work.to_str().unwrap()});
    api.ok("machines.updateAgentConfig", &config);
    let start = json!({"machineId": machine, "type": "start-agent",
                       "payload": {"chatroomId": room, "role": "builder"}});
    api.ok("machines.sendCommand", &start);
    // The command is claimed again by the next daemon, and gives the agent that runs another credential.
    let died =
        world.line("machine daemon start --foreground").env("CHATROOM_FAILPOINT", "after_started").start().done();
    assert_eq!(died.code, 128 + 9, "{died:?}");
    world.line("machine daemon start").ok();
    world.connected();
    turn(&world, &room, "idle");
    let begun = Instant::now();
    world.chatroom(["send", &format!("--chatroom-id={room}"), "the first one"]).ok();
    told(&world, &room, "the first one");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
