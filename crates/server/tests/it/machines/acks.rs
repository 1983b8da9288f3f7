//! Claims and ends, as a daemon tells them.

use super::{later, on_each, running, text};
use chatroom_protocol::ErrorCode;
use chatroom_protocol::command::{Command, CommandRequest, CommandStatus};
use chatroom_server::caller::Caller;
use chatroom_server::store::commands;
use serde_json::json;

#[tokio::test]
async fn a_claim_answers_with_the_order_made_on_the_server() {
    on_each(async |world| {
        world.configure(&world.machine, json!({"model": "big", "permissionMode": "full"})).await;
        let command = world.send(&world.machine, "start-agent").await;
        // What was sent is what is done: a later change of the config is for later starts.
        world.configure(&world.machine, json!({"model": "small", "workingDir": "/elsewhere"})).await;
        let answer = world.claim(&world.machine, &command).await;
        assert_eq!(answer["outcome"], "applied");
        let order = &answer["order"];
        assert_eq!(order["do"], "start");
        assert_eq!(order["tool"], "echo");
        assert_eq!(order["model"], "big");
        assert_eq!(order["workingDir"], "/srv");
        assert_eq!(order["permissionMode"], "full");
        let prompt = text(&order["prompt"]);
        assert!(prompt.contains("/opt/chatroom") && prompt.contains(&world.room), "{prompt}");
        let Caller::Agent { agent_id, role, chatroom_id, .. } =
            world.app.caller(order["credential"].as_str().unwrap()).await.unwrap()
        else {
            panic!("the credential is the agent's")
        };
        assert_eq!((agent_id.0, role, chatroom_id.0), (text(&order["agentId"]), "builder".into(), world.room.clone()));
        assert_eq!(world.shown(&command).await["status"], "processing");
        assert_eq!(world.pending(&world.machine).await["commands"], json!([]), "this session has it");
    })
    .await;
}

#[tokio::test]
async fn a_claim_again_is_the_same_attempt_with_a_new_credential() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let first = world.claim(&world.machine, &command).await["order"].clone();
        let claimed_at = world.shown(&command).await["claimedAt"].clone();
        let second = world.claim(&world.machine, &command).await["order"].clone();
        assert_eq!(first["agentId"], second["agentId"]);
        assert_eq!(world.app.caller(first["credential"].as_str().unwrap()).await.unwrap(), Caller::Public);
        assert!(matches!(
            world.app.caller(second["credential"].as_str().unwrap()).await.unwrap(),
            Caller::Agent { .. }
        ));

        let mut newer = world.machine.clone();
        newer.epoch = world.open(&newer, "s2", json!([])).await["epoch"].as_i64().unwrap();
        let pending = world.pending(&newer).await;
        assert_eq!(pending["commands"][0]["claimedBefore"], true);
        assert_eq!(world.claim(&newer, &command).await["order"]["agentId"], first["agentId"]);
        assert_eq!(world.shown(&command).await["claimedAt"], claimed_at);
        assert_eq!(world.pending(&newer).await["commands"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn claims_at_the_same_instant_win_once_per_session_and_order_one_agent() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let claims = (0..5).map(|_| world.claim(&world.machine, &command));
        let answers = futures_util::future::join_all(claims).await;
        let mut alive = 0;
        for answer in &answers {
            assert_eq!(answer["order"]["agentId"], answers[0]["order"]["agentId"]);
            let caller = world.app.caller(answer["order"]["credential"].as_str().unwrap()).await.unwrap();
            alive += usize::from(caller != Caller::Public);
        }
        assert_eq!(alive, 1, "the last one holds the only credential");
    })
    .await;
}

#[tokio::test]
async fn an_older_session_writes_nothing() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let agent = text(&world.claim(&world.machine, &command).await["order"]["agentId"]);
        world.open(&world.machine, "s2", json!([])).await;
        let superseded = json!({"outcome": "superseded"});
        assert_eq!(world.claim(&world.machine, &command).await, superseded);
        let started = json!({"kind": "started", "agentId": agent, "pid": 7});
        assert_eq!(world.complete(&world.machine, &command, started).await, superseded);
        assert_eq!(world.fail(&world.machine, &command, "internal").await, superseded);
        assert_eq!(world.heartbeat(&world.machine, json!([running(&agent)])).await, superseded);
        assert_eq!(world.pending(&world.machine).await, json!({"session": "superseded"}));
        assert_eq!(world.shown(&command).await["status"], "processing");
        assert_eq!(world.agent(&agent).await["state"], "starting");
        let never = json!({"machineId": world.machine.id, "epoch": 99, "agents": []});
        assert_eq!(
            world.code(&world.machine.caller, "machines.updateDaemonStatus", never).await,
            ErrorCode::BadRequest
        );
    })
    .await;
}

