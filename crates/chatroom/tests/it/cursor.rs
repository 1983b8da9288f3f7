//! Cursor's CLI, with a stub that speaks as its documentation says: the CLI itself is not to be had from a package registry.

use crate::world::World;
use std::fs;

/// Speaks the Agent Client Protocol, as `cursor-agent acp` does: it wants to be asked for its login first. It obeys the prompt of a
/// task, once.
const STUB: &str = r#"
if [ "$1" = --version ]; then echo 2026.11.20-abc1234; exit; fi
echo "$@" > "$HOME/arguments"
say() { printf '%s\n' "$1"; }
block() { awk -v line="$1" '$0 == line { found = 1; next } found && /^```sh$/ { inside = 1; next } inside && /^```$/ { exit } inside'; }
echo 'Cursor Agent, a banner'
while IFS= read -r line; do
  id=${line#*'"id":'}; id=${id%%[!0-9]*}
  case $line in
    *'"method":"initialize"'*)
      say '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":1,"authMethods":[{"id":"cursor_login","name":"Cursor"}]}}' ;;
    *'"method":"authenticate"'*)
      case $line in *cursor_login*) login=done ;; esac
      say '{"jsonrpc":"2.0","id":'$id',"result":{}}' ;;
    *'"method":"session/new"'*)
      if [ "$login" = done ]; then
        say '{"jsonrpc":"2.0","id":'$id',"result":{"sessionId":"s1","models":{"currentModelId":"auto","availableModels":[{"modelId":"auto","name":"Auto"}]}}}'
      else
        say '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32000,"message":"Authentication required"}}'
      fi ;;
    *'"method":"session/set_model"'*) say '{"jsonrpc":"2.0","id":'$id',"result":{}}' ;;
    *'"method":"session/prompt"'*)
      text=${line#*'"text":"'}
      prompt=$(printf '%b' "$text")
      printf '%s\n' "$prompt" > "$HOME/prompt"
      handoff=$(printf '%s\n' "$prompt" | block 'To hand your work to `user`, run:')
      sh -c "$(printf '%s\n' "$handoff" | sed "s|REPLACE THIS LINE WITH YOUR MESSAGE|in $(pwd)|")" > /dev/null
      say '{"jsonrpc":"2.0","id":'$id',"result":{"stopReason":"end_turn"}}' ;;
  esac
done
"#;

#[test]
fn cursor_is_signed_in_told_its_task_and_hands_back() {
    let world = World::new();
    world.tool("cursor-agent", STUB);
    let _up = world.up();
    let room = world.room("solo");
    world
        .line(&format!(
            "agent start --chatroom-id={room} --role=builder --tool=cursor --permission-mode=full --model=auto"
        ))
        .ok();
    world.chatroom(["send", &format!("--chatroom-id={room}"), "where are you?"]).ok();
    assert_eq!(world.answer(&room), format!("in {}", world.work().canonicalize().unwrap().display()));
    let arguments = fs::read_to_string(world.root().join("home/arguments")).unwrap();
    assert!(arguments.contains("acp"), "{arguments}");
    assert!(!arguments.contains("You are"), "the prompt stands in the arguments");
    let prompt = fs::read_to_string(world.root().join("home/prompt")).unwrap();
    assert!(prompt.contains("# You are `builder`"));
}
