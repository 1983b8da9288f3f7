//! What is wanted of a role and what becomes of it: restarts, starts by tasks, resumed sessions, and why a role does not work.

use super::{Host, World, later, merge, on_each, running, text};
use chatroom_protocol::ErrorCode;
use chatroom_server::reconcile::{run, settle};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60_000;
const SEND: &str = "machines.sendCommand";

impl World {
    /// The daemon's socket subscribes its commands.
    pub(super) async fn connect(&self, host: &Host) {
        let presence = self.app.registry.find("machines.getPendingCommands").unwrap().presence().unwrap();
        let args = json!({"machineId": host.id, "epoch": host.epoch});
        presence.opened(&self.app, &host.caller, &args, "socket").await.unwrap();
    }

    /// The builder as its owner sees it.
    pub(super) async fn builder(&self) -> Value {
        self.ok(&self.ada, "agents.why", json!({"chatroomId": self.room, "role": "Builder"})).await
    }

    async fn blocked(&self) -> (String, String, String) {
        let blocked = self.builder().await["blocked"].clone();
        let repair = blocked["repair"].as_str().unwrap_or_default().to_owned();
        (blocked["by"].as_str().unwrap_or("nothing").to_owned(), blocked["message"].to_string(), repair)
    }

    pub(super) async fn exit(&self, host: &Host, agent: &str, exit: Value) {
        let report = json!({"agentId": agent, "fact": "exited", "exit": exit, "exitedAt": 1});
        self.ok(&host.caller, "agents.reportExited", json!({"machineId": host.id, "agents": [report]})).await;
    }

    pub(super) async fn crash(&self, host: &Host, agent: &str) {
        self.exit(host, agent, json!({"how": "code", "code": 3})).await;
    }

    /// Starts of this machine that nobody has claimed.
    pub(super) async fn waiting_starts(&self, host: &Host) -> Vec<Value> {
        let pending = self.pending(host).await["commands"].as_array().unwrap().clone();
        pending.into_iter().filter(|command| command["type"] != "stop-agent").collect()
    }

    /// Does what the one start asks that waits for this machine; gives the agent that runs then, and the order.
    async fn obey(&self, host: &Host) -> (String, Value) {
        let starts = self.waiting_starts(host).await;
        assert_eq!(starts.len(), 1, "{starts:?}");
        let order = self.claim(host, &starts[0]).await["order"].clone();
        let order = if order["start"].is_null() { order } else { order["start"].clone() };
        let agent = text(&order["agentId"]);
        self.complete(host, &starts[0], json!({"kind": "started", "agentId": agent, "pid": 7})).await;
        (agent, order)
    }

    async fn tell(&self, host: &Host, agent: &str, seq: i64, entry: Value) {
        let mut event = json!({"seq": seq, "at": 5});
        merge(&mut event, entry);
        let args = json!({"machineId": host.id, "agentId": agent, "events": [event]});
        self.ok(&host.caller, "agents.appendTranscript", args).await;
    }

    async fn tell_session(&self, host: &Host, agent: &str, session: &str) {
        let entry = json!({"kind": "session_started", "driver": "acp", "sessionId": session, "resumed": false});
        self.tell(host, agent, 1, entry).await;
    }

    async fn send_task(&self) {
        let args = json!({"chatroomId": self.room, "role": "builder", "content": "work"});
        self.ok(&self.ada, "messages.send", args).await;
    }
}

#[tokio::test]
async fn an_agent_that_crashes_is_started_again_later_each_time_until_it_is_given_up() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        let (mut agent, _) = world.run_builder(&host).await;
        for delay_s in [0, 30, 60, 60] {
            world.crash(&host, &agent).await;
            let blocked = world.blocked().await;
            assert_eq!(blocked.0, "restarting", "{blocked:?}");
            if delay_s > 0 {
                settle(&world.app, later((delay_s - 5) * SECOND_MS)).await;
                assert!(world.waiting_starts(&host).await.is_empty(), "too early");
            }
            settle(&world.app, later(delay_s * SECOND_MS + 1)).await;
            agent = world.obey(&host).await.0;
            assert_eq!(world.builder().await["agent"]["agentId"], agent.as_str());
            assert!(world.builder().await["desired"]["restartAt"].is_null());
        }
        world.crash(&host, &agent).await;
        settle(&world.app, later(9 * MINUTE_MS)).await;
        assert!(world.waiting_starts(&host).await.is_empty());
        let builder = world.builder().await;
        assert_eq!(builder["desired"]["running"], true, "its owner still wants it");
        let (by, message, repair) = world.blocked().await;
        assert_eq!(by, "ended");
        assert!(message.contains("5 times within 10 minutes") && message.contains("exit code 3"), "{message}");
        assert_eq!(repair, format!("chatroom agent start --chatroom-id={} --role=builder", world.room));
        let (agent, _) = world.run_builder(&host).await;
        assert!(world.builder().await["desired"]["givenUp"].is_null());
        world.crash(&host, &agent).await;
        settle(&world.app, later(1)).await;
        world.obey(&host).await;
    })
    .await;
}

