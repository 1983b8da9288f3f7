//! Generated calls: schemathesis reads the server's OpenAPI document and holds the server to it.

use super::{installed, repository};
use crate::api::Api;
use crate::world::World;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// What ends the token of the run itself, or things that other calls need.
const ENDINGS: &str = "/(logout|revokeCredential|remove|archive)$";

/// A world with something of each kind in it, so that generated calls reach the rules behind "not found".
struct Stock {
    world: World,
    server: crate::world::ServerProcess,
    user_token: String,
    machine_token: String,
    known: Value,
}

impl Stock {
    fn new() -> Self {
        let world = World::new();
        let server = world.signed_in();
        let user_token = world.line("auth token --name=generated").ok().stdout.trim().to_owned();
        let api = Api::with_token(&server.url, &user_token);
        let machine_id = uuid::Uuid::new_v4().to_string();
        let registered = api.ok(
            "machines.register",
            &json!({
                "machineId": machine_id, "hostname": "there", "os": "linux", "arch": "x86_64", "cliVersion": "0.1.0",
                "cliPath": "/usr/bin/chatroom", "issueCredential": true,
                "availableTools": [{"name": "echo", "path": "/usr/bin/chatroom", "driver": "acp", "asks": true, "status": "ok", "version": "0.1.0"}],
            }),
        );
        let room = api.ok("chatrooms.create", &json!({"name": "stock", "team": "solo"}))["chatroomId"].clone();
        api.ok(
            "machines.updateAgentConfig",
            &json!({"machineId": machine_id, "chatroomId": room, "role": "builder", "tool": "echo", "workingDir": "/tmp"}),
        );
        let command = api.ok(
            "machines.sendCommand",
            &json!({"machineId": machine_id, "type": "start-agent", "payload": {"chatroomId": room, "role": "builder"}}),
        );
        let agents = api.ok("agents.list", &json!({"machineId": machine_id}));
        let sent = api.ok("messages.send", &json!({"chatroomId": room, "content": "work"}));
        let known = json!({
            "machineId": machine_id, "chatroomId": room, "commandId": command["commandId"],
            "agentId": agents[0]["agentId"], "taskId": sent["taskId"], "role": "builder", "nextRole": "user",
            "team": "solo", "tool": "echo",
        });
        let machine_token = registered["credential"].as_str().unwrap().to_owned();
        Self { world, server, user_token, machine_token, known }
    }

    /// Makes the calls and gives the paths of the functions that were done, and not only refused.
    #[track_caller]
    fn hold(&self, token: &str, which: &[&str], examples: u32) -> BTreeSet<String> {
        let authorization = format!("Authorization: Bearer {token}");
        let (document, examples) = (format!("{}/api/openapi.json", self.server.url), examples.to_string());
        let mut words = vec!["run", &document, "--header", &authorization, "--max-examples", &examples];
        words.extend([
            "--checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            // The same calls in every run.
            "--phases=examples,coverage,fuzzing",
            "--generation-deterministic",
            "--warnings=off",
            "--suppress-health-check=all",
            "--request-timeout=30",
            "--no-color",
        ]);
        words.extend(which);
        let done_file = self.world.root().join("done.txt");
        let run = self.world.command(installed("python-schemathesis").join("bin/st"), words);
        let done = run
            .env("SCHEMATHESIS_HOOKS", "hooks")
            .env("PYTHONPATH", repository().join("tests/clients/python"))
            .env("KNOWN", self.known.to_string())
            .env("DONE", &done_file)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .start()
            .done_within(Duration::from_secs(200));
        assert_eq!(done.code, 0, "{done:?}");
        assert!(done.stdout.contains(" passed"), "{done:?}");
        let done = fs::read_to_string(done_file).unwrap_or_default();
        done.lines().map(str::to_owned).collect()
    }
}

#[test]
fn no_generated_call_of_a_user_meets_what_the_document_does_not_say() {
    let stock = Stock::new();
    let done = stock.hold(&stock.user_token, &["--exclude-path-regex", ENDINGS], 12);
    assert!(done.len() >= 30, "{done:?}");
    stock.hold(&stock.user_token, &["--include-path-regex", ENDINGS], 12);
}

#[test]
fn no_generated_call_of_a_machine_meets_what_the_document_does_not_say() {
    let stock = Stock::new();
    let done = stock.hold(
        &stock.machine_token,
        &["--include-path-regex=/(machines|agents|auth|tasks)/", "--exclude-path-regex", ENDINGS],
        12,
    );
    assert!(done.len() >= 6, "{done:?}");
}

#[test]
fn no_generated_call_of_nobody_meets_what_the_document_does_not_say() {
    let stock = Stock::new();
    let done = stock.hold("unknown", &[], 1);
    assert_eq!(done.into_iter().collect::<Vec<_>>(), ["/api/run/auth/startDeviceLogin"]);
}
