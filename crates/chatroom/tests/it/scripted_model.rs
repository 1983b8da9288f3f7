//! A scripted stand-in for a model provider, on loopback: enough of the Anthropic Messages API and of the OpenAI Chat
//! Completions API for the real Claude Code and the real OpenCode. It keeps no state: what it says follows from the
//! conversation in the request alone, so any number of agents can share one, and a resumed agent goes on where it was.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// What a script makes of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Run this in the shell.
    Run(String),
    /// Call another tool that the client offers.
    Call(String, Value),
    /// Say this and end the turn.
    Say(String),
}

/// One part of a conversation, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// What the client told the model about itself, apart from the conversation.
    System(String),
    /// What the person (or the program that started the agent) said.
    User(String),
    /// What the model did: the shell command, or nothing when it spoke.
    Model(Option<String>),
    /// What a tool printed.
    Output(String),
}

/// Decides what the model does.
pub(crate) type Script = dyn Fn(&[Turn]) -> Act + Send + Sync;

/// A running model. Ends when dropped.
pub(crate) struct ScriptedModel {
    address: SocketAddr,
    acts: Arc<Mutex<Vec<Act>>>,
    _stop: oneshot::Sender<()>,
}

impl ScriptedModel {
    /// Starts one on a free port of the loopback address.
    pub(crate) fn start(script: impl Fn(&[Turn]) -> Act + Send + Sync + 'static) -> Self {
        let acts = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::new(Shared { script: Box::new(script), acts: Arc::clone(&acts) });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let app = Router::new().fallback(answer).with_state(shared);
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, app).into_future() => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { address, acts, _stop: stop }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it did so far, as answers to requests that offered a shell.
    pub(crate) fn acts(&self) -> Vec<Act> {
        self.acts.lock().unwrap().clone()
    }
}

struct Shared {
    script: Box<Script>,
    acts: Arc<Mutex<Vec<Act>>>,
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = uri.path();
    let api = if path.ends_with("/messages/count_tokens") {
        return json_response(&json!({"input_tokens": 42}));
    } else if path.ends_with("/messages") {
        Api::Anthropic
    } else if path.ends_with("/chat/completions") {
        Api::Chat
    } else if path == "/" {
        return StatusCode::OK.into_response();
    } else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // Requests for titles and summaries offer no shell.
    let Some(shell) = api.shell(&request) else {
        return api.answer(&request, None, &Act::Say("A title".to_owned()));
    };
    let act = (shared.script)(&api.conversation(&request));
    shared.acts.lock().unwrap().push(act.clone());
    api.answer(&request, Some(&shell), &act)
}

#[derive(Clone, Copy)]
enum Api {
    Anthropic,
    Chat,
}

/// The shell tool that the client offers.
struct Shell {
    name: String,
    schema: Value,
}

impl Shell {
    fn arguments(&self, command: &str) -> Value {
        let mut arguments = json!({"command": command});
        for field in self.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if arguments.get(field).is_none() {
                arguments[field] = match self.schema["properties"][field]["type"].as_str() {
                    Some("boolean") => json!(false),
                    Some("number" | "integer") => json!(30),
                    _ => json!("as told"),
                };
            }
        }
        arguments
    }
}

impl Api {
    fn shell(self, request: &Value) -> Option<Shell> {
        request["tools"].as_array()?.iter().find_map(|tool| {
            let (name, schema) = match self {
                Self::Anthropic => (&tool["name"], &tool["input_schema"]),
                Self::Chat => (&tool["function"]["name"], &tool["function"]["parameters"]),
            };
            let name = name.as_str()?;
            name.eq_ignore_ascii_case("bash").then(|| Shell { name: name.to_owned(), schema: schema.clone() })
        })
    }

