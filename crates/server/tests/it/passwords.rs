//! Signing in by name and password, and looking after it, over HTTP.

use crate::auth::sign_in;
use crate::support::TestServer;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use sqlx::Row as _;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Instant;

const GOOD: &str = "correct horse battery staple";
const OTHER: &str = "a wholly other password";

/// As the page sends it.
fn from_page(server: &TestServer, path: &str, body: Value) -> RequestBuilder {
    server.post(path).header(ORIGIN, &server.url).json(&body)
}

async fn try_in(server: &TestServer, name: &str, password: &str) -> Response {
    from_page(server, "/sign-in", json!({"name": name, "password": password})).send().await.unwrap()
}

fn cookie_of(response: &Response) -> Option<String> {
    let cookie = response.headers().get(SET_COOKIE)?.to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"), "{cookie}");
    Some(cookie.split(';').next().unwrap().to_owned())
}

async fn link(server: &TestServer) -> String {
    server.ok("auth.createSignInLink", json!({})).await["url"].as_str().unwrap().to_owned()
}

/// A browser that a link has just signed in.
async fn browser(server: &TestServer) -> String {
    sign_in(server, &link(server).await).await.expect("a session")
}

/// A browser that the password has signed in.
async fn browser_by_password(server: &TestServer, password: &str) -> String {
    cookie_of(&try_in(server, "ada", password).await).expect("a session")
}

