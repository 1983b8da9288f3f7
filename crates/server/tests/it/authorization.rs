//! Who may do what, over the whole registry: every function is called with arguments that are valid for its rightful caller, by
//! everybody else first. The answers and the contents of every table are compared; then the rightful caller succeeds.

use crate::support::TestServer;
use chatroom_protocol::{Callers, Kind};
use serde_json::{Value, json};
use sqlx::{Column as _, Row as _, ValueRef as _};
use std::collections::BTreeMap;

const MACHINE: &str = "3f0f8f4e-6c1b-4b7e-9d7e-0a4a1b9f0001";
const OTHER_MACHINE: &str = "3f0f8f4e-6c1b-4b7e-9d7e-0a4a1b9f0002";

/// User A with two machines, a room with a running agent and a task in its hands; user B with nothing.
struct World {
    server: TestServer,
    bob: String,
    machine: String,
    other_machine: String,
    agent: String,
    room: Value,
    agent_id: Value,
    /// A command of A's machine that is pending.
    pending: Value,
    /// A command of A's machine that this daemon session has claimed.
    claimed: Value,
    epoch: Value,
    task: Value,
    item: Value,
    /// A permission request of the agent that waits.
    permission: Value,
    rule: Value,
    message_count: i64,
}

async fn register(server: &TestServer, machine: &str) -> String {
    let args = json!({
        "machineId": machine, "hostname": "laptop", "os": "linux", "arch": "x86_64", "cliVersion": "1", "cliPath": "/opt/chatroom",
        "availableTools": [{"name": "echo", "path": "/opt/chatroom", "status": "ok", "version": "1", "driver": "acp", "asks": true}],
        "issueCredential": true});
    server.ok("machines.register", args).await["credential"].as_str().unwrap().to_owned()
}

