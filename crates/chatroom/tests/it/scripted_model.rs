//! A scripted stand-in for a model provider, on loopback: enough of the Anthropic Messages API, of OpenAI's Chat Completions and
//! Responses APIs and of the Gemini API for the real Claude Code, OpenCode, Codex and Gemini CLI. It keeps no state: what it
//! says follows from the conversation in the request alone, so any number of agents can share one, and a resumed agent goes on
//! where it was.

mod anthropic;
mod chat;
mod gemini;
mod responses;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
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
    /// Say this word so often, with a pause between, and end the turn.
    Slow { word: String, times: usize, pause: Duration },
    /// Refuse the request with this status.
    Fail(u16),
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

    /// Starts one that refuses every request with this HTTP status.
    pub(crate) fn refusing(status: u16) -> Self {
        Self::start(move |_| Act::Fail(status))
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
    if path == "/" {
        return StatusCode::OK.into_response();
    }
    if path.ends_with("/messages/count_tokens") || path.ends_with(":countTokens") {
        return json_response(&json!({"input_tokens": 42, "totalTokens": 42}));
    }
    let Some(api) = Api::of(path) else { return StatusCode::NOT_FOUND.into_response() };
    let streams = match api {
        Api::Gemini => path.ends_with(":streamGenerateContent"),
        _ => request["stream"].as_bool().unwrap_or(false),
    };
    // Requests for titles and summaries offer no shell.
    let Some(shell) = api.shell(&request) else {
        return api.answer(&request, streams, Spoken::Words(vec!["A title".to_owned()], Duration::ZERO));
    };
    let act = (shared.script)(&api.conversation(&request));
    shared.acts.lock().unwrap().push(act.clone());
    let spoken = match act {
        Act::Run(command) => Spoken::Call(shell.name.clone(), shell.arguments(&command)),
        Act::Call(tool, arguments) => Spoken::Call(tool, arguments),
        Act::Say(text) => Spoken::Words(vec![text], Duration::ZERO),
        Act::Slow { word, times, pause } => Spoken::Words(vec![word; times], pause),
        Act::Fail(status) => return api.failure(status),
    };
    api.answer(&request, streams, spoken)
}

/// What the model says, in the words of no API.
enum Spoken {
    /// Words, with a pause between them.
    Words(Vec<String>, Duration),
    /// A call of a tool.
    Call(String, Value),
}

#[derive(Clone, Copy)]
enum Api {
    Anthropic,
    Chat,
    Responses,
    Gemini,
}

/// The shell tool that the client offers.
struct Shell {
    name: String,
    schema: Value,
}

impl Shell {
    /// The shell among tools, each with its name and the schema of its arguments.
    fn among<'a>(mut tools: impl Iterator<Item = (&'a Value, &'a Value)>) -> Option<Self> {
        const NAMES: [&str; 4] = ["bash", "exec_command", "shell_command", "run_shell_command"];
        tools.find_map(|(name, schema)| {
            let name = name.as_str()?;
            let fits = NAMES.iter().any(|known| name.eq_ignore_ascii_case(known));
            fits.then(|| Self { name: name.to_owned(), schema: schema.clone() })
        })
    }

    fn arguments(&self, command: &str) -> Value {
        let field = if self.schema["properties"].get("cmd").is_some() { "cmd" } else { "command" };
        let mut arguments = json!({field: command});
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
    fn of(path: &str) -> Option<Self> {
        if path.ends_with("/messages") {
            Some(Self::Anthropic)
        } else if path.ends_with("/chat/completions") {
            Some(Self::Chat)
        } else if path.ends_with("/responses") {
            Some(Self::Responses)
        } else if path.ends_with(":generateContent") || path.ends_with(":streamGenerateContent") {
            Some(Self::Gemini)
        } else {
            None
        }
    }

    fn shell(self, request: &Value) -> Option<Shell> {
        match self {
            Self::Anthropic => anthropic::shell(request),
            Self::Chat => chat::shell(request),
            Self::Responses => responses::shell(request),
            Self::Gemini => gemini::shell(request),
        }
    }

    fn conversation(self, request: &Value) -> Vec<Turn> {
        match self {
            Self::Anthropic => anthropic::conversation(request),
            Self::Chat => chat::conversation(request),
            Self::Responses => responses::conversation(request),
            Self::Gemini => gemini::conversation(request),
        }
    }

    fn answer(self, request: &Value, streams: bool, spoken: Spoken) -> Response {
        let model = request["model"].as_str().unwrap_or("scripted");
        match self {
            Self::Anthropic => anthropic::answer(model, streams, spoken),
            Self::Chat => chat::answer(model, streams, spoken),
            Self::Responses => responses::answer(model, streams, spoken),
            Self::Gemini => gemini::answer(streams, spoken),
        }
    }

    fn failure(self, status: u16) -> Response {
        let message = format!("scripted refusal {status}");
        let kind = match status {
            401 => "authentication_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            _ => "api_error",
        };
        let body = match self {
            Self::Anthropic => json!({"type": "error", "error": {"type": kind, "message": message}}),
            Self::Chat | Self::Responses => json!({"error": {"type": kind, "code": kind, "message": message}}),
            Self::Gemini => json!({"error": {"code": status, "status": kind.to_uppercase(), "message": message}}),
        };
        (StatusCode::from_u16(status).unwrap(), json_response(&body)).into_response()
    }
}

/// All the text in a piece of content.
fn flat(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(flat).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => {
            let text = ["text", "content", "output", "error"].into_iter().find_map(|name| fields.get(name));
            text.map(flat).unwrap_or_default()
        }
        _ => String::new(),
    }
}

fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

fn json_response(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// A stream of events, with a pause before each one that says so.
fn event_stream(events: Vec<(Duration, String)>) -> Response {
    let events = stream::unfold(events.into_iter(), async |mut left| {
        let (pause, event) = left.next()?;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Some((Ok::<_, std::convert::Infallible>(event), left))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}
