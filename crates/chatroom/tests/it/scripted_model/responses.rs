//! OpenAI's Responses API, as Codex speaks it.

use super::{Shell, Spoken, Turn, event_stream, flat, json_response, new_id};
use axum::response::Response;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) fn shell(request: &Value) -> Option<Shell> {
    Shell::among(request["tools"].as_array()?.iter().map(|tool| (&tool["name"], &tool["parameters"])))
}

pub(super) fn conversation(request: &Value) -> Vec<Turn> {
    let mut turns: Vec<Turn> =
        request["instructions"].as_str().map(|text| Turn::System(text.to_owned())).into_iter().collect();
    for item in request["input"].as_array().into_iter().flatten() {
        match (item["type"].as_str(), item["role"].as_str()) {
            (Some("function_call"), _) => {
                let arguments = item["arguments"].as_str().unwrap_or("{}");
                let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
                turns.push(Turn::Model(arguments["cmd"].as_str().or(arguments["command"].as_str()).map(str::to_owned)));
            }
            (Some("function_call_output"), _) => {
                // Codex puts lines about the run before what the command printed.
                let output = flat(&item["output"]);
                let printed = output.split_once("\nOutput:\n").map(|(_, printed)| printed.to_owned());
                turns.push(Turn::Output(printed.unwrap_or(output)));
            }
            (Some("message") | None, Some("assistant")) => turns.push(Turn::Model(None)),
            (Some("message") | None, Some("user")) => match &item["content"] {
                Value::Array(parts) => turns.extend(parts.iter().map(|part| Turn::User(flat(part)))),
                text => turns.push(Turn::User(flat(text))),
            },
            (Some("message") | None, Some(_)) => turns.push(Turn::System(flat(&item["content"]))),
            _ => {}
        }
    }
    turns
}

pub(super) fn answer(model: &str, streams: bool, spoken: Spoken) -> Response {
    let id = new_id();
    let (item, deltas, pause) = match spoken {
        Spoken::Call(name, arguments) => {
            let item = json!({
                "type": "function_call", "id": format!("fc_{id}"), "call_id": format!("call_{id}"), "name": name,
                "arguments": arguments.to_string(), "status": "completed",
            });
            (item, Vec::new(), Duration::ZERO)
        }
        Spoken::Words(words, pause) => {
            let text = json!([{"type": "output_text", "text": words.concat(), "annotations": []}]);
            let id = format!("msg_{id}");
            let item =
                json!({"type": "message", "id": id, "role": "assistant", "content": text, "status": "completed"});
            (item, words, pause)
        }
    };
    let whole = |status: &str, output: Value| {
        json!({
            "id": format!("resp_{id}"), "object": "response", "created_at": 1, "model": model, "status": status,
            "output": output, "usage": {
                "input_tokens": 10, "output_tokens": 5, "total_tokens": 15,
                "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
            },
        })
    };
    if !streams {
        return json_response(&whole("completed", json!([item])));
    }
    let mut begun = item.clone();
    begun["status"] = json!("in_progress");
    if begun.get("content").is_some() {
        begun["content"] = json!([]);
    }
    let mut events = vec![
        (Duration::ZERO, json!({"type": "response.created", "response": whole("in_progress", json!([]))})),
        (Duration::ZERO, json!({"type": "response.output_item.added", "output_index": 0, "item": begun})),
    ];
    events.extend(deltas.into_iter().map(|word| {
        let delta = json!({
            "type": "response.output_text.delta", "item_id": item["id"], "output_index": 0, "content_index": 0,
            "delta": word,
        });
        (pause, delta)
    }));
    events.extend([
        (Duration::ZERO, json!({"type": "response.output_item.done", "output_index": 0, "item": item})),
        (Duration::ZERO, json!({"type": "response.completed", "response": whole("completed", json!([item]))})),
    ]);
    let numbered = events.into_iter().enumerate().map(|(number, (pause, mut event))| {
        event["sequence_number"] = json!(number);
        (pause, format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default()))
    });
    event_stream(numbered.collect())
}
