//! What agents are told: the init prompt of a role or its brief for a live session, the brief of a task, and a reminder of it. Pure functions of what stands in the room.
//!
//! Commands stand in fenced blocks right after a fixed line (the `TO_...` constants), so that a reader that understands no
//! prose can follow. Text that people or other agents wrote is quoted by [`untrusted`] and never stands where a command does.

pub mod commands;
pub mod untrusted;

mod brief;
mod init;
mod live;
mod rebrief;

pub use brief::{Attached, Brief, task_brief};
pub use init::{Subject, init};
pub use live::{live, reminder};
pub use rebrief::{Rebrief, rebrief};

/// Changes whenever the text of some prompt changes; a test holds it to the texts.
pub const VERSION: &str = "4";

/// Before the command that waits for a task.
pub const TO_WAIT: &str = "To wait for a task, run:";
/// Before the command that says that work began.
pub const TO_START: &str = "To say that you began, run:";
/// Before the command that ends a task without handing it on.
pub const TO_COMPLETE: &str = "To end the task without handing it on, run:";
/// Before the command that tells how it goes.
pub const TO_REPORT: &str = "To tell the user how it goes, when the work takes long, run:";
/// Before the command that reads what a role needs to know now.
pub const TO_RECALL: &str = "To read again who you are and what you work on, run:";
/// Before the command that reads what was said earlier than what is shown.
pub const TO_READ_EARLIER: &str = "To read what was said before that, run:";
/// Before the command that writes a file for the team.
pub const TO_SHARE: &str =
    "To give the team a markdown file (a plan, a report), run, with the name of your file in place of FILE.md:";
/// In place of shell commands, where a live session has tools for the same.
const MCP_FIRST: &str = "\
When you have tools of an MCP server named `chatroom` (such as `handoff`, `task_complete` and `report_progress`), use them: they do
the same as the shell commands that are printed for you, with the same ids and numbers. Run the shell commands otherwise.";

/// Before the command that reads messages.
pub const TO_READ: &str = "To read earlier messages of the room, run:";

/// Before the command that prints a file whole.
#[must_use]
pub fn to_open(name: &str) -> String {
    format!("To read `{name}` whole, run:")
}

/// Before the command that hands a task to `target`.
#[must_use]
pub fn to_hand_off(target: &str) -> String {
    format!("To hand your work to `{target}`, run:")
}

/// A fixed line and its command.
fn step(line: &str, command: &str) -> String {
    format!("{line}\n```sh\n{command}\n```\n")
}

#[cfg(test)]
mod tests {
    use super::{Brief, Subject, VERSION, init, live, reminder, task_brief};
    use crate::prompt::brief::tests::{attached, context, message, room, task};
    use crate::prompt::rebrief::tests::text_of;
    use crate::secret;

    #[test]
    fn the_version_changes_with_the_texts() {
        let room = room();
        let texts: Vec<String> = room
            .team
            .roles
            .iter()
            .flat_map(|role| {
                let subject = Subject { room: &room, role, cli: "/opt/chatroom" };
                let (context, attached) = (context(), attached());
                let brief = Brief {
                    subject: subject.clone(),
                    task: &task(),
                    sequence: 3,
                    before: &[message()],
                    context: Some(&context),
                    attached: std::slice::from_ref(&attached),
                    live: false,
                };
                let said = Brief { live: true, ..brief.clone() };
                [
                    init(&subject),
                    live(&subject),
                    task_brief(&brief),
                    task_brief(&said),
                    reminder(&subject, &task()),
                    text_of(true, false),
                    text_of(false, false),
                    text_of(true, true),
                    text_of(false, true),
                ]
            })
            .collect();
        let digest = secret::hash(&texts.concat());
        // When this fails: raise VERSION, then accept the new digest.
        insta::assert_snapshot!(format!("{VERSION} {}", &digest[..16]), @"4 d7ea53713f0d7d1d");
    }
}
