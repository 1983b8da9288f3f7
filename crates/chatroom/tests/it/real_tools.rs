//! Real agent CLIs in a world of their own: a clean home, and the scripted model as their provider.

use crate::scripted_model::ScriptedModel;
use crate::world::World;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// A world whose PATH has these real agent CLIs, configured for the scripted model. `codex` brings its adapter.
///
/// Codex and Gemini CLI are only there in tests that `make nightly` runs.
pub(crate) fn world_with_all(tools: &[&str], model: &ScriptedModel) -> World {
    let mut world = World::new();
    link(&world, "node", &installed("node/node_modules/.bin/node"));
    let mut pass: Vec<&str> = Vec::new();
    for tool in tools {
        let dir = if matches!(*tool, "codex" | "gemini") { "nightly/node_modules/.bin" } else { "node_modules/.bin" };
        link(&world, tool, &installed(&format!("{dir}/{tool}")));
        if *tool == "codex" {
            link(&world, "codex-acp", &installed(&format!("{dir}/codex-acp")));
        }
        configure(&mut world, tool, model, &mut pass);
    }
    fs::create_dir(world.chatroom_dir()).unwrap();
    fs::write(world.chatroom_dir().join("config.toml"), format!("env_pass = {pass:?}\n")).unwrap();
    world
}

/// A file below the directory where `scripts/agent-clis` installs.
fn installed(file: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        |dir| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(dir),
    );
    let which = if file.starts_with("nightly/") { " nightly" } else { "" };
    let file = target.join("agent-clis").join(file);
    assert!(file.exists(), "{} is not installed: run scripts/agent-clis{which}", file.display());
    // The directory alone: some programs look at the name that they were called by.
    file.parent().unwrap().canonicalize().unwrap().join(file.file_name().unwrap())
}

fn link(world: &World, name: &str, file: &Path) {
    std::os::unix::fs::symlink(file, world.root().join("tools").join(name)).unwrap();
}

fn configure(world: &mut World, tool: &str, model: &ScriptedModel, pass: &mut Vec<&str>) {
    match tool {
        "claude" => {
            world.env("ANTHROPIC_BASE_URL", &model.url());
            world.env("ANTHROPIC_API_KEY", "dummy");
            world.env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
            world.env("DISABLE_AUTOUPDATER", "1");
            // Claude Code refuses to run without questions as root, unless its user says that this is a sandbox.
            world.env("IS_SANDBOX", "1");
            pass.push("IS_SANDBOX");
        }
        "opencode" => {
            let limit = json!({"context": 100_000, "output": 8_000});
            let config = json!({
                "autoupdate": false, "share": "disabled", "model": "scripted/model", "small_model": "scripted/model",
                "enabled_providers": ["scripted"],
                "provider": {"scripted": {
                    "npm": "@ai-sdk/openai-compatible", "name": "Scripted",
                    "options": {"baseURL": format!("{}/v1", model.url()), "apiKey": "dummy"},
                    "models": {
                        "model": {"name": "Scripted", "tool_call": true, "limit": limit},
                        "other": {"name": "Other", "tool_call": true, "limit": limit},
                    },
                }},
            });
            let file = world.root().join("opencode.json");
            fs::write(&file, config.to_string()).unwrap();
            world.env("OPENCODE_CONFIG", file.to_str().unwrap());
            for name in
                ["OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_LSP_DOWNLOAD"]
            {
                world.env(name, "1");
            }
        }
        "codex" => {
            // Without the last lines every run ends late, and asks servers of its maker.
            let config = format!(
                "model = \"scripted-model\"\nmodel_provider = \"scripted\"\n\
                 [model_providers.scripted]\nname = \"Scripted\"\nbase_url = \"{}/v1\"\nwire_api = \"responses\"\n\
                 env_key = \"SCRIPTED_KEY\"\n[analytics]\nenabled = false\n[features]\nplugins = false\napps = false\n",
                model.url()
            );
            let dir = world.root().join("home/.codex");
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("config.toml"), config).unwrap();
            world.env("SCRIPTED_KEY", "dummy");
            pass.push("SCRIPTED_KEY");
        }
        "gemini" => {
            let dir = world.root().join("home/.gemini");
            fs::create_dir(&dir).unwrap();
            // A model by its name: the default one is chosen by another model, anew for each prompt.
            let settings = json!({
                "security": {"auth": {"selectedType": "gemini-api-key"}},
                "model": {"name": "gemini-2.5-flash"},
                "privacy": {"usageStatisticsEnabled": false},
            });
            fs::write(dir.join("settings.json"), settings.to_string()).unwrap();
            world.env("GEMINI_API_KEY", "dummy");
            world.env("GOOGLE_GEMINI_BASE_URL", &model.url());
        }
        _ => panic!("no recipe for {tool}"),
    }
}
