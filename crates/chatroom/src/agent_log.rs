//! The end of a log file of this machine, for people.

use crate::error::refused;
use anyhow::{Context as _, Result};
use chatroom_machine::Home;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// How much of the end is read at most.
const MAX: u64 = 1024 * 1024;

/// The last lines that an agent's tool wrote of its own, outside of what it was asked; empty when there are none.
pub(crate) fn tail(home: &Home, agent_id: &str, lines: usize) -> Result<String> {
    // An id is one name, never a path.
    if agent_id.is_empty() || !agent_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(refused("this is not the id of an agent").hint("chatroom agent list --all").into());
    }
    let dir = home.agents_dir().join(agent_id);
    if !dir.exists() {
        return Err(refused(format!("agent {agent_id} left no output on this machine"))
            .hint("run this on the agent's machine, or leave --raw out")
            .into());
    }
    let file = dir.join("output.log");
    if file.exists() { tail_of(&file, lines) } else { Ok(String::new()) }
}

/// The last lines of a file.
pub(crate) fn tail_of(path: &Path, lines: usize) -> Result<String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(MAX)))?;
        let mut bytes = Vec::new();
        file.take(MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().with_context(|| format!("{} cannot be read", path.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    Ok(all[all.len().saturating_sub(lines)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{tail, tail_of};
    use chatroom_machine::Home;

    #[test]
    fn the_last_lines_are_given() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("log");
        std::fs::write(&file, "one\ntwo\nthree\n").unwrap();
        assert_eq!(tail_of(&file, 2).unwrap(), "two\nthree");
        assert_eq!(tail_of(&file, 9).unwrap(), "one\ntwo\nthree");
    }

    #[test]
    fn an_id_is_never_a_path() {
        let home = Home::at("/nowhere");
        assert!(tail(&home, "../../etc", 1).unwrap_err().to_string().contains("not the id"));
    }
}