#[tokio::test]
async fn what_was_stopped_is_never_started_again_however_it_ends() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        for exit in [json!({"how": "code", "code": 1}), json!({"how": "lost"}), json!({"how": "shut_down"})] {
            let (agent, _) = world.run_builder(&host).await;
            let stop = world.send(&host, "stop-agent").await;
            assert_eq!(world.builder().await["desired"]["running"], false, "before anything has happened");
            world.claim(&host, &stop).await;
            world.complete(&host, &stop, json!({"kind": "stopped", "agentId": agent, "exit": exit})).await;
            settle(&world.app, later(2 * MINUTE_MS)).await;
            assert!(world.waiting_starts(&host).await.is_empty(), "{exit}");
            assert_eq!(world.blocked().await.0, "not_started");
        }
        let (agent, _) = world.run_builder(&host).await;
        world.crash(&host, &agent).await;
        // A stop while the restart is due.
        assert_eq!(world.send(&host, "stop-agent").await["result"]["kind"], "not_running");
        settle(&world.app, later(2 * MINUTE_MS)).await;
        assert!(world.waiting_starts(&host).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_stop_that_is_taken_back_leaves_the_agent_wanted() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        let (agent, _) = world.run_builder(&host).await;
        let stop = world.send(&host, "stop-agent").await;
        world.ok(&world.ada, "machines.cancelCommand", json!({"commandId": stop["commandId"]})).await;
        assert_eq!(world.builder().await["desired"]["running"], true);
        world.crash(&host, &agent).await;
        settle(&world.app, later(1)).await;
        world.obey(&host).await;
    })
    .await;
}

