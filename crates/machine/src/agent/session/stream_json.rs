//! The JSON lines that Claude Code prints, and tools that took over its format: what the agent says, does and hears.

use super::protocol::Step;
use super::tool_use::{diffs_of, kind_of, paths_of, short_id, title_of};
use chatroom_protocol::agent::TroubleKind;
use chatroom_protocol::transcript::{CallStatus, Entry, TurnEnd};
use serde_json::Value;

/// What a line tells.
#[derive(Debug, PartialEq)]
pub(super) enum Word {
    /// A session begins, or goes on.
    Init { session_id: Option<String>, model: Option<String> },
    /// Something for the transcript.
    Said(Vec<Step>),
    /// A piece of what is said whole later, for those who listen now.
    Piece(Entry),
    /// The tool's service has failed, by the word of the tool.
    Failed(TroubleKind),
    /// A turn is over.
    Ended(Ended),
    /// Anything else.
    Other(Value),
}

/// The end of a turn.
#[derive(Debug, PartialEq)]
pub(super) struct Ended {
    pub(super) reason: TurnEnd,
    pub(super) message: Option<String>,
    /// What keeps the tool from working, when that ended the turn.
    pub(super) trouble: Option<TroubleKind>,
}

/// Reads a line; none when it is no JSON object with a type.
pub(super) fn read(line: &str) -> Option<Vec<Word>> {
    let value: Value = serde_json::from_str(line).ok()?;
    let kind = value["type"].as_str()?;
    Some(match kind {
        "system" => system(value),
        "assistant" => assistant(&value),
        "user" => vec![Word::Said(results_of(&value["message"]))],
        "result" => vec![Word::Ended(ended(&value))],
        "stream_event" if !value["parent_tool_use_id"].is_string() => piece_of(&value["event"]),
        "rate_limit_event" if value["rate_limit_info"]["status"] == "rejected" => {
            vec![Word::Failed(TroubleKind::Quota)]
        }
        _ => vec![Word::Other(value)],
    })
}

fn system(value: Value) -> Vec<Word> {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    match value["subtype"].as_str().unwrap_or_default() {
        "init" => vec![Word::Init { session_id: text("session_id"), model: text("model") }],
        "compact_boundary" => vec![Word::Said(vec![Step::Entry(Entry::Compacted)])],
        "api_retry" => {
            let error = text("error").unwrap_or_else(|| "an error".to_owned());
            let status = value["error_status"].as_i64();
            let told = status.map(|status| format!(" (status {status})")).unwrap_or_default();
            let message = format!("its service answered with {error}{told}");
            // It tries again for minutes what only a person can mend.
            let trouble = status.and_then(trouble_of_status).filter(|kind| *kind != TroubleKind::ServiceFailed);
            let trouble = trouble.map(|kind| Step::Trouble { kind, message: message.clone() });
            let retrying = Step::Entry(Entry::Retrying { message, attempt: value["attempt"].as_i64() });
            vec![Word::Said([retrying].into_iter().chain(trouble).collect())]
        }
        _ => vec![Word::Other(value)],
    }
}

