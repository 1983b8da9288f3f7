//! This program as others run it: its own path, and command lines that are printed for agents and people.

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// Absolute path of this program, to be run by others.
pub(crate) fn path() -> Result<PathBuf> {
    std::env::current_exe().context("cannot tell where this program is")
}

/// The command that waits for a task of a role.
pub(crate) fn wait_command(room: &str, role: &str) -> String {
    let program = path().unwrap_or_else(|_| PathBuf::from("chatroom"));
    format!("{} wait-for-task --chatroom-id={} --role={}", quote_path(&program), quote(room), quote(role))
}

/// A command that waits, told as the prompts tell commands: a fixed line and a fenced block.
pub(crate) fn wait_step(command: &str) -> String {
    format!("To wait for a task, run:\n```sh\n{command}\n```")
}

/// A text as one word of a POSIX shell.
pub(crate) fn quote(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@%+,".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn quote_path(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn a_word_of_a_shell_is_quoted_only_when_it_must_be() {
        assert_eq!(quote("/usr/local/bin/chatroom"), "/usr/local/bin/chatroom");
        assert_eq!(quote("/home/o'neil/my tools"), r"'/home/o'\''neil/my tools'");
        assert_eq!(quote("$(rm -rf ~)"), "'$(rm -rf ~)'");
        assert_eq!(quote(""), "''");
    }
}
