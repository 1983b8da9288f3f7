//! Lists of models, asked of a machine, and the tools that its owner describes.

use crate::directed::follow;
use crate::real_tools::world_with_all;
use crate::scripted_model::ScriptedModel;
use crate::world::{World, eventually};
use serde_json::{Value, json};
use std::fs;

/// Asks this machine for the models of a tool and gives the ended command.
#[track_caller]
fn list_models(world: &World, tool: &str) -> Value {
    let machine = world.line("machine list --json").ok().json()[0]["machineId"].clone();
    let args = json!({"machineId": machine, "type": "list-models", "payload": {"tool": tool}});
    let sent = world.chatroom(["api", "machines.sendCommand", &args.to_string()]).ok().json();
    let args = json!({"commandId": sent["commandId"]}).to_string();
    eventually("the list of models", || {
        let command = world.chatroom(["api", "machines.getCommand", &args]).ok().json();
        (command["status"] == "completed" || command["status"] == "failed").then_some(command)
    })
}

fn ids(command: &Value) -> Vec<&str> {
    let models = command["result"]["models"].as_array().unwrap_or_else(|| panic!("{command}"));
    models.iter().map(|model| model["id"].as_str().unwrap()).collect()
}

#[test]
fn real_opencode_and_claude_code_tell_their_models() {
    let model = ScriptedModel::start(follow);
    let world = world_with_all(&["opencode", "claude"], &model);
    let up = world.up();
    let opencode = list_models(&world, "opencode");
    let mut found = ids(&opencode);
    found.sort_unstable();
    assert_eq!(found, ["scripted/model", "scripted/other"]);
    assert_eq!(
        (&opencode["result"]["default"], &opencode["result"]["isComplete"]),
        (&json!("scripted/model"), &json!(true))
    );
    let claude = list_models(&world, "claude");
    assert!(ids(&claude).contains(&"opus") || ids(&claude).contains(&"sonnet"), "{claude}");
    assert_eq!(claude["result"]["isComplete"], false);
    // Nothing was said to a model, and nothing is left.
    assert_eq!(model.acts(), []);
    assert_eq!(world.processes(), [up.process.pid()]);
    let left = fs::read_dir(world.chatroom_dir()).unwrap().flatten();
    assert!(left.into_iter().all(|entry| !entry.file_name().to_string_lossy().starts_with("models-")));
    let echo = list_models(&world, "echo");
    assert_eq!(echo["failure"]["code"], "unsupported", "{echo}");
}

#[test]
#[ignore = "needs the agent CLIs of `make nightly`"]
fn real_codex_and_gemini_tell_their_models() {
    let model = ScriptedModel::start(follow);
    let world = world_with_all(&["codex", "gemini"], &model);
    let up = world.up();
    let codex = list_models(&world, "codex");
    assert!(ids(&codex).len() > 1, "{codex}");
    let gemini = list_models(&world, "gemini");
    assert!(ids(&gemini).contains(&"auto"), "{gemini}");
    assert_eq!(world.processes(), [up.process.pid()]);
}

#[test]
fn a_tool_of_the_owner_is_known_by_its_name_and_a_broken_file_is_said() {
    let world = World::new();
    world.tool("house-agent", "echo 'house 1.2.3'");
    fs::create_dir(world.chatroom_dir()).unwrap();
    let file = world.chatroom_dir().join("tools.toml");
    fs::write(&file, "[[tool]]\nname = \"house\"\ncommand = \"house-agent\"\ndriver = \"acp\"\n").unwrap();
    let _up = world.up();
    let told = world.line("machine detect --json").ok().json();
    let house = told.as_array().unwrap().iter().find(|tool| tool["name"] == "house").unwrap();
    assert_eq!((&house["version"], &house["driver"], &house["asks"]), (&json!("1.2.3"), &json!("acp"), &json!(true)));
    // The server takes a tool that only this machine knows.
    let room = world.room("solo");
    let machine = world.line("machine list --json").ok().json()[0]["machineId"].clone();
    let config = json!({"machineId": machine, "chatroomId": room, "role": "builder", "tool": "house", "workingDir": world.work()});
    world.chatroom(["api", "machines.updateAgentConfig", &config.to_string()]).ok();

    fs::write(&file, "[[tool]]\nname = \"claude\"\ncommand = \"house-agent\"\ndriver = \"acp\"\n").unwrap();
    let detected = world.line("machine detect --json").ok();
    detected.says("tools.toml:2: ").says("chatroom has a tool `claude` of its own");
    assert!(detected.json().as_array().unwrap().iter().any(|tool| tool["name"] == "echo"));
    let doctor = world.line("doctor").done();
    assert!(doctor.code != 0 && doctor.stdout.contains("tools.toml:2: "), "{doctor:?}");
    let failed = list_models(&world, "house");
    assert!(failed["failure"]["message"].as_str().unwrap().contains("tools.toml:2: "), "{failed}");
}