impl World {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let bob = server.add_user("bob").await;
        let (machine, other_machine) = (register(&server, MACHINE).await, register(&server, OTHER_MACHINE).await);
        let room = server.ok("chatrooms.create", json!({"name": "room", "team": "duo"})).await["chatroomId"].clone();
        let config =
            json!({"machineId": MACHINE, "chatroomId": room, "role": "builder", "tool": "echo", "workingDir": "/"});
        server.ok("machines.updateAgentConfig", config).await;
        let opened = as_caller(
            &server,
            &machine,
            "machines.openDaemonSession",
            json!({"machineId": MACHINE, "sessionId": "life", "bootId": "boot", "agents": []}),
        )
        .await;
        let epoch = opened["epoch"].clone();
        let start =
            json!({"machineId": MACHINE, "type": "start-agent", "payload": {"chatroomId": room, "role": "builder"}});
        let command = server.ok("machines.sendCommand", start).await["commandId"].clone();
        let claim = json!({"machineId": MACHINE, "epoch": epoch, "commandId": command, "status": "processing"});
        let order = as_caller(&server, &machine, "machines.ackCommand", claim).await["order"].clone();
        let (agent, agent_id) = (order["credential"].as_str().unwrap().to_owned(), order["agentId"].clone());
        let done = json!({"machineId": MACHINE, "epoch": epoch, "commandId": command, "status": "completed",
            "result": {"kind": "started", "agentId": agent_id, "pid": 42}});
        as_caller(&server, &machine, "machines.ackCommand", done).await;
        let ping = json!({"machineId": MACHINE, "type": "ping"});
        let claimed = server.ok("machines.sendCommand", ping.clone()).await["commandId"].clone();
        let claim = json!({"machineId": MACHINE, "epoch": epoch, "commandId": claimed, "status": "processing"});
        as_caller(&server, &machine, "machines.ackCommand", claim).await;
        let pending = server.ok("machines.sendCommand", ping).await["commandId"].clone();
        let sent = server.ok("messages.send", json!({"chatroomId": room, "role": "builder", "content": "work"})).await;
        let role = json!({"chatroomId": room, "role": "builder", "waiterId": WAITER});
        as_caller(&server, &agent, "participants.join", role.clone()).await;
        let item = server.ok("backlog.add", json!({"chatroomId": room, "content": "some day"})).await["itemId"].clone();
        server.ok("artifacts.put", json!({"chatroomId": room, "name": "plan.md", "content": "plan"})).await;
        server.ok("teams.upsert", own_team("mine")).await;
        let rule = json!({"chatroomId": room, "allow": true, "match": "command", "command": "cargo test"});
        let rule = server.ok("permissions.addRule", rule).await["ruleId"].clone();
        let asked = json!({"machineId": MACHINE, "agentId": agent_id, "events": [{"seq": 1, "at": 1,
            "kind": "permission_asked", "requestId": "r", "title": "run make", "toolKind": "execute", "command": "make",
            "options": [{"optionId": "yes", "name": "Yes", "kind": "allow_once"}]}]});
        as_caller(&server, &machine, "agents.appendTranscript", asked).await;
        let permission = server.ok("permissions.list", json!({})).await[0]["permissionId"].clone();
        let mut world = Self {
            server,
            bob,
            machine,
            other_machine,
            agent,
            room,
            agent_id,
            pending,
            claimed,
            epoch,
            task: sent["taskId"].clone(),
            item,
            permission,
            rule,
            message_count: 1,
        };
        world.message_count =
            world.server.ok("messages.list", json!({"chatroomId": world.room})).await.as_array().unwrap().len() as i64;
        world
    }

    async fn claim_task(&self) {
        let args = self.args("tasks.claim").unwrap();
        let claimed = as_caller(&self.server, &self.agent, "tasks.claim", args).await;
        assert_eq!(claimed["outcome"], "claimed", "{claimed}");
    }

    /// Arguments of a function that its rightful caller may use in this world.
    fn args(&self, name: &str) -> Option<Value> {
        let (room, task, item, epoch) = (&self.room, &self.task, &self.item, &self.epoch);
        let slot = json!({"chatroomId": room, "role": "builder"});
        let held = json!({"chatroomId": room, "role": "builder", "taskId": task, "delivery": 1});
        Some(match name {
            "agents.list" => json!({"chatroomId": room}),
            "agents.get" => json!({"agentId": self.agent_id}),
            "agents.listRoles" => json!({"chatroomId": room}),
            "agents.why" => slot,
            "agents.reportExited" => json!({"machineId": MACHINE, "agents": [
                {"agentId": self.agent_id, "fact": "exited", "exit": {"how": "code", "code": 0}, "exitedAt": 1}]}),
            "agents.appendTranscript" => json!({"machineId": MACHINE, "agentId": self.agent_id, "events": [
                {"seq": 2, "at": 2, "kind": "text", "text": "hello"}]}),
            "agents.transcript" | "agents.cancelTurn" | "agents.listInputs" => json!({"agentId": self.agent_id}),
            "agents.send" => json!({"agentId": self.agent_id, "text": "hello"}),
            "agents.getInbox" => json!({"machineId": MACHINE, "epoch": epoch}),
            "permissions.list" | "permissions.listRules" => json!({"chatroomId": room}),
            "permissions.answer" => json!({"permissionId": self.permission, "choice": "allow_once"}),
            "permissions.addRule" => {
                json!({"chatroomId": room, "role": "builder", "allow": true, "match": "kind", "toolKind": "execute"})
            }
            "permissions.removeRule" => json!({"ruleId": self.rule}),
            "artifacts.put" => json!({"chatroomId": room, "role": "builder", "name": "plan.md", "content": "new"}),
            "artifacts.get" | "artifacts.remove" => json!({"chatroomId": room, "name": "plan.md"}),
            "artifacts.list" | "backlog.list" | "contexts.list" => json!({"chatroomId": room}),
            "backlog.add" => json!({"chatroomId": room, "role": "builder", "content": "one more"}),
            "backlog.start" => json!({"chatroomId": room, "role": "builder", "itemId": item, "targetRole": "planner"}),
            "backlog.complete" | "backlog.remove" => json!({"chatroomId": room, "itemId": item}),
            "chatrooms.updateTeam" => json!({"chatroomId": room, "team": "squad"}),
            "contexts.read" => slot,
            "contexts.create" => json!({"chatroomId": room, "role": "builder", "title": "t", "content": "c"}),
            "messages.reportProgress" => {
                json!({"chatroomId": room, "role": "builder", "taskId": task, "delivery": 1, "content": "half"})
            }
            "messages.markSeen" => json!({"chatroomId": room, "upTo": 1}),
            "teams.upsert" => own_team("another"),
            "teams.remove" => json!({"name": "mine"}),
            "auth.startDeviceLogin" => json!({"machineName": "m"}),
            "auth.pollDeviceLogin" => json!({"deviceCode": "none"}),
            "auth.getDeviceLogin" | "auth.approveDeviceLogin" | "auth.denyDeviceLogin" => json!({"userCode": "none"}),
            "auth.createToken" => json!({"name": "t", "expiresInMs": 60_000}),
            "auth.revokeCredential" => json!({"credentialId": "none"}),
            "auth.whoami" | "auth.logout" | "auth.createSignInLink" | "auth.listCredentials" => json!({}),
            "chatrooms.create" => json!({"name": "r", "team": "solo"}),
            "chatrooms.list" | "machines.listMachines" | "teams.list" => json!({}),
            "chatrooms.get" | "chatrooms.archive" | "machines.getAgentConfigs" | "participants.list" => {
                json!({"chatroomId": room})
            }
            "machines.register" => json!({
                "machineId": MACHINE, "hostname": "renamed", "os": "linux", "arch": "x86_64", "cliVersion": "1",
                "cliPath": "/opt/chatroom", "availableTools": []}),
            "machines.updateAgentConfig" => {
                json!({"machineId": MACHINE, "chatroomId": room, "role": "planner", "tool": "echo", "workingDir": "/tmp"})
            }
            "machines.sendCommand" => json!({"machineId": MACHINE, "type": "stop-agent", "payload": slot}),
            "machines.openDaemonSession" => {
                json!({"machineId": MACHINE, "sessionId": "newer", "bootId": "boot", "agents": []})
            }
            "machines.getPendingCommands" => json!({"machineId": MACHINE, "epoch": epoch}),
            "machines.ackCommand" => json!({"machineId": MACHINE, "epoch": epoch, "commandId": self.claimed,
                "status": "completed", "result": {"kind": "pong"}}),
            "machines.updateDaemonStatus" => json!({"machineId": MACHINE, "epoch": epoch, "agents": []}),
            "machines.listCommands" | "machines.remove" => json!({"machineId": MACHINE}),
            "machines.getCommand" | "machines.cancelCommand" => json!({"commandId": self.pending}),
            "machines.rename" => json!({"machineId": MACHINE, "name": "desk"}),
            "messages.send" => json!({"chatroomId": room, "content": "more"}),
            "messages.list" => json!({"chatroomId": room}),
            "messages.getInitPrompt" => json!({"chatroomId": room, "role": "builder", "machineId": MACHINE}),
            "participants.join" | "tasks.getNextTask" => {
                json!({"chatroomId": room, "role": "builder", "waiterId": WAITER})
            }
            "tasks.list" => json!({"chatroomId": room}),
            "tasks.getHeld" => json!({"machineId": MACHINE, "agentId": self.agent_id, "chatroomId": room}),
            "tasks.claim" => json!({"chatroomId": room, "role": "builder", "waiterId": WAITER, "taskId": task}),
            "tasks.confirm" => slot,
            "tasks.giveBack" | "tasks.start" | "tasks.complete" => held,
            "tasks.handoff" => {
                json!({"chatroomId": room, "role": "builder", "taskId": task, "delivery": 1, "nextRole": "planner", "content": "done"})
            }
            "tasks.requeue" | "tasks.cancel" => json!({"taskId": task}),
            "teams.get" => json!({"name": "duo"}),
            "users.invite" => json!({"name": "eve"}),
            _ => return None,
        })
    }

    /// Every row of every table, without what a mere look may change.
    async fn tables(&self) -> BTreeMap<String, Vec<String>> {
        let url = format!("sqlite://{}/server/chatroom.db", self.server.dir());
        let pool = sqlx::AnyPool::connect(&url).await.unwrap();
        let names =
            sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'")
                .fetch_all(&pool)
                .await
                .unwrap();
        let mut tables = BTreeMap::new();
        for name in names.iter().map(|row| row.get::<String, _>(0)).filter(|name| name != "audit") {
            let rows =
                sqlx::query(sqlx::AssertSqlSafe(format!("SELECT * FROM {name}"))).fetch_all(&pool).await.unwrap();
            let mut rows: Vec<String> = rows.iter().map(text).collect();
            rows.sort();
            tables.insert(name, rows);
        }
        tables
    }
}

