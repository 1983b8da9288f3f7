//! What a tool tells while it works.

use super::super::protocol::Step;
use super::super::tool_use::{self, short_id, short_title};
use chatroom_protocol::transcript::{CallStatus, Diff, Entry, PlanStep, ToolKind};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// Calls that are remembered in one turn.
const MAX_CALLS: usize = 1_000;
/// Bytes of a command that is remembered. A longer one is told, and not known again when a permission is asked for it.
const COMMAND_BYTES: usize = 64 * 1024;
/// Bytes kept of what a call has printed to its terminal.
const TERMINAL_BYTES: usize = 32 * 1024;

/// The calls of a turn.
#[derive(Debug, Default)]
pub(super) struct Calls {
    known: BTreeMap<String, Call>,
    /// Their names, oldest first.
    order: VecDeque<String>,
}

/// What was told of a call.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) title: String,
    pub(super) kind: ToolKind,
    pub(super) command: Option<String>,
    terminal: String,
}

impl Calls {
    pub(super) fn get(&self, id: &str) -> Option<&Call> {
        self.known.get(id)
    }

    /// The turn is over.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.order.clear();
    }

    /// Reads one update; one that is not known gives nothing.
    pub(super) fn read(&mut self, update: &Value) -> Vec<Step> {
        let text = || text_of(&update["content"]);
        match update["sessionUpdate"].as_str().unwrap_or_default() {
            "agent_message_chunk" => entry(text().map(|text| Entry::Text { text })),
            "agent_thought_chunk" => entry(text().map(|text| Entry::Thought { text })),
            "tool_call" | "tool_call_update" => self.call(update),
            "plan" => {
                let entries = update["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
                entry(Some(Entry::Plan { steps: entries.iter().filter_map(step_of).collect() }))
            }
            _ => Vec::new(),
        }
    }

    fn call(&mut self, update: &Value) -> Vec<Step> {
        let Some(call_id) = update["toolCallId"].as_str().map(short_id) else { return Vec::new() };
        let is_new = !self.known.contains_key(&call_id);
        if is_new {
            if self.order.len() >= MAX_CALLS
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(call_id.clone());
        }
        let call = self.known.entry(call_id.clone()).or_default();
        let input = &update["rawInput"];
        let title = update["title"].as_str().map(short_title).filter(|title| !title.is_empty());
        let better = title.filter(|title| *title != call.title);
        if let Some(title) = &better {
            call.title.clone_from(title);
        }
        if let Some(kind) = update["kind"].as_str() {
            call.kind = ToolKind::parse(kind);
        }
        let command = command_of(input);
        if let Some(command) = &command {
            call.command = Some(command.clone()).filter(|command| command.len() <= COMMAND_BYTES);
        }
        let status = update["status"].as_str().and_then(status_of);
        let output = call.output(update);
        let diffs = diffs_of(update);
        let mut steps = Vec::new();
        if is_new {
            let mut paths = locations_of(update);
            paths.extend(tool_use::paths_of(input));
            paths.dedup();
            steps.push(Step::Entry(Entry::ToolCall {
                call_id: call_id.clone(),
                title: call.title.clone(),
                tool_kind: call.kind,
                command,
                paths,
            }));
        }
        let status = status.filter(|status| !is_new || *status != CallStatus::Pending);
        let title = better.filter(|_| !is_new);
        if status.is_some() || title.is_some() || output.is_some() || !diffs.is_empty() {
            steps.push(Step::Entry(Entry::ToolUpdate { call_id, status, title, output, diffs }));
        }
        steps
    }
}

impl Call {
    /// The output so far, as one of the shapes in which tools tell it.
    fn output(&mut self, update: &Value) -> Option<String> {
        let blocks = update["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        let texts: Vec<String> = blocks.iter().filter_map(|block| text_of(&block["content"])).collect();
        if !texts.is_empty() {
            return Some(texts.join("\n"));
        }
        let meta = &update["_meta"];
        let said = meta["terminal_output"]["data"].as_str().or_else(|| meta["terminal_output_delta"]["data"].as_str());
        if let Some(said) = said {
            self.terminal.push_str(said);
            let too_much = self.terminal.len().saturating_sub(TERMINAL_BYTES);
            self.terminal.drain(..self.terminal.ceil_char_boundary(too_much));
            return Some(self.terminal.clone());
        }
        let raw = &update["rawOutput"];
        let raw = raw.as_str().or_else(|| {
            ["output", "formatted_output", "content", "stdout"].iter().find_map(|name| raw[*name].as_str())
        });
        raw.filter(|raw| !raw.is_empty()).map(str::to_owned)
    }
}

/// The shell command in a call's arguments.
pub(super) fn command_of(input: &Value) -> Option<String> {
    tool_use::command_of(input)
}

/// The files that a call names.
pub(super) fn locations_of(call: &Value) -> Vec<String> {
    let locations = call["locations"].as_array().map(Vec::as_slice).unwrap_or_default();
    locations.iter().filter_map(|location| location["path"].as_str()).map(str::to_owned).collect()
}

fn diffs_of(update: &Value) -> Vec<Diff> {
    let blocks = update["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    blocks
        .iter()
        .filter(|block| block["type"] == "diff")
        .filter_map(|block| {
            Some(Diff {
                path: block["path"].as_str()?.to_owned(),
                old_text: block["oldText"].as_str().map(str::to_owned),
                new_text: block["newText"].as_str()?.to_owned(),
            })
        })
        .collect()
}

fn text_of(content: &Value) -> Option<String> {
    match content["type"].as_str()? {
        "text" => content["text"].as_str().filter(|text| !text.is_empty()).map(str::to_owned),
        "resource_link" => content["uri"].as_str().map(str::to_owned),
        "resource" => content["resource"]["text"].as_str().map(str::to_owned),
        other => Some(format!("[{other}]")),
    }
}

fn step_of(step: &Value) -> Option<PlanStep> {
    let status = step["status"].as_str().and_then(status_of).unwrap_or(CallStatus::Pending);
    Some(PlanStep { content: step["content"].as_str()?.to_owned(), status })
}

fn status_of(text: &str) -> Option<CallStatus> {
    match text {
        "pending" => Some(CallStatus::Pending),
        "in_progress" => Some(CallStatus::InProgress),
        "completed" => Some(CallStatus::Completed),
        "failed" | "cancelled" => Some(CallStatus::Failed),
        _ => None,
    }
}

fn entry(entry: Option<Entry>) -> Vec<Step> {
    entry.map(Step::Entry).into_iter().collect()
}
