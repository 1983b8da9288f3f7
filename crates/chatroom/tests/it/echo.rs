//! The built-in agent, spoken to as any agent is: the Agent Client Protocol over pipes.

use crate::world::{Process, Run, World};
use chatroom_machine::ServerUrl;
use chatroom_machine::credentials::AgentCredential;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A client of the built-in agent.
struct Client {
    process: Process,
    /// How many lines of it were read.
    read: usize,
    asked: i64,
}

impl Client {
    fn start(world: &World) -> Self {
        Self::of(world.line("echo-agent"))
    }

    fn of(run: Run<'_>) -> Self {
        let mut client = Self { process: run.talking().start(), read: 0, asked: 0 };
        let hello = client.call("initialize", json!({"protocolVersion": 1, "clientCapabilities": {}}));
        assert_eq!(hello["result"]["agentCapabilities"]["loadSession"], true);
        client
    }

    fn say(&mut self, message: &Value) {
        self.process.say(&message.to_string());
    }

    fn ask(&mut self, method: &str, params: Value) -> i64 {
        self.asked += 1;
        let id = self.asked;
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    #[track_caller]
    fn hear(&mut self) -> Value {
        let line = self.process.line(self.read).expect("the agent has not ended");
        self.read += 1;
        serde_json::from_str(&line).unwrap()
    }

    /// The answer to a call; what is told meanwhile is passed over.
    #[track_caller]
    fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        self.until(|heard| heard["id"] == id && heard.get("method").is_none())
    }

    #[track_caller]
    fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let heard = self.hear();
            if fits(&heard) {
                return heard;
            }
        }
    }

    #[track_caller]
    fn session(&mut self) -> String {
        let new = self.call("session/new", json!({"cwd": "/project", "mcpServers": []}));
        new["result"]["sessionId"].as_str().unwrap().to_owned()
    }

    fn prompt(&mut self, session: &str, text: &str) -> i64 {
        self.ask("session/prompt", json!({"sessionId": session, "prompt": [{"type": "text", "text": text}]}))
    }

    /// What a prompt comes to: every update, and the answer.
    #[track_caller]
    fn turn(&mut self, session: &str, text: &str) -> (Vec<Value>, Value) {
        let id = self.prompt(session, text);
        let mut updates = Vec::new();
        loop {
            let heard = self.hear();
            if heard["method"] == "session/update" {
                updates.push(heard["params"]["update"].clone());
            } else if heard["id"] == id {
                return (updates, heard);
            }
        }
    }
}

#[test]
fn echo_says_back_what_a_person_says_and_shows_what_agents_do() {
    let world = World::new();
    let mut client = Client::start(&world);
    let session = client.session();
    let (updates, answer) = client.turn(&session, "hello\nyou");
    assert_eq!(answer["result"]["stopReason"], "end_turn");
    assert_eq!(
        updates,
        [json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "echo: hello\nyou"}})]
    );

    let (updates, _) = client.turn(&session, "/think hm\n/plan a; b\n/edit src/a.rs\n/recall\ndone");
    let kinds: Vec<&str> = updates.iter().map(|update| update["sessionUpdate"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["agent_thought_chunk", "plan", "tool_call", "tool_call_update", "agent_message_chunk"]);
    assert_eq!(updates[1]["entries"][1]["content"], "b");
    assert_eq!(updates[3]["content"][0]["path"], "/project/src/a.rs");
    assert_eq!(updates[4]["content"]["text"], "echo: done\nthe first thing said here: hello\nyou");

    let (_, answer) = client.turn(&session, "/fail");
    assert!(answer["error"]["message"].as_str().unwrap().contains("told to fail"), "{answer}");
    assert_eq!(client.call("session/prompt", json!({"sessionId": "s", "prompt": []}))["error"]["code"], -32602);
    assert_eq!(client.call("session/fork", json!({}))["error"]["code"], -32601);
}

#[test]
fn echo_asks_for_a_permission_and_takes_each_answer() {
    let world = World::new();
    let mut client = Client::start(&world);
    let session = client.session();
    let mut answer = |option: Option<&str>| {
        let id = client.prompt(&session, "/ask touch proof.txt");
        let asked = client.until(|heard| heard["method"] == "session/request_permission" || heard["id"] == id);
        if asked["method"].is_null() {
            return asked["result"]["stopReason"].as_str().unwrap().to_owned();
        }
        assert_eq!(asked["params"]["toolCall"]["rawInput"]["command"], "touch proof.txt");
        assert_eq!(asked["params"]["toolCall"]["kind"], "execute");
        let outcome =
            option.map_or(json!({"outcome": "cancelled"}), |option| json!({"outcome": "selected", "optionId": option}));
        client.say(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"outcome": outcome}}));
        let heard = client
            .until(|heard| heard["id"] == id || heard["params"]["update"]["sessionUpdate"] == "agent_message_chunk");
        match heard["params"]["update"]["content"]["text"].as_str() {
            Some(text) => {
                client.until(|heard| heard["id"] == id);
                text.to_owned()
            }
            None => heard["result"]["stopReason"].as_str().unwrap().to_owned(),
        }
    };
    assert_eq!(answer(Some("no")), "echo: \ntouch proof.txt: refused");
    assert_eq!(answer(Some("once")), "echo: \ntouch proof.txt: allowed");
    assert_eq!(answer(None), "cancelled");
    assert_eq!(answer(Some("always")), "echo: \ntouch proof.txt: allowed");
    // Not asked again in this session.
    assert_eq!(answer(None), "end_turn");
    assert!(!world.work().join("proof.txt").exists());
}