fn difference(before: &BTreeMap<String, Vec<String>>, after: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let lost = before.iter().flat_map(|(table, rows)| rows.iter().filter(|row| !after[table].contains(row)));
    let new = after.iter().flat_map(|(table, rows)| rows.iter().filter(|row| !before[table].contains(row)));
    lost.chain(new).cloned().collect()
}

/// The newest waiter of the role, by its time-ordered id.
const WAITER: &str = "01981111-0000-7000-8000-000000000001";

fn text(row: &sqlx::any::AnyRow) -> String {
    let columns = row.columns().iter().filter(|column| column.name() != "last_used_at");
    let cells = columns.map(|column| {
        let index = column.ordinal();
        let value = match row.try_get_raw(index).unwrap() {
            value if value.is_null() => "NULL".to_owned(),
            _ => row
                .try_get::<String, _>(index)
                .or_else(|_| row.try_get::<i64, _>(index).map(|n| n.to_string()))
                .unwrap_or_default(),
        };
        format!("{}={value}", column.name())
    });
    cells.collect::<Vec<_>>().join("|")
}

async fn as_caller(server: &TestServer, token: &str, name: &str, args: Value) -> Value {
    let (status, body) = server.run(name, args, Some(token)).await;
    assert_eq!(status, 200, "{name}: {body}");
    body["value"].clone()
}

