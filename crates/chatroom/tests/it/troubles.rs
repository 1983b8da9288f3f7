//! Tools that do not work: each is shown with the right state and the right reason, nothing of it is left running, and the daemon
//! goes on. They are tools of the machine's owner, described in `tools.toml`.

use crate::api::Api;
use crate::real_tools::world_with_all;
use crate::scripted_model::ScriptedModel;
use crate::world::{Up, World, eventually};
use serde_json::{Value, json};
use std::fs;

/// Speaks the Agent Client Protocol as its first argument says.
const TOOL: &str = r#"
[ "$1" = --version ] && { echo 1.2.3; exit; }
kind=$1
say() { printf '%s\n' "$1"; }
[ "$kind" = gone ] && { echo 'I cannot find my licence' >&2; exit 3; }
[ "$kind" = mute ] && sleep 300
while IFS= read -r line; do
  id=${line#*'"id":'}; id=${id%%[!0-9]*}
  case $line in
    *'"method":"initialize"'*) say '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":1}}' ;;
    *'"method":"session/new"'*)
      if [ "$kind" = signed-out ]; then
        say '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32000,"message":"Authentication required"}}'
      else
        say '{"jsonrpc":"2.0","id":'$id',"result":{"sessionId":"s1","models":{"currentModelId":"small","availableModels":[{"modelId":"small","name":"Small"},{"modelId":"large","name":"Large"}]}}}'
      fi ;;
    *'"method":"session/prompt"'*)
      case $kind in
        stubborn)
          trap '' TERM HUP INT
          sh -c 'trap "" TERM HUP INT; setsid sh -c "trap \"\" TERM HUP INT; sleep 300" & sleep 300' &
          echo begun > begun
          while :; do sleep 300; done ;;
        crashing) exit 7 ;;
        flood) yes "$(printf 'words without end %.0s' $(seq 60))" | head -c 1000000000; echo ;;
      esac
      say '{"jsonrpc":"2.0","id":'$id',"result":{"stopReason":"end_turn"}}' ;;
  esac
done
"#;

struct House {
    world: World,
}

impl House {
    fn new() -> Self {
        let world = World::new();
        let program = world.tool("house-tool", TOOL);
        fs::create_dir(world.chatroom_dir()).unwrap();
        let tools: String = ["signed-out", "mute", "gone", "stubborn", "crashing", "flood"]
            .map(|kind| {
                format!(
                    "[[tool]]\nname = \"{kind}\"\ncommand = {program:?}\nargs = [{kind:?}]\ndriver = \"acp\"\nlogin = \"house login\"\n\n"
                )
            })
            .concat();
        fs::write(world.chatroom_dir().join("tools.toml"), tools).unwrap();
        Self { world }
    }

    /// Starts an agent with the tool of this kind; gives its room.
    fn start(&self, kind: &str, more: &str) -> (String, crate::world::Done) {
        let room = self.world.room("solo");
        let start = format!("agent start --chatroom-id={room} --role=builder --tool={kind} --timeout=3s {more}");
        let done = self.world.line(&start).done();
        (room, done)
    }

    fn role(&self, up: &Up<'_>, room: &str) -> Value {
        Api::of(&self.world, &up.url).ok("agents.why", &json!({"chatroomId": room, "role": "builder"}))
    }

    fn stop(&self, room: &str) {
        self.world.line(&format!("agent stop --chatroom-id={room} --role=builder")).ok();
    }

    /// Nothing but `chatroom up` runs, and it works.
    fn is_clean(&self, up: &Up<'_>) {
        eventually("nothing is left running", || (self.world.processes() == [up.process.pid()]).then_some(()));
        let (room, started) = self.start("echo", "");
        assert_eq!(started.code, 0, "{started:?}");
        self.stop(&room);
    }
}

#[test]
fn a_tool_that_nobody_is_signed_in_to_says_so_with_the_command_that_signs_in() {
    let house = House::new();
    let up = house.world.up();
    let (room, started) = house.start("signed-out", "");
    assert_eq!(started.code, 1, "{started:?}");
    assert!(
        started.stderr.contains("Authentication required") && started.stderr.contains("house login"),
        "{started:?}"
    );
    let role = house.role(&up, &room);
    assert_eq!(role["agent"]["exit"]["how"], "unusable", "{role:#}");
    assert_eq!(role["agent"]["exit"]["trouble"]["kind"], "not_signed_in");
    assert!(role["blocked"]["repair"].as_str().unwrap().contains("house login"), "{role:#}");
    assert!(role["desired"]["givenUp"].is_string(), "{role:#}");
    house.is_clean(&up);
}

#[test]
fn a_model_that_the_tool_does_not_have_is_refused_with_the_list() {
    let house = House::new();
    let up = house.world.up();
    let (room, started) = house.start("stubborn", "--model=huge");
    assert_eq!(started.code, 1, "{started:?}");
    assert!(started.stderr.contains("huge") && started.stderr.contains("large"), "{started:?}");
    let role = house.role(&up, &room);
    assert_eq!(role["agent"]["exit"]["trouble"]["kind"], "unknown_model", "{role:#}");
    // The list is known now: the next one is refused before anything is started.
    house.world.line("machine models stubborn").ok();
    let (_, refused) = house.start("stubborn", "--model=huge");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("small"), "{refused:?}");
    house.is_clean(&up);
}

