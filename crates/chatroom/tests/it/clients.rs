//! The official Convex clients, unmodified and in several versions, against the real server through a network that fails.
//! What each does stands in `tests/clients`; here is what happens around it.

use crate::api::Api;
use crate::proxy::Proxy;
use crate::world::{Run, ServerProcess, World, eventually};
use serde_json::{Value, json};
use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// A command that runs one of the scripts of `tests/clients/js`, copied next to the installed packages.
fn node<'a>(world: &'a World, script: &str, args: &[&str]) -> Run<'a> {
    let dir = world.root().join("js");
    if !dir.exists() {
        fs::create_dir(&dir).unwrap();
        std::os::unix::fs::symlink(installed("js").join("node_modules"), dir.join("node_modules")).unwrap();
    }
    fs::copy(repository().join("tests/clients/js").join(script), dir.join(script)).unwrap();
    let script = dir.join(script);
    let mut words = vec![script.to_str().unwrap()];
    words.extend(args);
    world.command(node_program(), words)
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
    Stage::new(&world).play(node(&world, "conformance.mjs", &["convex-1.31"]));
}

#[test]
fn npm_1_42_works_through_cuts_and_restarts() {
    let world = World::new();
    Stage::new(&world).play(node(&world, "conformance.mjs", &["convex-1.42"]));
}

#[test]
fn npm_newest_works_through_cuts_and_restarts() {
    let world = World::new();
    Stage::new(&world).play(node(&world, "conformance.mjs", &["convex"]));
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
fn the_typescript_files_are_those_of_this_version() {
    let world = World::new();
    let made = world.root().join("typescript");
    world.chatroom(["generate-typescript", made.to_str().unwrap()]).ok();
    for name in ["types.ts", "api.ts"] {
        let read = |dir: &Path| fs::read_to_string(dir.join(name)).unwrap_or_default();
        let (made, kept) = (read(&made), read(&repository().join("clients/typescript")));
        assert!(made == kept, "{name} is old: run `chatroom generate-typescript clients/typescript`");
    }
}

/// How long the chaos lasts; `make chaos` has ten minutes of it.
fn chaos_time() -> Duration {
    let seconds = std::env::var("CHATROOM_CHAOS_SECONDS").ok().map_or(40, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

/// What chance decides in one run; the same seed decides the same.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let seed = std::env::var("CHATROOM_CHAOS_SEED").ok().map(|text| text.parse().unwrap());
        let seed = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish() | 1);
        eprintln!("the same chaos again: CHATROOM_CHAOS_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[test]
fn chaos_leaves_a_node_process_alive_and_right() {
    let world = World::new();
    let mut stage = Stage::new(&world);
    let room = world.room("solo");
    let mut script =
        node(&world, "chaos.mjs", &[&room]).env("URL", stage.proxy.url()).env("TOKEN", &stage.token).talking().start();
    assert_eq!(script.line(0).as_deref(), Some("ready"), "{}", script.stderr());
    let mut chance = Chance::new();
    let (begun, mut kills, mut cuts) = (Instant::now(), 0, 0);
    while begun.elapsed() < chaos_time() {
        std::thread::sleep(Duration::from_millis(200 + chance.below(2_500)));
        match chance.below(4) {
            0 => {
                stage.kill_server();
                std::thread::sleep(Duration::from_millis(chance.below(1_500)));
                stage.start_server();
                kills += 1;
            }
            1 => {
                stage.proxy.cut();
                std::thread::sleep(Duration::from_millis(chance.below(1_000)));
                stage.proxy.mend();
                cuts += 1;
            }
            // In the middle of a handshake, of a frame, of a large answer.
            _ => {
                stage.proxy.break_after(1 + chance.below(30_000));
                stage.proxy.cut();
                stage.proxy.mend();
                cuts += 1;
            }
        }
        assert!(!script.has_ended(), "after {kills} kills and {cuts} cuts: {}", script.stderr());
    }
    stage.proxy.break_after(u64::MAX);
    stage.proxy.cut();
    stage.proxy.mend();
    script.say("stop");
    assert_eq!(script.line(1).as_deref(), Some("stopped"), "{}", script.stderr());
    let newest = json!({"chatroomId": room, "limit": 50});
    let mut line = 1;
    let seen = eventually("the subscription shows what is true", || {
        script.say("look");
        line += 1;
        let seen: Value = serde_json::from_str(&script.line(line)?).unwrap();
        let truth = stage.api.ok("messages.list", &newest);
        let truth: Vec<&Value> = truth.as_array().unwrap().iter().map(|message| &message["messageId"]).collect();
        (seen["shown"].as_array().unwrap().iter().collect::<Vec<_>>() == truth).then_some(seen)
    });
    // Every call took effect once, in order, whatever was lost on its way.
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().map_or(json!(0), |message| message["sequence"].clone());
        let page = stage.api.ok("messages.list", &json!({"chatroomId": room, "after": after, "limit": 200}));
        let page = page.as_array().unwrap();
        if page.is_empty() {
            break;
        }
        all.extend(page.iter().cloned());
    }
    let contents: Vec<&str> = all.iter().map(|message| message["content"].as_str().unwrap()).collect();
    let wanted: Vec<String> = (0..all.len()).map(|number| format!("message {number}")).collect();
    assert_eq!(contents, wanted);
    let answered = seen["answered"].as_array().unwrap();
    assert_eq!(answered.len(), all.len());
    assert!(answered.iter().zip(&all).all(|(id, message)| *id == message["messageId"]));
    eprintln!("{kills} kills, {cuts} cuts, {} messages, {} updates", all.len(), seen["updates"]);
    assert!(kills + cuts > 5 && all.len() > 5);
}