#[tokio::test]
async fn an_end_is_recorded_once_and_the_same_words_again_are_answered_again() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let agent = text(&world.claim(&world.machine, &command).await["order"]["agentId"]);
        let started = json!({"kind": "started", "agentId": agent, "pid": 7});
        let applied = json!({"outcome": "applied"});
        let stale = json!({"outcome": "stale"});
        assert_eq!(world.complete(&world.machine, &command, started.clone()).await, applied);
        let before = world.shown(&command).await;
        assert_eq!(world.complete(&world.machine, &command, started).await, applied);
        let other = json!({"kind": "started", "agentId": agent, "pid": 8});
        assert_eq!(world.complete(&world.machine, &command, other).await, stale);
        assert_eq!(world.fail(&world.machine, &command, "spawn_failed").await, stale);
        assert_eq!(world.claim(&world.machine, &command).await, stale);
        assert_eq!(world.shown(&command).await, before);
        let shown = world.agent(&agent).await;
        assert_eq!((shown["state"].as_str(), shown["pid"].as_i64()), (Some("running"), Some(7)));
    })
    .await;
}

#[tokio::test]
async fn an_end_without_a_claim_and_a_command_of_another_machine_change_nothing() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        assert_eq!(world.fail(&world.machine, &command, "internal").await, json!({"outcome": "stale"}));
        assert_eq!(world.claim(&world.other, &command).await, json!({"outcome": "missing"}));
        assert_eq!(world.claim(&world.other, &json!({"commandId": "none"})).await, json!({"outcome": "missing"}));
        assert_eq!(world.shown(&command).await["status"], "pending");
    })
    .await;
}

#[tokio::test]
async fn a_result_that_does_not_fit_its_command_is_refused() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let agent = text(&world.claim(&world.machine, &command).await["order"]["agentId"]);
        for result in [
            json!({"kind": "pong"}),
            json!({"kind": "not_running"}),
            json!({"kind": "started", "agentId": "another", "pid": 1}),
            json!({"kind": "stopped", "agentId": agent, "exit": {"how": "stopped"}}),
        ] {
            let args = json!({"machineId": world.machine.id, "epoch": world.machine.epoch,
                              "commandId": command["commandId"], "status": "completed", "result": result});
            assert_eq!(world.code(&world.machine.caller, "machines.ackCommand", args).await, ErrorCode::BadRequest);
        }
        assert_eq!(world.shown(&command).await["status"], "processing");
    })
    .await;
}

#[tokio::test]
async fn a_failed_start_frees_the_role_tells_why_and_ends_the_credential() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let order = world.claim(&world.machine, &command).await["order"].clone();
        assert_eq!(world.fail(&world.machine, &command, "tool_missing").await, json!({"outcome": "applied"}));
        assert_eq!(world.fail(&world.machine, &command, "tool_missing").await, json!({"outcome": "applied"}));
        let shown = world.agent(order["agentId"].as_str().unwrap()).await;
        assert_eq!((shown["state"].as_str(), shown["reason"].as_str()), (Some("failed"), Some("because")));
        assert_eq!(world.app.caller(order["credential"].as_str().unwrap()).await.unwrap(), Caller::Public);
        assert_eq!(world.send(&world.machine, "start-agent").await["status"], "pending");
    })
    .await;
}

#[tokio::test]
async fn a_long_story_of_a_failure_is_cut_and_still_the_same_story_when_told_again() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        world.claim(&world.machine, &command).await;
        let failed = json!({"status": "failed", "failure": {"code": "spawn_failed", "message": "x".repeat(10_000)}});
        for _ in 0..2 {
            assert_eq!(world.ack(&world.machine, &command, failed.clone()).await, json!({"outcome": "applied"}));
        }
        assert_eq!(world.shown(&command).await["failure"]["message"].as_str().unwrap().len(), 4000);
    })
    .await;
}

