//! Asks a tool on this machine for its models.
//!
//! A tool that is spoken to over a protocol tells them when a session begins, so one is begun in an empty directory and ended
//! with every process of it. Nothing is said in that session, so no model is called and nothing is paid for.

use super::registry::{AgentSpec, ModelChoice, ModelSource, ToolSpec};
use super::run::{Ran, run};
use crate::VERSION;
use crate::agent::process::{RUN_ID_VARIABLE, kill_until_none, with_run_id};
use chatroom_protocol::command::{CommandFailure, FailureCode};
use chatroom_protocol::id::AgentId;
use chatroom_protocol::transcript::{DriverKind, Model, ModelList};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Take};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

/// How long a tool may take to tell its models.
pub const LIMIT: Duration = Duration::from_secs(45);
/// How long it may take to end once its input is closed.
const GRACE: Duration = Duration::from_secs(2);
/// How long killing what is left may take.
const KILL_LIMIT: Duration = Duration::from_secs(3);
/// How much is read of what a tool says, in bytes.
const MOST_BYTES: u64 = 8 * 1024 * 1024;
/// How many models are told, at most.
const MOST_MODELS: usize = 1000;
/// What the Agent Client Protocol answers when nobody is signed in.
const AUTH_REQUIRED: i64 = -32000;

/// A tool that is to be asked.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Its words.
    pub tool: &'a ToolSpec,
    /// Absolute path of it.
    pub program: &'a Path,
    /// Absolute path of its adapter, where one is installed.
    pub adapter: Option<&'a Path>,
    /// The complete environment of a process of the tool.
    pub env: &'a BTreeMap<String, String>,
    /// An empty directory to do it in.
    pub dir: &'a Path,
}

/// The models of a tool.
///
/// # Errors
/// The failure of the command: the tool does not tell, does not run, or nobody is signed in to it.
pub async fn list(ask: &Ask<'_>) -> Result<ModelList, CommandFailure> {
    list_within(ask, LIMIT).await
}

async fn list_within(ask: &Ask<'_>, limit: Duration) -> Result<ModelList, CommandFailure> {
    let unknown = || {
        let message = format!("{} does not tell its models", ask.tool.title);
        CommandFailure::new(FailureCode::Unsupported, message).hint("give a model by the name that the tool knows")
    };
    let way = ask.tool.way(ask.adapter.is_some()).ok_or_else(unknown)?;
    let mut found = match way.models {
        ModelSource::Unknown => return Err(unknown()),
        ModelSource::Session => of_session(ask, way, limit).await?,
        ModelSource::CodexCatalogue => {
            let printed = print(ask, &["debug", "models"], limit).await?;
            let value: Value = serde_json::from_slice(&printed).unwrap_or_default();
            read_codex(&value).ok_or_else(|| not_understood(ask, "its list of models does not read"))?
        }
        ModelSource::PiList => read_pi(&String::from_utf8_lossy(&print(ask, &["--list-models"], limit).await?)),
    };
    // A name that is given as an argument may be one that the tool does not list.
    found.is_complete = way.model == ModelChoice::Protocol;
    found.models.truncate(MOST_MODELS);
    Ok(found)
}

/// What the tool prints when it is run with these arguments.
async fn print(ask: &Ask<'_>, args: &[&str], limit: Duration) -> Result<Vec<u8>, CommandFailure> {
    let mut command = Command::new(ask.program);
    command.args(args).current_dir(ask.dir).process_group(0).env_clear().envs(ask.env);
    match run(command, limit).await {
        Ran::Exited { status, stdout, .. } if status.success() => Ok(stdout),
        Ran::Exited { status, stderr, .. } => Err(ended(ask, &status.to_string(), &stderr)),
        Ran::TimedOut => Err(silent(ask, limit)),
        Ran::NotStarted(error) => Err(not_started(ask, &error)),
    }
}

async fn of_session(ask: &Ask<'_>, way: &AgentSpec, limit: Duration) -> Result<ModelList, CommandFailure> {
    let mut talk = Talk::start(ask, way)?;
    let said = timeout(limit, async {
        match way.driver {
            DriverKind::Claude => talk.claude(ask).await,
            DriverKind::Acp | DriverKind::OneShot => talk.acp(ask).await,
        }
    })
    .await;
    let (status, stderr) = talk.end().await;
    match said {
        Ok(Ok(models)) => Ok(models),
        Ok(Err(Trouble::Failure(failure))) => Err(failure),
        Ok(Err(Trouble::Ended)) => Err(ended(ask, &status, &stderr)),
        Err(_) => Err(silent(ask, limit)),
    }
}

/// Why a conversation came to nothing.
enum Trouble {
    /// The tool has ended; how, is known when it is reaped.
    Ended,
    /// It said so.
    Failure(CommandFailure),
}

/// A running tool. What is left of it is killed when this is dropped.
struct Talk {
    child: Child,
    group: Option<Pid>,
    run: AgentId,
    stdin: Option<ChildStdin>,
    stdout: Take<BufReader<ChildStdout>>,
    stderr: JoinHandle<Vec<u8>>,
}

