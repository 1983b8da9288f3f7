//! Daemon sessions, heartbeats, and what "connected" means.

use super::{Host, World, exited, later, on_each, running, text};
use chatroom_protocol::ErrorCode;
use chatroom_server::caller::Caller;
use chatroom_server::live::Topic;
use chatroom_server::registry::{Closed, Presence};
use serde_json::{Value, json};

fn presence(world: &World) -> &dyn Presence {
    world.app.registry.find("machines.getPendingCommands").unwrap().presence().unwrap()
}

fn subscription(host: &Host) -> Value {
    json!({"machineId": host.id, "epoch": host.epoch})
}

async fn connect(world: &World, host: &Host, socket: &str) -> bool {
    presence(world).opened(&world.app, &host.caller, &subscription(host), socket).await.is_ok()
}

async fn leave(world: &World, host: &Host, socket: &str, why: Closed) {
    presence(world).closed(&world.app, &host.caller, &subscription(host), socket, why).await.unwrap();
}

async fn connection(world: &World, host: &Host) -> String {
    text(&world.machine_row(host).await["connection"])
}

#[tokio::test]
async fn a_session_opened_again_has_the_same_epoch_and_a_newer_one_fences_it() {
    on_each(async |world| {
        let waker = world.watch(&Topic::Machine(world.machine.id.as_str().into()));
        let again = world.open(&world.machine, "s1", json!([])).await;
        assert_eq!(again["epoch"], world.machine.epoch);
        assert!(waker.take().is_empty());
        let newer = world.open(&world.machine, "s2", json!([])).await;
        assert_eq!(newer["epoch"], world.machine.epoch + 1);
        assert!(!waker.take().is_empty(), "the older session hears that it is superseded");
        assert!(newer["serverTime"].as_i64().unwrap() > 0);
        let older = world.open(&world.machine, "s1", json!([running("x")])).await;
        assert_eq!(older["epoch"], world.machine.epoch);
        assert_eq!(older["unwanted"], json!([]), "a fenced session settles nothing");
        let bad = json!({"machineId": world.machine.id, "sessionId": "", "bootId": "b", "agents": []});
        assert_eq!(world.code(&world.machine.caller, "machines.openDaemonSession", bad).await, ErrorCode::BadRequest);
    })
    .await;
}

