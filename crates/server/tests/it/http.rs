//! The edge: who is let in, what a bad call is told, what every answer carries.

use crate::support::{DEADLINE, TestServer};
use reqwest::Method;
use reqwest::header::{HOST, ORIGIN};
use serde_json::{Value, json};
use std::time::Instant;

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
/// With the page and without it: its addresses are known, and nothing else is.
#[tokio::test]
async fn every_address_of_the_page_answers_as_the_first_one_does() {
    let server = TestServer::start().await;
    let first = server.get("/").send().await.unwrap();
    let policy = first.headers()["content-security-policy"].clone();
    let status = first.status();
    assert!(!policy.to_str().unwrap().contains("unsafe"), "{policy:?}");
    for path in ["/start", "/inbox", "/rooms", "/rooms/x", "/agents/x", "/machines", "/machines/x", "/settings"] {
        let response = server.get(path).send().await.unwrap();
        assert_eq!((response.status(), &response.headers()["content-security-policy"]), (status, &policy), "{path}");
    }
    for path in ["/rooms/x/y", "/assets/index.html", "/assets/..%2findex.html", "/index.html", "/stamp", "/nowhere"] {
        assert_eq!(server.get(path).send().await.unwrap().status(), 404, "{path}");
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

#[tokio::test]
async fn a_listed_origin_may_call_the_api_but_lends_no_cookie() {
    let server = TestServer::start().await;
    let origin = "https://app.example.org";
    let preflight = server
        .request(Method::OPTIONS, "/api/query")
        .header(ORIGIN, origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,convex-client")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.headers()["access-control-allow-origin"], origin);
    let allowed = preflight.headers()["access-control-allow-headers"].to_str().unwrap();
    assert!(["authorization", "content-type", "convex-client"].iter().all(|name| allowed.contains(name)));

    let call = json!({"path": "auth:whoami", "args": {}});
    let asked = server.post("/api/query").header(ORIGIN, origin).bearer_auth(&server.token).json(&call);
    let answer = asked.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["access-control-allow-origin"]),
        (200, &origin.parse().unwrap())
    );
    assert!(answer.headers().get("access-control-allow-credentials").is_none());
    for path in ["/sign-out", "/device/decide", "/api/session-token"] {
        assert_eq!(server.post(path).header(ORIGIN, origin).send().await.unwrap().status(), 403, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn every_route_of_the_function_api_answers_as_clients_expect() {
    let server = TestServer::start().await;
    let call = |path: &'static str, body: Value| {
        let request = server.post(path).bearer_auth(&server.token).json(&body);
        async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let whoami = json!({"path": "auth:whoami", "args": [{}], "format": "convex_encoded_json"});
    let query = call("/api/query", whoami.clone()).await;
    assert_eq!(query["status"], "success", "{query}");
    assert_eq!(call("//api//query", whoami.clone()).await, query);
    assert_eq!(call("/api/function", whoami.clone()).await, query);
    let get = server.get("/api/query?path=auth.js%3Awhoami&args=%7B%7D&format=json").bearer_auth(&server.token);
    assert_eq!(get.send().await.unwrap().json::<Value>().await.unwrap(), query);

    let action = call("/api/action", whoami.clone()).await;
    assert_eq!((&action["status"], &action["errorData"]["code"]), (&json!("error"), &json!("bad_request")));
    assert!(action["errorMessage"].as_str().unwrap().contains("no actions"), "{action}");

    let unknown = json!({"path": "no:where", "args": {}});
    let batch = call("/api/query_batch", json!({"queries": [whoami, unknown]})).await;
    assert_eq!(batch["results"][0], query);
    assert_eq!(batch["results"][1]["errorData"]["code"], "not_found");

    for path in ["/instance_name", "/version"] {
        assert!(!server.get(path).send().await.unwrap().text().await.unwrap().is_empty());
    }
    assert_eq!(server.post("/api/debug_event").body("{}").send().await.unwrap().status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn an_admin_key_calls_as_its_user_and_as_nobody_else() {
    let server = TestServer::start().await;
    let call = json!({"path": "auth:whoami", "args": [{}], "format": "convex_encoded_json"});
    let asked = |key: String| {
        let request = server.post("/api/function").header("authorization", format!("Convex {key}")).json(&call);
        async move {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        }
    };
    let (status, body) = asked(server.token.clone()).await;
    assert_eq!((status, &body["value"]["userName"]), (200, &json!("ada")), "{body}");
    assert_eq!(asked(format!("{}:e30=", server.token)).await.0, 403);
    let (status, body) = asked("nonsense".into()).await;
    assert_eq!(status, 401);
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["code", "message"]);
    server.stop().await;
}

#[tokio::test]
async fn a_time_to_read_at_holds_until_something_is_written() {
    let server = TestServer::start().await;
    let read = |ts: Value| {
        let call = json!({"path": "machines:listMachines", "args": [{}], "format": "convex_encoded_json", "ts": ts});
        server.post("/api/query_at_ts").bearer_auth(&server.token).json(&call).send()
    };
    // The server itself writes a little when it starts: whoever is told that a time is too old asks for another.
    let deadline = Instant::now() + DEADLINE;
    let ts = loop {
        let ts = server.post("/api/query_ts").send().await.unwrap().json::<Value>().await.unwrap()["ts"].clone();
        let answer: Value = read(ts.clone()).await.unwrap().json().await.unwrap();
        if answer["status"] == "success" {
            break ts;
        }
        assert_eq!(answer["code"], "SnapshotTooOld", "{answer}");
        assert!(Instant::now() < deadline, "a server with nothing to do writes for ever");
    };
    server.ok("chatrooms.create", json!({"name": "room", "team": "solo"})).await;
    let late = read(ts).await.unwrap();
    assert_eq!((late.status().as_u16(), &late.json::<Value>().await.unwrap()["code"]), (409, &json!("SnapshotTooOld")));
    server.stop().await;
}

#[tokio::test]
async fn tagged_values_come_in_and_bad_ones_are_told() {
    let server = TestServer::start().await;
    let week = json!({"$integer": "AOC0JAAAAAA="});
    server.ok("auth.createToken", json!({"name": "x", "expiresInMs": week})).await;
    server.ok("auth.createToken", json!({"name": "y", "expiresInMs": 60_000.0})).await;
    for bad in [json!({"$integer": "x"}), json!({"$set": []}), json!(0.5), json!({"$float": "AAAAAAAA+H8="})] {
        let (status, _) =
            server.run("auth.createToken", json!({"name": "x", "expiresInMs": bad}), Some(&server.token)).await;
        assert_eq!(status, 400);
    }
    let nowhere = server.post("/api/nowhere").send().await.unwrap();
    assert_eq!((nowhere.status().as_u16(), &nowhere.json::<Value>().await.unwrap()["code"]), (404, &json!("NotFound")));
    server.stop().await;
}
