//! The Agent Client Protocol, version 1: JSON-RPC, one message a line, over the tool's standard input and output.
//!
//! Read leniently: tools add messages and fields of their own, and a message that is not known loses nothing else.

mod rpc;
mod updates;

use super::super::run_dir::SessionSpec;
use super::Env;
use super::own_program::{is_own_command, is_own_mcp_tool};
use super::protocol::{Ask, Protocol, Run, Step};
use super::tool_use::{paths_of, short_id, short_title};
use chatroom_protocol::agent::{AgentExit, TroubleKind};
use chatroom_protocol::transcript::{
    Choice, DriverKind, Model, ModelList, PermissionOption, PromptSource, ToolKind, TurnEnd,
};
use rpc::{Failure, Message};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use updates::Calls;

/// The code of "sign in first".
const AUTH_REQUIRED: i64 = -32000;
/// The code of "no such method".
const METHOD_NOT_FOUND: i64 = -32601;
/// A way to sign in that needs no person: it takes up the sign-in that the tool has already.
const SILENT_AUTH: &str = "cursor_login";
/// Models that a message names at most.
const NAMED_MODELS: usize = 40;

/// What an agent's environment tells our own program; none of it is a secret.
const OWN_VARIABLES: [&str; 4] = ["CHATROOM_AGENT_ID", "CHATROOM_CREDENTIAL_FILE", "CHATROOM_HOME", "CHATROOM_SERVER"];

/// The state of the conversation.
#[derive(Debug)]
pub(super) struct Acp {
    args: Vec<String>,
    cwd: PathBuf,
    cli: PathBuf,
    mcp_servers: Value,
    resume: Option<String>,
    model: Option<String>,
    lists_all_models: bool,
    next_id: i64,
    waits: BTreeMap<i64, Wait>,
    session_id: String,
    can_load: bool,
    is_ready: bool,
    resumed: bool,
    models: Option<ModelList>,
    calls: Calls,
    asked: BTreeMap<String, Value>,
    next_ask: u64,
}

/// What an answer is awaited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Initialize,
    Authenticate,
    NewSession,
    LoadSession,
    SetModel,
    Prompt,
}

impl Acp {
    pub(super) fn new(spec: &SessionSpec, args: &[String], cwd: &Path, env: Env<'_>) -> Self {
        let variables: Vec<Value> =
            OWN_VARIABLES.iter().filter_map(|name| Some(json!({"name": name, "value": env.get(*name)?}))).collect();
        let ours = json!({
            "name": "chatroom",
            "command": spec.cli,
            "args": [
                "mcp",
                format!("--chatroom-id={}", spec.chatroom_id),
                format!("--role={}", spec.role),
            ],
            "env": variables,
        });
        Self {
            args: args.to_vec(),
            cwd: cwd.to_owned(),
            cli: spec.cli.clone(),
            mcp_servers: if spec.mcp { json!([ours]) } else { json!([]) },
            resume: spec.resume.clone(),
            model: spec.model.clone(),
            lists_all_models: spec.lists_all_models,
            next_id: 0,
            waits: BTreeMap::new(),
            session_id: String::new(),
            can_load: false,
            is_ready: false,
            resumed: false,
            models: None,
            calls: Calls::default(),
            asked: BTreeMap::new(),
            next_ask: 0,
        }
    }