#[tokio::test]
async fn agents_that_end_with_their_machine_are_started_when_it_is_back_and_stopped_ones_are_not() {
    on_each(async |world| {
        let host = world.machine.clone();
        let (agent, _) = world.run_builder(&host).await;
        world.exit(&host, &agent, json!({"how": "shut_down"})).await;
        settle(&world.app, later(1)).await;
        assert!(world.waiting_starts(&host).await.is_empty(), "its machine is not connected");
        assert_eq!(world.blocked().await.0, "machine");
        world.connect(&host).await;
        settle(&world.app, later(1)).await;
        let (agent, _) = world.obey(&host).await;
        // Its owner stops the daemon, and its agents with it.
        world.exit(&host, &agent, json!({"how": "stopped"})).await;
        settle(&world.app, later(MINUTE_MS)).await;
        assert!(world.waiting_starts(&host).await.is_empty());
        let desired = world.builder().await["desired"].clone();
        assert_eq!((&desired["running"], &desired["by"]), (&json!(false), &json!("machine")));
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_was_lost_starts_once_however_many_servers_look() {
    on_each(async |world| {
        let mut host = world.machine.clone();
        world.run_builder(&host).await;
        // A new life of the daemon knows nothing of it.
        host.epoch = world.open(&host, "s2", json!([])).await["epoch"].as_i64().unwrap();
        world.connect(&host).await;
        let now = later(1);
        tokio::join!(settle(&world.app, now), settle(&world.app, now), settle(&world.app, now));
        world.obey(&host).await;
        let active = world.ok(&world.ada, "agents.list", json!({})).await;
        assert_eq!(active.as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_running_reconciler_hears_of_an_end_and_of_a_machine_that_is_back() {
    on_each(async |world| {
        let shutdown = CancellationToken::new();
        let reconciler = tokio::spawn(run(Arc::clone(&world.app), shutdown.clone()));
        let host = world.machine.clone();
        let (agent, _) = world.run_builder(&host).await;
        world.crash(&host, &agent).await;
        let waker = world.watch(&chatroom_server::live::Topic::Machine(host.id.as_str().into()));
        world.connect(&host).await;
        tokio::time::timeout(Duration::from_secs(10), async {
            while world.waiting_starts(&host).await.is_empty() {
                waker.wait().await;
            }
        })
        .await
        .expect("the agent is started again");
        shutdown.cancel();
        reconciler.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_start_that_fails_is_tried_again_given_up_or_left_alone() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        let fail = async |code: &str| {
            let start = world.send(&host, "start-agent").await;
            world.claim(&host, &start).await;
            world.fail(&host, &start, code).await;
            settle(&world.app, later(1)).await;
        };
        fail("tool_missing").await;
        assert!(world.waiting_starts(&host).await.is_empty());
        assert_eq!(world.builder().await["desired"]["givenUp"], "because");
        fail("spawn_failed").await;
        world.obey(&host).await;
        let stop = world.send(&host, "stop-agent").await;
        world.ok(&world.ada, "machines.cancelCommand", json!({"commandId": stop["commandId"]})).await;
    })
    .await;
}

#[tokio::test]
async fn a_failure_is_forgotten_when_what_is_started_is_changed_and_a_task_starts_it_then() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        let start = world.send(&host, "start-agent").await;
        world.claim(&host, &start).await;
        world.fail(&host, &start, "working_dir_missing").await;
        assert_eq!(world.blocked().await.0, "ended");
        let change = json!({"machineId": host.id, "chatroomId": world.room, "role": "builder", "workingDir": "/srv/other",
                            "startOnTask": true});
        world.ok(&world.ada, "machines.updateAgentConfig", change).await;
        assert!(world.builder().await["desired"]["givenUp"].is_null());
        assert_eq!(world.blocked().await.0, "not_started");
        assert!(world.waiting_starts(&host).await.is_empty());
        let message = json!({"chatroomId": world.room, "role": "builder", "content": "Go on."});
        world.ok(&world.ada, "messages.send", message).await;
        assert_eq!(world.waiting_starts(&host).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_revoked_credential_is_told_where_it_keeps_from_working() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        let (agent, _) = world.run_builder(&host).await;
        let all = world.ok(&world.ada, "auth.listCredentials", json!({})).await;
        let of_agent = all.as_array().unwrap().iter().find(|one| one["kind"] == "agent").unwrap();
        world.ok(&world.ada, "auth.revokeCredential", json!({"credentialId": of_agent["credentialId"]})).await;
        let (by, message, repair) = world.blocked().await;
        assert_eq!(by, "trouble", "{agent}: {message}");
        assert!(repair.starts_with("chatroom agent restart "), "{repair}");
    })
    .await;
}

#[tokio::test]
async fn an_expired_start_of_the_owner_changes_nothing_and_one_of_the_server_is_sent_again() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        world.send(&host, "start-agent").await;
        settle(&world.app, later(6 * MINUTE_MS)).await;
        assert!(world.waiting_starts(&host).await.is_empty());
        assert_eq!(world.blocked().await.0, "ended");
        let (agent, _) = world.run_builder(&host).await;
        world.crash(&host, &agent).await;
        settle(&world.app, later(1)).await;
        let first = world.waiting_starts(&host).await;
        settle(&world.app, later(6 * MINUTE_MS)).await;
        let second = world.waiting_starts(&host).await;
        assert_eq!((first.len(), second.len()), (1, 1));
        assert_ne!(first[0]["commandId"], second[0]["commandId"]);
    })
    .await;
}

#[tokio::test]
async fn the_old_agent_of_a_restart_changes_nothing_and_counts_again_when_the_restart_fails() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        let (old, _) = world.run_builder(&host).await;
        world.send(&host, "restart-agent").await;
        world.crash(&host, &old).await;
        settle(&world.app, later(1)).await;
        let (agent, _) = world.obey(&host).await;
        assert!(world.builder().await["desired"]["restartAt"].is_null());
        // This one expires: the agent that was to be stopped runs on, and is the one that counts.
        world.send(&host, "restart-agent").await;
        settle(&world.app, later(6 * MINUTE_MS)).await;
        assert_eq!(world.agent(&agent).await["state"], "running");
        world.crash(&host, &agent).await;
        settle(&world.app, later(7 * MINUTE_MS)).await;
        world.obey(&host).await;
    })
    .await;
}