impl Talk {
    fn start(ask: &Ask<'_>, way: &AgentSpec) -> Result<Self, CommandFailure> {
        let run = AgentId::from(format!("models-{}", uuid::Uuid::now_v7()));
        let mut command = Command::new(ask.adapter.unwrap_or(ask.program));
        command.args(&way.args).env_clear().envs(ask.env).envs(way.set.iter().cloned());
        if let Some(adapter) = ask.tool.adapter.as_ref().filter(|_| ask.adapter.is_some()) {
            command.env(&adapter.program_variable, ask.program);
        }
        command.env(RUN_ID_VARIABLE, run.as_str()).env("TMPDIR", ask.dir).env("PWD", ask.dir).current_dir(ask.dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
        let mut child = command.spawn().map_err(|error| not_started(ask, &error))?;
        let pipes = child.stdin.take().zip(child.stdout.take()).zip(child.stderr.take());
        let Some(((stdin, stdout), stderr)) = pipes else {
            return Err(CommandFailure::new(FailureCode::Internal, "a started tool has no pipes"));
        };
        let stderr = tokio::spawn(async move {
            let mut kept = Vec::new();
            let mut stderr = stderr.take(MOST_BYTES);
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
                kept.extend_from_slice(&buffer[..count]);
                kept.drain(..kept.len().saturating_sub(4096));
            }
            kept
        });
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { child, group, run, stdin: Some(stdin), stdout: BufReader::new(stdout).take(MOST_BYTES), stderr })
    }

    async fn say(&mut self, message: &Value) {
        if let Some(stdin) = &mut self.stdin {
            // A tool that does not read any more has ended or will; that is seen by its output.
            let _ = stdin.write_all(format!("{message}\n").as_bytes()).await;
        }
    }

    /// The next line that is a JSON object; what else it prints is passed over.
    async fn hear(&mut self) -> Result<Value, Trouble> {
        let mut line = Vec::new();
        loop {
            line.clear();
            match self.stdout.read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return Err(Trouble::Ended),
                Ok(_) => {}
            }
            if let Ok(value @ Value::Object(_)) = serde_json::from_slice(&line) {
                return Ok(value);
            }
        }
    }

    async fn acp(&mut self, ask: &Ask<'_>) -> Result<ModelList, Trouble> {
        let client = json!({"name": "chatroom", "version": VERSION});
        let capabilities = json!({"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false});
        let hello = json!({"protocolVersion": 1, "clientCapabilities": capabilities, "clientInfo": client});
        self.call(ask, 1, "initialize", hello).await?;
        let session = self.call(ask, 2, "session/new", json!({"cwd": ask.dir, "mcpServers": []})).await?;
        let unknown = || {
            let message = format!("{} has told no models", ask.tool.title);
            CommandFailure::new(FailureCode::Unsupported, message).hint("give a model by the name that the tool knows")
        };
        read_session(&session).ok_or_else(|| Trouble::Failure(unknown()))
    }

    async fn call(&mut self, ask: &Ask<'_>, id: i64, method: &str, params: Value) -> Result<Value, Trouble> {
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        loop {
            let heard = self.hear().await?;
            if heard.get("method").is_some() {
                // Whatever it wants from a client: this one can do nothing.
                if let Some(theirs) = heard.get("id") {
                    let error = json!({"code": -32601, "message": "not supported by this client"});
                    self.say(&json!({"jsonrpc": "2.0", "id": theirs, "error": error})).await;
                }
            } else if heard["id"] == json!(id) {
                if let Some(error) = heard.get("error") {
                    return Err(Trouble::Failure(refusal(ask, error)));
                }
                return Ok(heard["result"].clone());
            }
        }
    }

    async fn claude(&mut self, ask: &Ask<'_>) -> Result<ModelList, Trouble> {
        let request = json!({"subtype": "initialize"});
        self.say(&json!({"type": "control_request", "request_id": "models", "request": request})).await;
        loop {
            let heard = self.hear().await?;
            if heard["type"] == "control_response" && heard["response"]["request_id"] == "models" {
                let answer = &heard["response"]["response"];
                return read_claude(answer)
                    .ok_or_else(|| Trouble::Failure(not_understood(ask, "it does not tell its models")));
            }
        }
    }

    /// Ends it with everything that it has started. Gives how it ended and the end of what it printed as errors.
    async fn end(&mut self) -> (String, Vec<u8>) {
        drop(self.stdin.take());
        let ended = timeout(GRACE, self.child.wait()).await;
        let status = match &ended {
            Ok(Ok(status)) => status.to_string(),
            _ => "it did not end".to_owned(),
        };
        if let Some(group) = self.group.take() {
            // Nobody left in the group is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = timeout(GRACE, self.child.wait()).await;
        // Its shell commands and servers are in groups of their own; all of them carry the run id.
        let run = self.run.clone();
        let swept = spawn_blocking(move || kill_until_none(|| with_run_id(&run), || (), KILL_LIMIT)).await;
        if !swept.unwrap_or(false) {
            tracing::warn!(run.id = %self.run, "a tool that was asked for its models left processes that would not end");
        }
        let stderr = timeout(GRACE, &mut self.stderr).await;
        (status, stderr.ok().and_then(Result::ok).unwrap_or_default())
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.stderr.abort();
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The models in the answer to `session/new`: a list of them, or else a setting of category `model`.
fn read_session(session: &Value) -> Option<ModelList> {
    if let Some(list) = session["models"]["availableModels"].as_array() {
        let models = list.iter().filter_map(|known| model(&known["modelId"], &known["name"])).collect();
        return of(models, session["models"]["currentModelId"].as_str());
    }
    let mut settings = session["configOptions"].as_array()?.iter();
    let setting = settings.find(|setting| setting["category"] == "model" || setting["id"] == "model")?;
    let mut models = Vec::new();
    for option in setting["options"].as_array()? {
        // Options may stand in groups.
        let group = option["options"].as_array().map(Vec::as_slice).unwrap_or(std::slice::from_ref(option));
        models.extend(group.iter().filter_map(|option| model(&option["value"], &option["name"])));
    }
    of(models, setting["currentValue"].as_str())
}

/// The models in Claude Code's answer to `initialize`.
fn read_claude(answer: &Value) -> Option<ModelList> {
    let list = answer["models"].as_array()?;
    of(list.iter().filter_map(|known| model(&known["value"], &known["displayName"])).collect(), None)
}

/// What `codex debug models` prints.
fn read_codex(catalogue: &Value) -> Option<ModelList> {
    let list = catalogue["models"].as_array()?;
    let shown = list.iter().filter(|known| known["visibility"].as_str().is_none_or(|shown| shown == "list"));
    of(shown.filter_map(|known| model(&known["slug"], &known["display_name"])).collect(), None)
}

/// What `pi --list-models` prints: a table of provider and model, with a head.
fn read_pi(table: &str) -> ModelList {
    let rows = table.lines().skip_while(|line| !line.starts_with("provider")).skip(1);
    let models = rows.filter_map(|row| {
        let mut words = row.split_whitespace();
        let id = format!("{}/{}", words.next()?, words.next()?);
        Some(Model { name: id.clone(), id })
    });
    ModelList { models: models.collect(), is_complete: false, default: None }
}

fn model(id: &Value, name: &Value) -> Option<Model> {
    let id = id.as_str().filter(|id| !id.is_empty())?;
    Some(Model { id: id.to_owned(), name: name.as_str().unwrap_or(id).to_owned() })
}

fn of(models: Vec<Model>, default: Option<&str>) -> Option<ModelList> {
    let default = default.filter(|default| !default.is_empty()).map(str::to_owned);
    Some(ModelList { models, is_complete: false, default })
}

fn not_started(ask: &Ask<'_>, error: &std::io::Error) -> CommandFailure {
    let message = format!("{} cannot be started: {error}", ask.adapter.unwrap_or(ask.program).display());
    CommandFailure::new(FailureCode::ToolMissing, message).hint("chatroom machine detect --refresh")
}

fn silent(ask: &Ask<'_>, limit: Duration) -> CommandFailure {
    let message = format!("{} has not told its models within {} s", ask.tool.title, limit.as_secs());
    CommandFailure::new(FailureCode::SpawnFailed, message)
        .hint("run it by hand on that machine to see what it waits for")
}

fn ended(ask: &Ask<'_>, status: &str, stderr: &[u8]) -> CommandFailure {
    let text = String::from_utf8_lossy(stderr);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let last: String = last.chars().filter(|c| !c.is_control()).take(300).collect();
    let last = if last.is_empty() { last } else { format!(": {last}") };
    let message = format!("{} ended before it told its models ({status}){last}", ask.tool.title);
    CommandFailure::new(FailureCode::ExitedAtOnce, message)
}

fn not_understood(ask: &Ask<'_>, why: &str) -> CommandFailure {
    CommandFailure::new(FailureCode::Unsupported, format!("{} cannot be asked for its models: {why}", ask.tool.title))
        .hint("give a model by the name that the tool knows")
}

fn refusal(ask: &Ask<'_>, error: &Value) -> CommandFailure {
    let words = error["data"]["message"].as_str().or(error["message"].as_str()).unwrap_or("it does not say why");
    let words: String = words.chars().filter(|c| !c.is_control()).take(300).collect();
    if error["code"] == AUTH_REQUIRED {
        let message = format!("nobody is signed in to {}: {words}", ask.tool.title);
        let failure = CommandFailure::new(FailureCode::NotSignedIn, message);
        return match &ask.tool.login {
            Some(login) => failure.hint(login.clone()),
            None => failure,
        };
    }
    CommandFailure::new(FailureCode::SpawnFailed, format!("{} would not open a session: {words}", ask.tool.title))
}

#[cfg(test)]
mod tests;