    fn request(&mut self, wait: Wait, method: &str, params: &Value) -> Step {
        self.next_id += 1;
        self.waits.insert(self.next_id, wait);
        Step::Write(json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params}).to_string())
    }

    fn is_prompting(&self) -> bool {
        self.waits.values().any(|wait| *wait == Wait::Prompt)
    }

    fn session(&mut self) -> Vec<Step> {
        let mut params = json!({"cwd": self.cwd, "mcpServers": self.mcp_servers});
        match self.resume.clone().filter(|_| self.can_load) {
            Some(session) => {
                self.session_id.clone_from(&session);
                params["sessionId"] = session.into();
                vec![self.request(Wait::LoadSession, "session/load", &params)]
            }
            None => vec![self.request(Wait::NewSession, "session/new", &params)],
        }
    }

    fn answered(&mut self, wait: Wait, result: &Value) -> Vec<Step> {
        match wait {
            Wait::Initialize => {
                self.can_load = result["agentCapabilities"]["loadSession"].as_bool().unwrap_or_default();
                let methods = result["authMethods"].as_array().map(Vec::as_slice).unwrap_or_default();
                if methods.iter().any(|method| method["id"] == SILENT_AUTH) {
                    return vec![self.request(Wait::Authenticate, "authenticate", &json!({"methodId": SILENT_AUTH}))];
                }
                self.session()
            }
            Wait::Authenticate => self.session(),
            Wait::NewSession | Wait::LoadSession => {
                if wait == Wait::NewSession {
                    let Some(id) = result["sessionId"].as_str().filter(|id| !id.is_empty()) else {
                        return vec![unusable("the tool began a session without a name")];
                    };
                    self.session_id = id.to_owned();
                }
                self.resumed = wait == Wait::LoadSession;
                self.choose_model(result)
            }
            Wait::SetModel => {
                if let (Some(models), Some(model)) = (&mut self.models, &self.model) {
                    models.default = Some(model.clone());
                }
                vec![self.ready()]
            }
            Wait::Prompt => {
                self.calls.forget();
                let reason = match result["stopReason"].as_str().unwrap_or_default() {
                    "cancelled" => TurnEnd::Cancelled,
                    "refusal" => TurnEnd::Refusal,
                    "max_tokens" | "max_turn_requests" => TurnEnd::Limit,
                    _ => TurnEnd::EndTurn,
                };
                vec![Step::TurnEnded { reason, message: None }]
            }
        }
    }

    fn refused(&mut self, wait: Wait, failure: &Failure) -> Vec<Step> {
        let message = failure.message.clone();
        let not_signed_in = || Step::Unusable { kind: TroubleKind::NotSignedIn, message: message.clone() };
        match wait {
            Wait::Authenticate => vec![not_signed_in()],
            Wait::Initialize | Wait::NewSession | Wait::LoadSession if failure.wants_sign_in() => vec![not_signed_in()],
            Wait::LoadSession => {
                // What is not there any more, or was never written: the agent begins anew.
                self.resume = None;
                self.session()
            }
            Wait::Initialize | Wait::NewSession => {
                vec![unusable(&format!("the tool refuses to begin a session: {message}"))]
            }
            Wait::SetModel => vec![self.unknown_model(&format!(": {message}"))],
            Wait::Prompt => {
                self.calls.forget();
                let kind = failure.trouble();
                if matches!(kind, TroubleKind::NotSignedIn | TroubleKind::UnknownModel) {
                    return vec![Step::Unusable { kind, message }];
                }
                let ended = Step::TurnEnded { reason: TurnEnd::Error, message: Some(message.clone()) };
                vec![Step::Trouble { kind, message }, ended]
            }
        }
    }

    /// Chooses the model that is wanted, of those that came with the session.
    fn choose_model(&mut self, session: &Value) -> Vec<Step> {
        let offered = Offered::read(session, self.lists_all_models);
        self.models = offered.as_ref().map(|offered| offered.list.clone());
        let Some(wanted) = self.model.clone() else { return vec![self.ready()] };
        let Some(offered) = offered else { return vec![self.unknown_model(": the tool lets nobody choose a model")] };
        if !offered.list.allows(&wanted) {
            return vec![self.unknown_model("")];
        }
        if offered.list.default.as_ref() == Some(&wanted) {
            return vec![self.ready()];
        }
        let session = &self.session_id;
        let (method, params) = match offered.option_id {
            Some(option) => {
                ("session/set_config_option", json!({"sessionId": session, "configId": option, "value": wanted}))
            }
            None => ("session/set_model", json!({"sessionId": session, "modelId": wanted})),
        };
        vec![self.request(Wait::SetModel, method, &params)]
    }

    fn unknown_model(&self, why: &str) -> Step {
        let wanted = self.model.as_deref().unwrap_or_default();
        let known = self.models.as_ref().map(|list| list.models.as_slice()).unwrap_or_default();
        let mut names: Vec<&str> = known.iter().take(NAMED_MODELS).map(|model| model.id.as_str()).collect();
        if known.len() > names.len() {
            names.push("…");
        }
        let list = if names.is_empty() { String::new() } else { format!("; it knows {}", names.join(", ")) };
        Step::Unusable {
            kind: TroubleKind::UnknownModel,
            message: format!("the tool does not take the model {wanted}{why}{list}"),
        }
    }

    fn ready(&mut self) -> Step {
        self.is_ready = true;
        Step::Ready {
            session_id: Some(self.session_id.clone()),
            resumed: self.resumed,
            model: self.models.as_ref().and_then(|models| models.default.clone()),
            models: self.models.clone(),
        }
    }

    fn asked_for(&mut self, id: Value, method: &str, params: &Value) -> Vec<Step> {
        if method != "session/request_permission" {
            let error = json!({"code": METHOD_NOT_FOUND, "message": "not supported by this client"});
            return vec![Step::Write(json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string())];
        }
        if !self.is_prompting() {
            // A turn that was cancelled or never was: nobody would answer.
            return vec![Step::Write(cancelled(&id))];
        }
        self.next_ask += 1;
        let request_id = format!("p{}", self.next_ask);
        self.asked.insert(request_id.clone(), id);
        let call = &params["toolCall"];
        let call_id = call["toolCallId"].as_str().map(short_id);
        let known = call_id.as_ref().and_then(|id| self.calls.get(id));
        let title = call["title"].as_str().map(str::to_owned);
        let title = title.or_else(|| known.map(|known| known.title.clone())).unwrap_or_default();
        let tool_kind = match call["kind"].as_str() {
            Some(kind) => ToolKind::parse(kind),
            None => known.map(|known| known.kind).unwrap_or_default(),
        };
        let input = &call["rawInput"];
        let command = updates::command_of(input)
            .or_else(|| known.and_then(|known| known.command.clone()))
            // Some tell the command in the title alone.
            .or_else(|| (tool_kind == ToolKind::Execute && input.is_null()).then(|| title.clone()));
        let mut paths = updates::locations_of(call);
        paths.extend(paths_of(input));
        paths.dedup();
        let name = call["_meta"]["claudeCode"]["toolName"].as_str().or_else(|| call["name"].as_str());
        let name = name.unwrap_or(if tool_kind == ToolKind::Other && command.is_none() { &title } else { "" });
        let is_ours = command.as_ref().is_some_and(|command| is_own_command(&self.cli, command))
            || (command.is_none() && !self.has_no_mcp() && is_own_mcp_tool(name));
        vec![Step::Asked(Ask {
            request_id,
            call_id,
            title: short_title(&title),
            tool_kind,
            command,
            paths,
            options: options_of(params),
            is_ours,
        })]
    }

    fn has_no_mcp(&self) -> bool {
        self.mcp_servers.as_array().is_none_or(Vec::is_empty)
    }

    fn told(&mut self, method: &str, params: &Value) -> Vec<Step> {
        match method {
            "session/update" if self.is_ready => self.calls.read(&params["update"]),
            "$/cancel_request" => {
                let found = self.asked.iter().find(|(_, id)| **id == params["requestId"]).map(|(name, _)| name.clone());
                found
                    .map(|name| {
                        let id = self.asked.remove(&name).unwrap_or_default();
                        vec![Step::Write(cancelled(&id)), Step::Withdrawn(name)]
                    })
                    .unwrap_or_default()
            }
            // Extensions, and what is told again while an earlier session is loaded.
            _ => Vec::new(),
        }
    }
}

