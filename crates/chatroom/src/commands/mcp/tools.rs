//! The tools of the MCP server: for each its words, the form of its arguments, and the functions that it calls.

use super::{Slot, Wait};
use crate::commands::context;
use crate::commands::messages::attached;
use crate::commands::work::{own, sent, standing};
use crate::error::refused;
use crate::retry::idempotent;
use anyhow::Result;
use chatroom_protocol::api::{artifacts, backlog, contexts, messages, tasks};
use chatroom_protocol::room::BacklogState;
use rmcp::model::{JsonObject, Tool};
use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What an agent that waits for its tasks is told about this server. `ROLE` is its role.
const INSTRUCTIONS: &str = "\
You hold the role `ROLE` in a chatroom, where people and other agents give you tasks. Call wait_for_task. When it gives you a \
task, do what its text asks, then call handoff once (or task_complete, when nobody needs to hear of it) with the task id and \
delivery that came with it, and then wait_for_task again. When it says that there is no task yet, call it again.";

/// What an agent is told whose tasks are said into its session.
const LIVE_INSTRUCTIONS: &str = "\
You hold the role `ROLE` in a chatroom, where people and other agents give you tasks. They are said to you in this session. Do what \
the text of a task asks, then call handoff once (or task_complete, when nobody needs to hear of it) with the task id and delivery \
that came with it, and end your turn.";

/// What is told about this server to the agent of a slot.
pub(super) fn instructions(slot: &Slot) -> String {
    let text = if slot.is_live() { LIVE_INSTRUCTIONS } else { INSTRUCTIONS };
    text.replace("ROLE", &slot.role)
}

/// What comes after a task.
fn then(slot: &Slot) -> &'static str {
    if slot.is_live() { "now end your turn" } else { "now call wait_for_task" }
}

/// What stands below a task: its text names shell commands.
const TOOLS_NOT_COMMANDS: &str = "\
The tools task_started, report_progress, handoff, task_complete and wait_for_task do the same as these commands: call them \
instead, with the task id and delivery from above.";

/// The same where tasks are said into the session, and no tool waits.
const LIVE_TOOLS_NOT_COMMANDS: &str = "\
The tools task_started, report_progress, handoff and task_complete do the same as these commands: call them instead, with the \
task id and delivery from above.";

/// The tool that waits.
const WAIT: &str = "wait_for_task";