    fn conversation(self, request: &Value) -> Vec<Turn> {
        let mut turns = Vec::new();
        if let Some(system) = request.get("system") {
            turns.push(Turn::System(flat(system)));
        }
        for message in request["messages"].as_array().into_iter().flatten() {
            let content = &message["content"];
            match (message["role"].as_str().unwrap_or_default(), self) {
                ("assistant", Self::Anthropic) => {
                    let command =
                        content.as_array().into_iter().flatten().find_map(|part| part["input"]["command"].as_str());
                    turns.push(Turn::Model(command.map(str::to_owned)));
                }
                ("assistant", Self::Chat) => {
                    let arguments = message["tool_calls"][0]["function"]["arguments"].as_str().unwrap_or("{}");
                    let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
                    turns.push(Turn::Model(arguments["command"].as_str().map(str::to_owned)));
                }
                ("system", _) => turns.push(Turn::System(flat(content))),
                ("tool", _) => turns.push(Turn::Output(flat(content))),
                ("user", _) => match content {
                    Value::Array(parts) => turns.extend(parts.iter().map(|part| match part["type"].as_str() {
                        Some("tool_result") => Turn::Output(flat(&part["content"])),
                        _ => Turn::User(flat(part)),
                    })),
                    text => turns.push(Turn::User(flat(text))),
                },
                _ => {}
            }
        }
        turns
    }

    fn answer(self, request: &Value, shell: Option<&Shell>, act: &Act) -> Response {
        let call = match (act, shell) {
            (Act::Run(command), Some(shell)) => Some((shell.name.as_str(), shell.arguments(command))),
            (Act::Call(tool, arguments), Some(_)) => Some((tool.as_str(), arguments.clone())),
            _ => None,
        };
        let text = if let Act::Say(text) = act { text.as_str() } else { "" };
        let stream = request["stream"].as_bool().unwrap_or(false);
        let model = request["model"].as_str().unwrap_or("scripted");
        match self {
            Self::Anthropic => anthropic(model, call, text, stream),
            Self::Chat => chat(model, call, text, stream),
        }
    }
}

fn anthropic(model: &str, call: Option<(&str, Value)>, text: &str, stream: bool) -> Response {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let usage =
        json!({"input_tokens": 10, "output_tokens": 1, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0});
    let stop_reason = if call.is_some() { "tool_use" } else { "end_turn" };
    let (block, empty_block, delta) = match &call {
        Some((name, arguments)) => (
            json!({"type": "tool_use", "id": format!("toolu_{id}"), "name": name, "input": arguments}),
            json!({"type": "tool_use", "id": format!("toolu_{id}"), "name": name, "input": {}}),
            json!({"type": "input_json_delta", "partial_json": arguments.to_string()}),
        ),
        None => (
            json!({"type": "text", "text": text}),
            json!({"type": "text", "text": ""}),
            json!({"type": "text_delta", "text": text}),
        ),
    };
    let mut message = json!({
        "id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage,
    });
    if !stream {
        message["content"] = json!([block]);
        message["stop_reason"] = json!(stop_reason);
        return json_response(&message);
    }
    event_stream(
        [
            json!({"type": "message_start", "message": message}),
            json!({"type": "content_block_start", "index": 0, "content_block": empty_block}),
            json!({"type": "content_block_delta", "index": 0, "delta": delta}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": null}, "usage": {"output_tokens": 5}}),
            json!({"type": "message_stop"}),
        ]
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())),
    )
}

fn chat(model: &str, call: Option<(&str, Value)>, text: &str, stream: bool) -> Response {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15});
    let finish = if call.is_some() { "tool_calls" } else { "stop" };
    let calls = call.map(|(name, arguments)| {
        json!([{
            "index": 0, "id": format!("call_{id}"), "type": "function",
            "function": {"name": name, "arguments": arguments.to_string()},
        }])
    });
    if !stream {
        let message = match calls {
            Some(calls) => json!({"role": "assistant", "content": null, "tool_calls": calls}),
            None => json!({"role": "assistant", "content": text}),
        };
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
    let delta = match calls {
        Some(calls) => json!({"tool_calls": calls}),
        None => json!({"content": text}),
    };
    let mut last = chunk(json!({}), json!(null));
    last["choices"] = json!([]);
    last["usage"] = usage;
    event_stream(
        [
            chunk(json!({"role": "assistant", "content": ""}), json!(null)),
            chunk(delta, json!(null)),
            chunk(json!({}), json!(finish)),
            last,
        ]
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .chain(["data: [DONE]\n\n".to_owned()]),
    )
}

fn flat(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(flat).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => fields.get("text").or_else(|| fields.get("content")).map(flat).unwrap_or_default(),
        _ => String::new(),
    }
}

fn json_response(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn event_stream(events: impl Iterator<Item = String>) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream")], events.collect::<String>()).into_response()
}
