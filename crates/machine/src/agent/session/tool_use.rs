//! What a tool is told to do, read from the arguments that a model gave it. Names of arguments differ little between tools.

use chatroom_protocol::transcript::{Diff, ToolKind};
use serde_json::Value;

/// Bytes of a name that other events refer to.
const ID_BYTES: usize = 200;
/// Bytes of a title.
const TITLE_BYTES: usize = 500;

/// The shell command in a tool's arguments: a text, or the words of a program.
pub(super) fn command_of(input: &Value) -> Option<String> {
    let command = input.get("command").or_else(|| input.get("cmd"))?;
    match command {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(words) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            // `bash -lc SCRIPT` is its script.
            match words.as_slice() {
                [shell, flag, script] if shell.ends_with("sh") && flag.starts_with('-') && flag.ends_with('c') => {
                    Some((*script).to_owned())
                }
                [] => None,
                words => Some(words.join(" ")),
            }
        }
        _ => None,
    }
}

/// The files in a tool's arguments.
pub(super) fn paths_of(input: &Value) -> Vec<String> {
    ["file_path", "filePath", "path", "notebook_path", "abs_path", "absolute_path"]
        .iter()
        .filter_map(|name| input.get(name)?.as_str())
        .map(str::to_owned)
        .collect()
}

/// What a tool with these arguments changes in files, as far as they tell.
pub(super) fn diffs_of(input: &Value) -> Vec<Diff> {
    let Some(path) = paths_of(input).into_iter().next() else { return Vec::new() };
    let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    let change = |edit: &Value| {
        let new_text = text(edit, "new_string")?;
        Some(Diff { path: path.clone(), old_text: text(edit, "old_string"), new_text })
    };
    if let Some(edits) = input.get("edits").and_then(Value::as_array) {
        return edits.iter().filter_map(change).collect();
    }
    let whole = || Some(Diff { path: path.clone(), old_text: None, new_text: text(input, "content")? });
    change(input).or_else(whole).into_iter().collect()
}

/// What kind of deed the tool `name` of Claude Code (and of tools like it) does.
pub(super) fn kind_of(name: &str) -> ToolKind {
    match name {
        "Bash" | "BashOutput" | "KillShell" | "KillBash" => ToolKind::Execute,
        "Edit" | "Write" | "MultiEdit" | "NotebookEdit" => ToolKind::Edit,
        "Read" | "NotebookRead" => ToolKind::Read,
        "Grep" | "Glob" | "LS" | "ToolSearch" => ToolKind::Search,
        "WebFetch" | "WebSearch" => ToolKind::Fetch,
        "TodoWrite" | "ExitPlanMode" | "EnterPlanMode" => ToolKind::Think,
        _ => ToolKind::Other,
    }
}

/// What the tool `name` is about to do, in a few words.
pub(super) fn title_of(name: &str, input: &Value) -> String {
    let first = |names: &[&str]| names.iter().find_map(|name| input.get(name)?.as_str()).map(str::to_owned);
    let what = command_of(input).or_else(|| {
        first(&["file_path", "filePath", "path", "notebook_path", "pattern", "url", "query", "description"])
    });
    let title = match what {
        Some(command) if kind_of(name) == ToolKind::Execute => command,
        Some(what) => format!("{name} {what}"),
        None => name.to_owned(),
    };
    short_title(&title)
}

/// A title of bounded length.
pub(super) fn short_title(title: &str) -> String {
    if title.len() <= TITLE_BYTES {
        return title.to_owned();
    }
    format!("{}…", &title[..title.floor_char_boundary(TITLE_BYTES)])
}

/// A name of bounded length that stays the same each time.
pub(super) fn short_id(id: &str) -> String {
    id[..id.floor_char_boundary(ID_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_command_is_a_text_or_words_or_the_script_of_a_shell() {
        assert_eq!(command_of(&json!({"command": "ls -l"})).unwrap(), "ls -l");
        assert_eq!(command_of(&json!({"command": ["git", "status"]})).unwrap(), "git status");
        assert_eq!(command_of(&json!({"command": ["/bin/bash", "-lc", "a; b"]})).unwrap(), "a; b");
        for none in [json!({}), json!({"command": ""}), json!({"command": 1}), json!(null), json!({"command": []})] {
            assert_eq!(command_of(&none), None, "{none}");
        }
    }

    #[test]
    fn edits_and_writes_are_changes_of_their_file() {
        let edit = json!({"file_path": "/a", "old_string": "x", "new_string": "y"});
        assert_eq!(diffs_of(&edit), [Diff { path: "/a".into(), old_text: Some("x".into()), new_text: "y".into() }]);
        let write = json!({"file_path": "/b", "content": "whole"});
        assert_eq!(diffs_of(&write), [Diff { path: "/b".into(), old_text: None, new_text: "whole".into() }]);
        let many = json!({"file_path": "/c", "edits": [{"old_string": "1", "new_string": "2"}, {"new_string": "3"}]});
        assert_eq!(diffs_of(&many).len(), 2);
        assert!(diffs_of(&json!({"command": "ls"})).is_empty());
    }

    #[test]
    fn a_title_tells_what_is_done_and_to_what() {
        assert_eq!(title_of("Bash", &json!({"command": "ls"})), "ls");
        assert_eq!(title_of("Edit", &json!({"file_path": "/a"})), "Edit /a");
        assert_eq!(title_of("Task", &json!({})), "Task");
        assert!(title_of("Bash", &json!({"command": "é".repeat(999)})).len() < 510);
    }
}
