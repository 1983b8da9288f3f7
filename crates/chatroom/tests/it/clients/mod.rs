//! The official Convex clients, unmodified and in several versions, against the real server through a network that fails.
//! What each does stands in `tests/clients`; here is what happens around it.

mod chaos;
mod document;
mod generated;
mod typescript;

use crate::api::Api;
use crate::proxy::Proxy;
use crate::world::{Run, ServerProcess, World, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Where `scripts/official-clients` installs.
fn installed(part: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let dir = repository().join(target).join("clients").join(part);
    assert!(dir.exists(), "the official clients are not installed: run scripts/official-clients");
    dir
}

/// A directory of the world where the installed npm packages are found.
fn node_dir(world: &World) -> PathBuf {
    let dir = world.root().join("js");
    if !dir.exists() {
        fs::create_dir(&dir).unwrap();
        std::os::unix::fs::symlink(installed("js").join("node_modules"), dir.join("node_modules")).unwrap();
    }
    dir
}

/// Node.js in that directory, with these words.
fn node<'a>(world: &'a World, words: &[&str]) -> Run<'a> {
    world.command(node_program(), words).dir(node_dir(world))
}

/// One of the scripts of `tests/clients/js`.
fn script<'a>(world: &'a World, name: &str, args: &[&str]) -> Run<'a> {
    fs::copy(repository().join("tests/clients/js").join(name), node_dir(world).join(name)).unwrap();
    let mut words = vec![name];
    words.extend(args);
    node(world, &words)
}

/// The Node.js of the agent CLIs when it is there, else the system's.
fn node_program() -> PathBuf {
    let own = installed("js").join("../../agent-clis/node/node_modules/.bin/node");
    if own.exists() { own } else { "node".into() }
}

fn python<'a>(world: &'a World, environment: &str, script: &str) -> Run<'a> {
    let script = repository().join("tests/clients/python").join(script);
    world.command(installed(&format!("python-{environment}")).join("bin/python"), [script])
}

/// A server, the network before it, and what other people do on it.
struct Stage<'a> {
    world: &'a World,
    server: Option<ServerProcess>,
    address: String,
    proxy: Proxy,
    api: Api,
    token: String,
}

impl<'a> Stage<'a> {
    fn new(world: &'a World) -> Self {
        let server = world.signed_in();
        let token = world.line("auth token --name=clients").ok().stdout.trim().to_owned();
        let address = server.address();
        let proxy = Proxy::to(&address);
        let api = Api::with_token(&server.url, &token);
        Self { world, server: Some(server), address, proxy, api, token }
    }

    fn create(&self, name: &str) {
        self.api.ok("chatrooms.create", &json!({"name": name, "team": "solo"}));
    }

    /// How many rooms have a name.
    fn count(&self, name: &str) -> usize {
        let Ok(Value::Array(rooms)) = self.api.call("chatrooms.list", &json!({})) else { return 0 };
        rooms.iter().filter(|room| room["name"] == name).count()
    }

    fn kill_server(&mut self) {
        let server = self.server.take().unwrap();
        server.process.signal("KILL");
        server.process.done();
    }

    fn start_server(&mut self) {
        self.server = Some(self.world.server_at(&self.address));
    }

    /// Runs a script to its end and does what it asks for on the way.
    #[track_caller]
    fn play(&mut self, script: Run<'_>) {
        let mut script = script.env("URL", self.proxy.url()).env("TOKEN", &self.token).talking().start();
        let mut number = 0;
        while let Some(line) = script.line(number) {
            number += 1;
            let Some(wish) = line.strip_prefix("please: ") else { continue };
            match wish {
                "create another" => self.create("another"),
                "cut" => {
                    self.proxy.cut();
                    self.create("after the cut");
                    self.proxy.mend();
                }
                "restart" => {
                    self.kill_server();
                    self.start_server();
                    self.create("after the restart");
                }
                "swallow the next answer" => self.proxy.mute(),
                other => panic!("asked for {other:?}"),
            }
            script.say("done");
            if wish == "swallow the next answer" {
                eventually("the call took effect", || (self.count("once") > 0).then_some(()));
                self.proxy.cut();
                self.proxy.mend();
            }
        }
        let done = script.done();
        assert_eq!(done.code, 0, "{done:?}");
        assert!(done.stdout.ends_with("saw: end\n"), "{done:?}");
        assert_eq!(self.count("once"), 1, "a call that was sent again took effect again");
    }
}

#[test]
fn npm_1_31_works_through_cuts_and_restarts() {
    let world = World::new();
    Stage::new(&world).play(script(&world, "conformance.mjs", &["convex-1.31"]));
}

#[test]
fn npm_1_42_works_through_cuts_and_restarts() {
    let world = World::new();
    Stage::new(&world).play(script(&world, "conformance.mjs", &["convex-1.42"]));
}

#[test]
fn npm_newest_works_through_cuts_and_restarts() {
    let world = World::new();
    Stage::new(&world).play(script(&world, "conformance.mjs", &["convex"]));
}

#[test]
fn pypi_0_7_works_through_cuts_and_restarts() {
    let world = World::new();
    Stage::new(&world).play(python(&world, "old", "conformance.py"));
}

#[test]
fn pypi_newest_works_through_cuts_and_restarts() {
    let world = World::new();
    Stage::new(&world).play(python(&world, "new", "conformance.py"));
}

#[test]
fn crate_0_9_works_through_cuts_and_restarts() {
    let world = World::new();
    Stage::new(&world).play(world.command(installed("rust/debug/chatroom-test-clients"), ["0.9"]));
}

#[test]
fn crate_newest_works_through_cuts_and_restarts() {
    let world = World::new();
    Stage::new(&world).play(world.command(installed("rust/debug/chatroom-test-clients"), ["0.10"]));
}

#[test]
fn the_command_line_of_convex_runs_functions() {
    let world = World::new();
    let stage = Stage::new(&world);
    let convex = |args: &[&str]| {
        // What `npx convex run` starts; npx itself would ask a registry.
        let mut words = vec!["node_modules/convex/bin/main.js", "run"];
        words.extend(args);
        fs::copy(repository().join("tests/clients/js/package.json"), node_dir(&world).join("package.json")).unwrap();
        let url = format!("http://{}", stage.address);
        let run = node(&world, &words).env("CONVEX_SELF_HOSTED_URL", url);
        run.env("CONVEX_SELF_HOSTED_ADMIN_KEY", &stage.token).done()
    };
    stage.create("seen by the command line");
    let machines = convex(&["machines:listMachines"]);
    assert_eq!((machines.code, machines.json()), (0, json!([])), "{machines:?}");
    assert_eq!(convex(&["chatrooms:list", "{}"]).json()[0]["name"], "seen by the command line");
    let refused = convex(&["chatrooms:get", r#"{"chatroomId": "none"}"#]);
    assert_eq!(refused.code, 1);
    refused.says("chatroom not found");
}
