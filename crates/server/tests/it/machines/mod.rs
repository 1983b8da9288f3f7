//! `machines.*` and `agents.*` through the registry, on every database, as each kind of caller meets them.

mod acks;
mod commands;
mod daemon;
mod inputs;
mod lifecycle;
mod permissions;
mod reconcile;
mod registration;
mod replays;
mod storms;
mod teams;
mod transcripts;

use crate::database::on_postgres;
use chatroom_protocol::id::{AgentId, ChatroomId, MachineId, UserId};
use chatroom_protocol::user::TokenScope;
use chatroom_protocol::{ErrorCode, Refusal, UnixMs};
use chatroom_server::app::App;
use chatroom_server::caller::Caller;
use chatroom_server::live::{Hub, Topic, Waker};
use chatroom_server::registry::Request;
use chatroom_server::store::Store;
use chatroom_server::store::users::{self, User};
use chatroom_server::{clock, functions, secret};
use serde_json::{Value, json};
use std::sync::Arc;

/// A server without sockets: Ada with a room and two machines, Bea with nothing.
struct World {
    app: Arc<App>,
    ada: Caller,
    bea: Caller,
    /// Ada's machine, with a daemon session.
    machine: Host,
    /// Ada's other machine, with a daemon session.
    other: Host,
    /// Ada's room with the team `duo`; both machines know how to start its builder with `echo`.
    room: String,
}

/// A machine and its newest daemon session.
#[derive(Clone)]
struct Host {
    id: String,
    caller: Caller,
    epoch: i64,
}

/// Runs a test in a fresh world on each database.
async fn on_each(test: impl AsyncFn(World)) {
    let dir = tempfile::tempdir().unwrap();
    let hub = Arc::new(Hub::new("test"));
    let store = Store::open_sqlite(&dir.path().join("chatroom.db"), Arc::clone(&hub)).await.unwrap();
    test(World::new(store, hub).await).await;
    on_postgres(async |url| {
        let hub = Arc::new(Hub::new("test"));
        let store = Store::open_postgres(&url, Arc::clone(&hub)).await.unwrap();
        test(World::new(store.clone(), hub).await).await;
        store.close().await;
    })
    .await;
}

impl World {
    async fn new(store: Store, hub: Arc<Hub>) -> Self {
        let app = Arc::new(App::new(store, hub, functions::registry(), "test".into(), "http://127.0.0.1:1".into()));
        let (ada, bea) = (add_user(&app, "ada").await, add_user(&app, "bea").await);
        let room = call(&app, &ada, "chatrooms.create", json!({"name": "shop", "team": "duo"})).await.unwrap();
        let room = room["chatroomId"].as_str().unwrap().to_owned();
        let (machine, other) = (Host::new(&ada), Host::new(&ada));
        let mut world = Self { app, ada, bea, machine, other, room };
        for host in [world.machine.clone(), world.other.clone()] {
            world.ok(&world.ada, "machines.register", registration(&host.id)).await;
            world.configure(&host, json!({"tool": "echo", "workingDir": "/srv"})).await;
        }
        world.machine.epoch = world.open(&world.machine, "s1", json!([])).await["epoch"].as_i64().unwrap();
        world.other.epoch = world.open(&world.other, "s1", json!([])).await["epoch"].as_i64().unwrap();
        world
    }

    async fn call(&self, caller: &Caller, name: &str, args: Value) -> Result<Value, Refusal> {
        call(&self.app, caller, name, args).await
    }

    async fn ok(&self, caller: &Caller, name: &str, args: Value) -> Value {
        self.call(caller, name, args).await.unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"))
    }

    async fn refused(&self, caller: &Caller, name: &str, args: Value) -> Refusal {
        match self.call(caller, name, args).await {
            Ok(answer) => panic!("{name} was not refused: {answer}"),
            Err(refusal) => refusal,
        }
    }

    async fn code(&self, caller: &Caller, name: &str, args: Value) -> ErrorCode {
        self.refused(caller, name, args).await.code
    }

    async fn configure(&self, host: &Host, fields: Value) -> Value {
        let mut args = json!({"machineId": host.id, "chatroomId": self.room, "role": "builder"});
        merge(&mut args, fields);
        self.ok(&self.ada, "machines.updateAgentConfig", args).await
    }

