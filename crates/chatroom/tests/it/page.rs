//! The page in a real browser, against the real server, daemon and agents. What each script does and looks at stands in
//! `tests/page`; here is what happens around it.

use crate::obedient::{ASK, obey};
use crate::real_tools::world_with_all;
use crate::scripted_model::ScriptedModel;
use crate::world::{Process, Run, World, eventually, signal};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The root of the repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn target() -> PathBuf {
    repository().join(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from))
}

/// One of the scripts of `tests/page`, which finds what `scripts/page-tests` installs.
fn script<'a>(world: &'a World, name: &str, url: &str, link: &str) -> Run<'a> {
    let installed = target().join("page-tests/node_modules");
    assert!(installed.exists(), "the browser's driver is not installed: run scripts/page-tests");
    assert!(
        repository().join("web/dist/index.html").exists(),
        "this binary was built without the page: run scripts/web, then build again"
    );
    let dir = world.root().join("page");
    if !dir.exists() {
        fs::create_dir(&dir).unwrap();
        std::os::unix::fs::symlink(installed, dir.join("node_modules")).unwrap();
    }
    for file in fs::read_dir(repository().join("tests/page")).unwrap().filter_map(Result::ok) {
        if file.path().extension().is_some_and(|extension| extension == "mjs") {
            fs::copy(file.path(), dir.join(file.file_name())).unwrap();
        }
    }
    let own_node = target().join("agent-clis/node/node_modules/.bin/node");
    let node = if own_node.exists() { own_node } else { "node".into() };
    world
        .command(node, [name])
        .dir(&dir)
        .env("URL", url)
        .env("LINK", link)
        .env("WORK", world.work())
        .env("SCREENSHOTS", target().join("page-screenshots"))
}

/// Runs a script to its end and does what it asks for on the way. Long scripts have a while between two words.
#[track_caller]
fn play(script: Run<'_>, mut grant: impl FnMut(&str)) {
    let mut script: Process = script.talking().start();
    let mut heard = 0;
    let begun = std::time::Instant::now();
    loop {
        let ended = script.has_ended();
        let lines: Vec<String> = script.stdout().lines().skip(heard).map(str::to_owned).collect();
        heard += lines.len();
        for line in lines {
            if let Some(wish) = line.strip_prefix("please: ") {
                grant(wish);
                script.say("done");
            } else {
                eprintln!("{line}");
            }
        }
        if ended {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(270), "it hangs:\n{}\n{}", script.stdout(), script.stderr());
        std::thread::sleep(Duration::from_millis(5));
    }
    let done = script.done();
    assert_eq!(done.code, 0, "{done:?}");
}

fn nothing(wish: &str) {
    panic!("nobody can grant {wish:?} here");
}

#[test]
fn a_person_comes_from_a_link_to_a_finished_task_and_another_one_sees_nothing_of_it() {
    let world = World::new();
    let up = world.up();
    let other = world.line("user invite mallory").ok().stdout.trim().to_owned();
    play(script(&world, "first-run.mjs", &up.url, &up.sign_in_link).env("OTHER_LINK", other), nothing);
}

#[test]
fn rooms_machines_and_logins_are_kept_from_the_page() {
    let world = World::new();
    let up = world.up();
    play(script(&world, "daily.mjs", &up.url, &up.sign_in_link), nothing);
}

#[test]
fn every_view_shows_what_tools_say_and_hostile_text_stays_text() {
    let world = World::new();
    let up = world.up();
    let token = world.line("auth token --name=page").ok().stdout.trim().to_owned();
    play(script(&world, "gallery.mjs", &up.url, &up.sign_in_link).env("TOKEN", token), nothing);
}

#[test]
fn an_open_page_tells_what_is_gone_and_goes_on_when_it_is_back() {
    let world = World::new();
    let first = world.signed_in();
    let (address, url) = (first.address(), first.url.clone());
    let mut server = Some(first);
    let mut daemon = Some(world.line("machine daemon start --foreground").start());
    world.connected();
    let room = world.room("solo");
    world.line(&format!("agent start --chatroom-id={room} --role=builder --tool=echo")).ok();
    let link = world.line("auth link").ok().stdout.trim().to_owned();
    play(script(&world, "outage.mjs", &url, &link).env("ROOM", &room), |wish| match wish {
        "kill the daemon" => {
            let daemon = daemon.take().unwrap();
            daemon.signal("KILL");
            daemon.done();
        }
        "start the daemon" => daemon = Some(world.line("machine daemon start --foreground").start()),
        "freeze the server" => server.as_ref().unwrap().process.signal("STOP"),
        "thaw the server" => server.as_ref().unwrap().process.signal("CONT"),
        "kill the server" => {
            let server = server.take().unwrap();
            server.process.signal("KILL");
            server.process.done();
        }
        "start the server" => server = Some(world.server_at(&address)),
        "revoke the browser" => {
            let listed = world.line("api auth.listCredentials").ok().json();
            let browsers = listed.as_array().unwrap().iter().filter(|credential| credential["kind"] == "browser");
            for browser in browsers {
                let args = serde_json::json!({"credentialId": browser["credentialId"]}).to_string();
                world.chatroom(["api", "auth.revokeCredential", &args]).ok();
            }
        }
        other => nothing(other),
    });
}

#[test]
fn a_crashed_agent_says_when_it_starts_again_and_can_be_stopped_before() {
    let world = World::new();
    let up = world.up();
    let room = world.room("solo");
    world.line(&format!("agent start --chatroom-id={room} --role=builder --tool=echo")).ok();
    let status = || {
        let args = serde_json::json!({"chatroomId": room, "role": "builder"}).to_string();
        world.chatroom(["api", "agents.why", &args]).ok().json()
    };
    let mut killed = 0;
    play(script(&world, "crash.mjs", &up.url, &up.sign_in_link).env("ROOM", &room), |wish| match wish {
        "kill the agent" => {
            let before = killed;
            eventually("another process of the agent runs", || {
                killed = status()["agent"]["pid"].as_u64().filter(|pid| *pid != before)?;
                Some(())
            });
            signal(u32::try_from(killed).unwrap(), "KILL");
        }
        "see that it is not wanted" => assert_eq!(status()["desired"]["running"], false),
        other => nothing(other),
    });
}

#[test]
fn real_opencode_is_found_started_and_allowed_from_the_page() {
    let model = ScriptedModel::start(obey);
    let world = world_with_all(&["opencode"], &model);
    let up = world.up();
    let task = format!("Two lines of text.\n{ASK}pwd > proof.txt; echo \"all $((20 + 22))\"");
    let script = script(&world, "real-tool.mjs", &up.url, &up.sign_in_link).env("TOOL", "opencode").env("TASK", task);
    play(script, nothing);
    assert!(world.work().join("proof.txt").exists());
}
