//! The real OpenCode and the real Claude Code, against a scripted model that only obeys what our prompts and our CLI print.

use crate::api::Api;
use crate::obedient::{ASK, LOST, RECALL, obey};
use crate::real_tools::world_with_all;
use crate::scripted_model::{Act, ScriptedModel, Turn};
use crate::world::{World, eventually, signal};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A world whose PATH has one real agent CLI, configured for the scripted model.
fn world_with(tool: &str, model: &ScriptedModel) -> World {
    world_with_all(&[tool], model)
}

/// A room of one role whose agent is a real tool, started in a directory of its own.
struct Slot<'a> {
    world: &'a World,
    api: Api,
    room: String,
    dir: PathBuf,
}

impl<'a> Slot<'a> {
    fn start(world: &'a World, url: &str, tool: &str, mode: &str) -> Self {
        let dir = world.root().join("a project");
        fs::create_dir(&dir).unwrap();
        let slot = Self { world, api: Api::of(world, url), room: world.room("solo"), dir };
        slot.start_again(&[&format!("--tool={tool}"), &format!("--permission-mode={mode}")]);
        slot
    }

    fn start_again(&self, more: &[&str]) {
        let mut args = vec!["agent".to_owned(), "start".to_owned(), format!("--chatroom-id={}", self.room)];
        args.extend(["--role=builder".to_owned(), format!("--dir={}", self.dir.display())]);
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        self.world.chatroom(args).ok();
    }

    fn send(&self, text: &str) {
        self.world.chatroom(["send", &format!("--chatroom-id={}", self.room), text]).ok();
    }

    fn agent(&self) -> Value {
        self.api.ok("agents.list", &json!({"chatroomId": self.room}))[0].clone()
    }

    /// Waits until the agent's turn stands so.
    #[track_caller]
    fn turn_is(&self, state: &str) {
        eventually(&format!("the turn is {state}"), || {
            (self.agent()["session"]["turn"]["state"] == state).then_some(())
        });
    }

    /// The whole transcript of an agent: numbered from 1 without a gap.
    fn transcript(&self, agent: &Value) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let page = self
                .api
                .ok("agents.transcript", &json!({"agentId": agent["agentId"], "after": events.len(), "limit": 500}));
            let page = page["events"].as_array().unwrap().clone();
            if page.is_empty() {
                break;
            }
            events.extend(page);
        }
        for (event, number) in events.iter().zip(1..) {
            assert_eq!(integer(&event["seq"]), number, "{events:#?}");
        }
        events
    }

    /// Waits for the permission request that is open and gives it.
    #[track_caller]
    fn asked(&self) -> Value {
        eventually("a permission is asked for", || {
            let open = self.api.ok("permissions.list", &json!({"chatroomId": self.room}));
            let open = open.as_array()?;
            assert!(open.len() <= 1, "{open:#?}");
            open.first().cloned()
        })
    }

    /// Answers a permission request from another process.
    fn answer(&self, permission: &Value, answer: &str) {
        self.world.chatroom(["permission", "answer", permission["permissionId"].as_str().unwrap(), answer]).ok();
    }
}

/// The messages of a room to its person.
fn answers(world: &World, room: &str) -> Vec<String> {
    let messages = world.messages(room);
    let to_user = messages.iter().filter(|message| message["targetRole"] == "user");
    to_user.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

fn count<'a>(events: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["kind"] == kind)
}