    async fn open(&self, host: &Host, session: &str, agents: Value) -> Value {
        let args = json!({"machineId": host.id, "sessionId": session, "bootId": "boot", "agents": agents});
        self.ok(&host.caller, "machines.openDaemonSession", args).await
    }

    /// Arguments of a command for the builder of the room.
    fn command(&self, host: &Host, kind: &str) -> Value {
        json!({"machineId": host.id, "type": kind, "payload": {"chatroomId": self.room, "role": "Builder"}})
    }

    async fn send(&self, host: &Host, kind: &str) -> Value {
        self.ok(&self.ada, "machines.sendCommand", self.command(host, kind)).await
    }

    async fn start_moved(&self, host: &Host) -> Value {
        let mut args = self.command(host, "start-agent");
        args["payload"]["move"] = json!(true);
        self.ok(&self.ada, "machines.sendCommand", args).await
    }

    async fn ack(&self, host: &Host, command: &Value, what: Value) -> Value {
        let mut args = json!({"machineId": host.id, "epoch": host.epoch, "commandId": command["commandId"]});
        merge(&mut args, what);
        self.ok(&host.caller, "machines.ackCommand", args).await
    }

    async fn claim(&self, host: &Host, command: &Value) -> Value {
        self.ack(host, command, json!({"status": "processing"})).await
    }

    async fn complete(&self, host: &Host, command: &Value, result: Value) -> Value {
        self.ack(host, command, json!({"status": "completed", "result": result})).await
    }

    async fn fail(&self, host: &Host, command: &Value, code: &str) -> Value {
        self.ack(host, command, json!({"status": "failed", "failure": {"code": code, "message": "because"}})).await
    }

    /// Starts the builder all the way: the agent that runs, and the secret of its credential.
    async fn run_builder(&self, host: &Host) -> (String, String) {
        let command = self.send(host, "start-agent").await;
        let order = self.claim(host, &command).await["order"].clone();
        let agent = text(&order["agentId"]);
        self.complete(host, &command, json!({"kind": "started", "agentId": agent, "pid": 7})).await;
        (agent, text(&order["credential"]))
    }

    async fn heartbeat(&self, host: &Host, agents: Value) -> Value {
        let args = json!({"machineId": host.id, "epoch": host.epoch, "agents": agents});
        self.ok(&host.caller, "machines.updateDaemonStatus", args).await
    }

    /// Adds to the transcript of an agent of this machine; gives how far the server has come.
    async fn append(&self, host: &Host, agent: &str, events: Value) -> i64 {
        let args = json!({"machineId": host.id, "agentId": agent, "events": events});
        self.ok(&host.caller, "agents.appendTranscript", args).await["through"].as_i64().unwrap()
    }

    async fn transcript(&self, agent: &str) -> Value {
        self.ok(&self.ada, "agents.transcript", json!({"agentId": agent})).await
    }

    async fn inputs(&self, agent: &str) -> Vec<Value> {
        self.ok(&self.ada, "agents.listInputs", json!({"agentId": agent})).await.as_array().unwrap().clone()
    }

    async fn inbox(&self, host: &Host) -> Vec<Value> {
        let args = json!({"machineId": host.id, "epoch": host.epoch});
        self.ok(&host.caller, "agents.getInbox", args).await["inputs"].as_array().unwrap().clone()
    }

    /// Every permission request, ended ones too, oldest first.
    async fn permissions(&self) -> Vec<Value> {
        let list = self.ok(&self.ada, "permissions.list", json!({"includeEnded": true})).await;
        list.as_array().unwrap().clone()
    }

    async fn pending(&self, host: &Host) -> Value {
        let args = json!({"machineId": host.id, "epoch": host.epoch});
        self.ok(&host.caller, "machines.getPendingCommands", args).await
    }

    async fn agent(&self, id: &str) -> Value {
        self.ok(&self.ada, "agents.get", json!({"agentId": id})).await
    }

    async fn shown(&self, command: &Value) -> Value {
        self.ok(&self.ada, "machines.getCommand", json!({"commandId": command["commandId"]})).await
    }

    async fn history(&self, host: &Host) -> Vec<Value> {
        let list = self.ok(&self.ada, "machines.listCommands", json!({"machineId": host.id})).await;
        list.as_array().unwrap().clone()
    }

    async fn machine_row(&self, host: &Host) -> Value {
        let list = self.ok(&self.ada, "machines.listMachines", json!({})).await;
        list.as_array().unwrap().iter().find(|machine| machine["machineId"] == host.id.as_str()).unwrap().clone()
    }

