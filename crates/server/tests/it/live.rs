//! The live channel, spoken frame by frame.

use crate::support::TestServer;
use serde_json::json;

#[tokio::test]
async fn a_subscription_hears_of_a_change_and_of_nothing_else() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.authenticate(0, &server.token).await;
    assert!(socket.transition().await.is_empty());
    socket.subscribe(0, 7, "auth:listCredentials", json!({})).await;
    let first = socket.transition().await;
    assert_eq!((&first[0]["type"], &first[0]["queryId"]), (&json!("QueryUpdated"), &json!(7)));

    server.ok("auth.createToken", json!({"name": "seen", "expiresInMs": 60_000})).await;
    assert!(socket.transition().await[0]["value"].to_string().contains("seen"));
    server.stop().await;
}

#[tokio::test]
async fn what_the_caller_may_not_see_fails_alone() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.subscribe(0, 0, "auth:listCredentials", json!({})).await;
    let refused = socket.transition().await;
    assert_eq!(refused[0]["type"], "QueryFailed");
    assert_eq!(refused[0]["errorData"]["code"], "unauthenticated");
    socket.authenticate(0, &server.token).await;
    assert_eq!(socket.transition().await[0]["type"], "QueryUpdated");
    server.stop().await;
}

#[tokio::test]
async fn secrets_do_not_go_over_the_socket_and_a_transition_follows_every_answer() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.authenticate(0, &server.token).await;
    socket.transition().await;
    let args = json!({"name": "x", "expiresInMs": 60_000});
    socket.send(json!({"type": "Mutation", "requestId": 0, "udfPath": "auth:createToken", "args": [args]})).await;
    let answer = socket.next().await.unwrap();
    assert_eq!((&answer["type"], &answer["success"]), (&json!("MutationResponse"), &json!(false)));
    assert_eq!(answer["errorData"]["code"], "http_only");
    assert!(socket.transition().await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_revoked_credential_ends_its_socket_at_once() {
    let server = TestServer::start().await;
    let made = server.ok("auth.createToken", json!({"name": "x", "expiresInMs": 60_000})).await;
    let mut socket = server.socket().await;
    socket.authenticate(0, made["token"].as_str().unwrap()).await;
    socket.transition().await;
    server.ok("auth.revokeCredential", json!({"credentialId": made["credentialId"]})).await;
    assert_eq!(socket.next().await.unwrap()["type"], "AuthError");
    assert_eq!(socket.next().await, None);
    server.stop().await;
}

#[tokio::test]
async fn a_bad_token_is_told_and_the_socket_stays() {
    let server = TestServer::start().await;
    let mut socket = server.socket().await;
    socket.authenticate(0, "crt_cli_nonsense").await;
    assert_eq!(socket.next().await.unwrap()["type"], "AuthError");
    socket.authenticate(0, &server.token).await;
    assert!(socket.transition().await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_protocol_ends_the_socket() {
    let server = TestServer::start().await;
    for message in [
        json!("not an object"),
        json!({"type": "ModifyQuerySet", "baseVersion": 5, "newVersion": 6, "modifications": []}),
        json!({"type": "Connect", "sessionId": "again"}),
    ] {
        let mut socket = server.socket().await;
        socket.send(message).await;
        while let Some(message) = socket.next().await {
            assert_eq!(message["type"], "FatalError");
        }
    }
    server.stop().await;
}
#[tokio::test]
async fn a_mutation_sent_again_under_its_number_takes_effect_once() {
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut socket = server.socket().await;
        socket.authenticate(0, &server.token).await;
        socket.transition().await;
        let args = json!({"name": "room", "team": "solo"});
        socket.send(json!({"type": "Mutation", "requestId": 4, "udfPath": "chatrooms:create", "args": [args]})).await;
        let answer = socket.next().await.unwrap();
        assert_eq!(answer["success"], json!(true), "{answer}");
        ids.push(answer["result"]["chatroomId"].clone());
        socket.transition().await;
    }
    assert_eq!(ids[0], ids[1]);
    server.stop().await;
}
