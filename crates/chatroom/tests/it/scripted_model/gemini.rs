//! The Gemini API.

use super::{Shell, Spoken, Turn, event_stream, flat, json_response};
use axum::response::Response;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) fn shell(request: &Value) -> Option<Shell> {
    let groups = request["tools"].as_array()?.iter();
    let declared = groups.flat_map(|group| group["functionDeclarations"].as_array().into_iter().flatten());
    Shell::among(declared.map(|tool| {
        let schema = tool.get("parametersJsonSchema").unwrap_or(&tool["parameters"]);
        (&tool["name"], schema)
    }))
}

pub(super) fn conversation(request: &Value) -> Vec<Turn> {
    let mut turns: Vec<Turn> =
        request.get("systemInstruction").map(|system| Turn::System(flat(&system["parts"]))).into_iter().collect();
    for content in request["contents"].as_array().into_iter().flatten() {
        let parts = content["parts"].as_array().into_iter().flatten();
        if content["role"] == "model" {
            let command = parts.into_iter().find_map(|part| part["functionCall"]["args"]["command"].as_str());
            turns.push(Turn::Model(command.map(str::to_owned)));
        } else {
            turns.extend(parts.map(|part| match part.get("functionResponse") {
                Some(response) => Turn::Output(printed(flat(&response["response"]))),
                None => Turn::User(flat(part)),
            }));
        }
    }
    turns
}

/// What the command printed, without the lines that Gemini CLI puts around it.
fn printed(output: String) -> String {
    let Some((_, printed)) = output.split_once("\nOutput: ") else { return output };
    printed.split("\nProcess Group PGID").next().unwrap_or(printed).to_owned()
}

pub(super) fn answer(streams: bool, spoken: Spoken) -> Response {
    let (parts, pause) = match spoken {
        Spoken::Call(name, arguments) => {
            (vec![json!({"functionCall": {"name": name, "args": arguments}})], Duration::ZERO)
        }
        Spoken::Words(words, pause) => (words.into_iter().map(|word| json!({"text": word})).collect(), pause),
    };
    let chunk = |parts: &[Value], finish: Option<&str>| {
        let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
        if let Some(finish) = finish {
            candidate["finishReason"] = json!(finish);
        }
        let usage = json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15});
        json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted"})
    };
    if !streams {
        return json_response(&chunk(&parts, Some("STOP")));
    }
    let last = parts.len().saturating_sub(1);
    let events = parts.iter().enumerate().map(|(number, part)| {
        let finish = (number == last).then_some("STOP");
        (pause, format!("data: {}\n\n", chunk(std::slice::from_ref(part), finish)))
    });
    event_stream(events.collect())
}
