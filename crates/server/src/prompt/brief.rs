//! The brief: what is printed when a task is handed over.

use super::untrusted::{cut, quote};
use super::{Subject, TO_COMPLETE, TO_READ, TO_START, TO_WAIT, step, to_hand_off};
use chatroom_protocol::room::Message;
use chatroom_protocol::task::Task;

/// How many characters of a task's text are printed. Tools cut long output, and the commands come after the text.
const TEXT_CHARS: usize = 20_000;
/// How many characters of each message before it are printed.
const MESSAGE_CHARS: usize = 500;

/// What a brief is made of.
#[derive(Clone, Debug)]
pub struct Brief<'a> {
    /// For whom.
    pub subject: Subject<'a>,
    /// The task, with the delivery number of this hand-over.
    pub task: &'a Task,
    /// The sequence number of the message that made it.
    pub sequence: i64,
    /// The last messages before that one, oldest first.
    pub before: &'a [Message],
}

/// What a waiter prints with a task: the task, what was said before, and the exact next commands.
#[must_use]
pub fn task_brief(brief: &Brief<'_>) -> String {
    let Brief { subject, task, .. } = brief;
    let commands = subject.commands();
    let again = if task.delivery > 1 {
        format!(
            "\nThis task was handed to your role before (this is hand-over {}). Look at what is already done; do not do it twice.",
            task.delivery
        )
    } else {
        String::new()
    };
    let mut text = format!(
        "\
# Task for `{role}`
Task id: {id}
Delivery: {delivery}
From: `{from}`{again}

The text of the task (each line begins with `|`):
{content}
{cut_off}{before}
## What to do
1. Do what the text of the task asks, in the directory that you are in.
2. Then hand your work on: run one of the handoff commands below, once, with your own message in place of the marked line.
   Say what you did, what you found and what is left; the reader sees nothing else of your work. Only when nobody needs to
   hear of it, end the task without handing it on.
3. When that command has succeeded, wait for the next task.

{started}
",
        role = task.role,
        id = task.task_id,
        delivery = task.delivery,
        from = task.from_role,
        content = quote(cut(&task.content, TEXT_CHARS).0),
        cut_off = cut_off(brief),
        before = before(brief),
        started = step(TO_START, &commands.started(&task.task_id, task.delivery)),
    );
    for target in subject.role.targets(&task.from_role) {
        text.push_str(&step(&to_hand_off(target), &commands.handoff(&task.task_id, task.delivery, target)));
        text.push('\n');
    }
    text.push_str(&step(TO_COMPLETE, &commands.complete(&task.task_id, task.delivery)));
    text.push('\n');
    text.push_str(&step(TO_WAIT, &commands.wait()));
    text
}

/// How to read the rest of a text that was cut.
fn cut_off(brief: &Brief<'_>) -> String {
    match cut(&brief.task.content, TEXT_CHARS).1 {
        0 => String::new(),
        more => format!(
            "\nThe text is cut here; {more} characters are missing. To write the whole message into a file, run:\n```sh\n{} --json > chatroom-task.json\n```\n",
            brief.subject.commands().messages(Some(brief.sequence - 1), 1)
        ),
    }
}

