//! What agents are told: the init prompt of a role, and the brief of a task. Pure functions of what stands in the room.
//!
//! Commands stand in fenced blocks right after a fixed line (the `TO_...` constants), so that a reader that understands no
//! prose can follow. Text that people or other agents wrote is quoted by [`untrusted`] and never stands where a command does.

pub mod commands;
pub mod untrusted;

mod brief;
mod init;

pub use brief::{Brief, task_brief};
pub use init::{Subject, init};

/// Changes whenever the text of some prompt changes; a test holds it to the texts.
pub const VERSION: &str = "1";

/// Before the command that waits for a task.
pub const TO_WAIT: &str = "To wait for a task, run:";
/// Before the command that says that work began.
pub const TO_START: &str = "To say that you began, run:";
/// Before the command that ends a task without handing it on.
pub const TO_COMPLETE: &str = "To end the task without handing it on, run:";
/// Before the command that reads messages.
pub const TO_READ: &str = "To read earlier messages of the room, run:";

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
    use super::{Brief, Subject, VERSION, init, task_brief};
    use crate::prompt::brief::tests::{message, room, task};
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
                let brief = Brief { subject: subject.clone(), task: &task(), sequence: 3, before: &[message()] };
                [init(&subject), task_brief(&brief)]
            })
            .collect();
        let digest = secret::hash(&texts.concat());
        // When this fails: raise VERSION, then accept the new digest.
        insta::assert_snapshot!(format!("{VERSION} {}", &digest[..16]), @"1 6c0ac3e1cfa17ace");
    }
}
