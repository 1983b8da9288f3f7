//! What time does. The reconciler is given its `now`, so nothing here waits for a clock.

use super::{exited, later, on_each, running, text};
use chatroom_server::reconcile::{at_start, run, settle};
use chatroom_server::registry::Closed;
use chatroom_server::store::machines::Socket;
use chatroom_server::store::{Backend, machines, replicas};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

#[tokio::test]
async fn a_pending_start_expires_and_frees_its_role() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let agents = world.ok(&world.ada, "agents.list", json!({})).await;
        settle(&world.app, later(4 * MINUTE_MS)).await;
        assert_eq!(world.shown(&command).await["status"], "pending");
        for _ in 0..2 {
            settle(&world.app, later(6 * MINUTE_MS)).await;
        }
        assert_eq!(world.shown(&command).await["failure"]["code"], "expired");
        assert_eq!(world.agent(agents[0]["agentId"].as_str().unwrap()).await["state"], "failed");
        assert_eq!(world.claim(&world.machine, &command).await["outcome"], "stale");
        assert_eq!(world.send(&world.other, "start-agent").await["status"], "pending");
    })
    .await;
}

#[tokio::test]
async fn an_expired_stop_leaves_its_agent_running() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let mut args = world.command(&world.machine, "stop-agent");
        args["deadlineMs"] = json!(60_000);
        let (first, second) =
            (world.ok(&world.ada, "machines.sendCommand", args).await, world.send(&world.machine, "stop-agent").await);
        settle(&world.app, later(2 * MINUTE_MS)).await;
        assert_eq!(world.shown(&first).await["failure"]["code"], "expired");
        assert_eq!(world.agent(&agent).await["state"], "stopping", "another stop is on its way");
        settle(&world.app, later(8 * DAY_MS)).await;
        assert_eq!(world.shown(&second).await["failure"]["code"], "expired");
        assert_eq!(world.agent(&agent).await["state"], "running");
    })
    .await;
}

#[tokio::test]
async fn an_expired_stop_of_an_agent_whose_role_was_moved_gives_it_up() {
    on_each(async |world| {
        let (old, _) = world.run_builder(&world.machine).await;
        let start = world.start_moved(&world.other).await;
        let new = text(&world.claim(&world.other, &start).await["order"]["agentId"]);
        world.complete(&world.other, &start, json!({"kind": "started", "agentId": new, "pid": 1})).await;
        settle(&world.app, later(8 * DAY_MS)).await;
        assert_eq!(world.agent(&old).await["exit"], json!({"how": "lost"}));
        assert_eq!(world.agent(&new).await["state"], "running");
        assert_eq!(world.heartbeat(&world.machine, json!([running(&old)])).await["unwanted"], json!([old]));
    })
    .await;
}

