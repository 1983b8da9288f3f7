//! A task of the built-in agent at the server. A runtime and a connection live only for one call.

use crate::context::Context;
use crate::error::refused;
use crate::retry;
use anyhow::Result;
use chatroom_machine::Client;
use chatroom_machine::credentials::{AgentCredential, Source};
use chatroom_protocol::api::tasks;
use chatroom_protocol::id::TaskId;
use chatroom_protocol::room::USER_ROLE;
use serde_json::Value;

/// How long the text of a message may be, in characters.
const LONGEST: usize = 100_000;

/// A task that was delivered to the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskAt {
    /// Which.
    pub(crate) task_id: TaskId,
    /// The number of the hand-over.
    delivery: i64,
    /// Whether it was delivered before and is still open.
    pub(crate) is_reminder: bool,
}

impl TaskAt {
    /// Reads what a prompt tells of the task that it is about; none when a person speaks.
    pub(crate) fn read(about: &Value) -> Option<Self> {
        let task_id = TaskId::from(about["taskId"].as_str()?);
        Some(Self { task_id, delivery: about["delivery"].as_i64()?, is_reminder: about["source"] == "reminder" })
    }

    /// Says that work on it began, and gives its text.
    pub(crate) fn begin(&self, context: &Context, brief: &str) -> Result<String> {
        let listed = with_client(context, async |client, agent| {
            let written = retry::idempotent::<tasks::Start>(&client, &self.args(&agent)).await?;
            Ok(written.task.content)
        })?;
        // The server cuts long texts where it lists tasks; the brief has more of it.
        Ok(quoted(brief).filter(|_| listed.ends_with('…')).unwrap_or(listed))
    }

    /// Ends it with a message to the user. Not to whoever it came from: two of these agents would never come to an end.
    pub(crate) fn hand_off(&self, context: &Context, answer: &str) -> Result<()> {
        with_client(context, async |client, agent| {
            let task = self.args(&agent);
            let handoff = tasks::HandoffArgs {
                chatroom_id: task.chatroom_id,
                role: task.role,
                task_id: task.task_id,
                delivery: task.delivery,
                next_role: USER_ROLE.to_owned(),
                content: answer.chars().take(LONGEST).collect(),
                artifacts: Vec::new(),
            };
            retry::idempotent::<tasks::Handoff>(&client, &handoff).await?;
            Ok(())
        })
    }

    fn args(&self, agent: &AgentCredential) -> tasks::TaskArgs {
        tasks::TaskArgs {
            chatroom_id: agent.chatroom_id.clone(),
            role: agent.role.clone(),
            task_id: self.task_id.clone(),
            delivery: self.delivery,
        }
    }
}

fn with_client<T>(context: &Context, call: impl AsyncFnOnce(Client, AgentCredential) -> Result<T>) -> Result<T> {
    let resolved = context.resolve()?;
    let Source::Agent(agent) = resolved.source else {
        return Err(refused("tasks are only done by an echo agent that the daemon started")
            .hint("chatroom agent start --tool=echo --chatroom-id=ID --role=ROLE")
            .into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(&resolved.server, resolved.token)?;
    runtime.block_on(call(client, agent))
}

/// The text of a task, as a brief quotes it.
fn quoted(brief: &str) -> Option<String> {
    let lines = brief.lines().skip_while(|line| !line.starts_with("The text of the task")).skip(1);
    let text: Vec<&str> = lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.strip_prefix("| ").or(line.strip_prefix('|')).unwrap_or(line))
        .collect();
    (!text.is_empty()).then(|| text.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{TaskAt, quoted};
    use serde_json::json;

    #[test]
    fn a_prompt_tells_its_task() {
        let task = TaskAt::read(&json!({"source": "task", "taskId": "t", "delivery": 2})).unwrap();
        assert_eq!((task.task_id.as_str(), task.delivery, task.is_reminder), ("t", 2, false));
        assert!(TaskAt::read(&json!({"source": "reminder", "taskId": "t", "delivery": 2})).unwrap().is_reminder);
        assert_eq!(TaskAt::read(&json!({"source": "person"})), None);
        assert_eq!(TaskAt::read(&json!(null)), None);
    }

    #[test]
    fn the_text_is_found_in_a_brief() {
        let brief =
            "# Task for `builder`\n\nThe text of the task (each line begins with `|`):\n| one\n|\n| two\n\nTo say\n";
        assert_eq!(quoted(brief).as_deref(), Some("one\n\ntwo"));
        assert_eq!(quoted("hello"), None);
    }
}
