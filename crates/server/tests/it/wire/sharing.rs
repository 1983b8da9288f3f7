//! What is read together, what is not read at all, and that no change is missed.

use super::probe::server;
use crate::support::{DEADLINE, Socket};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_watchers_of_one_query_cost_one_read_per_change_and_others_none() {
    let server = server().await;
    let mut sockets = Vec::new();
    for at in 0..40 {
        let mut socket = server.signed_in_socket(&format!("s{at}"), &server.token).await;
        // Two ways to write the same call.
        let (path, args) =
            if at % 2 == 0 { ("probe:read", json!({"cell": "a"})) } else { ("probe.js:read", json!({"cell": "a"})) };
        socket.subscribe(0, at, path, args).await;
        socket.transition().await;
        sockets.push(socket);
    }
    let mut other = server.signed_in_socket("other", &server.token).await;
    other.subscribe(0, 0, "probe:readLarge", json!({"cell": "b", "bytes": 3})).await;
    other.transition().await;
    let (before, others) = (server.executions("probe.read"), server.executions("probe.readLarge"));
    for value in 1..6 {
        server.raise("a").await;
        for (at, socket) in sockets.iter_mut().enumerate() {
            let changes = socket.transition().await;
            assert_eq!((&changes[0]["queryId"], &changes[0]["value"]), (&json!(at), &json!(f64::from(value))));
        }
    }
    assert_eq!(server.executions("probe.read") - before, 5);
    assert_eq!(server.executions("probe.readLarge"), others);
    assert_eq!(other.next_within(Duration::from_millis(100)).await, None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_never_share_what_they_read() {
    let server = server().await;
    let bob = server.add_user("bob").await;
    server.raise("a").await;
    for (token, value) in [(server.token.as_str(), 1.0), (bob.as_str(), 0.0)] {
        let mut socket = server.signed_in_socket("s", token).await;
        socket.subscribe(0, 0, "probe:read", json!({"cell": "a"})).await;
        assert_eq!(socket.transition().await[0]["value"], json!(value));
        // The same socket as somebody else, and as nobody.
        let other = if value > 0.0 { (&bob, json!(0.0)) } else { (&server.token, json!(1.0)) };
        socket.authenticate(1, other.0).await;
        assert_eq!(socket.transition().await[0]["value"], other.1);
        socket.send(json!({"type": "Authenticate", "baseVersion": 2, "tokenType": "None"})).await;
        assert_eq!(socket.transition().await[0]["errorData"]["code"], "unauthenticated");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_between_read_and_answer_is_not_missed() {
    let server = server().await;
    let mut socket = server.signed_in_socket("s", &server.token).await;
    socket.subscribe(0, 0, "probe:readWhileItChanges", json!({"cell": "a"})).await;
    assert_eq!(socket.transition().await[0]["value"], json!(0.0));
    assert_eq!(socket.transition().await[0]["value"], json!(1.0));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_subscribes_while_everything_changes_ends_with_the_newest() {
    let server = server().await;
    let changes = async {
        for _ in 0..60 {
            server.raise("a").await;
        }
    };
    let watchers = (0..6).map(|at| {
        let server = &server;
        async move {
            tokio::time::sleep(Duration::from_millis(at * 7)).await;
            let mut socket = server.signed_in_socket(&format!("s{at}"), &server.token).await;
            socket.subscribe(0, 0, "probe:read", json!({"cell": "a"})).await;
            let mut last = -1.0;
            while last < 60.0 {
                for change in socket.transition().await {
                    let value = change["value"].as_f64().unwrap();
                    assert!(value > last, "{value} after {last}");
                    last = value;
                }
            }
        }
    });
    tokio::join!(changes, futures_util::future::join_all(watchers));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_results_of_a_transition_are_of_one_snapshot() {
    let server = server().await;
    let mut socket = server.signed_in_socket("s", &server.token).await;
    // Two names of one number: they may never differ.
    let add = |id, path| json!({"type": "Add", "queryId": id, "udfPath": path, "args": [{"cell": "a", "bytes": 0}]});
    let modifications = [add(0, "probe:read"), add(1, "probe:readLarge")];
    socket
        .send(json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": modifications}))
        .await;
    let changes = async {
        for _ in 0..40 {
            server.raise("a").await;
        }
    };
    let watch = async {
        let mut last = -1.0;
        while last < 40.0 {
            let values: Vec<f64> = socket
                .transition()
                .await
                .iter()
                .map(|change| change["value"].as_f64().or(change["value"][0].as_f64()).unwrap())
                .collect();
            assert!(values.len() == 2 && values.iter().all(|value| *value == values[0]), "{values:?}");
            last = values[0];
        }
    };
    tokio::join!(changes, async { tokio::time::timeout(DEADLINE, watch).await.expect("the newest value comes") });
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_every_wake_costs_the_wait_for_the_next_poll() {
    let server = server().await;
    server.app.fallback_ms.store(300, Ordering::SeqCst);
    let mut socket = server.signed_in_socket("s", &server.token).await;
    socket.subscribe(0, 0, "probe:read", json!({"cell": "a"})).await;
    socket.transition().await;
    server.app.hub.lose_wakes(true);
    server.raise("a").await;
    assert_eq!(socket.transition().await[0]["value"], json!(1.0));
    // Also that a credential ended.
    let made = server.ok("auth.createToken", json!({"name": "x", "expiresInMs": 60_000})).await;
    let mut lent = server.signed_in_socket("t", made["token"].as_str().unwrap()).await;
    server.ok("auth.revokeCredential", json!({"credentialId": made["credentialId"]})).await;
    assert_eq!(lent.next().await.unwrap()["type"], "AuthError");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nothing_is_written_a_poll_reads_nothing() {
    let server = server().await;
    server.app.fallback_ms.store(20, Ordering::SeqCst);
    let mut socket = server.signed_in_socket("s", &server.token).await;
    socket.subscribe(0, 0, "probe:read", json!({"cell": "a"})).await;
    socket.transition().await;
    // The server itself writes a little when it starts.
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let before = server.executions("probe.read");
        assert_eq!(socket.next_within(Duration::from_millis(300)).await, None);
        if server.executions("probe.read") == before {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "polls never rest");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_never_fall_not_even_over_a_socket_that_has_seen_the_future() {
    let server = server().await;
    let future = chatroom_protocol::sync::SyncTs(1 << 61);
    let mut socket = Socket::open(&server.url).await;
    socket.send(json!({"type": "Connect", "sessionId": "s", "maxObservedTimestamp": future, "clientTs": 5})).await;
    socket.authenticate(0, &server.token).await;
    let message = socket.next().await.unwrap();
    let ts: chatroom_protocol::sync::SyncTs = serde_json::from_value(message["endVersion"]["ts"].clone()).unwrap();
    assert!(ts > future);
    assert!(message["serverTs"].is_u64() && message["clientClockSkew"].is_i64(), "{message}");
    server.stop().await;
}