/// A whole life: started, given a task, asked for a permission and answered from another process, its output seen; a second
/// task in the same session; cancelled in the middle of a turn; stopped; started again with the memory of the first task.
fn lives_a_whole_life(tool: &str) {
    let model = ScriptedModel::start(obey);
    let world = world_with(tool, &model);
    let up = world.up();
    let slot = Slot::start(&world, &up.url, tool, "ask");

    let first = format!("Two lines of text.\n{ASK}pwd > proof.txt; echo \"all $((20 + 22))\"");
    slot.send(&first);
    let permission = slot.asked();
    assert!(permission["command"].as_str().unwrap().contains("proof.txt"), "{permission}");
    assert_eq!(permission["toolKind"], "execute");
    assert_eq!(slot.agent()["session"]["turn"]["state"], "waiting_for_permission");
    assert!(!slot.dir.join("proof.txt").exists());
    slot.answer(&permission, "allow");
    assert_eq!(world.answer(&slot.room), "done: all 42", "{:#?}", model.acts());
    let proof = fs::read_to_string(slot.dir.join("proof.txt")).unwrap();
    assert_eq!(Path::new(proof.trim()), slot.dir.canonicalize().unwrap());
    slot.turn_is("idle");

    slot.send(&format!("{ASK}echo second > second.txt"));
    slot.answer(&slot.asked(), "allow");
    eventually("the second answer", || (answers(&world, &slot.room).len() == 2).then_some(()));
    slot.turn_is("idle");
    let agent = slot.agent();
    let events = slot.transcript(&agent);
    assert_eq!(count(&events, "prompt").count(), 2, "{events:#?}");
    assert!(
        events.iter().any(|event| event["output"].as_str().is_some_and(|text| text.contains("all 42"))),
        "{events:#?}"
    );
    let session = agent["session"]["sessionId"].clone();
    assert!(session.is_string(), "{agent}");
    assert!(model.acts().iter().all(|act| *act != Act::Say(LOST.to_owned())), "{:#?}", model.acts());

    // A refusal is told to the agent, which says so.
    slot.send(&format!("{ASK}touch never"));
    slot.answer(&slot.asked(), "deny");
    eventually("the third answer", || (answers(&world, &slot.room).len() == 3).then_some(()));
    assert!(!slot.dir.join("never").exists());

    slot.turn_is("idle");
    slot.send(&format!("{ASK}touch sleeping; sleep 300"));
    slot.answer(&slot.asked(), "allow");
    eventually("its shell command runs", || slot.dir.join("sleeping").exists().then_some(()));
    world.line(&format!("agent cancel --chatroom-id={} --role=builder", slot.room)).ok();
    // The task is still open: the agent is reminded, and hands it back.
    eventually("the reminder is obeyed", || (answers(&world, &slot.room).last()? == "I was reminded.").then_some(()));
    slot.turn_is("idle");
    let events = slot.transcript(&agent);
    assert!(count(&events, "turn_ended").any(|event| event["reason"] == "cancelled"), "{events:#?}");
    assert!(!runs(&world, "sleep 300"), "the command of the cancelled turn runs on");

    // A stop in the middle of a shell command leaves no process of it.
    slot.send(&format!("{ASK}touch again; sleep 300"));
    slot.answer(&slot.asked(), "allow");
    eventually("its shell command runs", || slot.dir.join("again").exists().then_some(()));
    world.line(&format!("agent stop --chatroom-id={} --role=builder", slot.room)).ok();
    assert_eq!(world.processes(), [up.process.pid()]);
    let tasks = world.line(&format!("task list --chatroom-id={} --json", slot.room)).ok().json();
    world.line(&format!("task cancel {}", tasks[0]["taskId"].as_str().unwrap())).ok();

    slot.start_again(&[]);
    assert_eq!(slot.agent()["session"]["sessionId"], session);
    world.chatroom(["agent", "send", &format!("--chatroom-id={}", slot.room), "--role=builder", RECALL]).ok();
    eventually("the agent remembers the first task", || {
        let events = slot.transcript(&slot.agent());
        assert!(count(&events, "session_started").all(|event| event["resumed"] == true), "{events:#?}");
        let said: String = count(&events, "text").filter_map(|event| event["text"].as_str()).collect();
        said.contains("The first task was: Two lines of text.").then_some(())
    });
}

/// Whether a process of this world runs a command.
fn runs(world: &World, command: &str) -> bool {
    world.processes().into_iter().any(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").trim() == command
    })
}

#[test]
fn real_opencode_lives_a_whole_life() {
    lives_a_whole_life("opencode");
}

#[test]
fn real_claude_code_lives_a_whole_life() {
    lives_a_whole_life("claude");
}

/// With `full` nothing is asked for.
fn asks_for_nothing(tool: &str) {
    let model = ScriptedModel::start(obey);
    let world = world_with(tool, &model);
    let up = world.up();
    let slot = Slot::start(&world, &up.url, tool, "full");
    // Nothing in `$(...)`: Gemini CLI refuses that by itself.
    slot.send(&format!("{ASK}pwd > proof.txt; printf 'all '; expr 20 + 22"));
    assert_eq!(world.answer(&slot.room), "done: all 42", "{:#?}", model.acts());
    let asked = slot.api.ok("permissions.list", &json!({"chatroomId": slot.room, "includeEnded": true}));
    // What the tool asks all the same is answered by the mode.
    let asked = asked.as_array().unwrap();
    assert!(asked.iter().all(|request| request["by"] == "mode" && request["choice"] == "allow_once"), "{asked:#?}");
}