#[test]
fn a_slow_turn_is_cancelled_and_the_prompt_behind_it_is_taken() {
    let world = World::new();
    let mut client = Client::start(&world);
    let session = client.session();
    let slow = client.prompt(&session, "/slow 600");
    client.until(|heard| heard["params"]["update"]["content"]["text"] == ".");
    let next = client.prompt(&session, "next");
    client.say(&json!({"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": "another"}}));
    client.say(&json!({"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": session}}));
    let cancelled = client.until(|heard| heard["id"] == slow);
    assert_eq!(cancelled["result"]["stopReason"], "cancelled");
    assert_eq!(client.until(|heard| heard["id"] == next)["result"]["stopReason"], "end_turn");
}

#[test]
fn a_session_is_taken_up_again_by_another_process() {
    let world = World::new();
    let mut first = Client::start(&world);
    let session = first.session();
    first.turn(&session, "my name is Ada");
    drop(first);
    let mut second = Client::start(&world);
    let id = second.ask("session/load", json!({"sessionId": session, "cwd": "/project", "mcpServers": []}));
    let told = [second.hear(), second.hear()].map(|heard| heard["params"]["update"].clone());
    assert_eq!(told[0]["sessionUpdate"], "user_message_chunk");
    assert_eq!(told[1]["content"]["text"], "echo: my name is Ada");
    assert!(second.until(|heard| heard["id"] == id)["error"].is_null());
    let (updates, _) = second.turn(&session, "/recall");
    assert_eq!(updates[0]["content"]["text"], "echo: \nthe first thing said here: my name is Ada");
    let unknown = json!({"sessionId": "../credentials", "cwd": "/", "mcpServers": []});
    assert_eq!(second.call("session/load", unknown)["error"]["code"], -32002);
    assert_eq!(fs::read_dir(world.chatroom_dir().join("echo-sessions")).unwrap().count(), 1);
}

/// A task of the role, delivered to this process with the credential of nobody: what the server would refuse is said.
#[test]
fn a_task_without_an_agents_credential_is_refused_in_words() {
    let world = World::new();
    let _server = world.signed_in();
    let mut client = Client::start(&world);
    let session = client.session();
    let params = json!({
        "sessionId": session, "prompt": [{"type": "text", "text": "a brief"}],
        "_meta": {"chatroom": {"source": "task", "taskId": "t1", "delivery": 1}},
    });
    let id = client.ask("session/prompt", params);
    let said = client.until(|heard| heard["params"]["update"]["sessionUpdate"] == "agent_message_chunk");
    assert!(
        said["params"]["update"]["content"]["text"].as_str().unwrap().contains("that the daemon started"),
        "{said}"
    );
    assert_eq!(client.until(|heard| heard["id"] == id)["result"]["stopReason"], "end_turn");
}

/// Sends a text to the role, takes the task, and gives the parameters of the prompt that delivers it.
fn delivered(world: &World, room: &str, session: &str, text: &str) -> Value {
    world.chatroom(["send", &format!("--chatroom-id={room}"), text]).ok();
    let brief = world.line(&format!("wait-for-task --chatroom-id={room} --role=builder")).ok().stdout;
    let tasks = world.line(&format!("task list --chatroom-id={room} --json")).ok().json();
    let about = json!({"source": "task", "taskId": tasks[0]["taskId"], "delivery": tasks[0]["delivery"]});
    json!({"sessionId": session, "prompt": [{"type": "text", "text": brief}], "_meta": {"chatroom": about}})
}

/// The credential that the daemon gives to an agent, with the token of this world's user.
fn credential(world: &World, room: &str) -> std::path::PathBuf {
    let file = fs::read(world.chatroom_dir().join("credentials.json")).unwrap();
    let logins: Value = serde_json::from_slice(&file).unwrap();
    let (server, login) = logins["servers"].as_object().unwrap().iter().next().unwrap();
    let server = ServerUrl::parse(server, false).unwrap();
    let token = login["userToken"].as_str().unwrap().into();
    let path = world.root().join("credential.json");
    let credential = AgentCredential::new(&server, token, "a1".into(), room.into(), "builder".to_owned());
    credential.save(&path).unwrap();
    path
}

#[test]
fn echo_begins_a_task_and_hands_it_to_the_user_or_keeps_it() {
    let world = World::new();
    let _server = world.signed_in();
    let room = world.room("solo");
    let path: &Path = &credential(&world, &room);
    let mut client = Client::of(world.line("echo-agent").env("CHATROOM_CREDENTIAL_FILE", path));
    let session = client.session();

    let long = format!("hello {}\n\nend", "long ".repeat(600));
    let params = delivered(&world, &room, &session, &long);
    assert_eq!(client.call("session/prompt", params.clone())["result"]["stopReason"], "end_turn");
    assert_eq!(world.answer(&room), format!("echo: {long}"));
    // Said again, it is refused by the server, in words.
    let id = client.ask("session/prompt", params);
    client.until(|heard| heard["params"]["update"]["sessionUpdate"] == "agent_message_chunk");
    client.until(|heard| heard["id"] == id);
    assert_eq!(world.messages(&room).len(), 2);

    let mut params = delivered(&world, &room, &session, "/keep\nstay");
    assert_eq!(client.call("session/prompt", params.clone())["result"]["stopReason"], "end_turn");
    params["_meta"]["chatroom"]["source"] = json!("reminder");
    params["prompt"][0]["text"] = json!("The task is still open.");
    assert_eq!(client.call("session/prompt", params)["result"]["stopReason"], "end_turn");
    let tasks = world.line(&format!("task list --chatroom-id={room} --json")).ok().json();
    assert_eq!((tasks.as_array().unwrap().len(), &tasks[0]["state"]), (1, &json!("in_progress")));
    assert_eq!(world.messages(&room).len(), 3);
}
