//! The real OpenCode and the real Claude Code, against a scripted model that only obeys what our prompts and our CLI print.

use crate::obedient::{ASK, LOST, obey};
use crate::real_tools::world_with_all;
use crate::scripted_model::{Act, ScriptedModel, Turn};
use crate::world::{World, eventually};
use serde_json::json;
use std::fs;
use std::path::Path;

/// A world whose PATH has one real agent CLI, configured for the scripted model.
fn world_with(tool: &str, model: &ScriptedModel) -> World {
    world_with_all(&[tool], model)
}

/// The whole slice: started by `agent start`, in the right directory, waits, does the task's command, hands it back; then stops
/// and leaves nothing.
fn takes_a_task_and_hands_it_back(tool: &str) {
    let model = ScriptedModel::start(obey);
    let world = world_with(tool, &model);
    let up = world.up();
    let room = world.room("solo");
    let dir = world.root().join("a project");
    fs::create_dir(&dir).unwrap();
    world
        .chatroom([
            "agent",
            "start",
            &format!("--chatroom-id={room}"),
            "--role=builder",
            &format!("--tool={tool}"),
            &format!("--dir={}", dir.display()),
            "--permission-mode=full",
        ])
        .ok();
    let ask = format!("Two lines of text.\n{ASK}pwd > proof.txt; echo \"all $((20 + 22))\"");
    world.chatroom(["send", &format!("--chatroom-id={room}"), &ask]).ok();
    let answer = world.answer(&room);
    assert_eq!(answer, "done: all 42", "{:#?}", model.acts());
    let proof = fs::read_to_string(dir.join("proof.txt")).unwrap();
    assert_eq!(Path::new(proof.trim()), dir.canonicalize().unwrap());
    let commands: Vec<String> = model
        .acts()
        .into_iter()
        .filter_map(|act| if let Act::Run(command) = act { Some(command) } else { None })
        .collect();
    assert!(commands[0].contains(" wait-for-task "), "{commands:#?}");
    let tasks = world.line(&format!("task list --chatroom-id={room} --state=completed --json")).ok().json();
    assert_eq!(tasks.as_array().unwrap().len(), 1);

    // It waits again; a stop in the middle of the next shell command leaves no process of it.
    eventually("it waits again", || {
        let room = world.line(&format!("room show --chatroom-id={room} --json")).ok().json();
        room["participants"].as_array()?.iter().any(|waiter| waiter["waiting"] == true).then_some(())
    });
    assert!(model.acts().iter().all(|act| *act != Act::Say(LOST.to_owned())), "{:#?}", model.acts());
    world.chatroom(["send", &format!("--chatroom-id={room}"), &format!("{ASK}touch sleeping; sleep 300")]).ok();
    eventually("its shell command runs", || dir.join("sleeping").exists().then_some(()));
    world.line(&format!("agent stop --chatroom-id={room} --role=builder")).ok();
    assert_eq!(world.processes(), [up.process.pid()]);
}

#[test]
fn real_opencode_takes_a_task_and_hands_it_back() {
    takes_a_task_and_hands_it_back("opencode");
}

#[test]
fn real_claude_code_takes_a_task_and_hands_it_back() {
    takes_a_task_and_hands_it_back("claude");
}

/// With `accept-edits` an agent runs our own CLI without asking, and nothing else.
fn runs_our_cli_and_nothing_else(tool: &str) {
    let model = ScriptedModel::start(obey);
    let world = world_with(tool, &model);
    let _up = world.up();
    let room = world.room("solo");
    world
        .line(&format!("agent start --chatroom-id={room} --role=builder --tool={tool} --permission-mode=accept-edits"))
        .ok();
    world.chatroom(["send", &format!("--chatroom-id={room}"), &format!("{ASK}curl -V > proof.txt")]).ok();
    let answer = world.answer(&room);
    assert!(answer.starts_with("done: "), "{answer}");
    assert!(!world.work().join("proof.txt").exists(), "{answer}");
}

#[test]
fn real_opencode_with_accept_edits_runs_our_cli_and_nothing_else() {
    runs_our_cli_and_nothing_else("opencode");
}

#[test]
fn real_claude_code_with_accept_edits_runs_our_cli_and_nothing_else() {
    runs_our_cli_and_nothing_else("claude");
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
