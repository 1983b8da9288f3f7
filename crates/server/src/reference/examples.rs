//! An example of arguments for every function, as the reference shows it.

use serde_json::{Value, json};

const MACHINE: &str = "6f1c2f0e-4a37-4c1b-9d7e-2b8f1d0c5a43";
const CHATROOM: &str = "01956f2a-7c10-7d3e-8a51-3f0b6c9d2e74";
const AGENT: &str = "01956f2b-02aa-7b64-9c0f-5d1e8a7b6c32";
const COMMAND: &str = "01956f2b-1f88-7a09-b3c2-7e6d5c4b3a21";
const ITEM: &str = "01956f2b-2c77-7c18-8e4f-9a0b1c2d3e4f";
const TASK: &str = "01956f2c-3b5d-7e41-8f90-1a2b3c4d5e6f";
const WAITER: &str = "0f8e7d6c-5b4a-4938-8271-605f4e3d2c1b";
const SESSION: &str = "a1b2c3d4-e5f6-4789-8abc-def012345678";
const PERMISSION: &str = "01956f2c-8f12-7b35-a6d7-4c3b2a190807";
const RULE: &str = "01956f2c-9a47-7c08-b1e2-5d6c7b8a9f01";
const CREDENTIAL: &str = "01956f2d-66c1-7f22-a1b2-c3d4e5f60718";

