//! Signing in: one-time links, device logins, tokens, revocation.

use crate::support::TestServer;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use serde_json::{Value, json};

pub(crate) async fn sign_in(server: &TestServer, link: &str) -> Option<String> {
    let path = link.strip_prefix(&server.url).unwrap().to_owned();
    let response = server.post(&path).send().await.unwrap();
    let cookie = response.headers().get(SET_COOKIE)?.to_str().unwrap().to_owned();
    assert_eq!(response.headers()[LOCATION], "/");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    Some(cookie.split(';').next().unwrap().to_owned())
}

async fn start_login(server: &TestServer) -> Value {
    let (status, body) = server.run("auth.startDeviceLogin", json!({"machineName": "lap<b>top"}), None).await;
    assert_eq!(status, 200, "{body}");
    body["value"].clone()
}

async fn poll(server: &TestServer, login: &Value) -> (u16, Value) {
    server.run("auth.pollDeviceLogin", json!({"deviceCode": login["deviceCode"]}), None).await
}

#[tokio::test]
async fn a_link_signs_in_once_and_a_look_at_it_uses_nothing_up() {
    let server = TestServer::start().await;
    let path = server.link.strip_prefix(&server.url).unwrap().to_owned();
    for _ in 0..3 {
        assert_eq!(server.get(&path).send().await.unwrap().status(), 200);
    }
    let cookie = sign_in(&server, &server.link).await.expect("a session");
    let signed_in = server.get("/device").header(COOKIE, &cookie).send().await.unwrap();
    assert_eq!(signed_in.status(), 200);
    assert_eq!(sign_in(&server, &server.link).await, None);
    assert_eq!(server.get("/device").send().await.unwrap().status(), 401);

    let out = server.post("/sign-out").header(COOKIE, &cookie).send().await.unwrap();
    assert_eq!(out.status(), 303);
    assert_eq!(server.get("/device").header(COOKIE, &cookie).send().await.unwrap().status(), 401);
    server.stop().await;
}

#[tokio::test]
async fn a_device_login_is_approved_on_the_page_and_redeemed_once() {
    let server = TestServer::start().await;
    let cookie = sign_in(&server, &server.link).await.unwrap();
    let login = start_login(&server).await;
    assert_eq!(poll(&server, &login).await.1["errorData"]["code"], "authorization_pending");
    assert_eq!(poll(&server, &login).await.1["errorData"]["code"], "slow_down");

    let uri = login["verificationUriComplete"].as_str().unwrap().strip_prefix(&server.url).unwrap().to_owned();
    let page = server.get(&uri).header(COOKIE, &cookie).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("lap&lt;b&gt;top") && page.contains("127.0.0.1"), "{page}");
    assert!(page.contains(login["userCode"].as_str().unwrap()), "{page}");
    let form = [("user_code", login["userCode"].as_str().unwrap()), ("decision", "approve")];
    let body = form.map(|(name, value)| format!("{name}={value}")).join("&");
    let decided = server
        .post("/device/decide")
        .header(COOKIE, &cookie)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap();
    assert!(decided.text().await.unwrap().contains("signed in"));

    let (status, body) = poll(&server, &login).await;
    assert_eq!(status, 200, "{body}");
    let token = body["value"]["token"].as_str().unwrap().to_owned();
    let (_, me) = server.run("auth.whoami", json!({}), Some(&token)).await;
    assert_eq!(me["value"]["userName"], "ada");

    assert_eq!(poll(&server, &login).await.1["errorData"]["code"], "expired_token");

    assert_eq!(server.run("auth.logout", json!({}), Some(&token)).await.0, 200);
    assert_eq!(server.run("auth.whoami", json!({}), Some(&token)).await.0, 401);
    server.stop().await;
}

#[tokio::test]
async fn a_login_decided_by_one_user_is_not_there_for_another() {
    let server = TestServer::start().await;
    let bob = server.add_user("bob").await;
    let login = start_login(&server).await;
    let code = json!({"userCode": login["userCode"]});
    server.ok("auth.denyDeviceLogin", code.clone()).await;
    assert_eq!(server.run("auth.approveDeviceLogin", code.clone(), Some(&bob)).await.0, 404);
    assert_eq!(server.run("auth.getDeviceLogin", code.clone(), Some(&bob)).await.0, 404);
    assert_eq!(server.run("auth.approveDeviceLogin", code, None).await.0, 401);
    assert_eq!(poll(&server, &login).await.1["errorData"]["code"], "access_denied");
    server.stop().await;
}

#[tokio::test]
async fn who_guesses_codes_has_to_wait() {
    let server = TestServer::start().await;
    for _ in 0..5 {
        let (status, _) =
            server.run("auth.approveDeviceLogin", json!({"userCode": "BBBB-BBBB"}), Some(&server.token)).await;
        assert_eq!(status, 404);
    }
    let (status, body) =
        server.run("auth.approveDeviceLogin", json!({"userCode": "BBBB-BBBB"}), Some(&server.token)).await;
    assert_eq!((status, &body["errorData"]["code"]), (429, &json!("rate_limited")));
    server.stop().await;
}

#[tokio::test]
async fn a_read_token_reads_and_a_revoked_one_does_nothing() {
    let server = TestServer::start().await;
    let args = json!({"name": "report", "scope": "read", "expiresInMs": 60_000});
    let made = server.ok("auth.createToken", args.clone()).await;
    let token = made["token"].as_str().unwrap().to_owned();
    assert_eq!(server.run("auth.whoami", json!({}), Some(&token)).await.0, 200);
    assert_eq!(server.run("auth.createToken", args, Some(&token)).await.0, 403);
    server.ok("auth.revokeCredential", json!({"credentialId": made["credentialId"]})).await;
    assert_eq!(server.run("auth.whoami", json!({}), Some(&token)).await.0, 401);
    let listed = server.ok("auth.listCredentials", json!({})).await.to_string();
    assert!(!listed.contains("report") && !listed.contains("crt_"), "{listed}");
    server.stop().await;
}

#[tokio::test]
async fn only_the_first_user_invites_and_a_name_is_used_once() {
    let server = TestServer::start().await;
    let invited = server.ok("users.invite", json!({"name": "Grace"})).await;
    // A lost invitation is made again; the lost link ends.
    let again = server.ok("users.invite", json!({"name": "grace"})).await;
    assert!(sign_in(&server, invited["url"].as_str().unwrap()).await.is_none());
    let cookie = sign_in(&server, again["url"].as_str().unwrap()).await.expect("a session");
    let token = cookie.split_once('=').unwrap().1.to_owned();
    assert_eq!(server.run("users.invite", json!({"name": "eve"}), Some(&token)).await.0, 403);
    assert_eq!(server.run("users.invite", json!({"name": "GRACE"}), Some(&server.token)).await.0, 409);
    server.stop().await;
}