#[tokio::test]
async fn sessions_opened_at_the_same_instant_get_different_epochs() {
    on_each(async |world| {
        let opened = (0..5).map(|number| {
            let session = format!("race-{number}");
            let world = &world;
            async move { world.open(&world.machine, &session, json!([])).await["epoch"].as_i64().unwrap() }
        });
        let mut epochs = futures_util::future::join_all(opened).await;
        epochs.sort_unstable();
        assert_eq!(epochs, (2..=6).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn connected_is_a_socket_that_subscribes_the_newest_session() {
    on_each(async |world| {
        let waker = world.watch(&Topic::Machines(world.user_id()));
        assert_eq!(connection(&world, &world.machine).await, "disconnected");
        assert!(connect(&world, &world.machine, "socket-1").await);
        assert!(!waker.take().is_empty(), "changes of connection wake");
        let row = world.machine_row(&world.machine).await;
        assert_eq!(row["connection"], "connected");

        // The same daemon on a new socket: nothing changes for people, and the old socket's end means nothing.
        assert!(connect(&world, &world.machine, "socket-2").await);
        leave(&world, &world.machine, "socket-1", Closed::Gone).await;
        assert!(waker.take().is_empty());
        assert_eq!(world.machine_row(&world.machine).await["connectionSince"], row["connectionSince"]);
        assert_eq!(connection(&world, &world.machine).await, "connected");

        for (why, state) in
            [(Closed::Gone, "disconnected"), (Closed::Silent, "silent"), (Closed::ServerStops, "unknown")]
        {
            assert!(connect(&world, &world.machine, "socket-3").await);
            drop(waker.take());
            leave(&world, &world.machine, "socket-3", why).await;
            assert_eq!(connection(&world, &world.machine).await, state);
            assert!(!waker.take().is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn a_fenced_session_and_another_machine_connect_nothing() {
    on_each(async |world| {
        world.open(&world.machine, "s2", json!([])).await;
        assert!(!connect(&world, &world.machine, "socket-1").await);
        let forged =
            Host { caller: world.other.caller.clone(), epoch: world.machine.epoch + 1, ..world.machine.clone() };
        assert!(!connect(&world, &forged, "socket-2").await);
        assert_eq!(connection(&world, &world.machine).await, "disconnected");
    })
    .await;
}

#[tokio::test]
async fn the_opening_inventory_settles_what_runs() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let opened =
            world.open(&world.machine, "s2", json!([running(&agent), running("stray"), exited("other")])).await;
        assert_eq!(opened["unwanted"], json!(["stray"]));
        assert_eq!(world.agent(&agent).await["state"], "running");

        let opened = world.open(&world.machine, "s3", json!([])).await;
        assert_eq!(opened["unwanted"], json!([]));
        assert_eq!(world.agent(&agent).await["exit"], json!({"how": "lost"}));
        // It turns out to run after all: its role may be another's by now, so it is to end.
        let opened = world.open(&world.machine, "s4", json!([running(&agent)])).await;
        assert_eq!(opened["unwanted"], json!([agent]));
    })
    .await;
}

#[tokio::test]
async fn the_opening_inventory_leaves_a_start_alone_that_is_not_finished() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let agent = text(&world.claim(&world.machine, &command).await["order"]["agentId"]);
        let mut newer = world.machine.clone();
        newer.epoch = world.open(&newer, "s2", json!([])).await["epoch"].as_i64().unwrap();
        assert_eq!(world.agent(&agent).await["state"], "starting");
        // The older session had started it: the inventory says so before any ack does.
        newer.epoch = world.open(&newer, "s3", json!([running(&agent)])).await["epoch"].as_i64().unwrap();
        assert_eq!(world.agent(&agent).await["state"], "running");
        world.complete(&newer, &command, json!({"kind": "started", "agentId": agent, "pid": 7})).await;
        assert_eq!(world.agent(&agent).await["state"], "running");
    })
    .await;
}

#[tokio::test]
async fn an_end_told_before_the_start_is_acked_is_kept() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let agent = text(&world.claim(&world.machine, &command).await["order"]["agentId"]);
        let mut newer = world.machine.clone();
        newer.epoch = world.open(&newer, "s2", json!([exited(&agent)])).await["epoch"].as_i64().unwrap();
        assert_eq!(world.agent(&agent).await["exit"], json!({"how": "code", "code": 3}));
        let started = json!({"kind": "started", "agentId": agent, "pid": 7});
        assert_eq!(world.complete(&newer, &command, started).await["outcome"], "applied");
        assert_eq!(world.agent(&agent).await["state"], "exited");
    })
    .await;
}

#[tokio::test]
async fn a_claim_again_of_a_start_whose_agent_has_ended_orders_nothing() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let agent = text(&world.claim(&world.machine, &command).await["order"]["agentId"]);
        world.heartbeat(&world.machine, json!([exited(&agent)])).await;
        assert_eq!(world.claim(&world.machine, &command).await, json!({"outcome": "stale"}));
        let result = json!({"kind": "started_then_exited", "agentId": agent, "exit": {"how": "code", "code": 3}});
        assert_eq!(world.shown(&command).await["result"], result);
    })
    .await;
}

#[tokio::test]
async fn a_heartbeat_that_tells_nothing_new_wakes_nobody() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let machines = world.watch(&Topic::Machines(world.user_id()));
        let room = world.watch(&Topic::Chatroom(world.chatroom_id()));
        for _ in 0..3 {
            let answer = world.heartbeat(&world.machine, json!([running(&agent)])).await;
            assert_eq!(answer, json!({"outcome": "applied", "unwanted": []}));
        }
        assert!(machines.take().is_empty() && room.take().is_empty());
        world.heartbeat(&world.machine, json!([exited(&agent)])).await;
        assert!(!machines.take().is_empty() && !room.take().is_empty());
        assert_eq!(world.agent(&agent).await["state"], "exited");
    })
    .await;
}

#[tokio::test]
async fn one_heartbeat_without_an_agent_proves_nothing() {
    on_each(async |world| {
        // The heartbeat was made before the start was acked, and comes after.
        let (agent, _) = world.run_builder(&world.machine).await;
        world.heartbeat(&world.machine, json!([])).await;
        assert_eq!(world.agent(&agent).await["state"], "running");
    })
    .await;
}