    fn user_id(&self) -> UserId {
        self.ada.user_id().unwrap().clone()
    }

    fn chatroom_id(&self) -> ChatroomId {
        ChatroomId(self.room.clone())
    }

    /// Begins to listen for wakes of this topic.
    fn watch(&self, topic: &Topic) -> Arc<Waker> {
        let waker = Arc::new(Waker::default());
        self.app.hub.watch(topic, &waker);
        waker
    }
}

impl Host {
    fn new(owner: &Caller) -> Self {
        let id = uuid::Uuid::new_v4().to_string();
        let user_id = owner.user_id().unwrap().clone();
        let caller = Caller::Machine { user_id, machine_id: MachineId(id.clone()), credential_id: secret::new_id() };
        Self { id, caller, epoch: 0 }
    }

    /// The agent of this id on this machine, as a caller.
    fn agent(&self, world: &World, id: &str) -> Caller {
        Caller::Agent {
            user_id: world.user_id(),
            machine_id: MachineId(self.id.clone()),
            agent_id: AgentId(id.to_owned()),
            chatroom_id: world.chatroom_id(),
            role: "builder".into(),
            credential_id: secret::new_id(),
        }
    }
}

async fn call(app: &Arc<App>, caller: &Caller, name: &str, args: Value) -> Result<Value, Refusal> {
    let request = Request { caller: caller.clone(), address: None, args, replay_key: None };
    app.call(name, None, &request).await
}

async fn add_user(app: &App, name: &str) -> Caller {
    let user = User { id: secret::new_id(), name: name.into(), is_admin: name == "ada", signed_in_at: None };
    let mut tx = app.store.write().await.unwrap();
    users::insert(&mut tx, &user, clock::now()).await.unwrap();
    tx.commit().await.unwrap();
    Caller::User {
        user_id: user.id,
        user_name: user.name,
        is_admin: user.is_admin,
        credential_id: secret::new_id(),
        scope: TokenScope::Full,
    }
}

fn registration(id: &str) -> Value {
    json!({"machineId": id, "hostname": "box", "os": "linux", "arch": "x86_64", "cliVersion": "0.1.0",
           "cliPath": "/opt/chatroom", "availableTools": [
               {"name": "echo", "status": "ok", "version": "1", "driver": "acp", "asks": true},
               {"name": "opencode", "path": "/bin/opencode", "status": "ok", "version": "1.18", "driver": "one-shot"},
               {"name": "goose", "path": "/bin/goose", "status": "ok", "version": "1"},
               {"name": "house-agent", "path": "/opt/house", "driver": "acp", "asks": true, "status": "ok", "version": "1"},
               {"name": "claude", "status": "missing", "repair": "npm install -g claude"},
               {"name": "codex", "path": "/bin/codex", "status": "broken", "reason": "exit 1", "repair": "npm rebuild"}]})
}

/// Events of a transcript, numbered from `first` on.
fn events(first: i64, entries: Vec<Value>) -> Value {
    let numbered = entries.into_iter().zip(first..).map(|(mut entry, seq)| {
        merge(&mut entry, json!({"seq": seq, "at": seq * 10}));
        entry
    });
    numbered.collect()
}

fn says(text: &str) -> Value {
    json!({"kind": "text", "text": text})
}

fn turn_ended() -> Value {
    json!({"kind": "turn_ended", "reason": "end_turn"})
}

/// A request to run a command that offers a yes and a no, each for once and for always.
fn asks(request: &str, command: &str) -> Value {
    let option = |kind: &str| json!({"optionId": format!("option {kind}"), "name": kind, "kind": kind});
    json!({"kind": "permission_asked", "requestId": request, "title": format!("run {command}"), "toolKind": "execute",
           "command": command, "options": [option("allow_always"), option("allow_once"), option("reject_once")]})
}

fn running(agent: &str) -> Value {
    json!({"agentId": agent, "fact": "running", "pid": 7, "startedAt": 1})
}

fn exited(agent: &str) -> Value {
    json!({"agentId": agent, "fact": "exited", "exit": {"how": "code", "code": 3}, "exitedAt": 1})
}

fn merge(into: &mut Value, fields: Value) {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    into.as_object_mut().unwrap().extend(fields);
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text")).to_owned()
}

fn later(ms: i64) -> UnixMs {
    clock::now() + ms
}
