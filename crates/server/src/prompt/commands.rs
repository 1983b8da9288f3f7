//! The commands that prompts tell agents to run, each made here and nowhere else, so that a test can hold them against the
//! real command line. Every part that could mean something to a shell is quoted.

use chatroom_protocol::id::{ChatroomId, TaskId};

/// Ends the message of a handoff.
pub const HEREDOC_END: &str = "CHATROOM_END";
/// Stands where an agent is to write its own message.
pub const MESSAGE_PLACEHOLDER: &str = "REPLACE THIS LINE WITH YOUR MESSAGE";
/// Stands where an agent is to write the name of its own file.
pub const FILE_PLACEHOLDER: &str = "FILE.md";

/// The CLI as one role of one room uses it.
#[derive(Clone, Copy, Debug)]
pub struct Commands<'a> {
    /// Absolute path of the CLI on the role's machine; plain `chatroom` when unknown.
    pub cli: &'a str,
    /// The room.
    pub chatroom_id: &'a ChatroomId,
    /// The role.
    pub role: &'a str,
}

impl Commands<'_> {
    /// Waits for a task.
    #[must_use]
    pub fn wait(&self) -> String {
        format!("{} {}", self.program("wait-for-task"), self.who())
    }

    /// Says that work on a task began.
    #[must_use]
    pub fn started(&self, task_id: &TaskId, delivery: i64) -> String {
        format!("{} {}", self.program("task-started"), self.which(task_id, delivery))
    }

    /// Ends a task without handing it on.
    #[must_use]
    pub fn complete(&self, task_id: &TaskId, delivery: i64) -> String {
        format!("{} {}", self.program("task-complete"), self.which(task_id, delivery))
    }

    /// Hands a task on, with the message in a heredoc: three lines, the second of which is the agent's to replace.
    #[must_use]
    pub fn handoff(&self, task_id: &TaskId, delivery: i64, next_role: &str) -> String {
        format!(
            "{} {} --next-role={} <<'{HEREDOC_END}'\n{MESSAGE_PLACEHOLDER}\n{HEREDOC_END}",
            self.program("handoff"),
            self.which(task_id, delivery),
            quote(next_role),
        )
    }

    /// Tells the user how it goes, with the note in a heredoc.
    #[must_use]
    pub fn progress(&self, task_id: &TaskId, delivery: i64) -> String {
        format!(
            "{} {} <<'{HEREDOC_END}'\n{MESSAGE_PLACEHOLDER}\n{HEREDOC_END}",
            self.program("report-progress"),
            self.which(task_id, delivery),
        )
    }

    /// Reads what the role needs to know now.
    #[must_use]
    pub fn read_context(&self) -> String {
        format!("{} {}", self.program("context read"), self.who())
    }

    /// Reads what was said before a message.
    #[must_use]
    pub fn read_earlier(&self, before: i64) -> String {
        format!("{} --before={before}", self.read_context())
    }

    /// Writes an artifact; `FILE.md` is the agent's to replace.
    #[must_use]
    pub fn put_artifact(&self) -> String {
        format!("{} {} {FILE_PLACEHOLDER}", self.program("artifact put"), self.who())
    }

    /// Prints one version of an artifact.
    #[must_use]
    pub fn artifact(&self, name: &str, version: i64) -> String {
        format!(
            "{} --chatroom-id={} --name={} --version={version}",
            self.program("artifact get"),
            quote(self.chatroom_id.as_str()),
            quote(name),
        )
    }

    /// Lists a room's messages after a sequence number, `limit` at most; the newest ones without a number.
    #[must_use]
    pub fn messages(&self, after: Option<i64>, limit: i64) -> String {
        let after = after.map(|after| format!(" --after={after}")).unwrap_or_default();
        format!(
            "{} --chatroom-id={}{after} --limit={limit}",
            self.program("messages list"),
            quote(self.chatroom_id.as_str()),
        )
    }

    fn program(&self, subcommand: &str) -> String {
        format!("{} {subcommand}", quote(self.cli))
    }

    fn who(&self) -> String {
        format!("--chatroom-id={} --role={}", quote(self.chatroom_id.as_str()), quote(self.role))
    }

    fn which(&self, task_id: &TaskId, delivery: i64) -> String {
        format!("{} --task-id={} --delivery={delivery}", self.who(), quote(task_id.as_str()))
    }
}

/// A word as a POSIX shell reads it back.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./@%+:,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{Commands, quote};

    #[test]
    fn a_path_with_odd_characters_stays_one_word() {
        assert_eq!(quote("/usr/local/bin/chatroom"), "/usr/local/bin/chatroom");
        assert_eq!(quote("/home/o'neil/my tools/chatroom"), r"'/home/o'\''neil/my tools/chatroom'");
        assert_eq!(quote("$(reboot)"), "'$(reboot)'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn every_command_names_room_and_role_where_it_needs_them() {
        let commands = Commands { cli: "/opt/chatroom", chatroom_id: &"room-1".into(), role: "builder" };
        let all = [
            commands.wait(),
            commands.started(&"task-1".into(), 2),
            commands.complete(&"task-1".into(), 2),
            commands.handoff(&"task-1".into(), 2, "user"),
            commands.messages(None, 20),
            commands.messages(Some(7), 1),
            commands.progress(&"task-1".into(), 2),
            commands.read_context(),
            commands.read_earlier(9),
            commands.put_artifact(),
            commands.artifact("plan.md", 3),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        /opt/chatroom wait-for-task --chatroom-id=room-1 --role=builder
        /opt/chatroom task-started --chatroom-id=room-1 --role=builder --task-id=task-1 --delivery=2
        /opt/chatroom task-complete --chatroom-id=room-1 --role=builder --task-id=task-1 --delivery=2
        /opt/chatroom handoff --chatroom-id=room-1 --role=builder --task-id=task-1 --delivery=2 --next-role=user <<'CHATROOM_END'
        REPLACE THIS LINE WITH YOUR MESSAGE
        CHATROOM_END
        /opt/chatroom messages list --chatroom-id=room-1 --limit=20
        /opt/chatroom messages list --chatroom-id=room-1 --after=7 --limit=1
        /opt/chatroom report-progress --chatroom-id=room-1 --role=builder --task-id=task-1 --delivery=2 <<'CHATROOM_END'
        REPLACE THIS LINE WITH YOUR MESSAGE
        CHATROOM_END
        /opt/chatroom context read --chatroom-id=room-1 --role=builder
        /opt/chatroom context read --chatroom-id=room-1 --role=builder --before=9
        /opt/chatroom artifact put --chatroom-id=room-1 --role=builder FILE.md
        /opt/chatroom artifact get --chatroom-id=room-1 --name=plan.md --version=3
        "#);
    }
}
