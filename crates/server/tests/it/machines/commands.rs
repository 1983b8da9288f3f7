//! Sending, listing and cancelling commands.

use super::{on_each, registration};
use chatroom_protocol::ErrorCode;
use chatroom_server::live::Topic;
use serde_json::json;

const SEND: &str = "machines.sendCommand";

#[tokio::test]
async fn a_start_waits_for_its_machine_and_its_agent_holds_the_role() {
    on_each(async |world| {
        let waker = world.watch(&Topic::Machine(world.machine.id.as_str().into()));
        let command = world.send(&world.machine, "start-agent").await;
        assert_eq!(command["status"], "pending");
        assert_eq!(command["expiresAt"].as_i64().unwrap() - command["createdAt"].as_i64().unwrap(), 300_000);
        assert!(!waker.take().is_empty());
        let agents = world.ok(&world.ada, "agents.list", json!({"chatroomId": world.room})).await;
        assert_eq!(agents.as_array().unwrap().len(), 1);
        assert_eq!(agents[0]["state"], "starting");
        assert_eq!(agents[0]["commandId"], command["commandId"]);
        assert_eq!(agents[0]["workingDir"], "/srv");
        let pending = world.pending(&world.machine).await;
        assert_eq!(pending["session"], "current");
        assert_eq!(pending["commands"][0]["commandId"], command["commandId"]);
        assert_eq!(pending["commands"][0]["claimedBefore"], false);
    })
    .await;
}

