//! The Anthropic Messages API.

use super::{Shell, Spoken, Turn, event_stream, flat, json_response, new_id};
use axum::response::Response;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) fn shell(request: &Value) -> Option<Shell> {
    Shell::among(request["tools"].as_array()?.iter().map(|tool| (&tool["name"], &tool["input_schema"])))
}

pub(super) fn conversation(request: &Value) -> Vec<Turn> {
    let mut turns: Vec<Turn> = request.get("system").map(|system| Turn::System(flat(system))).into_iter().collect();
    for message in request["messages"].as_array().into_iter().flatten() {
        let content = &message["content"];
        match (message["role"].as_str(), content) {
            (Some("assistant"), _) => {
                let command =
                    content.as_array().into_iter().flatten().find_map(|part| part["input"]["command"].as_str());
                turns.push(Turn::Model(command.map(str::to_owned)));
            }
            (Some("system"), _) => turns.push(Turn::System(flat(content))),
            (Some("user"), Value::Array(parts)) => {
                turns.extend(parts.iter().map(|part| match part["type"].as_str() {
                    Some("tool_result") => Turn::Output(flat(&part["content"])),
                    _ => Turn::User(flat(part)),
                }));
            }
            (Some("user"), text) => turns.push(Turn::User(flat(text))),
            _ => {}
        }
    }
    turns
}

pub(super) fn answer(model: &str, streams: bool, spoken: Spoken) -> Response {
    let id = new_id();
    let usage =
        json!({"input_tokens": 10, "output_tokens": 1, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0});
    let (stop_reason, block, empty_block, deltas, pause) = match spoken {
        Spoken::Call(name, arguments) => {
            let block = |input| json!({"type": "tool_use", "id": format!("toolu_{id}"), "name": name, "input": input});
            let delta = json!({"type": "input_json_delta", "partial_json": arguments.to_string()});
            ("tool_use", block(arguments), block(json!({})), vec![delta], Duration::ZERO)
        }
        Spoken::Words(words, pause) => {
            let block = |text: &str| json!({"type": "text", "text": text});
            let deltas = words.iter().map(|word| json!({"type": "text_delta", "text": word})).collect();
            ("end_turn", block(&words.concat()), block(""), deltas, pause)
        }
    };
    let mut message = json!({
        "id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage,
    });
    if !streams {
        message["content"] = json!([block]);
        message["stop_reason"] = json!(stop_reason);
        return json_response(&message);
    }
    let mut events = vec![
        (Duration::ZERO, json!({"type": "message_start", "message": message})),
        (Duration::ZERO, json!({"type": "content_block_start", "index": 0, "content_block": empty_block})),
    ];
    let delta = |delta| (pause, json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    events.extend(deltas.into_iter().map(delta));
    let stop = json!({"stop_reason": stop_reason, "stop_sequence": null});
    for event in [
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 5}}),
        json!({"type": "message_stop"}),
    ] {
        events.push((Duration::ZERO, event));
    }
    let line = |(pause, event): (_, Value)| {
        (pause, format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default()))
    };
    event_stream(events.into_iter().map(line).collect())
}
