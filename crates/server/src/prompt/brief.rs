//! The brief: what is printed when a task is handed over.

use super::untrusted::{cut, quote};
use super::{
    MCP_FIRST, Subject, TO_COMPLETE, TO_READ, TO_RECALL, TO_REPORT, TO_START, TO_WAIT, step, to_hand_off, to_open,
};
use chatroom_protocol::room::{Artifact, Context, Message, MessageKind};
use chatroom_protocol::task::Task;

/// How many characters of a task's text are printed. Tools cut long output, and the commands come after the text.
const TEXT_CHARS: usize = 20_000;
/// How many characters of one file that came with a task are printed, and of all of them.
const FILE_CHARS: usize = 4_000;
const FILES_CHARS: usize = 20_000;
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
    /// The context that counts now.
    pub context: Option<&'a Context>,
    /// The artifacts that came with the task.
    pub attached: &'a [Attached],
    /// Whether it is said into a live session, which does not wait by itself.
    pub live: bool,
}

/// An artifact that came with a task.
#[derive(Clone, Debug)]
pub struct Attached {
    /// Which.
    pub artifact: Artifact,
    /// The beginning of its text.
    pub text: String,
}

/// What a waiter prints with a task: the task, what was said before, and the exact next commands.
#[must_use]
pub fn task_brief(brief: &Brief<'_>) -> String {
    let Brief { subject, task, .. } = brief;
    format!(
        "{task_text}{context}{before}{next}",
        task_text = task_text(subject, task, brief.sequence, brief.attached),
        context = brief.context.map(context).unwrap_or_default(),
        before = before(subject, brief.before),
        next = next_steps(subject, task, brief.live),
    )
}

/// The task itself, with what came with it.
pub(super) fn task_text(subject: &Subject<'_>, task: &Task, sequence: i64, attached: &[Attached]) -> String {
    let again = if task.delivery > 1 {
        format!(
            "\nThis task was handed to your role before (this is hand-over {}). Look at what is already done; do not do it twice.",
            task.delivery
        )
    } else {
        String::new()
    };
    let (content, more) = cut(&task.content, TEXT_CHARS);
    let cut_off = match more {
        0 => String::new(),
        more => format!(
            "\nThe text is cut here; {more} characters are missing. To write the whole message into a file, run:\n```sh\n{} --json > chatroom-task.json\n```\n",
            subject.commands().messages(Some(sequence - 1), 1)
        ),
    };
    format!(
        "\
# Task for `{role}`
Task id: {id}
Delivery: {delivery}
From: `{from}`{again}

The text of the task (each line begins with `|`):
{content}
{cut_off}{files}",
        role = task.role,
        id = task.task_id,
        delivery = task.delivery,
        from = task.from_role,
        content = quote(content),
        files = files(subject, attached),
    )
}

/// What to do with the task, command by command.
pub(super) fn next_steps(subject: &Subject<'_>, task: &Task, live: bool) -> String {
    let commands = subject.commands();
    let then = if live {
        format!(
            "3. When that has succeeded, end your turn. Do not wait for the next task: it comes to you by itself.\n\n{MCP_FIRST}"
        )
    } else {
        "3. When that command has succeeded, wait for the next task.".to_owned()
    };
    let mut text = format!(
        "
## What to do
1. Do what the text of the task asks, in the directory that you are in.
2. Then hand your work on: run one of the handoff commands below, once, with your own message in place of the marked line.
   Say what you did, what you found and what is left; the reader sees nothing else of your work. Only when nobody needs to
   hear of it, end the task without handing it on.
{then}

{started}
{report}
{handoffs}{complete}",
        started = step(TO_START, &commands.started(&task.task_id, task.delivery)),
        report = report_step(subject, task),
        handoffs = hand_off_steps(subject, task),
        complete = step(TO_COMPLETE, &commands.complete(&task.task_id, task.delivery)),
    );
    text.push('\n');
    if !live {
        text.push_str(&step(TO_WAIT, &commands.wait()));
        text.push('\n');
    }
    text.push_str(&step(TO_RECALL, &commands.read_context()));
    text
}

/// How to tell the user how it goes.
pub(super) fn report_step(subject: &Subject<'_>, task: &Task) -> String {
    step(TO_REPORT, &subject.commands().progress(&task.task_id, task.delivery))
}

/// How to hand a task to each role that it may be handed to.
pub(super) fn hand_off_steps(subject: &Subject<'_>, task: &Task) -> String {
    let commands = subject.commands();
    let mut text = String::new();
    for target in subject.room.team.targets(subject.role, &task.from_role) {
        text.push_str(&step(&to_hand_off(target), &commands.handoff(&task.task_id, task.delivery, target)));
        text.push('\n');
    }
    text
}

/// The artifacts that came with a task, each with the beginning of its text.
fn files(subject: &Subject<'_>, attached: &[Attached]) -> String {
    if attached.is_empty() {
        return String::new();
    }
    let mut text = "\n## Files that came with it\n".to_owned();
    let mut left = FILES_CHARS;
    for Attached { artifact, text: content } in attached {
        let (shown, _) = cut(content, left.min(FILE_CHARS));
        left = left.saturating_sub(shown.chars().count());
        let whole = shown.len() as i64 >= artifact.bytes;
        let part = if whole { String::new() } else { format!("; its first {} bytes", shown.len()) };
        text.push_str(&format!(
            "`{}`, version {}, {} bytes, by `{}`{part}:\n{}\n",
            artifact.name,
            artifact.version,
            artifact.bytes,
            artifact.author_role,
            quote(shown),
        ));
        if !whole {
            let command = subject.commands().artifact(&artifact.name, artifact.version);
            text.push_str(&step(&to_open(&artifact.name), &command));
        }
    }
    text
}