#[test]
fn real_opencode_with_full_permissions_asks_for_nothing() {
    asks_for_nothing("opencode");
}

#[test]
fn real_claude_code_with_full_permissions_asks_for_nothing() {
    asks_for_nothing("claude");
}

/// The daemon, then the server, is killed in the middle of a turn: the agent works on, and its transcript has no gap and no
/// event twice.
fn works_on_without_daemon_and_server(tool: &str) {
    let model = ScriptedModel::start(obey);
    let world = world_with(tool, &model);
    let server = world.signed_in();
    world.line("machine daemon start").ok();
    world.connected();
    let slot = Slot::start(&world, &server.url, tool, "full");
    let mut servers = Vec::new();
    for (victim, file) in [("daemon", "one"), ("server", "two")] {
        slot.send(&format!("{ASK}touch {file}.begun; until [ -e {file}.go ]; do sleep 0.1; done; echo {file}"));
        eventually("its shell command runs", || slot.dir.join(format!("{file}.begun")).exists().then_some(()));
        let again = match victim {
            "daemon" => {
                let pid = fs::read_to_string(world.chatroom_dir().join("daemon.pid")).unwrap().trim().parse().unwrap();
                signal(pid, "KILL");
                eventually("the daemon is gone", || {
                    (world.line("machine daemon status").done().code == 1).then_some(())
                });
                None
            }
            _ => {
                server.process.signal("KILL");
                Some(server.address())
            }
        };
        fs::write(slot.dir.join(format!("{file}.go")), "").unwrap();
        match &again {
            None => drop(world.line("machine daemon start").ok()),
            Some(address) => servers.push(world.server_at(address)),
        }
        let number = if victim == "daemon" { 1 } else { 2 };
        eventually("the answer comes all the same", || {
            let answers = slot.api.call("messages.list", &json!({"chatroomId": slot.room})).ok()?;
            let to_user = answers.as_array()?.iter().filter(|message| message["targetRole"] == "user");
            (to_user.count() == number).then_some(())
        });
    }
    slot.turn_is("idle");
    let events = slot.transcript(&slot.agent());
    assert_eq!(count(&events, "prompt").count(), 2, "{events:#?}");
    assert_eq!(count(&events, "turn_ended").count(), 2, "{events:#?}");
    let tasks = slot.api.ok("tasks.list", &json!({"chatroomId": slot.room, "state": "completed"}));
    let deliveries: Vec<i64> = tasks.as_array().unwrap().iter().map(|task| integer(&task["delivery"])).collect();
    assert_eq!(deliveries, [1, 1]);
}

#[test]
fn real_opencode_works_on_when_daemon_and_server_are_killed() {
    works_on_without_daemon_and_server("opencode");
}

#[test]
fn real_claude_code_works_on_when_daemon_and_server_are_killed() {
    works_on_without_daemon_and_server("claude");
}

fn integer(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_f64().map(|float| float as i64)).unwrap()
}

/// With `accept-edits` an agent uses chatroom without asking, and asks for other commands.
fn uses_chatroom_and_asks_for_the_rest(tool: &str) {
    let model = ScriptedModel::start(obey);
    let world = world_with(tool, &model);
    let up = world.up();
    let slot = Slot::start(&world, &up.url, tool, "accept-edits");
    slot.send(&format!("{ASK}curl -V > proof.txt"));
    slot.answer(&slot.asked(), "deny");
    let answer = world.answer(&slot.room);
    // OpenCode ends its turn at a refusal, and is reminded then.
    let expected = if tool == "opencode" { "I was reminded." } else { "done: " };
    assert!(answer.starts_with(expected), "{answer}");
    assert!(!slot.dir.join("proof.txt").exists(), "{answer}");
}

#[test]
fn real_opencode_with_accept_edits_uses_chatroom_and_asks_for_the_rest() {
    uses_chatroom_and_asks_for_the_rest("opencode");
}

#[test]
fn real_claude_code_with_accept_edits_uses_chatroom_and_asks_for_the_rest() {
    uses_chatroom_and_asks_for_the_rest("claude");
}

#[test]
#[ignore = "needs the agent CLIs of `make nightly`"]
fn real_codex_with_full_asks_for_nothing() {
    asks_for_nothing("codex");
}