async fn change(server: &TestServer, cookie: &str, body: Value) -> (u16, Value) {
    let response = from_page(server, "/password", body).header(COOKIE, cookie).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn state(server: &TestServer, cookie: &str) -> Value {
    let response = server.get("/password").header(COOKIE, cookie).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.json::<Value>().await.unwrap()["value"].clone()
}

async fn is_signed_in(server: &TestServer, cookie: &str) -> bool {
    server.get("/device").header(COOKIE, cookie).send().await.unwrap().status() == 200
}

/// A server whose first user has the password [`GOOD`], and a browser that a link has just signed in.
async fn with_password() -> (TestServer, String) {
    let server = TestServer::start().await;
    let cookie = browser(&server).await;
    let (status, body) = change(&server, &cookie, json!({"change": "set", "password": GOOD})).await;
    assert_eq!(status, 200, "{body}");
    (server, cookie)
}

/// The audit as `action outcome actor subject address`, oldest first; ids of users and credentials as words.
async fn deeds(server: &TestServer) -> Vec<String> {
    let url = format!("sqlite://{}/server/chatroom.db", server.dir());
    let pool = sqlx::AnyPool::connect(&url).await.unwrap();
    let rows =
        sqlx::query("SELECT action, outcome, actor, subject, address FROM audit ORDER BY at, id").fetch_all(&pool);
    let text = |row: &sqlx::any::AnyRow, column: &str| row.get::<Option<String>, _>(column).unwrap_or_default();
    let rows = rows.await.unwrap();
    rows.iter()
        .map(|row| {
            let actor = if text(row, "actor").starts_with("user:") { "user" } else { "public" };
            let subject = if text(row, "subject") == "unknown" { "unknown" } else { "known" };
            format!("{} {} {actor} {subject} {}", text(row, "action"), text(row, "outcome"), text(row, "address"))
        })
        .collect()
}

#[tokio::test]
async fn a_password_that_was_set_signs_in_with_a_session_of_its_own() {
    let (server, by_link) = with_password().await;
    let first = try_in(&server, "ada", GOOD).await;
    assert_eq!(first.status(), 200);
    let (first, who) = (cookie_of(&first).unwrap(), first.json::<Value>().await.unwrap()["value"].clone());
    assert_eq!(server.ok("auth.listCredentials", json!({})).await[0]["credentialId"], who["credentialId"]);
    let again = from_page(&server, "/sign-in", json!({"name": " ADA ", "password": GOOD})).header(COOKIE, &first);
    let again = cookie_of(&again.send().await.unwrap()).unwrap();
    assert!(first != again && again != by_link, "a session that was there before is not taken over");
    for cookie in [&by_link, &first, &again] {
        assert!(is_signed_in(&server, cookie).await);
    }
    let token = from_page(&server, "/api/session-token", json!({})).header(COOKIE, &again).send().await.unwrap();
    assert_eq!(token.status(), 200);
    server.post("/sign-out").header(COOKIE, &again).send().await.unwrap();
    assert!(!is_signed_in(&server, &again).await, "what was signed out is not used again");
    assert!(!is_signed_in(&server, &format!("{first}x")).await);
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_are_told_the_same_in_the_same_time() {
    let server = TestServer::behind_proxy().await;
    let cookie = sign_in_at(&server).await;
    let set = server.post("/password").header(ORIGIN, &server.url).header(COOKIE, &cookie);
    assert_eq!(set.json(&json!({"change": "set", "password": GOOD})).send().await.unwrap().status(), 200);
    server.add_user("bob").await;
    let mut answers = Vec::new();
    let mut times = [const { Vec::new() }; 3];
    for round in 0..8 {
        for (number, name) in ["ada", "bob", "nobody"].into_iter().enumerate() {
            let begun = Instant::now();
            let asked = from_page(&server, "/sign-in", json!({"name": name, "password": OTHER}));
            let asked =
                asked.header("x-forwarded-for", format!("192.0.2.{}", round * 3 + number)).send().await.unwrap();
            let (status, headers) = (asked.status(), asked.headers().clone());
            let body = asked.text().await.unwrap();
            times[number].push(begun.elapsed());
            assert!(headers.get(SET_COOKIE).is_none());
            answers.push((status.as_u16(), body));
        }
    }
    assert_eq!(answers[0].0, 401);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert!(answers[0].1.contains("chatroom auth link"), "{answers:?}");
    // The middle of each: without the work for nobody, one would take a twentieth of the other.
    let [ada, bob, nobody] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    for (one, other) in [(ada, nobody), (ada, bob)] {
        assert!(one < other * 2 && other < one * 2, "{ada:?} {bob:?} {nobody:?}");
    }
    server.stop().await;
}

/// The link names the public address: here it is opened where the server listens.
async fn sign_in_at(server: &TestServer) -> String {
    let path = server.link.strip_prefix("https://chat.example.org").unwrap();
    let response = server.post(path).send().await.unwrap();
    let cookie = cookie_of(&response).unwrap();
    assert!(response.headers()[SET_COOKIE].to_str().unwrap().ends_with("; Secure"));
    assert!(cookie.starts_with("__Host-"), "{cookie}");
    cookie
}

#[tokio::test]
async fn who_guesses_has_to_wait_and_the_right_password_does_not_count() {
    let (server, _) = with_password().await;
    for _ in 0..7 {
        assert_eq!(try_in(&server, "ada", GOOD).await.status(), 200);
    }
    // At once: each is counted before it is compared.
    let tries = (0..8).map(|_| async { try_in(&server, "ada", OTHER).await.status().as_u16() });
    let mut told = futures_util::future::join_all(tries).await;
    told.sort_unstable();
    assert_eq!(told, [401, 401, 401, 401, 401, 429, 429, 429]);
    let waits = try_in(&server, "ada", GOOD).await;
    assert_eq!((waits.status().as_u16(), cookie_of(&waits)), (429, None));
    let told: Value = waits.json().await.unwrap();
    assert_eq!(told["errorData"]["code"], "rate_limited");
    assert!(told["errorData"]["hint"].as_str().unwrap().contains("chatroom auth link"), "{told}");
    assert!(is_signed_in(&server, &browser(&server).await).await, "a link is not held up");
    server.stop().await;
}

#[tokio::test]
async fn an_account_is_guessed_at_slowly_from_everywhere_together_and_one_address_cannot_close_it() {
    let server = TestServer::behind_proxy().await;
    let cookie = sign_in_at(&server).await;
    let set = from_page(&server, "/password", json!({"change": "set", "password": GOOD})).header(COOKIE, &cookie);
    assert_eq!(set.send().await.unwrap().status(), 200);
    let try_from = async |address: &str, password: &str| {
        let asked = from_page(&server, "/sign-in", json!({"name": "ada", "password": password}));
        asked.header("x-forwarded-for", address).send().await.unwrap().status().as_u16()
    };
    // One network of IPv6 is one guesser.
    for last in 0..5 {
        assert_eq!(try_from(&format!("2001:db8::{last}"), OTHER).await, 401);
    }
    assert_eq!(try_from("2001:db8::ffff", OTHER).await, 429);
    assert_eq!(try_from("198.51.100.1", GOOD).await, 200, "the owner comes in from elsewhere");
    let mut compared = 5;
    for last in 0..20 {
        compared += usize::from(try_from(&format!("192.0.2.{last}"), OTHER).await == 401);
    }
    assert_eq!(compared, 20);
    assert_eq!(try_from("198.51.100.2", GOOD).await, 429);
    server.stop().await;
}

#[tokio::test]
async fn pages_of_others_can_neither_sign_in_nor_change_anything() {
    let (server, cookie) = with_password().await;
    let body = json!({"name": "ada", "password": GOOD, "change": "remove", "current": GOOD});
    for origin in [Some("http://evil.example"), Some("https://app.example.org"), Some("null"), None] {
        for path in ["/sign-in", "/password"] {
            let mut request = server.post(path).header(COOKIE, &cookie).json(&body);
            if let Some(origin) = origin {
                request = request.header(ORIGIN, origin);
            }
            let refused = request.send().await.unwrap();
            assert_eq!((refused.status().as_u16(), cookie_of(&refused)), (403, None), "{path} {origin:?}");
        }
    }
    let form = server.post("/device").header(ORIGIN, "http://evil.example").header(CONTENT_TYPE, FORM);
    let refused = form.body(form_of("ada", GOOD)).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), cookie_of(&refused)), (403, None));
    assert_eq!(try_in(&server, "ada", GOOD).await.status(), 200, "it is still there");
    server.stop().await;
}

