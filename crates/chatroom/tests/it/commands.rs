//! The command line at its edges: exit codes, what it prints and what it never prints, and logins.

use crate::browser::Browser;
use crate::world::{World, eventually};
use serde_json::json;
use std::fs;

#[test]
fn exit_codes_are_as_documented() {
    let world = World::new();
    assert_eq!(world.line("--version").done().code, 0);
    assert_eq!(world.line("--help").done().code, 0);
    assert_eq!(world.line("machine lsit").done().code, 2);
    assert_eq!(world.line("machine repair").done().code, 2);
    let refused = world.line("machine list").refused();
    assert!(refused.stderr.starts_with("Error: ") && refused.stderr.contains("\nHint: "), "{refused:?}");
    let unreachable = world.line("machine list --server=http://127.0.0.1:9").env("CHATROOM_TOKEN", "x").refused();
    unreachable.says("Error: cannot reach the server http://127.0.0.1:9").says("Caused by: ").says("Hint: ");
}

#[test]
fn nothing_is_made_by_looking() {
    let world = World::new();
    world.line("machine list").refused();
    world.line("auth status").refused();
    world.line("machine daemon status").refused();
    assert!(!world.chatroom_dir().exists());
}

#[test]
fn plain_http_to_another_machine_is_refused() {
    let world = World::new();
    world.line("auth login --server=http://192.0.2.1:7420").refused().says("--insecure-http");
}

#[test]
fn text_of_others_cannot_steer_the_terminal() {
    let world = World::new();
    let _up = world.up();
    let room = world.room("solo");
    let evil = "\u{1b}]52;c;AAAA\u{7}\u{1b}[2J\u{9b}31m\r\u{202e}end";
    world.chatroom(["send", &format!("--chatroom-id={room}"), "-"]).stdin(evil).ok();
    let id = world.line("machine show --json").ok().json()["machineId"].as_str().unwrap().to_owned();
    world.chatroom(["machine", "rename", &id, "a \u{1b}[31m name"]).done();
    for line in [
        format!("messages list --chatroom-id={room}"),
        format!("messages list --chatroom-id={room} --json"),
        format!("task list --chatroom-id={room}"),
        format!("room show --chatroom-id={room}"),
        format!("wait-for-task --chatroom-id={room} --role=builder"),
        "machine list".to_owned(),
        "machine show".to_owned(),
    ] {
        let done = world.line(&line).ok();
        let printed = format!("{}{}", done.stdout, done.stderr);
        let bad = printed.chars().find(|&c| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}');
        assert_eq!(bad, None, "{line}: {printed:?}");
    }
}

#[test]
fn a_device_login_can_be_refused_and_works_once_when_approved() {
    let world = World::new();
    let server = world.server();
    let browser = Browser::sign_in(&server.url, &server.sign_in_link);
    let code_of = |login: &crate::world::Process| {
        eventually("a code to approve", || {
            let told = login.stderr();
            Some(told.split_once("chatroom auth approve ")?.1.split_once('\n')?.0.to_owned())
        })
    };
    let login = world.line(&format!("auth login --no-open --server={}", server.url)).start();
    let code = code_of(&login);
    assert!(browser.page(&format!("/device?code={code}")).contains("127.0.0.1"));
    browser.decide(&code, "deny");
    let done = login.done();
    assert_eq!(done.code, 1, "{done:?}");
    done.says("refused");
    world.line("auth status").refused();

    let login = world.line(&format!("auth login --no-open --server={}", server.url)).start();
    let code = code_of(&login);
    browser.decide(&code, "approve");
    assert_eq!(login.done().code, 0);
    assert!(world.line("auth status").ok().stdout.contains("signed in at"));
    assert!(!browser.decide(&code, "approve").contains("is signed in"), "a code works once");

    // The signed-in machine approves the next one by its code.
    let other = World::new();
    let login = other.line(&format!("auth login --no-open --server={}", server.url)).start();
    world.line(&format!("auth approve {}", code_of(&login).to_lowercase())).ok();
    assert_eq!(login.done().code, 0);

    // Logging out ends it on the server, not only here.
    let stolen = fs::read_to_string(other.chatroom_dir().join("credentials.json")).unwrap();
    other.line("auth logout").ok();
    other.line("auth status").refused();
    fs::write(other.chatroom_dir().join("credentials.json"), stolen).unwrap();
    other.line("machine list").refused();
    world.line("machine list").ok();
}