#[tokio::test]
async fn a_role_that_was_moved_is_wanted_where_it_went() {
    on_each(async |world| {
        let (here, there) = (world.machine.clone(), world.other.clone());
        world.connect(&here).await;
        world.connect(&there).await;
        let (old, _) = world.run_builder(&here).await;
        world.start_moved(&there).await;
        world.crash(&here, &old).await;
        settle(&world.app, later(1)).await;
        let (agent, _) = world.obey(&there).await;
        assert_eq!(world.builder().await["desired"]["machineId"], there.id.as_str());
        // A stop on the machine that it left is none of the role.
        world.send(&here, "stop-agent").await;
        assert_eq!(world.builder().await["desired"]["running"], true);
        world.crash(&there, &agent).await;
        settle(&world.app, later(1)).await;
        assert!(world.waiting_starts(&here).await.is_empty());
        world.obey(&there).await;
    })
    .await;
}

#[tokio::test]
async fn what_goes_away_is_not_wanted_any_more() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        let (agent, _) = world.run_builder(&host).await;
        world.ok(&world.ada, "chatrooms.archive", json!({"chatroomId": world.room})).await;
        world.crash(&host, &agent).await;
        settle(&world.app, later(MINUTE_MS)).await;
        assert!(world.waiting_starts(&host).await.is_empty());
        let desired = world.builder().await["desired"].clone();
        assert_eq!((&desired["running"], &desired["by"]), (&json!(false), &json!("server")));
        assert!(world.blocked().await.1.contains("archived"));
    })
    .await;
    on_each(async |world| {
        world.connect(&world.machine).await;
        world.run_builder(&world.machine).await;
        world.ok(&world.ada, "machines.remove", json!({"machineId": world.machine.id})).await;
        settle(&world.app, later(MINUTE_MS)).await;
        let desired = world.builder().await["desired"].clone();
        assert_eq!((&desired["running"], &desired["by"]), (&json!(false), &json!("server")));
    })
    .await;
}

#[tokio::test]
async fn a_role_that_its_team_lost_is_not_started_again_and_shows_no_config() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        let (agent, _) = world.run_builder(&host).await;
        world.crash(&host, &agent).await;
        let role = json!({"name": "writer", "title": "Writer", "instructions": "Write.", "handsTo": ["user"]});
        world.ok(&world.ada, "teams.upsert", json!({"name": "docs", "entryRole": "writer", "roles": [role]})).await;
        let update = async |team: &str| {
            world.ok(&world.ada, "chatrooms.updateTeam", json!({"chatroomId": world.room, "team": team})).await;
        };
        update("docs").await;
        settle(&world.app, later(MINUTE_MS)).await;
        assert!(world.waiting_starts(&host).await.is_empty());
        let configs = world.ok(&world.ada, "machines.getAgentConfigs", json!({"chatroomId": world.room})).await;
        assert_eq!(configs, json!([]));
        update("duo").await;
        assert_eq!(world.builder().await["desired"]["by"], "server");
    })
    .await;
}

#[tokio::test]
async fn a_task_starts_the_agent_of_a_role_that_allows_it() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        world.send_task().await;
        assert!(world.waiting_starts(&host).await.is_empty(), "nobody has allowed it");
        world.configure(&host, json!({"startOnTask": true})).await;
        world.send_task().await;
        world.send_task().await;
        assert_eq!(world.builder().await["desired"]["by"], "task");
        let (agent, _) = world.obey(&host).await;
        // Whoever stops it wants no more than that: the next task starts it again.
        let stop = world.send(&host, "stop-agent").await;
        world.claim(&host, &stop).await;
        let end = json!({"kind": "stopped", "agentId": agent, "exit": {"how": "stopped"}});
        world.complete(&host, &stop, end).await;
        settle(&world.app, later(1)).await;
        assert!(world.waiting_starts(&host).await.is_empty());
        world.send_task().await;
        let (agent, _) = world.obey(&host).await;
        let trouble = json!({"kind": "quota", "message": "no more today", "repair": "wait", "at": 1});
        world.exit(&host, &agent, json!({"how": "unusable", "trouble": trouble})).await;
        world.send_task().await;
        settle(&world.app, later(MINUTE_MS)).await;
        assert!(world.waiting_starts(&host).await.is_empty(), "it was given up");
        let (by, message, repair) = world.blocked().await;
        assert_eq!((by.as_str(), repair.as_str()), ("ended", "wait"));
        assert!(message.contains("no more today"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn a_task_for_a_machine_that_is_away_starts_its_agent_when_it_is_back() {
    on_each(async |world| {
        let (host, other) = (world.machine.clone(), world.other.clone());
        world.configure(&other, json!({"startOnTask": true})).await;
        world.configure(&host, json!({"startOnTask": true})).await;
        world.connect(&other).await;
        world.send_task().await;
        settle(&world.app, later(1)).await;
        assert!(world.waiting_starts(&other).await.is_empty(), "the other config is newer");
        assert_eq!(world.builder().await["desired"]["machineId"], host.id.as_str());
        world.connect(&host).await;
        settle(&world.app, later(1)).await;
        world.obey(&host).await;
    })
    .await;
}

#[tokio::test]
async fn a_task_starts_nobody_where_somebody_waits_by_hand() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        world.configure(&host, json!({"startOnTask": true})).await;
        let waiter = json!({"chatroomId": world.room, "role": "builder", "waiterId": "w"});
        world.ok(&world.ada, "participants.join", waiter.clone()).await;
        let presence = world.app.registry.find("tasks.getNextTask").unwrap().presence().unwrap();
        presence.opened(&world.app, &world.ada, &waiter, "hand").await.unwrap();
        world.send_task().await;
        assert!(world.waiting_starts(&host).await.is_empty());
        assert_eq!(world.blocked().await.0, "nothing");
    })
    .await;
}

