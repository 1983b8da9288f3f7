//! `chatroom task`: the owner's view of a room's work.

use crate::cli::{Task as TaskCommand, TaskList};
use crate::context::Context;
use crate::duration::show;
use crate::ui::table;
use anyhow::Result;
use chatroom_machine::clock;
use chatroom_protocol::UnixMs;
use chatroom_protocol::api::tasks;
use chatroom_protocol::task::{Task, TaskState};

/// Runs a `task` command.
pub(crate) async fn run(context: &Context, command: TaskCommand) -> Result<()> {
    let client = context.client()?;
    match command {
        TaskCommand::List(TaskList { chatroom_id, role, state }) => {
            let state = state.as_deref().and_then(TaskState::parse);
            let list =
                client.call::<tasks::List>(&tasks::ListArgs { chatroom_id: chatroom_id.into(), state, role }).await?;
            Ok(context.ui.answer(&list, |list| match list.as_slice() {
                [] => "no tasks".to_owned(),
                list => describe(list, clock::now()),
            })?)
        }
        TaskCommand::Requeue { task_id } => {
            let written = client.call::<tasks::Requeue>(&tasks::TaskIdArgs { task_id: task_id.into() }).await?;
            Ok(context.ui.answer(&written, |written| {
                format!("task {} is in the queue of {}", written.task.task_id, written.task.role)
            })?)
        }
        TaskCommand::Cancel { task_id } => {
            let written = client.call::<tasks::Cancel>(&tasks::TaskIdArgs { task_id: task_id.into() }).await?;
            Ok(context.ui.answer(&written, |written| format!("task {} is cancelled", written.task.task_id))?)
        }
    }
}

/// A table of tasks in queue order.
pub(crate) fn describe(list: &[Task], now: UnixMs) -> String {
    let row = |task: &Task| {
        let state = match task.state {
            TaskState::Acknowledged if !task.confirmed => "handed out, not confirmed".to_owned(),
            state => state.as_str().replace('_', " "),
        };
        [
            task.task_id.to_string(),
            task.role.clone(),
            state,
            task.delivery.to_string(),
            show(now.since(task.updated_at)),
            task.content.lines().next().unwrap_or_default().chars().take(60).collect(),
        ]
    };
    table(["TASK", "ROLE", "STATE", "DELIVERY", "SINCE", "TEXT"], &list.iter().map(row).collect::<Vec<_>>())
}