/// Functions whose arguments name nothing of A's: others succeed with their own, and see nothing of A's.
const OWN_THINGS: &[&str] = &[
    "auth.whoami",
    "auth.logout",
    "auth.createToken",
    "auth.createSignInLink",
    "auth.listCredentials",
    "chatrooms.create",
    "chatrooms.list",
    "machines.listMachines",
    "teams.list",
    "teams.get",
    "teams.upsert",
    "agents.list",
];

/// Functions whose arguments here name nothing at all, so that everybody gets the same refusal.
const NAMES_NOTHING: &[&str] = &[
    "auth.getDeviceLogin",
    "auth.approveDeviceLogin",
    "auth.denyDeviceLogin",
    "auth.revokeCredential",
    "auth.pollDeviceLogin",
];

/// Functions that work on a task which somebody holds.
const ON_A_HELD_TASK: &[&str] =
    &["tasks.giveBack", "tasks.start", "tasks.complete", "tasks.handoff", "tasks.requeue", "messages.reportProgress"];

fn own_team(name: &str) -> Value {
    let role = json!({"name": "writer", "title": "Writer", "instructions": "Write.", "handsTo": ["user"]});
    json!({"name": name, "entryRole": "writer", "roles": [role]})
}

#[tokio::test]
async fn nobody_but_the_rightful_caller_gets_an_answer_or_changes_a_row() {
    let names: Vec<_> =
        chatroom_server::functions::registry().entries().map(|entry| (entry.name, entry.callers, entry.kind)).collect();
    let declared: Vec<_> = chatroom_protocol::api::all_names().collect();
    for name in &declared {
        assert!(names.iter().any(|(known, ..)| known == name), "{name} is declared but not in the registry");
    }
    assert_eq!(names.len(), declared.len());
    for (name, callers, kind) in names {
        check(name, callers, kind).await;
    }
}