#[test]
fn a_tool_that_hangs_at_its_start_is_shown_as_starting_and_can_be_stopped() {
    let house = House::new();
    let up = house.world.up();
    let (room, started) = house.start("mute", "");
    assert_eq!(started.code, 1, "{started:?}");
    started.says("still starting");
    assert_eq!(house.role(&up, &room)["blocked"]["by"], "passing");
    house.stop(&room);
    house.is_clean(&up);
}

#[test]
fn a_tool_that_ends_at_once_fails_its_start_with_its_own_words_and_is_given_up_in_the_end() {
    let house = House::new();
    let up = house.world.up();
    let (room, started) = house.start("gone", "");
    assert_eq!(started.code, 1, "{started:?}");
    started.says("I cannot find my licence");
    let role = house.role(&up, &room);
    assert_eq!(role["desired"]["running"], true, "{role:#}");
    assert!(["restarting", "passing", "ended"].contains(&role["blocked"]["by"].as_str().unwrap()), "{role:#}");
    house.stop(&room);
    let role = house.role(&up, &room);
    assert_eq!(role["desired"]["running"], false, "{role:#}");
    house.is_clean(&up);
}

#[test]
fn a_tool_that_crashes_in_a_turn_is_started_again_and_its_task_comes_back() {
    let house = House::new();
    let up = house.world.up();
    let (room, started) = house.start("crashing", "");
    assert_eq!(started.code, 0, "{started:?}");
    house.world.chatroom(["send", &format!("--chatroom-id={room}"), "work"]).ok();
    // The first restart comes at once and crashes at the same task; the next one waits half a minute.
    eventually("the second restart waits", || {
        let role = house.role(&up, &room);
        (role["blocked"]["by"] == "restarting" && role["desired"]["restartAt"].is_number()).then_some(())
    });
    let tasks = house.world.line(&format!("task list --chatroom-id={room} --json")).ok().json();
    assert_eq!(tasks[0]["state"], "pending", "{tasks:#}");
    house.stop(&room);
    let role = house.role(&up, &room);
    assert!(role["desired"]["restartAt"].is_null(), "{role:#}");
    house.is_clean(&up);
}

#[test]
fn a_tool_that_ignores_every_signal_and_its_children_are_gone_after_a_stop() {
    let house = House::new();
    let up = house.world.up();
    let (room, started) = house.start("stubborn", "");
    assert_eq!(started.code, 0, "{started:?}");
    house.world.chatroom(["send", &format!("--chatroom-id={room}"), "work"]).ok();
    eventually("it has begun", || house.world.work().join("begun").exists().then_some(()));
    house.stop(&room);
    house.is_clean(&up);
}

#[test]
fn a_gigabyte_of_noise_costs_neither_the_session_nor_the_disk() {
    let house = House::new();
    let up = house.world.up();
    let (room, started) = house.start("flood", "");
    assert_eq!(started.code, 0, "{started:?}");
    let args = [format!("--chatroom-id={room}"), "--role=builder".to_owned(), "pour".to_owned()];
    house.world.chatroom(["agent", "send"].into_iter().map(str::to_owned).chain(args)).ok();
    let agent = eventually("the turn is over", || {
        let role = house.role(&up, &room);
        let session = &role["agent"]["session"];
        (session["turn"]["state"] == "idle" && session["lastSeq"].as_f64()? > 3.0).then(|| role["agent"].clone())
    });
    let run = house.world.chatroom_dir().join("agents").join(agent["agentId"].as_str().unwrap());
    let bytes: u64 = fs::read_dir(&run).unwrap().filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum();
    assert!(bytes < 24 * 1024 * 1024, "{bytes} bytes are kept");
    house.stop(&room);
    house.is_clean(&up);
}

/// What a real tool says when its provider refuses.
fn refused_by_its_provider(status: u16) -> Value {
    let model = ScriptedModel::refusing(status);
    let world = world_with_all(&["claude"], &model);
    let up = world.up();
    let room = world.room("solo");
    world.line(&format!("agent start --chatroom-id={room} --role=builder --tool=claude")).ok();
    world.chatroom(["send", &format!("--chatroom-id={room}"), "work"]).ok();
    let api = Api::of(&world, &up.url);
    eventually("the trouble is told", || {
        let role = api.ok("agents.why", &json!({"chatroomId": room, "role": "builder"}));
        // The tool may still try again, or have given up.
        let agent = &role["agent"];
        let trouble =
            [&agent["exit"]["trouble"], &agent["session"]["trouble"]].into_iter().find(|found| found.is_object());
        trouble.filter(|_| role["blocked"].is_object()).cloned()
    })
}

#[test]
fn real_claude_code_whose_key_is_not_valid_is_shown_as_not_signed_in() {
    let trouble = refused_by_its_provider(401);
    assert_eq!(trouble["kind"], "not_signed_in", "{trouble:#}");
    assert!(trouble["repair"].is_string(), "{trouble:#}");
}

#[test]
fn real_claude_code_whose_quota_is_used_up_says_so() {
    assert_eq!(refused_by_its_provider(429)["kind"], "quota");
}

#[test]
fn real_claude_code_whose_model_is_not_known_says_so() {
    assert_eq!(refused_by_its_provider(404)["kind"], "unknown_model");
}