fn assistant(value: &Value) -> Vec<Word> {
    // What helpers of the agent say is theirs; what they do is told.
    let is_helper = value["parent_tool_use_id"].is_string();
    let failure = value["error"].as_str().and_then(trouble_named);
    let blocks = value["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut steps = Vec::new();
    for block in blocks {
        let text = |name: &str| block[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        match block["type"].as_str().unwrap_or_default() {
            "text" if !is_helper => steps.extend(text("text").map(|text| Step::Entry(Entry::Text { text }))),
            "thinking" if !is_helper => steps.extend(text("thinking").map(|text| Step::Entry(Entry::Thought { text }))),
            "tool_use" => steps.extend(call_of(block)),
            _ => {}
        }
    }
    std::iter::once(Word::Said(steps)).chain(failure.map(Word::Failed)).collect()
}

fn piece_of(event: &Value) -> Vec<Word> {
    let delta = &event["delta"];
    let text = |name: &str| delta[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let piece = match delta["type"].as_str().unwrap_or_default() {
        "text_delta" => text("text").map(|text| Entry::Text { text }),
        "thinking_delta" => text("thinking").map(|text| Entry::Thought { text }),
        _ => None,
    };
    piece.map(Word::Piece).into_iter().collect()
}

fn call_of(block: &Value) -> Vec<Step> {
    let Some(call_id) = block["id"].as_str().map(short_id) else { return Vec::new() };
    let (name, input) = (block["name"].as_str().unwrap_or("tool"), &block["input"]);
    let mut steps = vec![Step::Entry(Entry::ToolCall {
        call_id: call_id.clone(),
        title: title_of(name, input),
        tool_kind: kind_of(name),
        command: super::tool_use::command_of(input),
        paths: paths_of(input),
    })];
    let diffs = diffs_of(input);
    if !diffs.is_empty() {
        let (status, title, output) = (None, None, None);
        steps.push(Step::Entry(Entry::ToolUpdate { call_id, status, title, output, diffs }));
    }
    steps
}

fn results_of(message: &Value) -> Vec<Step> {
    let blocks = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    blocks
        .iter()
        .filter(|block| block["type"] == "tool_result")
        .filter_map(|block| {
            let call_id = short_id(block["tool_use_id"].as_str()?);
            let failed = block["is_error"].as_bool().unwrap_or_default();
            let status = Some(if failed { CallStatus::Failed } else { CallStatus::Completed });
            let output = text_of(&block["content"]);
            Some(Step::Entry(Entry::ToolUpdate { call_id, status, title: None, output, diffs: Vec::new() }))
        })
        .collect()
}

/// The text of a content: one text, or blocks.
fn text_of(content: &Value) -> Option<String> {
    let text = match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

fn ended(value: &Value) -> Ended {
    let result = value["result"].as_str().unwrap_or_default();
    let errors: Vec<&str> = value["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let said = if result.is_empty() { errors.join("; ") } else { result.to_owned() };
    let is_error = value["is_error"].as_bool().unwrap_or_default();
    let denied = value["permission_denials"].as_array().map_or(0, Vec::len);
    let denials = (denied > 0).then(|| format!("{denied} of its deeds were refused"));
    let subtype = value["subtype"].as_str().unwrap_or_default();
    let reason = match (subtype, value["stop_reason"].as_str().unwrap_or_default()) {
        ("error_max_turns" | "error_max_budget_usd", _) | (_, "max_tokens") => TurnEnd::Limit,
        (_, "refusal") => TurnEnd::Refusal,
        _ if is_error || subtype.starts_with("error") => TurnEnd::Error,
        _ => TurnEnd::EndTurn,
    };
    if reason != TurnEnd::Error {
        return Ended { reason, message: denials, trouble: None };
    }
    let named = value["error"].as_str().and_then(trouble_named);
    let status = value["api_error_status"].as_i64().or_else(|| status_in(result));
    let trouble = named.or_else(|| status.and_then(trouble_of_status)).or_else(|| trouble_of_result(result));
    let message = if said.is_empty() { format!("the turn ended with {subtype}") } else { said };
    Ended { reason, message: Some(message), trouble }
}

/// The status in a result that is an error: `API Error: 404 ...`.
fn status_in(result: &str) -> Option<i64> {
    result.strip_prefix("API Error: ")?.split(' ').next()?.parse().ok()
}

fn trouble_of_status(status: i64) -> Option<TroubleKind> {
    Some(match status {
        401 | 403 => TroubleKind::NotSignedIn,
        402 | 429 => TroubleKind::Quota,
        404 => TroubleKind::UnknownModel,
        500.. => TroubleKind::ServiceFailed,
        _ => return None,
    })
}

/// The tool's own names of errors.
fn trouble_named(error: &str) -> Option<TroubleKind> {
    Some(match error {
        "authentication_failed" | "authentication_error" | "oauth_org_not_allowed" => TroubleKind::NotSignedIn,
        "rate_limit" | "rate_limit_error" | "billing_error" | "usage_limit" => TroubleKind::Quota,
        "model_not_found" | "not_found_error" => TroubleKind::UnknownModel,
        "server_error" | "overloaded" | "overloaded_error" | "api_error" => TroubleKind::ServiceFailed,
        _ => return None,
    })
}

/// What the result itself says of a turn that failed before there was a service to ask. Only its beginning counts: further
/// on it may quote anything.
fn trouble_of_result(result: &str) -> Option<TroubleKind> {
    ["Not logged in", "Invalid API key", "Please run /login"]
        .iter()
        .any(|beginning| result.starts_with(beginning))
        .then_some(TroubleKind::NotSignedIn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn end(value: Value) -> Ended {
        match read(&value.to_string()).unwrap().pop() {
            Some(Word::Ended(ended)) => ended,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_command_is_a_call_and_its_result_the_end_of_it() {
        let call = json!({"type": "assistant", "message": {"content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "I look"},
            {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls", "description": "look"}},
        ]}});
        let [Word::Said(steps)] = &read(&call.to_string()).unwrap()[..] else { panic!() };
        assert_eq!(steps[0], Step::Entry(Entry::Thought { text: "hm".into() }));
        assert_eq!(steps[1], Step::Entry(Entry::Text { text: "I look".into() }));
        let Step::Entry(Entry::ToolCall { command, tool_kind, title, .. }) = &steps[2] else { panic!() };
        assert_eq!((command.as_deref(), title.as_str()), (Some("ls"), "ls"));
        assert_eq!(*tool_kind, chatroom_protocol::transcript::ToolKind::Execute);
        let result = json!({"type": "user", "message": {"content": [
            {"type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": [{"type": "text", "text": "no"}]},
        ]}});
        let [Word::Said(steps)] = &read(&result.to_string()).unwrap()[..] else { panic!() };
        let update = Entry::ToolUpdate {
            call_id: "t1".into(),
            status: Some(CallStatus::Failed),
            title: None,
            output: Some("no".into()),
            diffs: vec![],
        };
        assert_eq!(steps[..], [Step::Entry(update)]);
    }

    #[test]
    fn an_end_tells_why_and_what_is_wrong_by_structured_words_alone() {
        let good = end(
            json!({"type": "result", "subtype": "success", "is_error": false, "result": "API Error: 401 is a text"}),
        );
        assert_eq!((good.reason, good.trouble), (TurnEnd::EndTurn, None));
        let denied = end(json!({"type": "result", "subtype": "success", "permission_denials": [{}, {}]}));
        assert_eq!(denied.message.as_deref(), Some("2 of its deeds were refused"));
        let limit = end(json!({"type": "result", "subtype": "error_max_turns", "is_error": true}));
        assert_eq!(limit.reason, TurnEnd::Limit);
        for (result, trouble) in [
            ("Not logged in · Please run /login", Some(TroubleKind::NotSignedIn)),
            ("API Error: 401 {..}", Some(TroubleKind::NotSignedIn)),
            ("API Error: 429 {..}", Some(TroubleKind::Quota)),
            ("API Error: 404 {..}", Some(TroubleKind::UnknownModel)),
            ("API Error: 529 {..}", Some(TroubleKind::ServiceFailed)),
            ("I saw a 401 and \"Not logged in\" in a file", None),
        ] {
            let ended = end(json!({"type": "result", "subtype": "success", "is_error": true, "result": result}));
            assert_eq!((ended.reason, ended.trouble), (TurnEnd::Error, trouble), "{result}");
        }
        let status = end(json!({"type": "result", "is_error": true, "api_error_status": 402, "result": "x"}));
        assert_eq!(status.trouble, Some(TroubleKind::Quota));
    }

    #[test]
    fn what_is_not_known_is_let_be_and_what_is_no_json_is_none() {
        assert!(matches!(read(r#"{"type":"keep_alive","x":1}"#).unwrap()[..], [Word::Other(_)]));
        assert!(read(r#"{"type":"stream_event","x":1}"#).unwrap().is_empty());
        for none in ["", "hello", "[1]", "{}", "{\"type\":5}"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