/// Arguments that the function takes; an empty object for one that takes none.
pub(super) fn args_of(name: &str) -> Value {
    match name {
        "agents.list" => json!({"chatroomId": CHATROOM, "includeEnded": false}),
        "agents.get" => json!({"agentId": AGENT}),
        "agents.listRoles" => json!({"chatroomId": CHATROOM}),
        "agents.why" => json!({"chatroomId": CHATROOM, "role": "builder"}),
        "agents.reportExited" => json!({"machineId": MACHINE, "agents": [exited()]}),
        "agents.appendTranscript" => json!({"machineId": MACHINE, "agentId": AGENT, "events": [
            {"seq": 41, "at": 1_800_000_000_000_i64, "kind": "text", "text": "The parser runs twice as fast now."},
        ]}),
        "agents.transcript" => json!({"agentId": AGENT, "after": 40, "limit": 100}),
        "agents.send" => json!({"agentId": AGENT, "text": "Please keep the old parser as well."}),
        "agents.cancelTurn" | "agents.listInputs" => json!({"agentId": AGENT}),
        "agents.getInbox" => json!({"machineId": MACHINE, "epoch": 3}),

        "permissions.list" => json!({"chatroomId": CHATROOM, "includeEnded": false}),
        "permissions.answer" => json!({"permissionId": PERMISSION, "choice": "allow_once"}),
        "permissions.listRules" => json!({"chatroomId": CHATROOM}),
        "permissions.addRule" => json!({
            "chatroomId": CHATROOM, "role": "builder", "allow": true, "match": "command", "command": "cargo test",
        }),
        "permissions.removeRule" => json!({"ruleId": RULE}),

        "auth.startDeviceLogin" => json!({"machineName": "workstation"}),
        "auth.pollDeviceLogin" => json!({"deviceCode": "the deviceCode of auth.startDeviceLogin"}),
        "auth.getDeviceLogin" | "auth.approveDeviceLogin" | "auth.denyDeviceLogin" => json!({"userCode": "BCDF-GHJK"}),
        "auth.createToken" => json!({"name": "nightly report", "scope": "read", "expiresInMs": 2_592_000_000_i64}),
        "auth.revokeCredential" => json!({"credentialId": CREDENTIAL}),

        "artifacts.put" => json!({
            "chatroomId": CHATROOM, "role": "planner", "name": "plan.md", "content": "# Plan\n\n1. Read the grammar.\n",
        }),
        "artifacts.get" => json!({"chatroomId": CHATROOM, "name": "plan.md", "version": 2}),
        "artifacts.remove" => json!({"chatroomId": CHATROOM, "name": "plan.md"}),

        "backlog.add" => json!({"chatroomId": CHATROOM, "content": "Say where in the file an error is."}),
        "backlog.list" => json!({"chatroomId": CHATROOM, "state": "open"}),
        "backlog.start" => json!({"chatroomId": CHATROOM, "itemId": ITEM, "targetRole": "builder"}),
        "backlog.complete" => json!({"chatroomId": CHATROOM, "itemId": ITEM, "role": "builder"}),
        "backlog.remove" => json!({"chatroomId": CHATROOM, "itemId": ITEM}),

        "contexts.read" => json!({"chatroomId": CHATROOM, "role": "builder", "limit": 30}),
        "contexts.create" => json!({
            "chatroomId": CHATROOM, "role": "planner", "title": "Error messages",
            "content": "The grammar is done. From here on we work on error messages only.",
        }),

        "chatrooms.updateTeam" => json!({"chatroomId": CHATROOM, "team": "duo", "removedRoleTasks": "move"}),
        "chatrooms.create" => json!({"name": "parser", "team": "pair"}),
        "chatrooms.get"
        | "chatrooms.archive"
        | "machines.getAgentConfigs"
        | "participants.list"
        | "artifacts.list"
        | "contexts.list" => {
            json!({"chatroomId": CHATROOM})
        }

        "machines.register" => json!({
            "machineId": MACHINE, "hostname": "workstation", "os": "linux", "arch": "x86_64", "cliVersion": "0.1.0",
            "cliPath": "/usr/local/bin/chatroom", "issueCredential": false,
            "availableTools": [
                {"name": "opencode", "path": "/usr/local/bin/opencode", "status": "ok", "version": "1.18.33"},
                {"name": "claude", "status": "missing", "repair": "npm install --global @anthropic-ai/claude-code"},
            ],
        }),
        "machines.updateAgentConfig" => json!({
            "machineId": MACHINE, "chatroomId": CHATROOM, "role": "builder", "tool": "opencode",
            "workingDir": "/home/me/parser", "permissionMode": "accept-edits",
        }),
        "machines.sendCommand" => json!({
            "machineId": MACHINE, "type": "start-agent", "payload": {"chatroomId": CHATROOM, "role": "builder"},
        }),
        "machines.openDaemonSession" => json!({
            "machineId": MACHINE, "sessionId": SESSION, "bootId": "7b0c9a52-1f64-4f6c-b1a4-0d9e8c7b6a59",
            "agents": [running()],
        }),
        "machines.getPendingCommands" => json!({"machineId": MACHINE, "epoch": 3}),
        "machines.ackCommand" => json!({
            "machineId": MACHINE, "epoch": 3, "commandId": COMMAND,
            "status": "completed", "result": {"kind": "started", "agentId": AGENT, "pid": 4711},
        }),
        "machines.updateDaemonStatus" => json!({"machineId": MACHINE, "epoch": 3, "agents": [running()]}),
        "machines.listCommands" => json!({"machineId": MACHINE, "limit": 20}),
        "machines.getCommand" | "machines.cancelCommand" => json!({"commandId": COMMAND}),
        "machines.rename" => json!({"machineId": MACHINE, "name": "big machine"}),
        "machines.remove" => json!({"machineId": MACHINE}),

        "messages.send" => json!({"chatroomId": CHATROOM, "content": "Please make the parser faster."}),
        "messages.list" => json!({"chatroomId": CHATROOM, "after": 12, "limit": 50}),
        "messages.reportProgress" => json!({
            "chatroomId": CHATROOM, "role": "builder", "taskId": TASK, "delivery": 1,
            "content": "The new parser runs; its tests come next.",
        }),
        "messages.markSeen" => json!({"chatroomId": CHATROOM, "upTo": 14}),
        "messages.getInitPrompt" => json!({"chatroomId": CHATROOM, "role": "builder"}),

        "participants.join" => json!({"chatroomId": CHATROOM, "role": "builder", "waiterId": WAITER}),

        "tasks.list" => json!({"chatroomId": CHATROOM, "state": "pending"}),
        "tasks.getNextTask" => json!({"chatroomId": CHATROOM, "role": "builder", "waiterId": WAITER}),
        "tasks.getHeld" => json!({"machineId": MACHINE, "agentId": AGENT, "chatroomId": CHATROOM}),
        "tasks.claim" => json!({"chatroomId": CHATROOM, "role": "builder", "waiterId": WAITER, "taskId": TASK}),
        "tasks.confirm" => json!({"chatroomId": CHATROOM, "role": "builder"}),
        "tasks.giveBack" | "tasks.start" | "tasks.complete" => {
            json!({"chatroomId": CHATROOM, "role": "builder", "taskId": TASK, "delivery": 1})
        }
        "tasks.handoff" => json!({
            "chatroomId": CHATROOM, "role": "builder", "taskId": TASK, "delivery": 1, "nextRole": "reviewer",
            "content": "The parser is twice as fast; please review.",
        }),
        "tasks.requeue" | "tasks.cancel" => json!({"taskId": TASK}),

        "teams.get" => json!({"name": "pair"}),
        "teams.upsert" => json!({
            "name": "docs", "entryRole": "writer",
            "roles": [{
                "name": "writer", "title": "Writer", "handsTo": ["user"],
                "instructions": "You write the manual. Hand each finished chapter to `user`.",
            }],
        }),
        "teams.remove" => json!({"name": "docs"}),
        "users.invite" => json!({"name": "Ada"}),
        _ => json!({}),
    }
}

fn running() -> Value {
    json!({"agentId": AGENT, "fact": "running", "pid": 4711, "startedAt": 1_741_000_000_000_i64})
}

fn exited() -> Value {
    json!({
        "agentId": AGENT, "fact": "exited", "exit": {"how": "code", "code": 0}, "exitedAt": 1_741_000_360_000_i64,
    })
}
