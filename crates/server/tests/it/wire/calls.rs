//! Mutations of a socket: in order, beside everything else, once.

use super::probe::{gate, server};
use crate::support::Socket;
use serde_json::{Value, json};

async fn answer(socket: &mut Socket) -> Value {
    loop {
        let message = socket.next().await.expect("an answer");
        if message["type"] != "Transition" {
            return message;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_and_actions_go_on_while_mutations_wait_in_order() {
    let server = server().await;
    let mut socket = server.signed_in_socket("s", &server.token).await;
    socket.mutate(0, "probe:raiseGated", json!({"cell": "order"})).await;
    socket.mutate(1, "probe:raise", json!({"cell": "order"})).await;
    socket.subscribe(0, 0, "probe:read", json!({"cell": "order"})).await;
    assert_eq!(socket.transition().await[0]["value"], json!(0.0));
    socket.send(json!({"type": "Action", "requestId": 2, "udfPath": "probe:read", "args": [{}]})).await;
    let action = socket.next().await.unwrap();
    assert_eq!((&action["type"], &action["success"]), (&json!("ActionResponse"), &json!(false)));
    assert!(socket.transition().await.is_empty());

    gate("order").add_permits(1);
    for (request_id, value) in [(0, 1.0), (1, 2.0)] {
        let response = answer(&mut socket).await;
        assert_eq!((&response["requestId"], &response["result"]), (&json!(request_id), &json!(value)), "{response}");
    }
    assert_eq!(socket.transition().await[0]["value"], json!(2.0));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_comes_before_the_transition_that_shows_its_effects() {
    let server = server().await;
    let mut socket = server.signed_in_socket("s", &server.token).await;
    socket.subscribe(0, 0, "probe:read", json!({"cell": "a"})).await;
    socket.transition().await;
    let (mut shown, mut answered) = (0.0, 0.0);
    let mut newest = String::new();
    for request_id in 0..50 {
        socket.mutate(request_id, "probe:raise", json!({"cell": "a"})).await;
        // Others change other things meanwhile, so that there is always something to read.
        server.raise("b").await;
    }
    while answered < 50.0 || shown < 50.0 {
        let message = socket.next().await.unwrap();
        if message["type"] == "MutationResponse" {
            answered += 1.0;
            assert_eq!(message["result"], json!(answered));
            newest = message["ts"].as_str().unwrap().to_owned();
        } else {
            let time = |text: &Value| serde_json::from_value::<chatroom_protocol::sync::SyncTs>(text.clone()).unwrap();
            assert!(time(&message["endVersion"]["ts"]) > time(&json!(newest)), "later than every answer before it");
            for change in message["modifications"].as_array().unwrap() {
                shown = change["value"].as_f64().unwrap();
            }
            assert!(shown == answered, "{shown} is shown, {answered} were answered");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mutation_sent_again_while_it_runs_takes_effect_once() {
    let server = server().await;
    let mut cut = server.signed_in_socket("s", &server.token).await;
    cut.mutate(7, "probe:raiseGated", json!({"cell": "cut"})).await;
    // It has been taken: the socket answers what came after it.
    cut.send(json!({"type": "Action", "requestId": 8, "udfPath": "a:b", "args": []})).await;
    assert_eq!(answer(&mut cut).await["type"], "ActionResponse");
    drop(cut);
    let mut socket = server.signed_in_socket("s", &server.token).await;
    socket.mutate(7, "probe:raiseGated", json!({"cell": "cut"})).await;
    gate("cut").add_permits(2);
    let response = answer(&mut socket).await;
    assert_eq!((&response["success"], &response["result"]), (&json!(true), &json!(1.0)), "{response}");
    assert_eq!(server.ok("probe.read", json!({"cell": "cut"})).await, json!(1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_mutation_may_be_tried_again_and_then_holds() {
    let server = server().await;
    let mut results = Vec::new();
    for _ in 0..3 {
        let mut socket = server.signed_in_socket("s", &server.token).await;
        socket.mutate(3, "probe:raiseAtSecondTry", json!({"cell": "again"})).await;
        let response = answer(&mut socket).await;
        results.push((response["success"].clone(), response["result"].clone()));
        // Also the refused one is followed by a Transition.
        socket.transition().await;
    }
    assert_eq!(results[0], (json!(false), json!("not at the first try")));
    assert_eq!(results[1], (json!(true), json!(1.0)));
    assert_eq!(results[2], results[1]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_only_for_whoever_made_it_and_for_the_same_call() {
    let server = server().await;
    let bob = server.add_user("bob").await;
    for (token, args, result) in [
        (server.token.as_str(), json!({"cell": "a"}), Ok(1.0)),
        (bob.as_str(), json!({"cell": "a"}), Ok(1.0)),
        (server.token.as_str(), json!({"cell": "a"}), Ok(1.0)),
        (server.token.as_str(), json!({"cell": "b"}), Err("idempotency_key_reused")),
    ] {
        let mut socket = server.signed_in_socket("same", token).await;
        socket.mutate(0, "probe:raise", args).await;
        let response = answer(&mut socket).await;
        match result {
            Ok(value) => assert_eq!(response["result"], json!(value)),
            Err(code) => assert_eq!(response["errorData"]["code"], code),
        }
    }
    assert_eq!(server.ok("probe.read", json!({"cell": "a"})).await, json!(1));
    server.stop().await;
}
