//! A process with an official client that must outlive a server that is killed again and again and connections that break
//! anywhere.

use super::{Stage, script};
use crate::world::{World, eventually};
use serde_json::{Value, json};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{Duration, Instant};

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
    let mut process = script(&world, "chaos.mjs", &[&room])
        .env("URL", stage.proxy.url())
        .env("TOKEN", &stage.token)
        .talking()
        .start();
    assert_eq!(process.line(0).as_deref(), Some("ready"), "{}", process.stderr());
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
        assert!(!process.has_ended(), "after {kills} kills and {cuts} cuts: {}", process.stderr());
    }
    stage.proxy.break_after(u64::MAX);
    stage.proxy.cut();
    stage.proxy.mend();
    process.say("stop");
    assert_eq!(process.line(1).as_deref(), Some("stopped"), "{}", process.stderr());
    let newest = json!({"chatroomId": room, "limit": 50});
    let mut line = 1;
    let seen = eventually("the subscription shows what is true", || {
        process.say("look");
        line += 1;
        let seen: Value = serde_json::from_str(&process.line(line)?).unwrap();
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