impl Protocol for Acp {
    fn kind(&self) -> DriverKind {
        DriverKind::Acp
    }

    fn opening(&self) -> Option<Run> {
        Some(Run { args: self.args.clone(), stdin: None })
    }

    fn begin(&mut self) -> Vec<Step> {
        let params = json!({
            "protocolVersion": 1,
            "clientCapabilities": {"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false},
            "clientInfo": {"name": "chatroom", "title": "chatroom", "version": crate::VERSION},
        });
        vec![self.request(Wait::Initialize, "initialize", &params)]
    }

    fn line(&mut self, line: &str) -> Vec<Step> {
        match rpc::read(line) {
            Some(Message::Request { id, method, params }) => self.asked_for(id, &method, &params),
            Some(Message::Notification { method, params }) => self.told(&method, &params),
            Some(Message::Answer { id, outcome }) => match (self.waits.remove(&id), outcome) {
                (Some(wait), Ok(result)) => self.answered(wait, &result),
                (Some(wait), Err(failure)) => self.refused(wait, &failure),
                (None, _) => Vec::new(),
            },
            None if line.trim().is_empty() => Vec::new(),
            None => vec![Step::Noise(line.to_owned())],
        }
    }

    fn prompt(&mut self, text: &str, source: &PromptSource) -> Vec<Step> {
        let about = match source {
            PromptSource::Task { task_id, delivery } => {
                json!({"source": "task", "taskId": task_id, "delivery": delivery})
            }
            PromptSource::Reminder { task_id, delivery } => {
                json!({"source": "reminder", "taskId": task_id, "delivery": delivery})
            }
            PromptSource::Person { .. } => json!({"source": "person"}),
        };
        let params = json!({
            "sessionId": self.session_id,
            "prompt": [{"type": "text", "text": text}],
            "_meta": {"chatroom": about},
        });
        vec![self.request(Wait::Prompt, "session/prompt", &params)]
    }

    fn cancel(&mut self) -> Vec<Step> {
        let params = json!({"sessionId": self.session_id});
        vec![Step::Write(json!({"jsonrpc": "2.0", "method": "session/cancel", "params": params}).to_string())]
    }

    fn answer(&mut self, request_id: &str, option: Option<&PermissionOption>) -> Vec<Step> {
        let Some(id) = self.asked.remove(request_id) else { return Vec::new() };
        vec![Step::Write(match option {
            Some(option) => {
                let outcome = json!({"outcome": "selected", "optionId": option.option_id});
                json!({"jsonrpc": "2.0", "id": id, "result": {"outcome": outcome}}).to_string()
            }
            None => cancelled(&id),
        })]
    }

    fn run_ended(&mut self, _exit: &AgentExit) -> Vec<Step> {
        vec![Step::Gone]
    }
}

/// The models that come with a session, in one of two shapes.
struct Offered {
    list: ModelList,
    /// The configuration option that chooses; none when a method of its own does.
    option_id: Option<String>,
}

impl Offered {
    fn read(session: &Value, is_complete: bool) -> Option<Self> {
        let offered = Self::from_models(&session["models"]).or_else(|| Self::from_options(&session["configOptions"]));
        offered.map(|mut offered| {
            offered.list.is_complete = is_complete;
            offered
        })
    }