#[test]
fn a_token_for_scripts_reads_only_what_it_may() {
    let world = World::new();
    let _up = world.up();
    let token = world.line("auth token --name=ci --scope=read --expires-in=1h").ok().stdout.trim().to_owned();
    let reading = world.line("room list").env("CHATROOM_TOKEN", &token).ok();
    assert!(!reading.stdout.contains(&token));
    world.line("room create --name=x --team=solo").env("CHATROOM_TOKEN", &token).refused();
}

#[test]
fn the_api_command_takes_every_spelling_of_a_name() {
    let world = World::new();
    let _up = world.up();
    let named = |name: &str| world.chatroom(["api", name]).ok().json();
    assert_eq!(named("teams.list"), named("teams:list"));
    assert_eq!(
        world.chatroom(["api", "teams.get", "-"]).stdin("{\"name\":\"duo\"}").ok().json()["entryRole"],
        json!("planner")
    );
    world.chatroom(["api", "teams.get", "[1]"]).refused().says("not a JSON object");
    world.chatroom(["api", "nothing.here"]).refused();
}

#[test]
fn the_api_command_lists_every_function_without_a_server() {
    let world = World::new();
    let listed = world.line("api --json").ok().json();
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    let all: Vec<&str> = chatroom_protocol::api::all_names().collect();
    assert_eq!(names.len(), all.len());
    let text = world.line("api").ok().stdout;
    for name in all {
        assert!(names.contains(&name) && text.contains(&format!("\n{name} ")), "{name}");
    }
    assert_eq!(world.line("api --watch").done().code, 2, "which function to watch?");
}