#[tokio::test]
async fn started_then_lost_ends_the_agent_as_lost() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let agent = text(&world.claim(&world.machine, &command).await["order"]["agentId"]);
        world.complete(&world.machine, &command, json!({"kind": "started_then_lost", "agentId": agent})).await;
        assert_eq!(world.shown(&command).await["status"], "completed");
        assert_eq!(world.agent(&agent).await["exit"], json!({"how": "lost"}));
    })
    .await;
}

#[tokio::test]
async fn a_failed_stop_leaves_the_agent_running() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let stop = world.send(&world.machine, "stop-agent").await;
        world.claim(&world.machine, &stop).await;
        world.fail(&world.machine, &stop, "stop_failed").await;
        assert_eq!(world.agent(&agent).await["state"], "running");
    })
    .await;
}

#[tokio::test]
async fn a_failed_restart_tells_of_the_old_agent_by_how_far_it_got() {
    on_each(async |world| {
        let (old, _) = world.run_builder(&world.machine).await;
        let restart = world.send(&world.machine, "restart-agent").await;
        world.claim(&world.machine, &restart).await;
        world.fail(&world.machine, &restart, "tool_missing").await;
        assert_eq!(world.agent(&old).await["state"], "running", "nothing was stopped for a tool that is not there");

        let restart = world.send(&world.machine, "restart-agent").await;
        world.claim(&world.machine, &restart).await;
        world.fail(&world.machine, &restart, "exited_at_once").await;
        assert_eq!(world.agent(&old).await["exit"], json!({"how": "stopped"}));
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_ends_gives_its_task_back() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let caller = world.machine.agent(&world, &agent);
        let message = json!({"chatroomId": world.room, "role": "builder", "content": "paint it"});
        world.ok(&world.ada, "messages.send", message).await;
        let wait = json!({"chatroomId": world.room, "role": "builder", "waiterId": "w"});
        world.ok(&caller, "participants.join", wait.clone()).await;
        let tasks = world.ok(&world.ada, "tasks.list", json!({"chatroomId": world.room})).await;
        let mut claim = wait.clone();
        super::merge(&mut claim, json!({"taskId": tasks[0]["taskId"]}));
        world.ok(&caller, "tasks.claim", claim).await;
        let held = world.ok(&world.ada, "tasks.list", json!({"chatroomId": world.room})).await;
        assert_eq!(held[0]["state"], "acknowledged");

        let stop = world.send(&world.machine, "stop-agent").await;
        world.claim(&world.machine, &stop).await;
        world
            .complete(&world.machine, &stop, json!({"kind": "stopped", "agentId": agent, "exit": {"how": "stopped"}}))
            .await;
        let free = world.ok(&world.ada, "tasks.list", json!({"chatroomId": world.room})).await;
        assert_eq!(free[0]["state"], "pending");
    })
    .await;
}

#[tokio::test]
async fn a_command_past_its_deadline_is_not_begun() {
    on_each(async |world| {
        let row = commands::Row {
            command: Command {
                command_id: "late".into(),
                machine_id: world.machine.id.as_str().into(),
                request: CommandRequest::Ping(Default::default()),
                status: CommandStatus::Pending,
                created_at: later(-2000),
                expires_at: later(-1000),
            },
            user_id: world.user_id(),
            agent_id: None,
            stop_agent_id: None,
            claimed_epoch: None,
        };
        let mut tx = world.app.store.write().await.unwrap();
        commands::insert(&mut tx, &row).await.unwrap();
        tx.commit().await.unwrap();
        let command = json!({"commandId": "late"});
        assert_eq!(world.claim(&world.machine, &command).await, json!({"outcome": "stale"}));
        assert_eq!(world.shown(&command).await["failure"]["code"], "expired");
    })
    .await;
}

#[tokio::test]
async fn ping_and_status_are_answered_with_what_the_machine_tells() {
    on_each(async |world| {
        for (kind, result) in [
            ("ping", json!({"kind": "pong"})),
            ("status", json!({"kind": "status", "hostname": "box", "cliVersion": "0.1.0", "pid": 3, "agents": []})),
        ] {
            let args = json!({"machineId": world.machine.id, "type": kind});
            let command = world.ok(&world.ada, "machines.sendCommand", args).await;
            assert_eq!(world.claim(&world.machine, &command).await["order"], json!({"do": kind}));
            world.complete(&world.machine, &command, result.clone()).await;
            assert_eq!(world.shown(&command).await["result"], result);
        }
    })
    .await;
}