    fn from_models(models: &Value) -> Option<Self> {
        let found: Vec<Model> =
            models["availableModels"].as_array()?.iter().filter_map(|model| read_model(model, "modelId")).collect();
        let default = models["currentModelId"].as_str().map(str::to_owned);
        Some(Self { list: ModelList { models: found, is_complete: true, default }, option_id: None })
    }

    fn from_options(options: &Value) -> Option<Self> {
        let option = options.as_array()?.iter().find(|option| option["category"] == "model")?;
        let choices = option["options"].as_array()?;
        // Choices may stand in groups.
        let all = choices.iter().flat_map(|choice| match choice["options"].as_array() {
            Some(group) => group.iter().collect::<Vec<_>>(),
            None => vec![choice],
        });
        let found = all.filter_map(|choice| read_model(choice, "value")).collect();
        let default = option["currentValue"].as_str().map(str::to_owned);
        let list = ModelList { models: found, is_complete: true, default };
        Some(Self { list, option_id: Some(option["id"].as_str()?.to_owned()) })
    }
}

fn read_model(value: &Value, id: &str) -> Option<Model> {
    let id = value[id].as_str()?.to_owned();
    let name = value["name"].as_str().map_or_else(|| id.clone(), str::to_owned);
    Some(Model { id, name })
}

fn options_of(params: &Value) -> Vec<PermissionOption> {
    let options = params["options"].as_array().map(Vec::as_slice).unwrap_or_default();
    options
        .iter()
        .filter_map(|option| {
            Some(PermissionOption {
                option_id: option["optionId"].as_str()?.to_owned(),
                name: option["name"].as_str().unwrap_or_default().to_owned(),
                kind: Choice::parse(option["kind"].as_str()?)?,
            })
        })
        .collect()
}

fn cancelled(id: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "result": {"outcome": {"outcome": "cancelled"}}}).to_string()
}

fn unusable(message: &str) -> Step {
    Step::Unusable { kind: TroubleKind::Protocol, message: message.to_owned() }
}

#[cfg(test)]
mod tests;