#[tokio::test]
async fn a_session_is_taken_up_again_by_the_same_tool_in_the_same_place() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        let (agent, _) = world.run_builder(&host).await;
        world.tell_session(&host, &agent, "s1").await;
        world.send(&host, "restart-agent").await;
        let (agent, order) = world.obey(&host).await;
        assert_eq!(order["resume"], "s1", "while the old one still runs");
        world.tell_session(&host, &agent, "s2").await;
        world.crash(&host, &agent).await;
        settle(&world.app, later(1)).await;
        let (agent, order) = world.obey(&host).await;
        assert_eq!(order["resume"], "s2");
        // This one never got a session of its own.
        let stop = world.send(&host, "stop-agent").await;
        world.claim(&host, &stop).await;
        let end = json!({"kind": "stopped", "agentId": agent, "exit": {"how": "stopped"}});
        world.complete(&host, &stop, end).await;
        world.send(&host, "start-agent").await;
        let (_, order) = world.obey(&host).await;
        assert_eq!(order["resume"], "s2");
        // The words of the newest one come after its end was told.
        let agent = text(&order["agentId"]);
        world.crash(&host, &agent).await;
        world.tell_session(&host, &agent, "s3").await;
        settle(&world.app, later(MINUTE_MS)).await;
        let (_, order) = world.obey(&host).await;
        assert_eq!(order["resume"], "s3");
        world.configure(&host, json!({"workingDir": "/elsewhere"})).await;
        world.send(&host, "restart-agent").await;
        let (_, order) = world.obey(&host).await;
        assert!(order["resume"].is_null(), "{order}");
    })
    .await;
}

#[tokio::test]
async fn a_model_that_the_tool_does_not_have_is_refused_with_those_it_has() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.configure(&host, json!({"model": "small"})).await;
        let list = json!({"machineId": host.id, "type": "list-models", "payload": {"tool": "echo"}});
        let told = async |is_complete: bool| {
            let command = world.ok(&world.ada, SEND, list.clone()).await;
            world.claim(&host, &command).await;
            let result = json!({"kind": "models", "models": [{"id": "big", "name": "Big"}], "isComplete": is_complete});
            assert_eq!(world.complete(&host, &command, result).await["outcome"], "applied");
        };
        told(false).await;
        world.configure(&host, json!({"model": "medium"})).await;
        told(true).await;
        let args = json!({"machineId": host.id, "chatroomId": world.room, "role": "builder", "model": "small"});
        let refusal = world.refused(&world.ada, "machines.updateAgentConfig", args).await;
        assert_eq!(refusal.code, ErrorCode::UnknownModel);
        assert!(refusal.hint.unwrap().contains("big"));
        let refusal = world.refused(&world.ada, SEND, world.command(&host, "start-agent")).await;
        assert_eq!(refusal.code, ErrorCode::UnknownModel, "the config is older than the list");
        world.configure(&host, json!({"model": "big"})).await;
        world.send(&host, "start-agent").await;
        world.configure(&host, json!({"model": ""})).await;
    })
    .await;
}