const FORM: &str = "application/x-www-form-urlencoded";

fn form_of(name: &str, password: &str) -> String {
    format!("name={name}&password={}", password.replace(' ', "+"))
}

#[tokio::test]
async fn without_script_one_signs_in_where_one_wanted_to_go() {
    let (server, _) = with_password().await;
    let here = "/device?code=BCDF-GHJK";
    let shown = server.get(here).send().await.unwrap();
    assert_eq!(shown.status(), 401);
    let shown = shown.text().await.unwrap();
    assert!(shown.contains("current-password") && shown.contains("chatroom auth link"), "{shown}");
    let send = |password: &str| {
        let request = server.post(here).header(ORIGIN, &server.url).header(CONTENT_TYPE, FORM);
        request.body(form_of("ada", password)).send()
    };
    let wrong = send(OTHER).await.unwrap();
    assert_eq!((wrong.status().as_u16(), cookie_of(&wrong)), (401, None));
    let wrong = wrong.text().await.unwrap();
    assert!(wrong.contains("is wrong") && wrong.contains("current-password") && !wrong.contains(OTHER), "{wrong}");
    let right = send(GOOD).await.unwrap();
    assert_eq!((right.status().as_u16(), right.headers()[LOCATION].to_str().unwrap()), (303, here));
    assert!(is_signed_in(&server, &cookie_of(&right).unwrap()).await);
    server.stop().await;
}

#[tokio::test]
async fn a_changed_password_ends_every_other_browser_and_what_was_opened_with_the_old_one() {
    let (server, _) = with_password().await;
    let (here, elsewhere) = (browser_by_password(&server, GOOD).await, browser_by_password(&server, GOOD).await);
    let unused = link(&server).await;
    let lent = from_page(&server, "/api/session-token", json!({})).header(COOKIE, &elsewhere).send().await.unwrap();
    let lent = lent.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    let mut socket = server.signed_in_socket("elsewhere", &lent).await;

    let body = json!({"change": "set", "password": OTHER, "current": GOOD});
    let (status, body) = change(&server, &here, body).await;
    assert_eq!((status, &body["value"]["needsCurrent"]), (200, &json!(true)), "{body}");
    assert!(is_signed_in(&server, &here).await);
    assert!(!is_signed_in(&server, &elsewhere).await);
    assert_eq!(server.run("auth.whoami", json!({}), Some(&lent)).await.0, 401);
    socket.closed().await;
    assert_eq!(sign_in(&server, &unused).await, None);
    assert_eq!(server.run("auth.whoami", json!({}), Some(&server.token)).await.0, 200, "command lines stay");
    assert_eq!(try_in(&server, "ada", GOOD).await.status(), 401);
    assert_eq!(try_in(&server, "ada", OTHER).await.status(), 200);

    // Removed, links alone sign in.
    let (status, body) = change(&server, &here, json!({"change": "remove", "current": OTHER})).await;
    assert_eq!((status, &body["value"]), (200, &json!({"needsCurrent": false})));
    assert_eq!(try_in(&server, "ada", OTHER).await.status(), 401);
    assert!(is_signed_in(&server, &browser(&server).await).await);
    assert_eq!(change(&server, &here, json!({"change": "remove"})).await.0, 404);
    server.stop().await;
}

#[tokio::test]
async fn a_change_needs_the_current_password_or_a_link_that_was_just_opened() {
    let (server, by_link) = with_password().await;
    let by_password = browser_by_password(&server, GOOD).await;
    assert_eq!(state(&server, &by_link).await["needsCurrent"], false);
    assert!(state(&server, &by_link).await["setAt"].is_i64());
    assert_eq!(state(&server, &by_password).await["needsCurrent"], true);
    let set = |current: Option<&str>| json!({"change": "set", "password": OTHER, "current": current});
    for (current, message) in [(None, "missing"), (Some(OTHER), "wrong")] {
        let (status, body) = change(&server, &by_password, set(current)).await;
        assert_eq!((status, &body["errorData"]["code"]), (403, &json!("forbidden")), "{body}");
        assert!(body["errorMessage"].as_str().unwrap().contains(message), "{body}");
        assert!(body["errorData"]["hint"].as_str().unwrap().contains("chatroom auth link"), "{body}");
    }
    assert_eq!(change(&server, &by_password, json!({"change": "remove"})).await.0, 403);
    assert_eq!(try_in(&server, "ada", GOOD).await.status(), 200);

    // A forgotten one: the link is enough, for a while.
    assert_eq!(change(&server, &by_link, set(None)).await.0, 200);
    assert_eq!(try_in(&server, "ada", OTHER).await.status(), 200);
    age(&server, 31 * 60_000).await;
    assert_eq!(state(&server, &by_link).await["needsCurrent"], true);
    assert_eq!(change(&server, &by_link, json!({"change": "remove"})).await.0, 403);
    // Guesses at the current one count like every other.
    for _ in 0..4 {
        assert_eq!(change(&server, &by_link, set(Some(GOOD))).await.0, 403);
    }
    assert_eq!(change(&server, &by_link, set(Some(OTHER))).await.0, 429);
    server.stop().await;
}