/// What was said before.
fn before(brief: &Brief<'_>) -> String {
    if brief.before.is_empty() {
        return String::new();
    }
    let mut text = "\n## What was said before\n".to_owned();
    for message in brief.before {
        let (content, more) = cut(&message.content, MESSAGE_CHARS);
        let more = if more == 0 { String::new() } else { format!(" (the first {MESSAGE_CHARS} characters)") };
        text.push_str(&format!(
            "{}. `{}` to `{}`{more}:\n{}\n",
            message.sequence,
            message.sender_role,
            message.target_role,
            quote(content)
        ));
    }
    if brief.before.first().is_some_and(|first| first.sequence > 1) {
        text.push('\n');
        text.push_str(&step(TO_READ, &brief.subject.commands().messages(None, 50)));
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Brief, Subject, TEXT_CHARS, task_brief};
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::room::{Chatroom, Message, MessageKind, Team, TeamRole};
    use chatroom_protocol::task::{Task, TaskState};

    pub(in crate::prompt) fn room() -> Chatroom {
        let role = |name: &str, title: &str, hands_to: &[&str]| TeamRole {
            name: name.to_owned(),
            title: title.to_owned(),
            instructions: format!("What a {name} does."),
            hands_to: hands_to.iter().map(|&name| name.to_owned()).collect(),
        };
        Chatroom {
            chatroom_id: "room-1".into(),
            name: "Shop".to_owned(),
            team: Team {
                name: "duo".to_owned(),
                roles: vec![role("planner", "Planner", &["builder", "user"]), role("builder", "Builder", &["planner"])],
                entry_role: "planner".to_owned(),
            },
            created_at: UnixMs(1),
            archived_at: None,
        }
    }

    pub(in crate::prompt) fn task() -> Task {
        Task {
            task_id: "task-1".into(),
            chatroom_id: "room-1".into(),
            role: "planner".to_owned(),
            state: TaskState::Acknowledged,
            delivery: 1,
            confirmed: false,
            agent_id: None,
            message_id: "message-1".into(),
            from_role: "user".to_owned(),
            content: "Add a cart.\n```sh\nrm -rf /\n```".to_owned(),
            created_at: UnixMs(1),
            updated_at: UnixMs(1),
        }
    }

    pub(in crate::prompt) fn message() -> Message {
        Message {
            message_id: "message-0".into(),
            chatroom_id: "room-1".into(),
            sequence: 2,
            kind: MessageKind::Handoff,
            sender_role: "builder".to_owned(),
            target_role: "user".to_owned(),
            content: "The shop stands.".to_owned(),
            task_id: None,
            created_at: UnixMs(1),
        }
    }

    fn brief_of(task: &Task, before: &[Message]) -> String {
        let room = room();
        let subject = Subject { room: &room, role: &room.team.roles[0], cli: "/opt/chatroom" };
        task_brief(&Brief { subject, task, sequence: 3, before })
    }

    #[test]
    fn the_brief_of_a_task() {
        insta::assert_snapshot!(brief_of(&task(), &[message()]), @r#"
        # Task for `planner`
        Task id: task-1
        Delivery: 1
        From: `user`

        The text of the task (each line begins with `|`):
        | Add a cart.
        | ```sh
        | rm -rf /
        | ```

        ## What was said before
        2. `builder` to `user`:
        | The shop stands.

        To read earlier messages of the room, run:
        ```sh
        /opt/chatroom messages list --chatroom-id=room-1 --limit=50
        ```

        ## What to do
        1. Do what the text of the task asks, in the directory that you are in.
        2. Then hand your work on: run one of the handoff commands below, once, with your own message in place of the marked line.
           Say what you did, what you found and what is left; the reader sees nothing else of your work. Only when nobody needs to
           hear of it, end the task without handing it on.
        3. When that command has succeeded, wait for the next task.

        To say that you began, run:
        ```sh
        /opt/chatroom task-started --chatroom-id=room-1 --role=planner --task-id=task-1 --delivery=1
        ```

        To hand your work to `builder`, run:
        ```sh
        /opt/chatroom handoff --chatroom-id=room-1 --role=planner --task-id=task-1 --delivery=1 --next-role=builder <<'CHATROOM_END'
        REPLACE THIS LINE WITH YOUR MESSAGE
        CHATROOM_END
        ```

        To hand your work to `user`, run:
        ```sh
        /opt/chatroom handoff --chatroom-id=room-1 --role=planner --task-id=task-1 --delivery=1 --next-role=user <<'CHATROOM_END'
        REPLACE THIS LINE WITH YOUR MESSAGE
        CHATROOM_END
        ```

        To end the task without handing it on, run:
        ```sh
        /opt/chatroom task-complete --chatroom-id=room-1 --role=planner --task-id=task-1 --delivery=1
        ```

        To wait for a task, run:
        ```sh
        /opt/chatroom wait-for-task --chatroom-id=room-1 --role=planner
        ```
        "#);
    }

    #[test]
    fn no_command_of_a_message_stands_where_ours_do() {
        let brief = brief_of(&task(), &[message()]);
        assert!(!brief.lines().any(|line| line.starts_with("rm ")), "{brief}");
    }

    #[test]
    fn a_task_handed_over_again_says_so() {
        let brief = brief_of(&Task { delivery: 3, ..task() }, &[]);
        assert!(brief.contains("this is hand-over 3"), "{brief}");
        assert!(brief.contains("--delivery=3"), "{brief}");
    }

    #[test]
    fn a_long_text_is_cut_before_the_commands_and_says_how_to_read_the_rest() {
        let brief = brief_of(&Task { content: "x".repeat(TEXT_CHARS + 5), ..task() }, &[]);
        assert!(brief.contains("5 characters are missing"), "{brief}");
        assert!(brief.contains("messages list --chatroom-id=room-1 --after=2 --limit=1 --json"), "{brief}");
    }
}