#[test]
fn a_watched_query_prints_a_line_for_each_change_and_none_for_a_restart() {
    let world = World::new();
    let server = world.signed_in();
    let address = server.address();
    let mut watch = world.line("api --watch chatrooms.list").start();
    let names = |line: Option<String>| {
        let rooms: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        rooms.as_array().unwrap().iter().map(|room| room["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(watch.line(0)), [""; 0]);
    world.line("room create --name=first --team=solo").ok();
    assert_eq!(names(watch.line(1)), ["first"]);
    server.stop();
    let _server = world.server_at(&address);
    world.line("room create --name=second --team=solo").ok();
    assert_eq!(names(watch.line(2)), ["second", "first"]);
    watch.signal("INT");
    let done = watch.done();
    assert_eq!((done.code, done.stdout.lines().count()), (0, 3), "{done:?}");
    world.line("api --watch chatrooms.create").refused().says("is a mutation");
    world.line("api --watch nothing.here").refused().says("no function");
}

#[test]
fn no_secret_stands_in_an_argument_or_a_log() {
    let mut world = World::new();
    world.env("CHATROOM_LOG", "trace");
    let up = world.up();
    let room = world.room("solo");
    world.line(&format!("agent start --chatroom-id={room} --role=builder --tool=echo")).ok();
    let credentials = fs::read_to_string(world.chatroom_dir().join("credentials.json")).unwrap();
    let credentials: serde_json::Value = serde_json::from_str(&credentials).unwrap();
    let login = &credentials["servers"][&up.url];
    let mut secrets: Vec<String> =
        ["userToken", "machineToken"].iter().map(|name| login[name].as_str().unwrap().to_owned()).collect();
    for agent in fs::read_dir(world.chatroom_dir().join("agents")).unwrap() {
        let file = agent.unwrap().path().join("credential.json");
        if let Ok(text) = fs::read_to_string(&file) {
            let credential: serde_json::Value = serde_json::from_str(&text).unwrap();
            secrets.push(credential["token"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(secrets.len(), 3);
    secrets.push(up.sign_in_link.rsplit('/').next().unwrap().to_owned());
    for pid in world.processes() {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let seen = format!("{}{}", String::from_utf8_lossy(&arguments), String::from_utf8_lossy(&environment));
        for secret in &secrets {
            assert!(!seen.contains(secret.as_str()), "a secret stands in the arguments or environment of {pid}");
        }
    }
    let log = up.process.stderr();
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "a secret was logged");
    }
}

#[test]
fn doctor_does_a_whole_round_trip() {
    let world = World::new();
    world.line("doctor").refused();
    let _up = world.up();
    world.line("doctor").ok();
    let report = world.line("doctor --e2e --json").ok().json();
    let steps = report["roundTrip"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["what"] == "get the answer"), "{report}");
    let left = world.line("agent list --json").ok().json();
    assert_eq!(left, json!([]));
}

#[test]
fn a_login_replaces_the_one_before_and_a_lost_cookie_locks_nobody_out() {
    let world = World::new();
    let server = world.signed_in();
    let credentials = world.chatroom_dir().join("credentials.json");
    let old = fs::read_to_string(&credentials).unwrap();
    let address = server.address();
    server.stop();
    // Somebody has signed in here: a link is printed only when it is asked for.
    let quiet = world.server_at(&address);
    assert_eq!(quiet.sign_in_link, "");
    quiet.stop();
    let mut process = world.line(&format!("server --listen={address} --sign-in-link --json")).start();
    let link = process.document()["signInLink"].as_str().unwrap().to_owned();
    world.sign_in(&format!("http://{address}"), &link);
    world.line("machine list").ok();
    fs::write(&credentials, old).unwrap();
    world.line("machine list").refused();
}

#[test]
fn what_nobody_would_read_takes_no_task() {
    let world = World::new();
    let wait = "wait-for-task --chatroom-id=r --role=builder";
    let script = format!("{} {wait} >&-", crate::world::binary().display());
    let done = world.command("/bin/sh", ["-c", &script]).refused();
    assert!(done.stderr.contains("reach nobody"), "{done:?}");
    assert!(!world.chatroom_dir().exists());
}

#[test]
fn a_damaged_identity_is_told_before_another_machine_is_taken() {
    let world = World::new();
    let _server = world.signed_in();
    fs::write(world.chatroom_dir().join("machine.json"), "{").unwrap();
    world.line("agent start --chatroom-id=r --role=builder --tool=echo").refused().says("machine.json is damaged");
}

#[test]
fn a_wait_that_ends_without_a_task_prints_one_document() {
    let world = World::new();
    let _server = world.signed_in();
    let room = world.room("solo");
    let wait = format!("wait-for-task --chatroom-id={room} --role=builder --json");
    let ended = world.line(&format!("{wait} --timeout=1s")).ok().json();
    assert_eq!(ended["next"], "wait");
    assert!(ended["command"].as_str().unwrap().contains(&room), "{ended}");
    let first = world.line(&wait).start();
    eventually("the first one waits", || first.stderr().contains("waiting for a task").then_some(()));
    world.line(&format!("{wait} --timeout=1s")).ok();
    assert_eq!(first.done().json()["next"], "superseded");
}

#[test]
fn a_detection_reaches_the_server() {
    let world = World::new();
    let _server = world.signed_in();
    let room = world.room("solo");
    world.line(&format!("wait-for-task --chatroom-id={room} --role=builder --timeout=1s")).ok();
    world.tool("opencode", "echo 1.18.33");
    world.line("machine detect --refresh").ok();
    let machine = world.line("machine list --json").ok().json()[0].clone();
    let reports = machine["availableTools"].as_array().unwrap().clone();
    let found = reports.iter().find(|report| report["name"] == "opencode").unwrap();
    assert_eq!(found["version"], "1.18.33", "{found}");
}

#[test]
fn what_the_daemon_stands_on_is_checked_before_it_starts() {
    let world = World::new();
    world
        .line("machine daemon start")
        .env("CHATROOM_HOME", "/dev/null/x")
        .refused()
        .says("Error: the directory /dev/null/x");
    fs::create_dir(world.chatroom_dir()).unwrap();
    fs::write(world.chatroom_dir().join("config.toml"), "[").unwrap();
    world.line("machine daemon start").refused().says("config.toml:1");
    fs::remove_file(world.chatroom_dir().join("config.toml")).unwrap();
    fs::create_dir(world.chatroom_dir().join("machine.json")).unwrap();
    world.line("machine daemon start").refused().says("Caused by: ");
    let up = world.line("up --no-open --listen=127.0.0.1:0").refused();
    assert_eq!(up.stdout, "", "no link");
    assert!(world.line("doctor").refused().stdout.contains("cannot be used: "));
}