#[tokio::test]
async fn agents_of_an_archived_room_and_of_other_machines_are_unwanted() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let answer = world.heartbeat(&world.other, json!([running(&agent)])).await;
        assert_eq!(answer["unwanted"], json!([agent]));
        assert_eq!(world.agent(&agent).await["machineId"], world.machine.id.as_str());
        world.ok(&world.ada, "chatrooms.archive", json!({"chatroomId": world.room})).await;
        let answer = world.heartbeat(&world.machine, json!([running(&agent)])).await;
        assert_eq!(answer["unwanted"], json!([agent]));
    })
    .await;
}

#[tokio::test]
async fn ends_are_taken_from_every_session_and_told_twice_change_nothing() {
    on_each(async |world| {
        let (agent, secret) = world.run_builder(&world.machine).await;
        world.open(&world.machine, "s2", json!([running(&agent)])).await;
        let report =
            json!({"machineId": world.machine.id, "agents": [exited(&agent), running("stray"), exited("unknown")]});
        world.ok(&world.machine.caller, "agents.reportExited", report.clone()).await;
        let ended = world.agent(&agent).await;
        assert_eq!(ended["exit"], json!({"how": "code", "code": 3}));
        assert_eq!(world.app.caller(&secret).await.unwrap(), Caller::Public);
        world.ok(&world.machine.caller, "agents.reportExited", report).await;
        assert_eq!(world.agent(&agent).await, ended);
        // A late word that it runs does not raise the dead.
        let mut newest = world.machine.clone();
        newest.epoch += 1;
        assert_eq!(world.heartbeat(&newest, json!([running(&agent)])).await["unwanted"], json!([agent]));
    })
    .await;
}

#[tokio::test]
async fn an_agent_of_another_machine_cannot_be_reported_ended() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        let report = json!({"machineId": world.other.id, "agents": [exited(&agent)]});
        world.ok(&world.other.caller, "agents.reportExited", report).await;
        assert_eq!(world.agent(&agent).await["state"], "running");
    })
    .await;
}

#[tokio::test]
async fn a_start_given_up_for_lost_that_runs_takes_its_role_again_if_it_is_free() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let agent = text(&world.claim(&world.machine, &command).await["order"]["agentId"]);
        chatroom_server::reconcile::settle(&world.app, later(24 * 60 * 60_000)).await;
        assert_eq!(world.shown(&command).await["failure"]["code"], "outcome_unknown");
        assert_eq!(world.agent(&agent).await["state"], "failed");
        let started = json!({"kind": "started", "agentId": agent, "pid": 7});
        assert_eq!(world.complete(&world.machine, &command, started).await["outcome"], "stale");
        assert_eq!(world.heartbeat(&world.machine, json!([running(&agent)])).await["unwanted"], json!([]));
        assert_eq!(world.agent(&agent).await["state"], "running");
    })
    .await;
}

#[tokio::test]
async fn a_start_given_up_for_lost_that_runs_is_unwanted_when_its_role_was_given_away() {
    on_each(async |world| {
        let command = world.send(&world.machine, "start-agent").await;
        let agent = text(&world.claim(&world.machine, &command).await["order"]["agentId"]);
        chatroom_server::reconcile::settle(&world.app, later(24 * 60 * 60_000)).await;
        world.run_builder(&world.other).await;
        assert_eq!(world.heartbeat(&world.machine, json!([running(&agent)])).await["unwanted"], json!([agent]));
        assert_eq!(world.agent(&agent).await["state"], "failed");
        world.heartbeat(&world.machine, json!([exited(&agent)])).await;
        assert_eq!(world.agent(&agent).await["exit"], json!({"how": "code", "code": 3}));
    })
    .await;
}

#[tokio::test]
async fn agents_are_listed_by_room_by_machine_and_with_those_that_ended() {
    on_each(async |world| {
        let (agent, _) = world.run_builder(&world.machine).await;
        world.heartbeat(&world.machine, json!([exited(&agent)])).await;
        let (newer, _) = world.run_builder(&world.other).await;
        let ids = async |args: Value| {
            let list = world.ok(&world.ada, "agents.list", args).await;
            list.as_array().unwrap().iter().map(|agent| text(&agent["agentId"])).collect::<Vec<_>>()
        };
        assert_eq!(ids(json!({"includeEnded": true})).await, [newer.clone(), agent.clone()]);
        for args in [json!({}), json!({"chatroomId": world.room})] {
            assert_eq!(ids(args).await, std::slice::from_ref(&newer));
        }
        assert_eq!(ids(json!({"machineId": world.machine.id})).await, [""; 0]);
        assert_eq!(ids(json!({"machineId": world.machine.id, "includeEnded": true})).await, [agent]);
    })
    .await;
}
