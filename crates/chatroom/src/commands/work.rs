//! What a role says about its task: begun, how it goes, done, handed on. Each write carries the delivery number; a lost answer is asked
//! for again, because a write that took effect before says so.

use crate::cli::{Handoff, TaskRef};
use crate::commands::messages::attached;
use crate::context::{Context, is_live, signed_in};
use crate::error::refused;
use crate::input;
use crate::ui::one_line;
use anyhow::Result;
use chatroom_protocol::api::{messages, tasks};
use chatroom_protocol::task::{Task, TaskState, TaskWrite};
use chatroom_server::prompt::commands::MESSAGE_PLACEHOLDER;

/// `task-started`.
pub(crate) async fn started(context: &Context, args: TaskRef) -> Result<()> {
    let written = crate::retry::idempotent::<tasks::Start>(&context.client()?, &fenced(args)).await?;
    Ok(context.ui.answer(&written, |written| standing(&written.task))?)
}

/// `task-complete`.
pub(crate) async fn complete(context: &Context, args: TaskRef) -> Result<()> {
    let resolved = context.resolve()?;
    let client = signed_in(&resolved)?;
    let then = then(is_live(&resolved), &args);
    let written = crate::retry::idempotent::<tasks::Complete>(&client, &fenced(args)).await?;
    Ok(context.ui.answer(&written, |written| format!("{}\n\n{then}", standing(&written.task)))?)
}

/// `handoff`.
pub(crate) async fn handoff(context: &Context, args: Handoff) -> Result<()> {
    let resolved = context.resolve()?;
    let client = signed_in(&resolved)?;
    let artifacts = attached(&args.attach_artifact)?;
    let content = own(input::read_message("the handoff message")?)?;
    let then = then(is_live(&resolved), &args.task);
    let task = fenced(args.task);
    let args = tasks::HandoffArgs {
        chatroom_id: task.chatroom_id,
        role: task.role,
        task_id: task.task_id,
        delivery: task.delivery,
        next_role: args.next_role,
        content,
        artifacts,
    };
    let handed = crate::retry::idempotent::<tasks::Handoff>(&client, &args).await?;
    Ok(context.ui.answer(&handed, |handed| format!("{}\n\n{then}", sent(handed)))?)
}

/// `report-progress`.
pub(crate) async fn report_progress(context: &Context, args: TaskRef) -> Result<()> {
    let client = context.client()?;
    let content = own(input::read_message("the note")?)?;
    let task = fenced(args);
    let args = messages::ReportProgressArgs {
        chatroom_id: task.chatroom_id,
        role: task.role,
        task_id: task.task_id,
        delivery: task.delivery,
        content,
    };
    let reported = crate::retry::idempotent::<messages::ReportProgress>(&client, &args).await?;
    Ok(context.ui.answer(&reported, |_| "noted; go on with the task".to_owned())?)
}

/// Where a task stands.
pub(crate) fn standing(task: &Task) -> String {
    let state = match task.state {
        TaskState::Pending => "is in the queue again",
        TaskState::Acknowledged => "is handed out",
        TaskState::InProgress => "is in progress",
        TaskState::Completed => "is completed",
        TaskState::Cancelled => "is cancelled",
    };
    format!("task {} {state}", task.task_id)
}

/// What became of a handoff: the second one of a task sends nothing.
pub(crate) fn sent(handed: &tasks::HandedOff) -> String {
    let next_role = one_line(&handed.next_role);
    match handed.write {
        TaskWrite::Applied => format!("handed to {next_role}"),
        TaskWrite::AlreadyApplied => {
            format!("the task was handed to {next_role} before: this message was NOT sent")
        }
    }
}

/// A message that its writer has written.
///
/// # Errors
/// A refusal when the line that stands for it in the command was left in.
pub(crate) fn own(content: String) -> Result<String> {
    if content.lines().any(|line| line.trim() == MESSAGE_PLACEHOLDER) {
        return Err(refused(format!("the message still holds the line `{MESSAGE_PLACEHOLDER}`"))
            .hint("write your message in its place and run the command again; nothing was sent")
            .into());
    }
    Ok(content)
}

fn fenced(args: TaskRef) -> tasks::TaskArgs {
    tasks::TaskArgs {
        chatroom_id: args.chatroom_id.into(),
        role: args.role,
        task_id: args.task_id.into(),
        delivery: args.delivery,
    }
}

/// What to do next, for the agent that reads the output.
fn then(is_live: bool, args: &TaskRef) -> String {
    if is_live {
        return "Now end your turn: the next task comes to you by itself.".to_owned();
    }
    crate::program::wait_step(&crate::program::wait_command(&args.chatroom_id, &args.role))
}

#[cfg(test)]
mod tests {
    use super::{own, sent, then};
    use crate::cli::TaskRef;
    use chatroom_protocol::api::tasks::HandedOff;
    use chatroom_protocol::task::TaskWrite;

    #[test]
    fn a_message_that_nobody_wrote_is_not_sent() {
        assert_eq!(own("done, see REPLACE THIS LINE WITH".to_owned()).unwrap(), "done, see REPLACE THIS LINE WITH");
        own("first\n REPLACE THIS LINE WITH YOUR MESSAGE \nmore".to_owned()).unwrap_err();
    }

    #[test]
    fn an_agent_whose_tasks_are_said_to_it_is_not_told_to_wait_for_one() {
        let task =
            TaskRef { chatroom_id: "r1".to_owned(), role: "builder".to_owned(), task_id: "t1".to_owned(), delivery: 1 };
        assert!(then(false, &task).contains("wait-for-task --chatroom-id=r1 --role=builder"));
        assert_eq!(then(true, &task), "Now end your turn: the next task comes to you by itself.");
    }

    #[test]
    fn the_second_handoff_says_that_nothing_was_sent() {
        let handed =
            |write| HandedOff { write, message_id: "m1".into(), next_task_id: None, next_role: "reviewer".to_owned() };
        assert_eq!(sent(&handed(TaskWrite::Applied)), "handed to reviewer");
        assert!(sent(&handed(TaskWrite::AlreadyApplied)).ends_with("before: this message was NOT sent"));
    }
}