/// How long a wait takes when nobody said: less than clients allow a call.
const WAIT_SECONDS: u64 = 50;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WaitForTask {
    /// How long to wait at most, in seconds: 1 to 600, by default 50. Clients limit how long a call may take.
    #[serde(default)]
    #[schemars(range(min = 1, max = 600))]
    timeout_seconds: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HeldTask {
    /// As it came with the task.
    task_id: String,
    /// As it came with the task.
    delivery: i64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReportProgress {
    /// As it came with the task.
    task_id: String,
    /// As it came with the task.
    delivery: i64,
    /// What you do or found; 1 to 10,000 characters.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Handoff {
    /// As it came with the task.
    task_id: String,
    /// As it came with the task.
    delivery: i64,
    /// The role that gets your work, or `user`.
    next_role: String,
    /// What you did, what you found and what is left; the reader sees nothing else of your work.
    message: String,
    /// Artifacts that go with it: `plan.md`, or `plan.md@2` for one version.
    #[serde(default)]
    artifacts: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadContext {
    /// Only messages before this number: what was said earlier.
    #[serde(default)]
    before: Option<i64>,
    /// How many messages at most: 1 to 100, by default 30.
    #[serde(default)]
    limit: Option<i64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListMessages {
    /// Only messages after this number.
    #[serde(default)]
    after: Option<i64>,
    /// Only messages before this number.
    #[serde(default)]
    before: Option<i64>,
    /// How many at most: 1 to 200, by default 50.
    #[serde(default)]
    limit: Option<i64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListBacklog {
    /// Only in this state; by default what is not completed.
    #[serde(default)]
    state: Option<BacklogState>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PutArtifact {
    /// Its name: letters, digits, `.`, `_` and `-`, with `.md` at the end.
    name: String,
    /// The text, in markdown.
    content: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetArtifact {
    /// Its name.
    name: String,
    /// Its version; by default the newest.
    #[serde(default)]
    version: Option<i64>,
}

type Call<'a> = Pin<Box<dyn Future<Output = Result<String>> + Send + 'a>>;

/// Every tool with its words and the schema of its arguments. Where tasks are said into the session, there is none that
/// waits.
pub(super) fn list(is_live: bool) -> Vec<Tool> {
    let wait = tool::<WaitForTask>(
        WAIT,
        "Wait for a task of your role. When it says that there is no task yet, call it again.",
    );
    let wait = if is_live { None } else { Some(wait) };
    wait.into_iter().chain(work(is_live)).collect()
}

fn work(is_live: bool) -> Vec<Tool> {
    let then = if is_live { "then end your turn" } else { "then wait_for_task" };
    vec![
        tool::<HeldTask>("task_started", "Say that you began to work on your task."),
        tool::<ReportProgress>("report_progress", "Tell the person how the work on your task goes; it goes on."),
        tool::<Handoff>(
            "handoff",
            format!("End your task and hand its work to another role, or to `user`. Call it once; {then}."),
        ),
        tool::<HeldTask>(
            "task_complete",
            format!("End your task without handing it on, when nobody needs to hear of it; {then}."),
        ),
        tool::<ReadContext>(
            "read_context",
            "What you need to know now: your role, the task that you hold, the conversation, the artifacts.",
        ),
        tool::<ListMessages>("list_messages", "The messages of the room with what became of each, oldest first."),
        tool::<ListBacklog>("list_backlog", "What is to be done in the room some day."),
        tool::<PutArtifact>(
            "put_artifact",
            "Write a markdown file of the room. The same name again is its next version. Attach it to a handoff by its name.",
        ),
        tool::<GetArtifact>("get_artifact", "The text of a markdown file of the room."),
    ]
}

/// Calls a tool; none when there is none of this name.
pub(super) fn call<'a>(slot: &'a Slot, name: &str, args: Value, cancelled: &'a CancellationToken) -> Option<Call<'a>> {
    Some(match name {
        WAIT => Box::pin(async move {
            if slot.is_live() {
                return Err(refused("your tasks are said to you in your session; there is nothing to wait for")
                    .hint("end your turn; the next task comes by itself")
                    .into());
            }
            let args: WaitForTask = read(args)?;
            let limit = Duration::from_secs(args.timeout_seconds.unwrap_or(WAIT_SECONDS).clamp(1, 600));
            Ok(match slot.wait(limit, cancelled).await? {
                Wait::Task(brief) => format!("{brief}\n{TOOLS_NOT_COMMANDS}\n"),
                Wait::Superseded(reason) => format!("no longer waiting: {reason}"),
                Wait::NoTask(None) => "No task yet: call wait_for_task again.".to_owned(),
                Wait::NoTask(Some(why)) => format!("No task yet ({why}): call wait_for_task again."),
            })
        }),
        "task_started" => Box::pin(async move {
            let written = idempotent::<tasks::Start>(&slot.client, &slot.held(read(args)?)).await?;
            Ok(standing(&written.task))
        }),
        "report_progress" => Box::pin(async move {
            let args: ReportProgress = read(args)?;
            let args = messages::ReportProgressArgs {
                chatroom_id: slot.room.clone(),
                role: slot.role.clone(),
                task_id: args.task_id.into(),
                delivery: args.delivery,
                content: own(args.text)?,
            };
            idempotent::<messages::ReportProgress>(&slot.client, &args).await?;
            Ok("noted; go on with the task".to_owned())
        }),
        "handoff" => Box::pin(async move {
            let args: Handoff = read(args)?;
            let args = tasks::HandoffArgs {
                chatroom_id: slot.room.clone(),
                role: slot.role.clone(),
                task_id: args.task_id.into(),
                delivery: args.delivery,
                next_role: args.next_role,
                content: own(args.message)?,
                artifacts: attached(&args.artifacts)?,
            };
            let handed = idempotent::<tasks::Handoff>(&slot.client, &args).await?;
            Ok(format!("{}; {}", sent(&handed), then(slot)))
        }),
        "task_complete" => Box::pin(async move {
            let written = idempotent::<tasks::Complete>(&slot.client, &slot.held(read(args)?)).await?;
            Ok(format!("{}; {}", standing(&written.task), then(slot)))
        }),
        "read_context" => Box::pin(async move {
            let args: ReadContext = read(args)?;
            let args = contexts::ReadArgs {
                chatroom_id: slot.room.clone(),
                role: slot.role.clone(),
                before: args.before,
                limit: args.limit,
                machine_id: None,
            };
            let context = context::read(&slot.client, args).await?;
            let tools = if slot.is_live() { LIVE_TOOLS_NOT_COMMANDS } else { TOOLS_NOT_COMMANDS };
            Ok(format!("{}\n{tools}\n", context.brief))
        }),
        "list_messages" => Box::pin(async move {
            let args: ListMessages = read(args)?;
            let args = messages::ListArgs {
                chatroom_id: slot.room.clone(),
                after: args.after,
                before: args.before,
                limit: args.limit,
            };
            document(&slot.client.call::<messages::List>(&args).await?)
        }),
        "list_backlog" => Box::pin(async move {
            let args: ListBacklog = read(args)?;
            let args = backlog::ListArgs { chatroom_id: slot.room.clone(), state: args.state };
            document(&slot.client.call::<backlog::List>(&args).await?)
        }),
        "put_artifact" => Box::pin(async move {
            let args: PutArtifact = read(args)?;
            let args = artifacts::PutArgs {
                chatroom_id: slot.room.clone(),
                role: Some(slot.role.clone()),
                name: args.name,
                content: args.content,
            };
            let artifact = idempotent::<artifacts::Put>(&slot.client, &args).await?;
            Ok(format!("{}@{}", artifact.name, artifact.version))
        }),
        "get_artifact" => Box::pin(async move {
            let args: GetArtifact = read(args)?;
            let args = artifacts::GetArgs { chatroom_id: slot.room.clone(), name: args.name, version: args.version };
            Ok(slot.client.call::<artifacts::Get>(&args).await?.content)
        }),
        _ => return None,
    })
}

impl Slot {
    fn held(&self, task: HeldTask) -> tasks::TaskArgs {
        tasks::TaskArgs {
            chatroom_id: self.room.clone(),
            role: self.role.clone(),
            task_id: task.task_id.into(),
            delivery: task.delivery,
        }
    }
}

fn tool<A: JsonSchema>(name: &'static str, description: impl Into<Cow<'static, str>>) -> Tool {
    let schema = match schema_for!(A).to_value() {
        Value::Object(schema) => schema,
        // A schema of a struct is an object.
        _ => JsonObject::new(),
    };
    Tool::new(name, description, Arc::new(schema))
}

fn read<A: DeserializeOwned>(args: Value) -> Result<A> {
    serde_json::from_value(args)
        .map_err(|error| refused("the arguments are not of this tool's form").caused_by(error).into())
}

fn document(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)?)
}

#[cfg(test)]
mod tests {
    use super::{call, list, read};
    use serde_json::json;

    #[test]
    fn every_tool_has_a_name_words_and_a_closed_form_of_arguments() {
        for tool in [list(false), list(true)].concat() {
            assert!(tool.description.as_ref().is_some_and(|text| text.ends_with('.')), "{}", tool.name);
            let schema = serde_json::Value::Object((*tool.input_schema).clone());
            assert_eq!(
                (&schema["type"], &schema["additionalProperties"]),
                (&json!("object"), &json!(false)),
                "{schema}"
            );
            for (field, form) in schema["properties"].as_object().unwrap() {
                assert!(form["description"].is_string(), "{} {field} has no words", tool.name);
                assert!(
                    !["chatroom_id", "role", "token"].contains(&field.as_str()),
                    "{} is bound to its slot",
                    tool.name
                );
            }
        }
    }

    #[test]
    fn what_does_not_fit_the_form_is_told() {
        let error =
            read::<super::Handoff>(json!({"task_id": "t", "delivery": 1, "to": "user"})).map(|_| ()).unwrap_err();
        assert!(format!("{error:#}").contains("unknown field `to`"), "{error:#}");
        let _ = call;
    }
}