/// Makes every session older.
async fn age(server: &TestServer, by_ms: i64) {
    let url = format!("sqlite://{}/server/chatroom.db", server.dir());
    let pool = sqlx::AnyPool::connect(&url).await.unwrap();
    let statement = sqlx::query("UPDATE credentials SET created_at = created_at - $1").bind(by_ms);
    statement.execute(&pool).await.unwrap();
}

#[tokio::test]
async fn bad_passwords_are_told_the_rule_and_only_browsers_look_after_theirs() {
    let server = TestServer::start().await;
    let cookie = browser(&server).await;
    for bad in ["too short", "aaaaaaaaaaaaaaaaaaaa", &"long".repeat(40)] {
        let (status, body) = change(&server, &cookie, json!({"change": "set", "password": bad})).await;
        assert_eq!((status, &body["errorData"]["code"]), (400, &json!("bad_request")), "{body}");
        assert!(body["errorMessage"].as_str().unwrap().starts_with("a password has"), "{body}");
    }
    for bad in [json!({}), json!({"password": GOOD}), json!({"change": "set"}), json!({"change": "turn"})] {
        assert_eq!(change(&server, &cookie, bad).await.0, 400);
    }
    assert_eq!(state(&server, &cookie).await, json!({"needsCurrent": false}));
    let set = json!({"change": "set", "password": GOOD});
    assert_eq!(change(&server, "chatroom=nonsense", set.clone()).await.0, 401);
    assert_eq!(change(&server, &format!("chatroom={}", server.token), set.clone()).await.0, 403);
    let bearer = from_page(&server, "/password", set).bearer_auth(&server.token).send().await.unwrap();
    assert_eq!(bearer.status(), 401);
    assert_eq!(server.get("/password").send().await.unwrap().status(), 401);
    assert_eq!(try_in(&server, "ada", GOOD).await.status(), 401);
    server.stop().await;
}

#[tokio::test]
async fn every_try_and_every_change_stands_in_the_audit_without_what_was_typed() {
    let (server, cookie) = with_password().await;
    try_in(&server, "ada", GOOD).await;
    try_in(&server, "ada", OTHER).await;
    try_in(&server, GOOD, GOOD).await;
    change(&server, &cookie, json!({"change": "set", "password": OTHER, "current": "no"})).await;
    change(&server, &cookie, json!({"change": "set", "password": OTHER, "current": GOOD})).await;
    change(&server, &cookie, json!({"change": "remove"})).await;
    assert_eq!(
        deeds(&server).await,
        [
            "auth.redeemLink done user known 127.0.0.1",
            "auth.setPassword done user known 127.0.0.1",
            "auth.signIn done user known 127.0.0.1",
            "auth.signIn refused public known 127.0.0.1",
            "auth.signIn refused public unknown 127.0.0.1",
            "auth.setPassword refused user known 127.0.0.1",
            "auth.setPassword done user known 127.0.0.1",
            "auth.removePassword done user known 127.0.0.1",
        ]
    );
    server.stop().await;
}

/// Everything that is logged in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_at_any_level_holds_a_password_its_hash_or_a_cookie() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let (server, by_link) = with_password().await;
    try_in(&server, "ada", OTHER).await;
    let cookie = browser_by_password(&server, GOOD).await;
    change(&server, &cookie, json!({"change": "set", "password": OTHER, "current": "not this one"})).await;
    change(&server, &cookie, json!({"change": "set", "password": OTHER, "current": GOOD})).await;
    let form = server.post("/device").header(ORIGIN, &server.url).header(CONTENT_TYPE, FORM);
    form.body(form_of("ada", OTHER)).send().await.unwrap();
    server.stop().await;
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("server listens"), "{logged}");
    let secret = |cookie: &str| cookie.split_once('=').unwrap().1.to_owned();
    for never in [GOOD, OTHER, "not this one", "$argon2id$", "crt_browser_", &secret(&cookie), &secret(&by_link)] {
        let line = logged.lines().find(|line| line.contains(never));
        assert_eq!(line, None, "{never}");
    }
}
