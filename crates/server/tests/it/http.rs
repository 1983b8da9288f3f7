//! The edge: who is let in, what a bad call is told, what every answer carries.

use crate::support::TestServer;
use reqwest::header::{HOST, ORIGIN};
use serde_json::{Value, json};

#[tokio::test]
async fn foreign_hosts_and_origins_are_turned_away_before_anything_else() {
    let server = TestServer::start().await;
    let rebound = server.get("/version").header(HOST, "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 421);
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        let foreign = server.post("/api/query").header(ORIGIN, origin).json(&json!({})).send().await.unwrap();
        assert_eq!(foreign.status(), 403, "{origin}");
        assert!(foreign.headers().get("access-control-allow-origin").is_none());
    }
    let own = server.get("/version").header(ORIGIN, &server.url).send().await.unwrap();
    assert_eq!(own.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_function_is_200_for_official_clients_and_its_own_status_for_scripts() {
    let server = TestServer::start().await;
    let call = json!({"path": "auth:getDeviceLogin", "args": [{"userCode": "none"}], "format": "convex_encoded_json"});
    let response = server.post("/api/query").bearer_auth(&server.token).json(&call).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let body: Value = response.json().await.unwrap();
    assert_eq!((&body["status"], &body["errorData"]["code"]), (&json!("error"), &json!("not_found")));
    let (status, _) = server.run("auth.getDeviceLogin", json!({"userCode": "none"}), Some(&server.token)).await;
    assert_eq!(status, 404);
    server.stop().await;
}

#[tokio::test]
async fn numbers_leave_with_a_decimal_point_when_asked_for_encoded_json() {
    let server = TestServer::start().await;
    let call = json!({"path": "auth:listCredentials", "args": {}, "format": "convex_encoded_json"});
    let response = server.post("/api/query").bearer_auth(&server.token).json(&call).send().await.unwrap();
    let text = response.text().await.unwrap();
    let created = text.split("\"createdAt\":").nth(1).unwrap().split([',', '}']).next().unwrap();
    assert!(created.ends_with(".0"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn bad_calls_get_a_clear_error() {
    let server = TestServer::start().await;
    let token = Some(server.token.as_str());
    let (status, body) = server.run("machines.fly", json!({}), token).await;
    assert_eq!((status, &body["errorData"]["code"]), (404, &json!("not_found")));
    let (status, body) = server.run("auth.createToken", json!({"name": 5}), token).await;
    assert_eq!(status, 400);
    assert!(body["errorMessage"].as_str().unwrap().contains("auth.createToken"), "{body}");
    let (status, _) = server.run("auth.whoami", json!([1, 2]), token).await;
    assert_eq!(status, 400);
    let (status, body) = server.run("auth.whoami", json!({}), None).await;
    assert_eq!((status, &body["errorData"]["code"]), (401, &json!("unauthenticated")));
    let garbage = server.post("/api/run/auth/whoami").body("{").send().await.unwrap();
    assert_eq!(garbage.status(), 400);
    let deep = format!("{{\"args\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(server.post("/api/run/auth/whoami").body(deep).send().await.unwrap().status(), 400);
    let huge = server.post("/api/run/auth/whoami").body(vec![b' '; 3 * 1024 * 1024]).send().await.unwrap();
    assert_eq!(huge.status(), 413);
    let wrong_kind = json!({"path": "auth:logout", "args": {}});
    let response = server.post("/api/query").bearer_auth(&server.token).json(&wrong_kind).send().await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap()["errorData"]["code"], "bad_request");
    server.stop().await;
}

#[tokio::test]
async fn every_answer_forbids_scripts_frames_and_sniffing() {
    let server = TestServer::start().await;
    for path in ["/", "/version", "/healthz", "/nowhere"] {
        let response = server.get(path).send().await.unwrap();
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
    server.stop().await;
}
#[tokio::test]
async fn an_idempotency_key_makes_one_call_of_two_and_refuses_other_arguments() {
    let server = TestServer::start().await;
    let first = start(&server, json!({"name": "one", "team": "solo", "idempotencyKey": "k"})).await;
    let second = start(&server, json!({"name": "one", "team": "solo", "idempotencyKey": "k"})).await;
    assert_eq!(first, second);
    let other = start(&server, json!({"name": "two", "team": "solo", "idempotencyKey": "k"})).await;
    assert_eq!((other.0, &other.1["errorData"]["code"]), (422, &json!("idempotency_key_reused")));
    server.stop().await;
}

async fn start(server: &TestServer, args: Value) -> (u16, Value) {
    server.run("chatrooms.create", args, Some(&server.token)).await
}
