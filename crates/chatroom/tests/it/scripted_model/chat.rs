//! OpenAI's Chat Completions API.

use super::{Shell, Spoken, Turn, event_stream, flat, json_response, new_id};
use axum::response::Response;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) fn shell(request: &Value) -> Option<Shell> {
    let tools = request["tools"].as_array()?.iter();
    Shell::among(tools.map(|tool| (&tool["function"]["name"], &tool["function"]["parameters"])))
}

pub(super) fn conversation(request: &Value) -> Vec<Turn> {
    let mut turns = Vec::new();
    for message in request["messages"].as_array().into_iter().flatten() {
        let content = &message["content"];
        match message["role"].as_str() {
            Some("assistant") => {
                let arguments = message["tool_calls"][0]["function"]["arguments"].as_str().unwrap_or("{}");
                let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
                turns.push(Turn::Model(arguments["command"].as_str().map(str::to_owned)));
            }
            Some("system") => turns.push(Turn::System(flat(content))),
            Some("tool") => turns.push(Turn::Output(flat(content))),
            Some("user") => match content {
                Value::Array(parts) => turns.extend(parts.iter().map(|part| Turn::User(flat(part)))),
                text => turns.push(Turn::User(flat(text))),
            },
            _ => {}
        }
    }
    turns
}

pub(super) fn answer(model: &str, streams: bool, spoken: Spoken) -> Response {
    let id = new_id();
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15});
    let (finish, message, deltas, pause) = match spoken {
        Spoken::Call(name, arguments) => {
            let calls = json!([{
                "index": 0, "id": format!("call_{id}"), "type": "function",
                "function": {"name": name, "arguments": arguments.to_string()},
            }]);
            let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
            ("tool_calls", message, vec![json!({"tool_calls": calls})], Duration::ZERO)
        }
        Spoken::Words(words, pause) => {
            let deltas = words.iter().map(|word| json!({"content": word})).collect();
            ("stop", json!({"role": "assistant", "content": words.concat()}), deltas, pause)
        }
    };
    if !streams {
        return json_response(&json!({
            "id": format!("chatcmpl-{id}"), "object": "chat.completion", "created": 1, "model": model, "usage": usage,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        }));
    }
    let chunk = |delta: Value, finish: Value| {
        json!({
            "id": format!("chatcmpl-{id}"), "object": "chat.completion.chunk", "created": 1, "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
    };
    let mut events = vec![(Duration::ZERO, chunk(json!({"role": "assistant", "content": ""}), json!(null)))];
    events.extend(deltas.into_iter().map(|delta| (pause, chunk(delta, json!(null)))));
    let mut last = chunk(json!({}), json!(null));
    last["choices"] = json!([]);
    last["usage"] = usage;
    events.extend([(Duration::ZERO, chunk(json!({}), json!(finish))), (Duration::ZERO, last)]);
    let mut lines: Vec<_> = events.into_iter().map(|(pause, event)| (pause, format!("data: {event}\n\n"))).collect();
    lines.push((Duration::ZERO, "data: [DONE]\n\n".to_owned()));
    event_stream(lines)
}
