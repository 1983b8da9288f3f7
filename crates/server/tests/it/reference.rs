//! The description of the API over the wire, and the token that its page gets.

use crate::auth::sign_in;
use crate::support::TestServer;
use chatroom_protocol::UnixMs;
use chatroom_server::clock;
use reqwest::header::{COOKIE, ORIGIN};
use serde_json::{Value, json};

#[tokio::test]
async fn the_document_is_there_for_everybody_and_the_page_runs_only_our_own_script() {
    let server = TestServer::start().await;
    let document: Value = server.get("/api/openapi.json").send().await.unwrap().json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/api/run/machines/listMachines"]["post"]["responses"]["200"].is_object());
    let page = server.get("/api/docs").send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self';") && policy.contains("default-src 'none'"), "{policy}");
    let html = page.text().await.unwrap();
    assert!(!html.contains("http://") && !html.contains("https://"), "an outside asset");
    for part in html.split("/api/docs/").skip(1) {
        let asset = part.split('"').next().unwrap();
        let response = server.get(&format!("/api/docs/{asset}")).send().await.unwrap();
        assert_eq!(response.status(), 200, "{asset}");
        let content_type = response.headers()["content-type"].to_str().unwrap();
        let wanted = if asset.ends_with(".js") { "text/javascript" } else { "text/css" };
        assert!(content_type.starts_with(wanted), "{asset} is {content_type}");
    }
    assert_eq!(server.get("/api/docs/other").send().await.unwrap().status(), 404);
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_ours_gets_a_token_of_ten_minutes_that_ends_with_the_session() {
    let server = TestServer::start().await;
    let cookie = sign_in(&server, &server.link).await.unwrap();
    let asked = clock::now();
    let response =
        server.post("/api/session-token").header(COOKIE, &cookie).header(ORIGIN, &server.url).send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    let lent: Value = response.json().await.unwrap();
    let life_ms = UnixMs(lent["expiresAt"].as_i64().unwrap()).since(asked);
    assert!((590_000..=610_000).contains(&life_ms), "{life_ms}");
    let token = lent["token"].as_str().unwrap();
    let (status, body) = server.run("auth.whoami", json!({}), Some(token)).await;
    assert_eq!((status, &body["value"]["userName"]), (200, &json!("ada")));
    server.post("/sign-out").header(COOKIE, &cookie).header(ORIGIN, &server.url).send().await.unwrap();
    assert_eq!(server.run("auth.whoami", json!({}), Some(token)).await.0, 401);
    server.stop().await;
}

#[tokio::test]
async fn nobody_else_gets_a_session_token() {
    let server = TestServer::start().await;
    let cookie = sign_in(&server, &server.link).await.unwrap();
    let post = || server.post("/api/session-token");
    let foreign = post().header(COOKIE, &cookie).header(ORIGIN, "http://evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    let without_origin = post().header(COOKIE, &cookie).send().await.unwrap();
    assert_eq!(without_origin.status(), 403);
    let without_cookie = post().header(ORIGIN, &server.url).send().await.unwrap();
    assert_eq!(without_cookie.status(), 401);
    let with_bearer = post().header(ORIGIN, &server.url).bearer_auth(&server.token).send().await.unwrap();
    assert_eq!(with_bearer.status(), 401, "a token is not traded for another one");
    server.stop().await;
}
