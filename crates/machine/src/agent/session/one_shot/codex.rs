//! The JSON lines of `codex exec --json`.

use super::super::tool_use::{command_of, short_id, short_title};
use chatroom_protocol::agent::TroubleKind;
use chatroom_protocol::transcript::{CallStatus, Entry, PlanStep, ToolKind};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a line tells.
#[derive(Debug, PartialEq)]
pub(super) enum Word {
    Session(String),
    Said(Entry),
    Ended,
    Failed(String, TroubleKind),
}

/// The calls of one run that were told.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// The number of the run: the tool counts its calls anew in each.
    run: u64,
    told: BTreeSet<String>,
}

impl Calls {
    pub(super) fn of_run(run: u64) -> Self {
        Self { run, told: BTreeSet::new() }
    }

    /// Reads a line; none when it is no JSON object with a type.
    pub(super) fn read(&mut self, line: &str) -> Option<Vec<Word>> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(match value["type"].as_str()? {
            "thread.started" => text(&value["thread_id"]).map(Word::Session).into_iter().collect(),
            "item.started" | "item.updated" => self.item(&value["item"], false),
            "item.completed" => self.item(&value["item"], true),
            "turn.completed" => vec![Word::Ended],
            "turn.failed" => {
                let message = text(&value["error"]["message"]).unwrap_or_else(|| "the turn has failed".to_owned());
                let kind = trouble_of(&message);
                vec![Word::Failed(message, kind)]
            }
            "error" => {
                let message = text(&value["message"]).unwrap_or_default();
                vec![Word::Said(Entry::Retrying { message, attempt: None })]
            }
            _ => Vec::new(),
        })
    }

    fn item(&mut self, item: &Value, is_over: bool) -> Vec<Word> {
        let text = |name: &str| item[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let said = |entry: Option<Entry>| entry.map(Word::Said).into_iter().collect();
        match item["type"].as_str().unwrap_or_default() {
            "agent_message" if is_over => said(text("text").map(|text| Entry::Text { text })),
            "reasoning" if is_over => said(text("text").map(|text| Entry::Thought { text })),
            "error" if is_over => said(text("message").map(|text| Entry::Output { text })),
            "todo_list" => {
                let items = item["items"].as_array().map(Vec::as_slice).unwrap_or_default();
                let steps = items.iter().filter_map(|step| {
                    let done = step["completed"].as_bool().unwrap_or_default();
                    let status = if done { CallStatus::Completed } else { CallStatus::Pending };
                    Some(PlanStep { content: step["text"].as_str()?.to_owned(), status })
                });
                said(Some(Entry::Plan { steps: steps.collect() }))
            }
            "command_execution" => {
                let script = script_of(&text("command").unwrap_or_default());
                let call = (short_title(&script), ToolKind::Execute, Some(script), Vec::new());
                self.call(item, is_over, call, text("aggregated_output"))
            }
            "file_change" => {
                let changes = item["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
                let paths: Vec<String> =
                    changes.iter().filter_map(|change| change["path"].as_str()).map(str::to_owned).collect();
                let title = short_title(&format!("Edit {}", paths.join(", ")));
                self.call(item, is_over, (title, ToolKind::Edit, None, paths), None)
            }
            "mcp_tool_call" => {
                let title = [text("server"), text("tool")].into_iter().flatten().collect::<Vec<_>>().join(" ");
                let output =
                    item["result"]["content"][0]["text"].as_str().or_else(|| item["error"]["message"].as_str());
                self.call(item, is_over, (title, ToolKind::Other, None, Vec::new()), output.map(str::to_owned))
            }
            "web_search" => {
                let title = short_title(&format!("Search {}", text("query").unwrap_or_default()));
                self.call(item, is_over, (title, ToolKind::Fetch, None, Vec::new()), None)
            }
            _ => Vec::new(),
        }
    }

    fn call(
        &mut self,
        item: &Value,
        is_over: bool,
        (title, tool_kind, command, paths): (String, ToolKind, Option<String>, Vec<String>),
        output: Option<String>,
    ) -> Vec<Word> {
        let Some(call_id) = item["id"].as_str() else { return Vec::new() };
        let call_id = short_id(&format!("{}.{call_id}", self.run));
        let mut words = Vec::new();
        if self.told.insert(call_id.clone()) {
            words.push(Word::Said(Entry::ToolCall { call_id: call_id.clone(), title, tool_kind, command, paths }));
        }
        let has_failed = matches!(item["status"].as_str(), Some("failed" | "declined"));
        let status = match (is_over, has_failed) {
            (_, true) => CallStatus::Failed,
            (true, false) => CallStatus::Completed,
            (false, false) => CallStatus::InProgress,
        };
        let (status, title, diffs) = (Some(status), None, Vec::new());
        words.push(Word::Said(Entry::ToolUpdate { call_id, status, title, output, diffs }));
        words
    }
}

/// The script that a command hands to a shell, where it does nothing else.
fn script_of(command: &str) -> String {
    let script = ["bash", "zsh", "sh"].iter().find_map(|shell| {
        let (program, rest) = command.split_once(" -lc ")?;
        let quoted = rest.strip_prefix('\'')?.strip_suffix('\'')?;
        (program.rsplit('/').next() == Some(shell) && !quoted.contains('\'')).then(|| json!({"command": quoted}))
    });
    script.and_then(|input| command_of(&input)).unwrap_or_else(|| command.to_owned())
}

/// What the message of a failed turn says is wrong. It is the tool's own word of a failure, never a text of the model.
fn trouble_of(message: &str) -> TroubleKind {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&["401 Unauthorized", "status 401", "Not logged in", "refresh token"]) {
        TroubleKind::NotSignedIn
    } else if has(&["429 Too Many Requests", "status 429", "usage limit", "insufficient_quota", "quota"]) {
        TroubleKind::Quota
    } else if has(&["model_not_found", "does not exist or you do not have access", "model is not supported"]) {
        TroubleKind::UnknownModel
    } else {
        TroubleKind::ServiceFailed
    }
}