#[tokio::test]
async fn an_expired_restart_brings_the_old_agent_back() {
    on_each(async |world| {
        let (old, _) = world.run_builder(&world.machine).await;
        world.send(&world.machine, "restart-agent").await;
        settle(&world.app, later(6 * MINUTE_MS)).await;
        assert_eq!(world.agent(&old).await["state"], "running");
        let active = world.ok(&world.ada, "agents.list", json!({})).await;
        assert_eq!(active.as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_claimed_command_is_given_up_ten_minutes_after_its_machine_and_its_deadline() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let agent = text(&world.claim(&world.machine, &command).await["order"]["agentId"]);
        settle(&world.app, later(14 * MINUTE_MS)).await;
        assert_eq!(world.shown(&command).await["status"], "processing");
        settle(&world.app, later(16 * MINUTE_MS)).await;
        assert_eq!(world.shown(&command).await["failure"]["code"], "outcome_unknown");
        assert_eq!(world.agent(&agent).await["state"], "failed");
    })
    .await;
}

#[tokio::test]
async fn a_claimed_command_of_a_connected_machine_gets_an_hour_and_its_running_agent_stays() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let agent = text(&world.claim(&world.machine, &command).await["order"]["agentId"]);
        let presence = world.app.registry.find("machines.getPendingCommands").unwrap().presence().unwrap();
        let args = json!({"machineId": world.machine.id, "epoch": world.machine.epoch});
        presence.opened(&world.app, &world.machine.caller, &args, "socket").await.unwrap();
        world.heartbeat(&world.machine, json!([running(&agent)])).await;
        settle(&world.app, later(60 * MINUTE_MS)).await;
        assert_eq!(world.shown(&command).await["status"], "processing");
        settle(&world.app, later(66 * MINUTE_MS)).await;
        assert_eq!(world.shown(&command).await["failure"]["code"], "outcome_unknown");
        assert_eq!(world.agent(&agent).await["state"], "running", "it was heard to run");
        presence.closed(&world.app, &world.machine.caller, &args, "socket", Closed::Gone).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_deadline_is_kept_by_the_running_reconciler() {
    on_each(async |world| {
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(run(Arc::clone(&world.app), shutdown.clone()));
        let args = json!({"machineId": world.machine.id, "type": "ping", "deadlineMs": 1000});
        let ping = world.ok(&world.ada, "machines.sendCommand", args).await;
        let waker = world.watch(&chatroom_server::live::Topic::Machine(world.machine.id.as_str().into()));
        tokio::time::timeout(Duration::from_secs(10), async {
            while world.shown(&ping).await["status"] == "pending" {
                waker.wait().await;
            }
        })
        .await
        .expect("the command expires");
        assert_eq!(world.shown(&ping).await["failure"]["code"], "expired");
        shutdown.cancel();
        running.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn after_a_start_of_the_only_server_every_machine_is_unknown_and_of_a_replica_none_of_the_others() {
    on_each(async |world| {
        let presence = world.app.registry.find("machines.getPendingCommands").unwrap().presence().unwrap();
        let args = json!({"machineId": world.machine.id, "epoch": world.machine.epoch});
        presence.opened(&world.app, &world.machine.caller, &args, "socket").await.unwrap();
        at_start(&world.app).await.unwrap();
        let expected = match world.app.store.backend() {
            Backend::Sqlite => ["unknown", "unknown"],
            Backend::Postgres => ["connected", "disconnected"],
        };
        for (machine, connection) in [&world.machine, &world.other].into_iter().zip(expected) {
            assert_eq!(world.machine_row(machine).await["connection"], connection);
        }
    })
    .await;
}

#[tokio::test]
async fn a_history_has_an_end() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        world.heartbeat(&world.machine, json!([exited(&agent)])).await;
        let mut tx = world.app.store.write().await.unwrap();
        let kept = chatroom_server::store::commands::delete_old(&mut tx, later(29 * DAY_MS)).await.unwrap();
        let gone = chatroom_server::store::commands::delete_old(&mut tx, later(31 * DAY_MS)).await.unwrap();
        assert_eq!((kept, gone), (0, 1));
        let kept = chatroom_server::store::agents::delete_old(&mut tx, later(29 * DAY_MS)).await.unwrap();
        let gone = chatroom_server::store::agents::delete_old(&mut tx, later(31 * DAY_MS)).await.unwrap();
        assert_eq!((kept, gone), (0, 1));
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_a_dead_replica_held_is_unknown_within_seconds() {
    on_each(async |world| {
        if world.app.store.backend() == Backend::Sqlite {
            return;
        }
        let mut tx = world.app.store.write().await.unwrap();
        let (user_id, id) = (world.user_id(), world.machine.id.as_str().into());
        let socket = Socket { socket: "socket", replica: "dead" };
        replicas::upsert(&mut tx, "dead", later(-20_000)).await.unwrap();
        machines::set_connected(&mut tx, &user_id, &id, world.machine.epoch, socket, later(0)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(world.machine_row(&world.machine).await["connection"], "connected");
        settle(&world.app, later(0)).await;
        assert_eq!(world.machine_row(&world.machine).await["connection"], "unknown");
    })
    .await;
}

#[tokio::test]
async fn when_a_credential_was_last_used_is_written_down() {
    on_each(async |world| {
        let (_, secret) = world.run_builder(&world.machine).await;
        let last_used = async || {
            let list = world.ok(&world.ada, "auth.listCredentials", json!({})).await;
            list[0]["lastUsedAt"].as_i64()
        };
        assert_eq!(last_used().await, None);
        world.app.caller(&secret).await.unwrap();
        settle(&world.app, later(0)).await;
        assert!(last_used().await.is_some());
    })
    .await;
}
