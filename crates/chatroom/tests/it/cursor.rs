//! The driver of Cursor's CLI, with a stub: the CLI itself is not to be had from a package registry.

use crate::world::World;
use std::fs;

/// Reads the prompt on standard input, as `cursor-agent -p` does, and obeys it and what it makes our CLI print, once.
const STUB: &str = r#"
if [ "$1" = --version ]; then echo 2026.11.20-abc1234; exit; fi
echo "$@" > "$HOME/arguments"
block() { awk -v line="$1" '$0 == line { found = 1; next } found && /^```sh$/ { inside = 1; next } inside && /^```$/ { exit } inside'; }
prompt=$(cat)
printf '%s\n' "$prompt" > "$HOME/prompt"
wait=$(printf '%s\n' "$prompt" | block 'To wait for a task, run:')
brief=$(sh -c "$wait")
handoff=$(printf '%s\n' "$brief" | block 'To hand your work to `user`, run:')
sh -c "$(printf '%s\n' "$handoff" | sed "s|REPLACE THIS LINE WITH YOUR MESSAGE|in $(pwd)|")"
"#;

#[test]
fn cursor_is_started_with_its_prompt_on_standard_input_and_hands_back() {
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
    assert!(arguments.contains("-p") && arguments.contains("auto"), "{arguments}");
    assert!(!arguments.contains("You are"), "the prompt stands in the arguments");
    let prompt = fs::read_to_string(world.root().join("home/prompt")).unwrap();
    assert!(prompt.contains("# You are `builder`"));
}
