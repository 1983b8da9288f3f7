//! A team of two real agents, OpenCode as the planner and Claude Code as the builder, against the obedient model: work goes
//! from the person to the planner, to the builder, back, and to the person.

use crate::obedient::{ASK, LOST, PASS, obey};
use crate::real_tools::world_with_all;
use crate::scripted_model::{Act, ScriptedModel, Turn};
use crate::world::{Process, World, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// What the person asks of the planner: to have the builder do it.
fn ask(world: &World, room: &str) {
    let text = format!("{PASS}builder: {ASK}pwd > proof.txt; echo \"all $((20 + 22))\"");
    world.chatroom(["send", &format!("--chatroom-id={room}"), &text]).ok();
}

/// The directory of each role.
fn directories(world: &World) -> [PathBuf; 2] {
    ["a plan", "a building"].map(|name| {
        let dir = world.root().join(name);
        fs::create_dir(&dir).unwrap();
        dir.canonicalize().unwrap()
    })
}

/// What everybody sees in the end.
fn went_through_the_team(world: &World, room: &str, model: &ScriptedModel, building: &Path) {
    assert_eq!(world.answer(room), "done: all 42", "{:#?}", model.acts());
    assert_eq!(Path::new(fs::read_to_string(building.join("proof.txt")).unwrap().trim()), building);
    let told: Vec<String> = world
        .messages(room)
        .iter()
        .map(|message| {
            let text = |name: &str| message[name].as_str().unwrap().to_owned();
            format!(
                "{} to {}: {}",
                text("senderRole"),
                text("targetRole"),
                message["receipt"]["stage"].as_str().unwrap()
            )
        })
        .collect();
    let expected =
        ["user to planner: done", "planner to builder: done", "builder to planner: done", "planner to user: queued"];
    assert_eq!(told, expected);
    assert!(model.acts().iter().all(|act| *act != Act::Say(LOST.to_owned())), "{:#?}", model.acts());
    // Both wait for more.
    eventually("both wait again", || {
        let room = world.line(&format!("room show --chatroom-id={room} --json")).ok().json();
        let waiting = room["participants"].as_array()?.iter().filter(|waiter| waiter["waiting"] == true).count();
        (waiting == 2 && room["tasks"] == json!([])).then_some(())
    });
    let done = world.line(&format!("task list --chatroom-id={room} --state=completed --json")).ok().json();
    let deliveries: Vec<&Value> = done.as_array().unwrap().iter().map(|task| &task["delivery"]).collect();
    assert_eq!(deliveries, [1, 1, 1], "each was handed out once");
}

#[test]
fn one_command_starts_a_duo_of_real_agents_and_work_goes_through_it() {
    let model = ScriptedModel::start(obey);
    let world = world_with_all(&["opencode", "claude"], &model);
    let up = world.up();
    let room = world.room("duo");
    let [plan, building] = directories(&world);
    let started = world
        .chatroom([
            "room",
            "start",
            &format!("--chatroom-id={room}"),
            "--tool=planner:opencode",
            &format!("--dir=planner:{}", plan.display()),
            "--tool=builder:claude",
            &format!("--dir=builder:{}", building.display()),
            "--permission-mode=full",
        ])
        .ok();
    assert_eq!(started.stdout.lines().filter(|line| line.contains(" runs on ")).count(), 2, "{started:?}");
    let agents = world.line(&format!("agent list --chatroom-id={room} --json")).ok().json();
    for agent in agents.as_array().unwrap() {
        let dir = if agent["role"] == "planner" { &plan } else { &building };
        let cwd = fs::read_link(format!("/proc/{}/cwd", agent["pid"])).unwrap();
        assert_eq!(&cwd, dir, "{agent}");
    }
    ask(&world, &room);
    went_through_the_team(&world, &room, &model, &building);
    world.line(&format!("room stop --chatroom-id={room}")).ok();
    assert_eq!(world.processes(), [up.process.pid()]);
}

/// A real agent that a person starts in a terminal, with the room's prompt.
fn by_hand(world: &World, room: &str, role: &str, dir: &Path, tool: &str, args: &[&str]) -> Process {
    let prompt =
        world.chatroom(["api", "messages.getInitPrompt", &json!({"chatroomId": room, "role": role}).to_string()]);
    let prompt = prompt.ok().json()["prompt"].as_str().unwrap().to_owned();
    world.command(tool, args).dir(dir).stdin(&prompt).start()
}

const CLAUDE: &[&str] = &["-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"];

#[test]
fn two_real_agents_that_nobody_started_remotely_work_as_a_team() {
    let model = ScriptedModel::start(obey);
    let world = world_with_all(&["opencode", "claude"], &model);
    let _server = world.signed_in();
    let room = world.room("duo");
    let [plan, building] = directories(&world);
    ask(&world, &room);
    let _planner = by_hand(&world, &room, "planner", &plan, "opencode", &["run", "--format", "json"]);
    let _builder = by_hand(&world, &room, "builder", &building, "claude", CLAUDE);
    went_through_the_team(&world, &room, &model, &building);
    // Tool and directory of each are remembered: one command could start them now.
    let configs =
        world.chatroom(["api", "machines.getAgentConfigs", &json!({"chatroomId": room}).to_string()]).ok().json();
    for config in configs.as_array().unwrap() {
        let (tool, dir) = if config["role"] == "planner" { ("opencode", &plan) } else { ("claude", &building) };
        assert_eq!((&config["tool"], config["workingDir"].as_str()), (&json!(tool), dir.to_str()), "{config}");
    }
}

/// Waits and hands back by the tools of our MCP server alone.
fn obey_over_mcp(turns: &[Turn]) -> Act {
    let call = |tool: &str, args: Value| Act::Call(format!("mcp__chatroom__{tool}"), args);
    let outputs: Vec<&str> = turns
        .iter()
        .filter_map(|turn| if let Turn::Output(text) = turn { Some(text.as_str()) } else { None })
        .collect();
    match outputs.last() {
        None => call("wait_for_task", json!({"timeout_seconds": 20})),
        Some(last) if last.contains("call wait_for_task") && !last.contains("# Task for") => {
            if last.starts_with("handed to") { Act::Say("Done.".to_owned()) } else { call("wait_for_task", json!({})) }
        }
        Some(brief) => {
            let field = |name: &str| brief.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let (Some(id), Some(delivery)) = (field("Task id: "), field("Delivery: ")) else {
                return Act::Say(format!("{LOST} {brief}"));
            };
            let delivery: i64 = delivery.parse().unwrap_or_default();
            let message = "over MCP";
            call("handoff", json!({"task_id": id, "delivery": delivery, "next_role": "user", "message": message}))
        }
    }
}

#[test]
fn real_claude_code_takes_a_task_and_hands_it_back_over_mcp() {
    let model = ScriptedModel::start(obey_over_mcp);
    let world = world_with_all(&["claude"], &model);
    let _server = world.signed_in();
    let room = world.room("solo");
    let servers = json!({"mcpServers": {"chatroom": {
        "command": "chatroom", "args": ["mcp", format!("--chatroom-id={room}"), "--role=builder"]}}});
    let file = world.root().join("mcp.json");
    fs::write(&file, servers.to_string()).unwrap();
    world.chatroom(["send", &format!("--chatroom-id={room}"), "say hello"]).ok();
    let config = format!("--mcp-config={}", file.display());
    let mut args = CLAUDE.to_vec();
    args.extend([config.as_str(), "--strict-mcp-config"]);
    let agent = world.command("claude", &args).stdin("Work over the chatroom server.").start();
    assert_eq!(world.answer(&room), "over MCP", "{:#?}", model.acts());
    let done = agent.done();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(model.acts().iter().all(|act| !matches!(act, Act::Run(_))), "{:#?}", model.acts());
}

/// Hands each task that is said to it back by a tool of our MCP server.
fn obey_over_mcp_in_a_session(prefix: &'static str) -> impl Fn(&[Turn]) -> Act + Send + Sync {
    move |turns| {
        if let Some(Turn::Output(last)) = turns.iter().rfind(|turn| matches!(turn, Turn::Output(_))) {
            return Act::Say(format!("The tool said: {last}"));
        }
        let task = turns.iter().find_map(|turn| match turn {
            Turn::User(text) if text.contains("# Task for `") => Some(text),
            _ => None,
        });
        let field = |name: &str| task?.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let (Some(id), Some(delivery)) = (field("Task id: "), field("Delivery: ")) else {
            return Act::Say(LOST.to_owned());
        };
        let delivery: i64 = delivery.parse().unwrap_or_default();
        let args = json!({"task_id": id, "delivery": delivery, "next_role": "user", "message": "over MCP"});
        Act::Call(format!("{prefix}handoff"), args)
    }
}

/// An agent that a daemon starts is given our MCP server, and needs no permission for it.
fn hands_back_over_mcp(tool: &str, prefix: &'static str) {
    let model = ScriptedModel::start(obey_over_mcp_in_a_session(prefix));
    let world = world_with_all(&[tool], &model);
    let up = world.up();
    let room = world.room("solo");
    world.line(&format!("agent start --chatroom-id={room} --role=builder --tool={tool}")).ok();
    world.chatroom(["send", &format!("--chatroom-id={room}"), "say hello"]).ok();
    assert_eq!(world.answer(&room), "over MCP", "{:#?}", model.acts());
    eventually("the turn is over", || {
        let acts = model.acts();
        let Some(Act::Say(said)) = acts.last() else { return None };
        assert!(said.contains("end your turn"), "{said}");
        Some(())
    });
    world.line(&format!("agent stop --chatroom-id={room} --role=builder")).ok();
    assert_eq!(world.processes(), [up.process.pid()]);
}

#[test]
fn real_claude_code_that_a_daemon_started_hands_back_over_mcp() {
    hands_back_over_mcp("claude", "mcp__chatroom__");
}

#[test]
fn real_opencode_that_a_daemon_started_hands_back_over_mcp() {
    hands_back_over_mcp("opencode", "chatroom_");
}