/// The context that counts now.
pub(super) fn context(context: &Context) -> String {
    format!(
        "\n## What you must know now\nWritten by `{}`. The conversation before it does not count any more.\n{}\n{}\n",
        context.author_role,
        quote(&context.title),
        quote(&context.content),
    )
}

/// What was said before.
fn before(subject: &Subject<'_>, messages: &[Message]) -> String {
    let Some(first) = messages.first() else { return String::new() };
    let mut text = format!("\n## What was said before\n{}", said(messages, MESSAGE_CHARS));
    if first.sequence > 1 {
        text.push('\n');
        text.push_str(&step(TO_READ, &subject.commands().messages(None, 50)));
    }
    text
}

/// Messages one after the other, `chars` characters of each.
pub(super) fn said(messages: &[Message], chars: usize) -> String {
    let mut text = String::new();
    for message in messages {
        let (content, more) = cut(&message.content, chars);
        let more = if more == 0 { String::new() } else { format!(" (the first {chars} characters)") };
        let kind = if message.kind == MessageKind::Progress { ", on the way" } else { "" };
        text.push_str(&format!(
            "{}. `{}` to `{}`{kind}{more}:\n{}\n",
            message.sequence,
            message.sender_role,
            message.target_role,
            quote(content)
        ));
        if !message.artifacts.is_empty() {
            let names: Vec<String> =
                message.artifacts.iter().map(|file| format!("`{}` version {}", file.name, file.version)).collect();
            text.push_str(&format!("with {}\n", names.join(", ")));
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Attached, Brief, Subject, TEXT_CHARS, task_brief};
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::room::{Artifact, Chatroom, Context, Message, MessageKind, Team, TeamRole};
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
            artifacts: Vec::new(),
            receipt: None,
            created_at: UnixMs(1),
        }
    }

    pub(in crate::prompt) fn attached() -> Attached {
        let artifact = Artifact {
            name: "plan.md".to_owned(),
            version: 2,
            bytes: 10,
            author_role: "planner".to_owned(),
            author_name: "Ada".to_owned(),
            created_at: UnixMs(1),
        };
        Attached { artifact, text: "# The plan".to_owned() }
    }

    pub(in crate::prompt) fn context() -> Context {
        Context {
            context_id: "context-1".into(),
            title: "The cart".to_owned(),
            content: "We build the cart now.".to_owned(),
            after_sequence: 1,
            author_role: "planner".to_owned(),
            created_at: UnixMs(1),
        }
    }

    fn brief_of(task: &Task, before: &[Message]) -> String {
        let room = room();
        let subject = Subject { room: &room, role: &room.team.roles[0], cli: "/opt/chatroom" };
        task_brief(&Brief { subject, task, sequence: 3, before, context: None, attached: &[], live: false })
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

        To tell the user how it goes, when the work takes long, run:
        ```sh
        /opt/chatroom report-progress --chatroom-id=room-1 --role=planner --task-id=task-1 --delivery=1 <<'CHATROOM_END'
        REPLACE THIS LINE WITH YOUR MESSAGE
        CHATROOM_END
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

        To read again who you are and what you work on, run:
        ```sh
        /opt/chatroom context read --chatroom-id=room-1 --role=planner
        ```
        "#);
    }

    #[test]
    fn a_live_session_is_told_to_end_its_turn_and_never_to_wait() {
        let room = room();
        let subject = Subject { room: &room, role: &room.team.roles[0], cli: "/opt/chatroom" };
        let brief = task_brief(&Brief {
            subject,
            task: &task(),
            sequence: 3,
            before: &[],
            context: None,
            attached: &[],
            live: true,
        });
        assert!(brief.contains("end your turn. Do not wait for the next task"), "{brief}");
        assert!(brief.contains("MCP server named `chatroom`"), "{brief}");
        assert!(!brief.contains("wait-for-task") && !brief.contains("wait_for_task"), "{brief}");
        assert!(brief.contains("handoff --chatroom-id=room-1 --role=planner --task-id=task-1 --delivery=1"), "{brief}");
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
    fn what_came_with_a_task_and_what_counts_now_is_quoted() {
        let (room, context) = (room(), context());
        let subject = Subject { room: &room, role: &room.team.roles[0], cli: "/opt/chatroom" };
        let brief = task_brief(&Brief {
            subject,
            task: &task(),
            sequence: 3,
            before: &[],
            context: Some(&context),
            attached: &[attached()],
            live: false,
        });
        assert!(brief.contains("`plan.md`, version 2, 10 bytes, by `planner`:\n| # The plan\n"), "{brief}");
        assert!(brief.contains("any more.\n| The cart\n| We build the cart now.\n"), "{brief}");
    }

    #[test]
    fn a_file_that_is_not_shown_whole_says_how_to_read_it() {
        let room = room();
        let subject = Subject { room: &room, role: &room.team.roles[0], cli: "/opt/chatroom" };
        let mut long = attached();
        long.artifact.bytes = 5_000;
        let brief = task_brief(&Brief {
            subject,
            task: &task(),
            sequence: 3,
            before: &[],
            context: None,
            attached: &[long],
            live: false,
        });
        assert!(brief.contains("5000 bytes, by `planner`; its first 10 bytes:"), "{brief}");
        assert!(brief.contains("artifact get --chatroom-id=room-1 --name=plan.md --version=2"), "{brief}");
    }

    #[test]
    fn a_long_text_is_cut_before_the_commands_and_says_how_to_read_the_rest() {
        let brief = brief_of(&Task { content: "x".repeat(TEXT_CHARS + 5), ..task() }, &[]);
        assert!(brief.contains("5 characters are missing"), "{brief}");
        assert!(brief.contains("messages list --chatroom-id=room-1 --after=2 --limit=1 --json"), "{brief}");
    }
}
