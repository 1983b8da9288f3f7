//! The built-in tool `echo`: an agent without a model, spoken to over the Agent Client Protocol on standard input and output.
//!
//! It begins each task and hands its text to the user; what a person says to it, it says back. A few lines that begin with `/`
//! make it do what agents do, for people who want to see how that looks and for tests. It shows that everything between a
//! message and its answer works. Between prompts it has no runtime and no connection: it is one thread that reads and one that
//! waits for it.

mod connection;
mod memory;
mod script;
mod task;

use self::connection::{Connection, Heard};
use self::memory::{By, Memory};
use self::script::{Script, Step};
use self::task::TaskAt;
use crate::context::Context;
use anyhow::Result;
use chatroom_machine::{VERSION, clock};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Errors of JSON-RPC and of the protocol.
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;
const NOT_FOUND: i64 = -32002;

/// Between the signs of life of a slow answer.
const BEAT: Duration = Duration::from_millis(200);
/// The longest `/slow`.
const SLOWEST: f64 = 3600.0;

/// Answers until its standard input ends.
pub(crate) fn run(context: &Context) -> Result<()> {
    let mut agent = Echo { context, connection: Connection::open(), sessions: BTreeMap::new(), calls: 0 };
    while let Some(heard) = agent.connection.next() {
        match heard {
            Heard::Request { id, method, params } => agent.answer(&id, &method, &params),
            // A cancel without a turn, an answer that nobody waits for any more.
            Heard::Notification { .. } | Heard::Answer { .. } => {}
        }
    }
    Ok(())
}

struct Echo<'a> {
    context: &'a Context,
    connection: Connection,
    sessions: BTreeMap<String, Session>,
    /// How many tool calls there were.
    calls: u64,
}

/// A session that is open in this process.
struct Session {
    memory: Memory,
    cwd: PathBuf,
    /// Commands that were allowed for the whole session.
    allowed: BTreeSet<String>,
}

/// Why a turn came to its end before its time.
enum End {
    Cancelled,
    /// The other side is gone.
    Closed,
}

/// What came of a turn.
enum Turn {
    Done,
    Cancelled,
    Failed(String),
}

/// What a refused request is answered with.
type Failure = (i64, String);