async fn check(name: &str, callers: Callers, kind: Kind) {
    let world = World::new().await;
    if ON_A_HELD_TASK.contains(&name) {
        world.claim_task().await;
    }
    let args = world.args(name).unwrap_or_else(|| panic!("{name} has no arguments in the authorization table"));
    let mut before = world.tables().await;
    let user = callers.contains(Callers::USER);
    let strangers = [
        ("nobody", None, Callers::PUBLIC),
        ("another user", Some(&world.bob), Callers::USER),
        ("the other machine of the same user", Some(&world.other_machine), Callers::MACHINE),
        ("the machine itself", Some(&world.machine), Callers::MACHINE),
        ("its agent", Some(&world.agent), Callers::AGENT),
    ];
    for (who, token, caller_kind) in strangers {
        let admitted = callers.contains(caller_kind) || callers.contains(Callers::PUBLIC);
        if admitted && (who == "the machine itself" || who == "its agent" || callers.contains(Callers::PUBLIC)) {
            continue; // rightful: below
        }
        let (status, body) = world.server.run(name, args.clone(), token.map(String::as_str)).await;
        let code = body["errorData"]["code"].as_str().unwrap_or("success");
        if admitted && OWN_THINGS.contains(&name) {
            assert!(
                !body.to_string().contains(world.room.as_str().unwrap()),
                "{name} as {who} tells of A's room: {body}"
            );
            before = world.tables().await; // what they did to their own things
            continue;
        }
        let expected = match (who, name) {
            ("nobody", _) => "unauthenticated",
            (_, "machines.register") if admitted && who == "another user" => "machine_owned_by_other",
            ("another user", "users.invite") => "forbidden",
            _ if admitted => "not_found",
            _ => "forbidden",
        };
        assert_eq!(code, expected, "{name} as {who}: {status} {body}");
        let changed = difference(&before, &world.tables().await);
        assert!(changed.is_empty(), "{name} as {who} changed {changed:#?}");
    }
    let rightful = [
        (user && !ON_A_HELD_TASK_BY_AGENT.contains(&name), &world.server.token),
        (callers.contains(Callers::MACHINE), &world.machine),
        (callers.contains(Callers::AGENT) && name.starts_with("tasks."), &world.agent),
    ];
    for token in rightful.iter().filter(|(may, _)| *may).map(|(_, token)| *token) {
        let (status, body) = world.server.run(name, args.clone(), Some(token)).await;
        if NAMES_NOTHING.contains(&name) {
            assert!([400, 404].contains(&status), "{name}: {body}");
        } else {
            assert_eq!(status, 200, "{name} as its rightful caller: {body}");
        }
        if kind == Kind::Mutation {
            break; // what is done once may not be doable twice
        }
    }
}

/// The agent holds the task, so its own word comes first there.
const ON_A_HELD_TASK_BY_AGENT: &[&str] = &["tasks.giveBack", "tasks.claim"];

#[tokio::test]
async fn an_agent_cannot_send_commands_or_see_other_rooms_and_roles() {
    let world = World::new().await;
    let other =
        world.server.ok("chatrooms.create", json!({"name": "secret", "team": "duo"})).await["chatroomId"].clone();
    let agent = Some(world.agent.as_str());
    let (status, _) =
        world.server.run("machines.sendCommand", world.args("machines.sendCommand").unwrap(), agent).await;
    assert_eq!(status, 403);
    let role = |room: &Value, role: &str| {
        json!({"chatroomId": room, "role": role, "waiterId": WAITER, "taskId": world.task,
        "delivery": 1, "nextRole": "user", "content": "x"})
    };
    for name in [
        "participants.join",
        "tasks.getNextTask",
        "tasks.claim",
        "tasks.start",
        "tasks.complete",
        "tasks.handoff",
        "tasks.confirm",
        "contexts.read",
        "messages.getInitPrompt",
    ] {
        for args in [role(&other, "builder"), role(&world.room, "planner")] {
            let (status, body) = world.server.run(name, args, agent).await;
            assert_eq!((status, &body["errorData"]["code"]), (404, &json!("not_found")), "{name}: {body}");
        }
    }
    for (room, role) in [(&other, "builder"), (&world.room, "planner")] {
        for (name, more) in [
            ("messages.reportProgress", json!({"taskId": world.task, "delivery": 1, "content": "x"})),
            ("artifacts.put", json!({"name": "x.md", "content": "x"})),
            ("backlog.add", json!({"content": "x"})),
            ("backlog.complete", json!({"itemId": world.item})),
            ("contexts.create", json!({"title": "x", "content": "x"})),
        ] {
            let mut args = more;
            args["chatroomId"] = room.clone();
            args["role"] = json!(role);
            let (status, body) = world.server.run(name, args, agent).await;
            assert_eq!((status, &body["errorData"]["code"]), (404, &json!("not_found")), "{name}: {body}");
        }
    }
    for name in ["chatrooms.get", "messages.list", "tasks.list", "artifacts.list", "backlog.list", "contexts.list"] {
        let (status, _) = world.server.run(name, json!({"chatroomId": other}), agent).await;
        assert_eq!(status, 404, "{name}");
    }
    assert_eq!(world.message_count, 1);
}