#[test]
#[ignore = "needs the agent CLIs of `make nightly`"]
fn real_gemini_with_full_asks_for_nothing() {
    asks_for_nothing("gemini");
}

#[test]
#[ignore = "needs the agent CLIs of `make nightly`"]
fn real_gemini_with_accept_edits_uses_chatroom_and_asks_for_the_rest() {
    uses_chatroom_and_asks_for_the_rest("gemini");
}

/// Started by a person in a terminal, with the prompt by hand: tool and directory are remembered.
fn joins_by_hand(tool: &str, args: &[&str]) {
    let model = ScriptedModel::start(obey);
    let world = world_with(tool, &model);
    let _server = world.signed_in();
    let room = world.room("solo");
    world.chatroom(["send", &format!("--chatroom-id={room}"), &format!("{ASK}echo here > proof.txt")]).ok();
    let prompt =
        world.chatroom(["api", "messages.getInitPrompt", &json!({"chatroomId": room, "role": "builder"}).to_string()]);
    let prompt = prompt.ok().json()["prompt"].as_str().unwrap().to_owned();
    let agent = world.command(tool, args).stdin(&prompt).start();
    assert_eq!(world.answer(&room), format!("done: {}", silence(tool)), "{:#?}", model.acts());
    assert!(world.work().join("proof.txt").exists());
    let configs =
        world.chatroom(["api", "machines.getAgentConfigs", &json!({"chatroomId": room}).to_string()]).ok().json();
    assert_eq!(configs[0]["tool"], tool, "{configs}");
    assert_eq!(configs[0]["workingDir"].as_str(), world.work().canonicalize().unwrap().to_str());
    drop(agent);
}

/// What a tool tells its model of a command that printed nothing.
fn silence(tool: &str) -> &'static str {
    if tool == "claude" { "(Bash completed with no output)" } else { "(no output)" }
}

#[test]
fn real_opencode_started_by_hand_is_recognised_and_remembered() {
    joins_by_hand("opencode", &["run", "--format", "json"]);
}

#[test]
fn real_claude_code_started_by_hand_is_recognised_and_remembered() {
    joins_by_hand("claude", &["-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"]);
}

/// Each line that an agent needs: without it, the obedient model is lost.
#[test]
fn a_prompt_or_brief_without_one_of_its_lines_leaves_the_model_lost() {
    let world = World::new();
    let _up = world.up();
    let room = world.room("solo");
    let args = json!({"chatroomId": room, "role": "builder"});
    let prompt = world.chatroom(["api", "messages.getInitPrompt", &args.to_string()]).ok().json();
    let prompt = prompt["prompt"].as_str().unwrap();
    let told = |prompt: &str| obey(&[Turn::User(prompt.to_owned())]);
    assert!(matches!(told(prompt), Act::Run(command) if command.contains(" wait-for-task ")));
    for needed in ["# You are `builder`", "To wait for a task, run:", "```sh"] {
        assert_eq!(told(&without(prompt, needed)), Act::Say(LOST.to_owned()), "without {needed:?}");
    }

    world.chatroom(["send", &format!("--chatroom-id={room}"), &format!("{ASK}pwd")]).ok();
    let brief = world.line(&format!("wait-for-task --chatroom-id={room} --role=builder")).ok().stdout;
    let said = |brief: &str, outputs: &[&str]| {
        let mut turns = vec![Turn::User(prompt.to_owned()), Turn::Model(None), Turn::Output(brief.to_owned())];
        turns.extend(outputs.iter().flat_map(|output| [Turn::Model(None), Turn::Output((*output).to_owned())]));
        obey(&turns)
    };
    for (outputs, command, lines) in [
        (&[][..], " task-started ", &["# Task for `builder`", "To say that you began, run:"][..]),
        (&["begun"], "pwd", &["The text of the task", "| Please run:"]),
        (&["begun", "/work"], " handoff ", &["From: `user`", "To hand your work to `user`, run:"]),
    ] {
        assert!(matches!(said(&brief, outputs), Act::Run(found) if found.contains(command)), "{command}");
        for needed in lines {
            assert_eq!(said(&without(&brief, needed), outputs), Act::Say(LOST.to_owned()), "without {needed:?}");
        }
    }
}

/// A text without its first line that begins so.
#[track_caller]
fn without(text: &str, beginning: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(beginning)).unwrap();
    text.replacen(&format!("{line}\n"), "", 1)
}