#[tokio::test]
async fn a_tool_that_its_machine_can_only_detect_is_not_started() {
    on_each(async |world| {
        world.configure(&world.machine, json!({"tool": "goose"})).await;
        let refusal = world.refused(&world.ada, SEND, world.command(&world.machine, "start-agent")).await;
        assert_eq!(refusal.code, ErrorCode::ToolNotAvailable);
        assert!(refusal.hint.unwrap().contains("chatroom machine detect"));
        world.connect(&world.machine).await;
        let (by, _, repair) = world.blocked().await;
        assert_eq!((by.as_str(), repair.as_str()), ("tool", "chatroom machine detect"));
    })
    .await;
}

#[tokio::test]
async fn an_agents_session_tells_why_its_role_does_not_work() {
    on_each(async |world| {
        let host = world.machine.clone();
        world.connect(&host).await;
        assert_eq!(world.blocked().await.0, "not_started");
        let (agent, _) = world.run_builder(&host).await;
        assert_eq!(world.blocked().await.0, "passing", "nothing was heard of its session");
        world.tell_session(&host, &agent, "s1").await;
        assert_eq!(world.blocked().await.0, "nothing");
        let source = json!({"by": "person", "inputId": "i"});
        world.tell(&host, &agent, 2, json!({"kind": "prompt", "source": source, "text": "go"})).await;
        let asked = json!({"kind": "permission_asked", "requestId": "r", "title": "cargo test", "toolKind": "execute",
            "paths": [], "options": [{"optionId": "a", "name": "Allow", "kind": "allow_once"}]});
        world.tell(&host, &agent, 3, asked).await;
        let (by, message, repair) = world.blocked().await;
        assert_eq!(by, "permission");
        assert!(message.contains("cargo test"), "{message}");
        let permissions = world.ok(&world.ada, "permissions.list", json!({})).await;
        let id = permissions[0]["permissionId"].as_str().unwrap();
        assert_eq!(repair, format!("chatroom permission answer {id} allow"));
        world.heartbeat(&host, json!([running(&agent)])).await;
        let roles = world.ok(&world.ada, "agents.listRoles", json!({"chatroomId": world.room})).await;
        assert_eq!((&roles[0]["role"], &roles[1]["role"]), (&json!("planner"), &json!("builder")));
        assert_eq!(roles[0]["blocked"]["by"], "not_configured");
        assert_eq!(roles[1]["blocked"]["by"], "permission");
        assert_eq!(
            world.code(&world.bea, "agents.why", json!({"chatroomId": world.room, "role": "builder"})).await,
            ErrorCode::NotFound
        );
    })
    .await;
}

#[tokio::test]
async fn a_started_agent_is_briefed_for_a_live_session() {
    on_each(async |world| {
        let host = world.machine.clone();
        let start = world.send(&host, "start-agent").await;
        let order = world.claim(&host, &start).await["order"].clone();
        let agent = host.agent(&world, order["agentId"].as_str().unwrap());
        let prompt = order["prompt"].as_str().unwrap();
        assert!(prompt.contains("Tasks are said to you in this session"), "{prompt}");
        world.send_task().await;
        let mut waiter = json!({"chatroomId": world.room, "role": "builder", "waiterId": "w"});
        world.ok(&agent, "participants.join", waiter.clone()).await;
        let next = world.ok(&agent, "tasks.getNextTask", waiter.clone()).await;
        merge(&mut waiter, json!({"taskId": next["taskId"], "live": true}));
        let claimed = world.ok(&agent, "tasks.claim", waiter).await;
        let delivery = &claimed["delivery"];
        let (brief, reminder) = (text(&delivery["brief"]), text(&delivery["reminder"]));
        let id = text(&next["taskId"]);
        for told in [&brief, &reminder] {
            assert!(told.contains(&format!("Task id: {id}\nDelivery: 1\n")), "{told}");
            assert!(told.contains(&format!("--task-id={id} --delivery=1 --next-role=planner")), "{told}");
            assert!(told.contains("end your turn") && !told.contains("wait-for-task"), "{told}");
        }
        let read = world.ok(&agent, "contexts.read", json!({"chatroomId": world.room, "role": "builder"})).await;
        assert!(!text(&read["brief"]).contains("wait-for-task"));
        let by_hand = world.ok(&world.ada, "contexts.read", json!({"chatroomId": world.room, "role": "builder"})).await;
        assert!(text(&by_hand["brief"]).contains("wait-for-task"));
    })
    .await;
}
