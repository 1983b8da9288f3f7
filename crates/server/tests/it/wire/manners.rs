//! Clients that read slowly, say too much, or nothing.

use super::probe::server;
use crate::support::Socket;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_slow_reader_one_transition_is_kept_and_the_newest_state_comes_after_it() {
    let server = server().await;
    let mut socket = server.signed_in_socket("s", &server.token).await;
    socket.subscribe(0, 0, "probe:readLarge", json!({"cell": "slow", "bytes": 3_000_000})).await;
    // Nothing is read here for a hundred changes of three megabytes each.
    for _ in 0..100 {
        server.raise("slow").await;
    }
    // Sockets of the system hold a few of them; the rest was only marked.
    let reads = server.executions("probe.readLarge");
    assert!(reads < 20, "{reads} reads");
    let (mut transitions, mut last) = (0, 0.0);
    while last < 100.0 {
        let changes = socket.transition().await;
        last = changes[0]["value"][0].as_f64().unwrap();
        transitions += 1;
    }
    assert!(transitions <= reads + 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_is_too_long_fails_alone_and_says_so() {
    let server = server().await;
    let mut socket = server.signed_in_socket("s", &server.token).await;
    let add = |id, bytes| json!({"type": "Add", "queryId": id, "udfPath": "probe:readLarge", "args": [{"cell": "a", "bytes": bytes}]});
    socket
        .send(json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1,
            "modifications": [add(0, 5_000_000), add(1, 5)]}))
        .await;
    let results = socket.transition().await;
    assert_eq!(
        (&results[0]["type"], &results[0]["errorData"]["code"]),
        (&json!("QueryFailed"), &json!("limit_reached"))
    );
    assert_eq!(results[1]["value"], json!([0.0, "xxxxx"]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_messages_end_the_socket_and_only_they_are_fatal() {
    let server = server().await;
    let deep = format!(r#"{{"type":"Event","event":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for text in ["{", "[]", "null", r#"{"type":"Connect"}"#, r#"{"type":"Mutation","requestId":-1}"#, deep.as_str()] {
        let mut socket = server.signed_in_socket("s", &server.token).await;
        socket.send_frame(Message::text(text)).await;
        assert_eq!(socket.next().await.unwrap()["type"], "FatalError", "{text:.40}");
        assert_eq!(socket.closed().await.map(|(code, _)| code), Some(1002));
    }
    let many: Vec<Value> =
        (0..10_000).map(|id| json!({"type": "Add", "queryId": id, "udfPath": "a:b", "args": [{}]})).collect();
    for frame in [
        Message::binary(vec![1u8; 10]),
        Message::text(
            json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": many}).to_string(),
        ),
        Message::text(json!({"type": "Authenticate", "baseVersion": 9, "tokenType": "None"}).to_string()),
    ] {
        let mut socket = server.signed_in_socket("s", &server.token).await;
        socket.send_frame(frame).await;
        assert_eq!(socket.closed().await.map(|(code, _)| code), Some(1002));
    }
    let mut socket = server.signed_in_socket("s", &server.token).await;
    socket.send_frame(Message::text("x".repeat(8 * 1024 * 1024))).await;
    // However the connection ends: the server is there for others.
    drop(tokio::time::timeout(Duration::from_secs(5), socket.closed()).await);
    server.signed_in_socket("t", &server.token).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_calls_are_refused_each_for_itself() {
    let server = server().await;
    let mut socket = server.signed_in_socket("s", &server.token).await;
    let add = |id, path: &str, args: Value| json!({"type": "Add", "queryId": id, "udfPath": path, "args": args});
    let modifications = [
        add(0, "no:where", json!([{}])),
        add(1, "probe:read", json!([{"cell": 5}])),
        add(2, "probe:read", json!([{"cell": "a"}, {"cell": "b"}])),
        add(3, "probe:read", json!(["a"])),
        add(4, "probe:raise", json!([{"cell": "a"}])),
        add(5, "probe:read", json!([{"cell": "a"}])),
    ];
    socket
        .send(json!({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": modifications}))
        .await;
    let results = socket.transition().await;
    let codes: Vec<&Value> = results.iter().map(|result| &result["errorData"]["code"]).collect();
    let bad = &json!("bad_request");
    assert_eq!(codes, [&json!("not_found"), bad, bad, bad, bad, &Value::Null]);
    for (request_id, path) in [(0, "no:where"), (1, "probe:read"), (2, "auth:createToken")] {
        socket.mutate(request_id, path, json!({})).await;
        assert_eq!(socket.next().await.unwrap()["success"], json!(false), "{path}");
        socket.transition().await;
    }
    server.stop().await;
}

/// The only test that waits for real: it shows that the clocks of a socket run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_connects_is_closed_and_who_waits_is_shown_that_we_are_here() {
    let server = server().await;
    let quiet = async {
        let mut socket = Socket::open(&server.url).await;
        assert_eq!(socket.closed().await.map(|(code, _)| code), Some(1002));
    };
    let idle = async {
        let mut socket = server.signed_in_socket("s", &server.token).await;
        let ping = socket.next_within(Duration::from_secs(20)).await.unwrap();
        assert_eq!(ping["type"], "Ping");
    };
    tokio::join!(quiet, idle);
    server.stop().await;
}