impl Echo<'_> {
    fn answer(&mut self, id: &Value, method: &str, params: &Value) {
        let answered = match method {
            "initialize" => Ok(json!({
                "protocolVersion": 1,
                "agentCapabilities": {"loadSession": true, "promptCapabilities": {}},
                "agentInfo": {"name": "chatroom-echo", "title": "Echo", "version": VERSION},
                "authMethods": [],
            })),
            "session/new" => self.new_session(params),
            "session/load" => self.load_session(params),
            "session/prompt" => self.prompt(params),
            _ => Err((METHOD_NOT_FOUND, format!("echo knows no method {method}"))),
        };
        match answered {
            Ok(result) => self.connection.say(&json!({"jsonrpc": "2.0", "id": id, "result": result})),
            Err((code, message)) => {
                let error = json!({"code": code, "message": message});
                self.connection.say(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
            }
        }
    }

    fn new_session(&mut self, params: &Value) -> Result<Value, Failure> {
        let id = uuid::Uuid::now_v7().to_string();
        let memory = Memory::begin(&self.context.home, &id, clock::now());
        self.open(&id, memory, params);
        Ok(json!({"sessionId": id}))
    }

    fn load_session(&mut self, params: &Value) -> Result<Value, Failure> {
        let id = params["sessionId"].as_str().unwrap_or_default().to_owned();
        let memory = Memory::take_up(&self.context.home, &id)
            .ok_or_else(|| (NOT_FOUND, format!("echo remembers no session {id}")))?;
        for said in memory.all() {
            let kind = if said.by == By::Echo { "agent_message_chunk" } else { "user_message_chunk" };
            self.update(&id, json!({"sessionUpdate": kind, "content": {"type": "text", "text": said.text}}));
        }
        self.open(&id, memory, params);
        Ok(json!({}))
    }

    fn open(&mut self, id: &str, memory: Memory, params: &Value) {
        let cwd = PathBuf::from(params["cwd"].as_str().unwrap_or("/"));
        self.sessions.insert(id.to_owned(), Session { memory, cwd, allowed: BTreeSet::new() });
    }

    fn prompt(&mut self, params: &Value) -> Result<Value, Failure> {
        let id = params["sessionId"].as_str().unwrap_or_default().to_owned();
        let mut session =
            self.sessions.remove(&id).ok_or_else(|| (INVALID_PARAMS, format!("the session {id:?} is not open")))?;
        let said = text_of(&params["prompt"]);
        self.connection.begin_turn(&id);
        let turn = match TaskAt::read(&params["_meta"]["chatroom"]) {
            None => {
                session.memory.add(By::Person, &said);
                self.play(&id, &mut session, &Script::read(&said), None)
            }
            Some(at) => self.do_task(&id, &mut session, &at, &said),
        };
        self.sessions.insert(id, session);
        match turn {
            Turn::Done => Ok(json!({"stopReason": "end_turn"})),
            Turn::Cancelled => Ok(json!({"stopReason": "cancelled"})),
            Turn::Failed(reason) => Err((INTERNAL_ERROR, reason)),
        }
    }

    /// Begins a task, does what its text says, and hands it off. What the server refuses is said: the task may have been taken
    /// away meanwhile.
    fn do_task(&mut self, id: &str, session: &mut Session, at: &TaskAt, brief: &str) -> Turn {
        let text = match at.begin(self.context, brief) {
            Ok(text) => text,
            Err(error) => {
                self.say(id, session, &format!("echo: task {}: {error:#}", at.task_id));
                return Turn::Done;
            }
        };
        if !at.is_reminder {
            session.memory.add(By::Task, &text);
        }
        self.play(id, session, &Script::read(&text), Some(at))
    }

    fn play(&mut self, id: &str, session: &mut Session, script: &Script, task: Option<&TaskAt>) -> Turn {
        let mut told = Vec::new();
        for step in &script.steps {
            match self.step(id, session, step, &mut told) {
                Ok(()) => {}
                Err(End::Cancelled | End::Closed) => return Turn::Cancelled,
            }
        }
        if script.fails {
            return Turn::Failed("echo was told to fail".to_owned());
        }
        let mut answer = format!("echo: {}", script.text);
        for line in told {
            answer.push('\n');
            answer.push_str(&line);
        }
        self.say(id, session, &answer);
        if let Some(task) = task.filter(|_| !script.keeps)
            && let Err(error) = task.hand_off(self.context, &answer)
        {
            self.say(id, session, &format!("\necho: task {}: {error:#}", task.task_id));
        }
        Turn::Done
    }

    fn step(&mut self, id: &str, session: &mut Session, step: &Step, told: &mut Vec<String>) -> Result<(), End> {
        match step {
            Step::Think(text) => {
                let content = json!({"type": "text", "text": text});
                self.update(id, json!({"sessionUpdate": "agent_thought_chunk", "content": content}));
            }
            Step::Plan(steps) => {
                let entry = |step| json!({"content": step, "priority": "medium", "status": "pending"});
                let entries: Vec<Value> = steps.iter().map(entry).collect();
                self.update(id, json!({"sessionUpdate": "plan", "entries": entries}));
            }
            Step::Edit(path) => self.edit(id, &session.cwd, path),
            Step::Recall => {
                let first = session.memory.all().next().map_or("nothing", |said| said.text.as_str());
                told.push(format!("the first thing said here: {first}"));
            }
            Step::Slow(seconds) => {
                let until = Instant::now() + Duration::from_secs_f64(seconds.clamp(0.0, SLOWEST));
                while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                    self.update(id, chunk("."));
                    self.wait(left.min(BEAT))?;
                }
            }
            Step::Ask(command) => {
                let allowed = session.allowed.contains(command) || self.ask(id, command, &mut session.allowed)?;
                told.push(format!("{command}: {}", if allowed { "allowed" } else { "refused" }));
            }
        }
        Ok(())
    }

    /// A call that would write a file; nothing is written.
    fn edit(&mut self, id: &str, cwd: &Path, path: &str) {
        let call = self.next_call();
        let path = cwd.join(path).to_string_lossy().into_owned();
        let begun = json!({
            "sessionUpdate": "tool_call", "toolCallId": call, "title": format!("Edit {path}"), "kind": "edit",
            "status": "in_progress", "locations": [{"path": path}], "rawInput": {"path": path},
        });
        self.update(id, begun);
        let diff = json!({"type": "diff", "path": path, "oldText": "before\n", "newText": "echo was here\n"});
        let done =
            json!({"sessionUpdate": "tool_call_update", "toolCallId": call, "status": "completed", "content": [diff]});
        self.update(id, done);
    }

    /// Asks for the permission to run a command, and runs nothing.
    fn ask(&mut self, id: &str, command: &str, allowed: &mut BTreeSet<String>) -> Result<bool, End> {
        let call = self.next_call();
        let mut about = json!({
            "toolCallId": call, "title": command, "kind": "execute", "status": "pending", "rawInput": {"command": command},
        });
        let options = json!([
            {"optionId": "once", "name": "Allow once", "kind": "allow_once"},
            {"optionId": "always", "name": "Allow for this session", "kind": "allow_always"},
            {"optionId": "no", "name": "Refuse", "kind": "reject_once"},
        ]);
        let params = json!({"sessionId": id, "toolCall": about, "options": options});
        about["sessionUpdate"] = json!("tool_call");
        self.update(id, about);
        let request = self.connection.ask("session/request_permission", &params);
        let outcome = loop {
            if let Some(result) = self.connection.answer_to(request).map_err(ended)? {
                break result["outcome"].clone();
            }
        };
        if outcome["outcome"] == "cancelled" {
            return Err(End::Cancelled);
        }
        let choice = outcome["optionId"].as_str().unwrap_or("no");
        if choice == "always" {
            allowed.insert(command.to_owned());
        }
        let is_allowed = choice != "no";
        let (status, words) =
            if is_allowed { ("completed", "allowed; echo runs nothing") } else { ("failed", "refused") };
        let content = json!([{"type": "content", "content": {"type": "text", "text": words}}]);
        let done =
            json!({"sessionUpdate": "tool_call_update", "toolCallId": call, "status": status, "content": content});
        self.update(id, done);
        Ok(is_allowed)
    }

    fn wait(&mut self, time: Duration) -> Result<(), End> {
        self.connection.wait(time).map_err(ended)
    }

    fn say(&mut self, id: &str, session: &mut Session, text: &str) {
        session.memory.add(By::Echo, text);
        self.update(id, chunk(text));
    }

    fn update(&mut self, id: &str, update: Value) {
        let params = json!({"sessionId": id, "update": update});
        self.connection.say(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}));
    }

    fn next_call(&mut self) -> String {
        self.calls += 1;
        format!("call-{}", self.calls)
    }
}

fn ended(interrupt: connection::Interrupt) -> End {
    match interrupt {
        connection::Interrupt::Cancelled => End::Cancelled,
        connection::Interrupt::Closed => End::Closed,
    }
}

fn chunk(text: &str) -> Value {
    json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}})
}

/// The text of a prompt; what is not text is left out.
fn text_of(prompt: &Value) -> String {
    let parts = prompt.as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
    parts.collect::<Vec<_>>().join("\n")
}
