//! What a role says about its task: begun, how it goes, done, handed on. Each write carries the delivery number; a lost answer is asked
//! for again, because a write that took effect before says so.

use crate::cli::{Handoff, TaskRef};
use crate::commands::messages::attached;
use crate::context::Context;
use crate::input;
use anyhow::Result;
use chatroom_protocol::api::{messages, tasks};

/// `task-started`.
pub(crate) async fn started(context: &Context, args: TaskRef) -> Result<()> {
    let written = crate::retry::idempotent::<tasks::Start>(&context.client()?, &fenced(args)).await?;
    Ok(context.ui.answer(&written, |written| format!("task {} is in progress", written.task.task_id))?)
}

/// `task-complete`.
pub(crate) async fn complete(context: &Context, args: TaskRef) -> Result<()> {
    let wait = wait_command(&args);
    let written = crate::retry::idempotent::<tasks::Complete>(&context.client()?, &fenced(args)).await?;
    Ok(context.ui.answer(&written, |written| format!("task {} is completed\n\n{wait}", written.task.task_id))?)
}

/// `handoff`.
pub(crate) async fn handoff(context: &Context, args: Handoff) -> Result<()> {
    let client = context.client()?;
    let artifacts = attached(&args.attach_artifact)?;
    let content = input::read_message("the handoff message")?;
    let wait = wait_command(&args.task);
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
    Ok(context.ui.answer(&handed, |handed| format!("handed to {}\n\n{wait}", handed.next_role))?)
}

/// `report-progress`.
pub(crate) async fn report_progress(context: &Context, args: TaskRef) -> Result<()> {
    let client = context.client()?;
    let content = input::read_message("the note")?;
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

fn fenced(args: TaskRef) -> tasks::TaskArgs {
    tasks::TaskArgs {
        chatroom_id: args.chatroom_id.into(),
        role: args.role,
        task_id: args.task_id.into(),
        delivery: args.delivery,
    }
}

/// What to do next, for the agent that reads the output.
fn wait_command(args: &TaskRef) -> String {
    crate::program::wait_step(&crate::program::wait_command(&args.chatroom_id, &args.role))
}
