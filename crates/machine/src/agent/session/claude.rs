//! Claude Code's JSON lines, both ways: one process for the whole session, asked for permissions over its standard input.

use super::super::run_dir::SessionSpec;
use super::own_program::{is_own_command, is_own_mcp_tool};
use super::protocol::{Ask, Protocol, Run, Step};
use super::stream_json::{self, Ended, Word};
use super::tool_use::{command_of, kind_of, paths_of, short_id, title_of};
use chatroom_protocol::agent::{AgentExit, TroubleKind};
use chatroom_protocol::id::AgentId;
use chatroom_protocol::transcript::{
    Choice, DriverKind, Entry, Model, ModelList, PermissionOption, PromptSource, TurnEnd,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The request with which a conversation begins.
const INITIALIZE: &str = "initialize";

/// The state of the conversation.
#[derive(Debug)]
pub(super) struct Claude {
    args: Vec<String>,
    resume_args: Vec<String>,
    cli: PathBuf,
    has_mcp: bool,
    session_id: String,
    /// Whether an earlier session is to go on, of which the tool has given no sign yet that it knows it.
    resume_in_doubt: bool,
    resumed: bool,
    model: Option<String>,
    is_prompting: bool,
    is_cancelling: bool,
    failure: Option<TroubleKind>,
    /// Whether what the next whole message says was told in pieces.
    told_in_pieces: Told,
    asked: BTreeMap<String, Asked>,
    next_ask: u64,
    next_interrupt: u64,
}

/// What was told in pieces already.
#[derive(Debug, Default)]
struct Told {
    text: bool,
    thought: bool,
}

/// An open permission request.
#[derive(Debug)]
struct Asked {
    request_id: Value,
    input: Value,
    suggestions: Value,
}

impl Claude {
    pub(super) fn new(spec: &SessionSpec, agent: &AgentId, args: &[String]) -> Self {
        let session_id = spec.resume.clone().unwrap_or_else(|| agent.to_string());
        Self {
            args: args.to_vec(),
            resume_args: spec.resume_args.clone(),
            cli: spec.cli.clone(),
            has_mcp: spec.mcp,
            session_id,
            resume_in_doubt: spec.resume.is_some(),
            resumed: spec.resume.is_some(),
            model: spec.model.clone(),
            is_prompting: false,
            is_cancelling: false,
            failure: None,
            told_in_pieces: Told::default(),
            asked: BTreeMap::new(),
            next_ask: 0,
            next_interrupt: 0,
        }
    }

    fn run(&self) -> Run {
        let mut args = self.args.clone();
        if self.resumed {
            args.extend(self.resume_args.iter().map(|arg| arg.replace("{session}", &self.session_id)));
        } else {
            args.push(format!("--session-id={}", self.session_id));
        }
        Run { args, stdin: None }
    }

    fn control(&mut self, id: &str, subtype: &str) -> Step {
        let request = json!({"subtype": subtype});
        Step::Write(json!({"type": "control_request", "request_id": id, "request": request}).to_string())
    }

    fn other(&mut self, value: &Value) -> Vec<Step> {
        match value["type"].as_str().unwrap_or_default() {
            "control_response" if value["response"]["request_id"] == INITIALIZE => self.initialized(&value["response"]),
            "control_request" => self.asked_for(value),
            "control_cancel_request" => {
                let found = self.asked.iter().find(|(_, asked)| asked.request_id == value["request_id"]);
                let name = found.map(|(name, _)| name.clone());
                name.map(|name| {
                    self.asked.remove(&name);
                    vec![Step::Withdrawn(name)]
                })
                .unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    fn initialized(&mut self, response: &Value) -> Vec<Step> {
        if response["subtype"] == "error" {
            let why = response["error"].as_str().unwrap_or("no reason was given");
            let message = format!("the tool refuses to begin a session: {why}");
            return vec![Step::Unusable { kind: TroubleKind::Protocol, message }];
        }
        let models = response["response"]["models"].as_array().map(|models| ModelList {
            models: models
                .iter()
                .filter_map(|model| {
                    let id = model["value"].as_str()?.to_owned();
                    let name = model["displayName"].as_str().map_or_else(|| id.clone(), str::to_owned);
                    Some(Model { id, name })
                })
                .collect(),
            // It takes full names of models beside these short ones.
            is_complete: false,
            default: None,
        });
        vec![Step::Ready {
            session_id: Some(self.session_id.clone()),
            resumed: self.resumed,
            model: self.model.clone(),
            models,
        }]
    }

    fn asked_for(&mut self, value: &Value) -> Vec<Step> {
        let (id, request) = (&value["request_id"], &value["request"]);
        if request["subtype"] != "can_use_tool" {
            let response = json!({"subtype": "error", "request_id": id, "error": "not supported by this client"});
            return vec![Step::Write(json!({"type": "control_response", "response": response}).to_string())];
        }
        self.next_ask += 1;
        let request_id = format!("p{}", self.next_ask);
        let (name, input) = (request["tool_name"].as_str().unwrap_or("tool"), &request["input"]);
        let suggestions = request["permission_suggestions"].clone();
        let option =
            |id: &str, name: &str, kind| PermissionOption { option_id: id.to_owned(), name: name.to_owned(), kind };
        let mut options = vec![option("allow", "Allow", Choice::AllowOnce)];
        if suggestions.as_array().is_some_and(|suggestions| !suggestions.is_empty()) {
            options.push(option("always", "Allow, and the like of it in this session", Choice::AllowAlways));
        }
        options.push(option("deny", "Refuse", Choice::RejectOnce));
        let asked = Asked { request_id: id.clone(), input: input.clone(), suggestions };
        self.asked.insert(request_id.clone(), asked);
        let command = command_of(input).filter(|_| name == "Bash");
        let is_ours = command.as_ref().is_some_and(|command| is_own_command(&self.cli, command))
            || (self.has_mcp && is_own_mcp_tool(name));
        vec![Step::Asked(Ask {
            request_id,
            call_id: request["tool_use_id"].as_str().map(short_id),
            title: title_of(name, input),
            tool_kind: kind_of(name),
            command,
            paths: paths_of(input),
            options,
            is_ours,
        })]
    }

    /// Whether a whole text or thought was told in pieces before. Each block of a message comes whole when it is complete.
    fn was_told(&mut self, step: &Step) -> bool {
        match step {
            Step::Entry(Entry::Text { .. }) => std::mem::take(&mut self.told_in_pieces.text),
            Step::Entry(Entry::Thought { .. }) => std::mem::take(&mut self.told_in_pieces.thought),
            _ => false,
        }
    }

    fn ended(&mut self, ended: Ended) -> Vec<Step> {
        let was_cancelled = std::mem::take(&mut self.is_cancelling);
        self.is_prompting = false;
        self.told_in_pieces = Told::default();
        let failure = self.failure.take();
        if was_cancelled && ended.reason == TurnEnd::Error {
            return vec![Step::TurnEnded { reason: TurnEnd::Cancelled, message: None }];
        }
        let trouble = ended.trouble.or(failure).filter(|_| ended.reason == TurnEnd::Error);
        let message = ended.message.clone().unwrap_or_default();
        match trouble {
            Some(kind @ (TroubleKind::NotSignedIn | TroubleKind::UnknownModel)) => {
                vec![Step::Unusable { kind, message }]
            }
            trouble => {
                let trouble = trouble.map(|kind| Step::Trouble { kind, message });
                let ended = Step::TurnEnded { reason: ended.reason, message: ended.message };
                trouble.into_iter().chain([ended]).collect()
            }
        }
    }
}

impl Protocol for Claude {
    fn kind(&self) -> DriverKind {
        DriverKind::Claude
    }

    fn opening(&self) -> Option<Run> {
        Some(self.run())
    }

    fn begin(&mut self) -> Vec<Step> {
        vec![self.control(INITIALIZE, "initialize")]
    }

    fn line(&mut self, line: &str) -> Vec<Step> {
        let Some(words) = stream_json::read(line) else {
            return if line.trim().is_empty() { Vec::new() } else { vec![Step::Noise(line.to_owned())] };
        };
        let mut steps = Vec::new();
        for word in words {
            match word {
                Word::Init { model, .. } => {
                    self.resume_in_doubt = false;
                    self.model = model.or_else(|| self.model.take());
                    if !self.is_prompting {
                        // It goes on by itself, for example when a command in the background has ended.
                        steps.push(Step::TurnBegan);
                    }
                }
                Word::Said(said) => steps.extend(said.into_iter().filter(|step| !self.was_told(step))),
                Word::Piece(piece) => {
                    match &piece {
                        Entry::Text { .. } => self.told_in_pieces.text = true,
                        _ => self.told_in_pieces.thought = true,
                    }
                    steps.push(Step::Entry(piece));
                }
                Word::Failed(kind) => self.failure = Some(kind),
                Word::Ended(ended) => steps.extend(self.ended(ended)),
                Word::Other(value) => steps.extend(self.other(&value)),
            }
        }
        steps
    }

    fn prompt(&mut self, text: &str, _source: &PromptSource) -> Vec<Step> {
        self.is_prompting = true;
        self.is_cancelling = false;
        self.failure = None;
        let message = json!({"role": "user", "content": [{"type": "text", "text": text}]});
        vec![Step::Write(
            json!({"type": "user", "message": message, "parent_tool_use_id": null, "session_id": self.session_id})
                .to_string(),
        )]
    }

    fn cancel(&mut self) -> Vec<Step> {
        self.is_cancelling = true;
        self.next_interrupt += 1;
        let id = format!("interrupt-{}", self.next_interrupt);
        vec![self.control(&id, "interrupt")]
    }

    fn answer(&mut self, request_id: &str, option: Option<&PermissionOption>) -> Vec<Step> {
        let Some(Asked { request_id, input, suggestions }) = self.asked.remove(request_id) else { return Vec::new() };
        let answer = match option.map(|option| option.kind) {
            Some(Choice::AllowOnce) => json!({"behavior": "allow", "updatedInput": input}),
            Some(Choice::AllowAlways) => {
                json!({"behavior": "allow", "updatedInput": input, "updatedPermissions": suggestions})
            }
            Some(_) => {
                json!({"behavior": "deny", "message": "The owner of this agent refuses this. Go on without it."})
            }
            None => json!({"behavior": "deny", "message": "The turn was cancelled.", "interrupt": true}),
        };
        let response = json!({"subtype": "success", "request_id": request_id, "response": answer});
        vec![Step::Write(json!({"type": "control_response", "response": response}).to_string())]
    }

    fn run_ended(&mut self, _exit: &AgentExit) -> Vec<Step> {
        if !std::mem::take(&mut self.resume_in_doubt) {
            return vec![Step::Gone];
        }
        // It knows nothing of the session that was to go on: the agent begins anew, under a name that is free.
        self.resumed = false;
        self.session_id = uuid::Uuid::new_v4().to_string();
        let was_prompting = std::mem::take(&mut self.is_prompting);
        self.asked.clear();
        let message = Some("the tool has ended without taking up the earlier session".to_owned());
        let ended = was_prompting.then_some(Step::TurnEnded { reason: TurnEnd::Error, message });
        let mut steps: Vec<Step> = ended.into_iter().collect();
        steps.extend([Step::Forgot, Step::Run(self.run())]);
        steps.extend(self.begin());
        steps
    }
}

#[cfg(test)]
mod tests;