#[tokio::test]
async fn commands_are_refused_for_each_reason_by_its_own_code_and_leave_no_row() {
    on_each(async |world| {
        let start = world.command(&world.machine, "start-agent");
        let with = |path: &str, value: serde_json::Value| {
            let mut args = start.clone();
            *args.pointer_mut(path).unwrap() = value;
            args
        };
        for (args, code) in [
            (with("/machineId", json!("none")), ErrorCode::NotFound),
            (with("/payload/chatroomId", json!("none")), ErrorCode::NotFound),
            (with("/payload/role", json!("chef")), ErrorCode::UnknownRole),
            (with("/payload/role", json!("planner")), ErrorCode::NoAgentConfig),
            (with("/type", json!("run-shell")), ErrorCode::BadRequest),
            (
                with("/payload", json!({"chatroomId": world.room, "role": "builder", "tool": "sh"})),
                ErrorCode::BadRequest,
            ),
            (json!({"machineId": world.machine.id, "type": "ping", "payload": {"x": 1}}), ErrorCode::BadRequest),
            (json!({"machineId": world.machine.id, "type": "ping", "deadlineMs": 999}), ErrorCode::BadRequest),
            (json!({"machineId": world.machine.id, "type": "ping", "deadlineMs": 604_800_001}), ErrorCode::BadRequest),
        ] {
            assert_eq!(world.code(&world.ada, SEND, args.clone()).await, code, "{args}");
        }
        assert_eq!(world.code(&world.bea, SEND, start.clone()).await, ErrorCode::NotFound);
        assert_eq!(world.code(&world.machine.caller, SEND, start).await, ErrorCode::Forbidden);
        assert!(world.history(&world.machine).await.is_empty());
        assert_eq!(world.ok(&world.ada, "agents.list", json!({"includeEnded": true})).await, json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_tool_that_does_not_run_there_is_refused_with_its_repair() {
    on_each(async |world| {
        for (tool, hint) in [("claude", "npm install -g claude"), ("codex", "npm rebuild")] {
            world.configure(&world.machine, json!({"tool": tool})).await;
            let refusal = world.refused(&world.ada, SEND, world.command(&world.machine, "start-agent")).await;
            assert_eq!(refusal.code, ErrorCode::ToolNotAvailable);
            assert!(refusal.hint.unwrap().contains(hint));
        }
        assert!(world.history(&world.machine).await.is_empty());
        let unheard_of =
            json!({"machineId": world.machine.id, "chatroomId": world.room, "role": "builder", "tool": "nonsense"});
        let refusal = world.refused(&world.ada, "machines.updateAgentConfig", unheard_of).await;
        assert_eq!(refusal.code, ErrorCode::ToolNotAvailable);
        assert!(refusal.hint.unwrap().contains("echo"));
    })
    .await;
}

#[tokio::test]
async fn a_one_shot_tool_cannot_ask_and_echo_takes_any_mode() {
    on_each(async |world| {
        world.configure(&world.machine, json!({"tool": "opencode", "permissionMode": "ask"})).await;
        let refusal = world.refused(&world.ada, SEND, world.command(&world.machine, "start-agent")).await;
        assert_eq!(refusal.code, ErrorCode::PermissionModeUnsupported);
        assert!(refusal.hint.unwrap().contains("accept-edits"));
        world.configure(&world.machine, json!({"tool": "echo"})).await;
        assert_eq!(world.send(&world.machine, "start-agent").await["status"], "pending");
    })
    .await;
}

#[tokio::test]
async fn a_tool_that_only_its_machine_knows_is_started_by_its_name() {
    on_each(async |world| {
        world.configure(&world.machine, json!({"tool": "house-agent", "permissionMode": "ask"})).await;
        assert_eq!(world.send(&world.machine, "start-agent").await["status"], "pending");
    })
    .await;
}

#[tokio::test]
async fn an_archived_room_starts_nothing_and_its_agent_can_be_stopped() {
    on_each(async |world| {
        world.run_builder(&world.machine).await;
        world.ok(&world.ada, "chatrooms.archive", json!({"chatroomId": world.room})).await;
        assert_eq!(
            world.code(&world.ada, SEND, world.command(&world.machine, "start-agent")).await,
            ErrorCode::Conflict
        );
        assert_eq!(
            world.code(&world.ada, SEND, world.command(&world.machine, "restart-agent")).await,
            ErrorCode::Conflict
        );
        assert_eq!(world.send(&world.machine, "stop-agent").await["status"], "pending");
    })
    .await;
}

#[tokio::test]
async fn a_second_start_is_completed_with_the_agent_that_runs_already() {
    on_each(async |world| {
        let first = world.send(&world.machine, "start-agent").await;
        let agents = world.ok(&world.ada, "agents.list", json!({})).await;
        let second = world.send(&world.machine, "start-agent").await;
        assert_ne!(second["commandId"], first["commandId"]);
        assert_eq!(second["status"], "completed");
        assert_eq!(second["result"], json!({"kind": "already_running", "agentId": agents[0]["agentId"]}));
        assert_eq!(world.pending(&world.machine).await["commands"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn clicks_at_the_same_instant_make_one_agent() {
    on_each(async |world| {
        let args = world.command(&world.machine, "start-agent");
        let clicks = (0..6).map(|_| world.ok(&world.ada, SEND, args.clone()));
        let sent = futures_util::future::join_all(clicks).await;
        assert_eq!(sent.iter().filter(|command| command["status"] == "pending").count(), 1);
        assert_eq!(
            world.ok(&world.ada, "agents.list", json!({"includeEnded": true})).await.as_array().unwrap().len(),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn the_same_key_is_the_same_command() {
    on_each(async |world| {
        let mut args = world.command(&world.machine, "start-agent");
        args["idempotencyKey"] = json!("click-1");
        let first = world.ok(&world.ada, SEND, args.clone()).await;
        assert_eq!(world.ok(&world.ada, SEND, args.clone()).await, first);
        assert_eq!(world.history(&world.machine).await.len(), 1);
        args["type"] = json!("stop-agent");
        assert_eq!(world.code(&world.ada, SEND, args).await, ErrorCode::IdempotencyKeyReused);
    })
    .await;
}

#[tokio::test]
async fn a_role_that_runs_elsewhere_is_taken_unless_it_is_moved() {
    on_each(async |world| {
        world.ok(&world.ada, "machines.rename", json!({"machineId": world.machine.id, "name": "Tower"})).await;
        let (old, _) = world.run_builder(&world.machine).await;
        for kind in ["start-agent", "restart-agent"] {
            let refusal = world.refused(&world.ada, SEND, world.command(&world.other, kind)).await;
            assert_eq!(refusal.code, ErrorCode::RoleTaken);
            assert!(refusal.message.contains("Tower"), "{refusal:?}");
            assert!(refusal.hint.unwrap().contains("--move"));
        }
        let start = world.start_moved(&world.other).await;
        assert_eq!(start["status"], "pending");
        assert_eq!(world.agent(&old).await["state"], "stopping");
        let stop = world.pending(&world.machine).await["commands"][0].clone();
        assert_eq!(stop["type"], "stop-agent");
        assert_eq!(world.claim(&world.machine, &stop).await["order"]["agentId"], old.as_str());
        let order = world.claim(&world.other, &start).await["order"].clone();
        let new = world.agent(order["agentId"].as_str().unwrap()).await;
        assert_eq!(new["machineId"], world.other.id.as_str());
    })
    .await;
}

#[tokio::test]
async fn a_role_whose_agent_is_being_stopped_elsewhere_is_taken_until_it_has_ended() {
    on_each(async |world| {
        let (old, _) = world.run_builder(&world.machine).await;
        let stop = world.send(&world.machine, "stop-agent").await;
        assert_eq!(
            world.code(&world.ada, SEND, world.command(&world.other, "start-agent")).await,
            ErrorCode::RoleTaken
        );
        world.claim(&world.machine, &stop).await;
        world
            .complete(&world.machine, &stop, json!({"kind": "stopped", "agentId": old, "exit": {"how": "stopped"}}))
            .await;
        assert_eq!(world.send(&world.other, "start-agent").await["status"], "pending");
    })
    .await;
}

#[tokio::test]
async fn moving_a_role_whose_start_had_not_begun_cancels_that_start() {
    on_each(async |world| {
        let first = world.send(&world.machine, "start-agent").await;
        world.start_moved(&world.other).await;
        assert_eq!(world.shown(&first).await["failure"]["code"], "cancelled");
        assert_eq!(world.pending(&world.machine).await["commands"], json!([]));
        let agents = world.ok(&world.ada, "agents.list", json!({"chatroomId": world.room})).await;
        assert_eq!(agents.as_array().unwrap().len(), 1);
        assert_eq!(agents[0]["machineId"], world.other.id.as_str());
    })
    .await;
}

#[tokio::test]
async fn stopping_what_does_not_run_is_completed_at_once() {
    on_each(async |world| {
        let stop = world.send(&world.machine, "stop-agent").await;
        assert_eq!(stop["status"], "completed");
        assert_eq!(stop["result"], json!({"kind": "not_running"}));
    })
    .await;
}

#[tokio::test]
async fn a_stop_wins_over_a_start_that_has_not_begun() {
    on_each(async |world| {
        let start = world.send(&world.machine, "start-agent").await;
        let agents = world.ok(&world.ada, "agents.list", json!({})).await;
        let stop = world.send(&world.machine, "stop-agent").await;
        assert_eq!(stop["result"]["kind"], "not_running");
        assert_eq!(world.shown(&start).await["failure"]["code"], "cancelled");
        assert_eq!(world.agent(agents[0]["agentId"].as_str().unwrap()).await["state"], "failed");
        assert_eq!(world.claim(&world.machine, &start).await, json!({"outcome": "stale"}));
    })
    .await;
}

#[tokio::test]
async fn a_stop_during_a_start_waits_behind_it_and_names_the_same_agent() {
    on_each(async |world| {
        let start = world.send(&world.machine, "start-agent").await;
        let agent = world.claim(&world.machine, &start).await["order"]["agentId"].clone();
        let stop = world.send(&world.machine, "stop-agent").await;
        assert_eq!(stop["status"], "pending");
        world.complete(&world.machine, &start, json!({"kind": "started", "agentId": agent, "pid": 9})).await;
        let shown = world.agent(agent.as_str().unwrap()).await;
        assert_eq!((shown["state"].as_str(), shown["pid"].as_i64()), (Some("stopping"), Some(9)));
        assert_eq!(world.claim(&world.machine, &stop).await["order"], json!({"do": "stop", "agentId": agent}));
        world
            .complete(&world.machine, &stop, json!({"kind": "stopped", "agentId": agent, "exit": {"how": "stopped"}}))
            .await;
        assert_eq!(world.agent(agent.as_str().unwrap()).await["state"], "exited");
    })
    .await;
}

#[tokio::test]
async fn a_restart_is_one_command_with_the_old_and_the_new_agent() {
    on_each(async |world| {
        let (old, old_secret) = world.run_builder(&world.machine).await;
        let restart = world.send(&world.machine, "restart-agent").await;
        assert_eq!(world.agent(&old).await["state"], "stopping");
        let order = world.claim(&world.machine, &restart).await["order"].clone();
        assert_eq!(order["do"], "restart");
        assert_eq!(order["stop"], old.as_str());
        let new = order["start"]["agentId"].as_str().unwrap().to_owned();
        assert_ne!(new, old);
        world.complete(&world.machine, &restart, json!({"kind": "started", "agentId": new, "pid": 8})).await;
        assert_eq!(world.agent(&old).await["exit"], json!({"how": "stopped"}));
        assert_eq!(world.agent(&new).await["state"], "running");
        assert_eq!(world.app.caller(&old_secret).await.unwrap(), chatroom_server::caller::Caller::Public);
    })
    .await;
}

#[tokio::test]
async fn a_restart_of_nothing_is_a_start() {
    on_each(async |world| {
        let restart = world.send(&world.machine, "restart-agent").await;
        let order = world.claim(&world.machine, &restart).await["order"].clone();
        assert_eq!(order["stop"], json!(null));
        assert_eq!(order["start"]["role"], "builder");
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_restart_leaves_the_old_agent_running_and_a_stop_then_ends_it() {
    on_each(async |world| {
        let (old, _) = world.run_builder(&world.machine).await;
        let restart = world.send(&world.machine, "restart-agent").await;
        let cancelled =
            world.ok(&world.ada, "machines.cancelCommand", json!({"commandId": restart["commandId"]})).await;
        assert_eq!(cancelled["failure"]["code"], "cancelled");
        assert_eq!(world.agent(&old).await["state"], "running");

        // The same by a stop that overtakes the restart: it stops what ran before.
        world.send(&world.machine, "restart-agent").await;
        let stop = world.send(&world.machine, "stop-agent").await;
        assert_eq!(world.claim(&world.machine, &stop).await["order"]["agentId"], old.as_str());
    })
    .await;
}

#[tokio::test]
async fn only_a_pending_command_is_cancelled() {
    on_each(async |world| {
        let start = world.send(&world.machine, "start-agent").await;
        let args = json!({"commandId": start["commandId"]});
        assert_eq!(world.code(&world.bea, "machines.cancelCommand", args.clone()).await, ErrorCode::NotFound);
        assert_eq!(world.code(&world.bea, "machines.getCommand", args.clone()).await, ErrorCode::NotFound);
        world.claim(&world.machine, &start).await;
        assert_eq!(world.code(&world.ada, "machines.cancelCommand", args).await, ErrorCode::Conflict);

        let ping = world.ok(&world.ada, SEND, json!({"machineId": world.machine.id, "type": "ping"})).await;
        let args = json!({"commandId": ping["commandId"]});
        let first = world.ok(&world.ada, "machines.cancelCommand", args.clone()).await;
        assert_eq!(first["status"], "failed");
        assert_eq!(world.ok(&world.ada, "machines.cancelCommand", args).await, first, "asked again, answered again");
    })
    .await;
}

#[tokio::test]
async fn a_machine_takes_a_thousand_pending_commands_and_no_more() {
    on_each(async |world| {
        let user_id = world.user_id();
        let mut tx = world.app.store.write().await.unwrap();
        for number in 0..1000 {
            let row = chatroom_server::store::commands::Row {
                command: chatroom_protocol::command::Command {
                    command_id: format!("c{number}").into(),
                    machine_id: world.machine.id.as_str().into(),
                    request: chatroom_protocol::command::CommandRequest::Ping(Default::default()),
                    status: chatroom_protocol::command::CommandStatus::Pending,
                    created_at: super::later(0),
                    expires_at: super::later(60_000),
                },
                user_id: user_id.clone(),
                agent_id: None,
                stop_agent_id: None,
                claimed_epoch: None,
            };
            chatroom_server::store::commands::insert(&mut tx, &row).await.unwrap();
        }
        tx.commit().await.unwrap();
        let refusal = world.refused(&world.ada, SEND, world.command(&world.machine, "start-agent")).await;
        assert_eq!(refusal.code, ErrorCode::LimitReached);
        assert_eq!(world.ok(&world.ada, "agents.list", json!({})).await, json!([]), "no agent without its command");
        assert_eq!(world.send(&world.other, "start-agent").await["status"], "pending");
    })
    .await;
}

#[tokio::test]
async fn history_shows_the_newest_first_and_has_a_limit() {
    on_each(async |world| {
        let ping = json!({"machineId": world.machine.id, "type": "ping"});
        let mut sent = Vec::new();
        for _ in 0..3 {
            sent.push(world.ok(&world.ada, SEND, ping.clone()).await["commandId"].clone());
        }
        sent.reverse();
        let shown: Vec<_> = world.history(&world.machine).await.iter().map(|c| c["commandId"].clone()).collect();
        assert_eq!(shown, sent);
        let list = |limit: i64| json!({"machineId": world.machine.id, "limit": limit});
        assert_eq!(world.ok(&world.ada, "machines.listCommands", list(2)).await.as_array().unwrap().len(), 2);
        assert_eq!(world.code(&world.ada, "machines.listCommands", list(0)).await, ErrorCode::BadRequest);
        assert_eq!(world.code(&world.ada, "machines.listCommands", list(201)).await, ErrorCode::BadRequest);
        let other = registration(&world.other.id)["machineId"].clone();
        assert_eq!(world.ok(&world.ada, "machines.listCommands", json!({"machineId": other})).await, json!([]));
    })
    .await;
}
