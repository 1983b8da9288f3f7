//! Guesses which agent tool runs this command: by the marks that tools leave in the environment of their shell commands, else
//! by the names of the processes above this one.

use chatroom_machine::tools::registry;

/// Variables that a tool sets for the shell commands that it runs.
const MARKS: &[(&str, &str)] = &[
    ("CLAUDECODE", "claude"),
    ("OPENCODE", "opencode"),
    ("CURSOR_AGENT", "cursor"),
    ("CODEX_SANDBOX", "codex"),
    ("CODEX_THREAD_ID", "codex"),
    ("GEMINI_CLI", "gemini"),
    ("QWEN_CODE", "qwen"),
    ("COPILOT_CLI", "copilot"),
];

/// How many processes are looked at.
const MAX_DEPTH: usize = 12;

/// The tool that runs this command, if it can be told.
pub(crate) fn guess() -> Option<&'static str> {
    // The nearest process is surer than a variable, which tools started by tools inherit.
    by_names(&ancestors()).or_else(|| by_marks(&|name| std::env::var_os(name).is_some()))
}

fn by_marks(is_set: &dyn Fn(&str) -> bool) -> Option<&'static str> {
    MARKS.iter().find(|(name, _)| is_set(name)).map(|(_, tool)| *tool)
}

/// `processes`: for each process above this one, nearest first, the file names of its program and of the script it runs.
fn by_names(processes: &[Vec<String>]) -> Option<&'static str> {
    processes.iter().flatten().find_map(|name| {
        // `agent` is too general a name to tell a tool by.
        registry::all()
            .iter()
            .find(|tool| tool.binaries.iter().any(|binary| binary == name && name != "agent"))
            .map(|tool| tool.name.as_str())
    })
}

#[cfg(target_os = "linux")]
fn ancestors() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut pid = std::os::unix::process::parent_id();
    while pid > 1 && found.len() < MAX_DEPTH {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { break };
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        // The program, and for an interpreter the script: the first two words.
        let words = command.split(|byte| *byte == 0).take(2).map(|word| String::from_utf8_lossy(word).into_owned());
        found.push(words.filter_map(|word| word.rsplit('/').next().map(str::to_owned)).collect());
        let Some(parent) = parent_of(&stat) else { break };
        pid = parent;
    }
    found
}

#[cfg(not(target_os = "linux"))]
fn ancestors() -> Vec<Vec<String>> {
    let _ = MAX_DEPTH;
    Vec::new()
}

/// The fourth field of `/proc/PID/stat`; the second one is in parentheses and may hold anything.
#[cfg(target_os = "linux")]
fn parent_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{by_marks, by_names};

    fn processes(lines: &[&str]) -> Vec<Vec<String>> {
        lines.iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
    }

    #[test]
    fn the_nearest_tool_above_is_taken() {
        assert_eq!(by_names(&processes(&["bash -c", "opencode run", "claude -p", "zsh -l"])), Some("opencode"));
        assert_eq!(by_names(&processes(&["sh -c", "node gemini", "bash"])), Some("gemini"));
        assert_eq!(by_names(&processes(&["bash", "cursor-agent -p"])), Some("cursor"));
        assert_eq!(by_names(&processes(&["bash", "sshd", "agent"])), None);
    }

    #[test]
    fn a_mark_in_the_environment_names_its_tool() {
        assert_eq!(by_marks(&|name| name == "GEMINI_CLI"), Some("gemini"));
        assert_eq!(by_marks(&|_| false), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_with_a_strange_name_has_its_parent_read() {
        assert_eq!(super::parent_of("12 (a) b) (c) S 77 12 12 0"), Some(77));
    }
}
