use super::*;
use chatroom_protocol::api::Empty;
use chatroom_protocol::api::auth::Whoami;
use chatroom_protocol::api::machines::{MachineArgs, Remove};
use chatroom_protocol::user::Identity;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that answers one call with `status` and `body`; gives its URL and what it was sent.
async fn server(status: u16, body: &str) -> (ServerUrl, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = ServerUrl::parse(&format!("http://{}/", listener.local_addr().unwrap()), false).unwrap();
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nlocation: /elsewhere\r\n\r\n{body}",
        body.len()
    );
    let call = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = String::new();
        while !is_whole(&request) {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "the request ended early: {request}");
            request.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        request
    });
    (url, call)
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

async fn whoami(status: u16, body: &str) -> Result<Identity, CallError> {
    let (url, _call) = server(status, body).await;
    Client::new(&url, None).unwrap().call::<Whoami>(&Empty {}).await
}

#[tokio::test]
async fn a_call_names_function_credential_and_program_and_its_answer_is_typed() {
    let answer = r#"{"status":"success","value":{"kind":"user","userId":"u","userName":"ada"},"logLines":[]}"#;
    let (url, call) = server(200, answer).await;
    let client = Client::new(&url, Some("secret".into())).unwrap();
    let identity = client.call::<Whoami>(&Empty {}).await.unwrap();
    assert!(matches!(identity, Identity::User { user_name, .. } if user_name == "ada"));
    let request = call.await.unwrap();
    assert!(request.starts_with("POST /api/run/auth/whoami HTTP/1.1\r\n"), "{request}");
    let lower = request.to_ascii_lowercase();
    assert!(lower.contains("authorization: bearer secret\r\n"));
    assert!(lower.contains(&format!("user-agent: chatroom/{VERSION}\r\n")));
    let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body, json!({"args": {}, "format": "json"}));
    assert!(!format!("{client:?}").contains("secret"));
}

#[tokio::test]
async fn an_idempotency_key_stands_among_the_arguments() {
    let (url, call) = server(200, r#"{"status":"success","value":{}}"#).await;
    let args = MachineArgs { machine_id: "m".into() };
    Client::new(&url, None).unwrap().call_idempotent::<Remove>(&args, "k").await.unwrap();
    let request = call.await.unwrap();
    let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body["args"], json!({"machineId": "m", "idempotencyKey": "k"}));
    assert!(!request.to_ascii_lowercase().contains("authorization"));
}

#[tokio::test]
async fn integers_may_come_as_floats() {
    let (url, _call) = server(200, r#"{"status":"success","value":{"epoch":3.0}}"#).await;
    let value = Client::new(&url, None).unwrap().call_untyped("machines:x", json!({})).await.unwrap();
    assert_eq!(value, json!({"epoch": 3}));
}

#[tokio::test]
async fn a_refusal_comes_with_code_message_and_hint() {
    let data = r#"{"code":"role_taken","message":"taken","hint":"use --move"}"#;
    let body = format!(r#"{{"status":"error","errorMessage":"taken","errorData":{data}}}"#);
    let error = whoami(409, &body).await.unwrap_err();
    assert_eq!((error.code(), error.hint().as_deref()), (Some(ErrorCode::RoleTaken), Some("use --move")));
    assert_eq!(error.to_string(), "taken");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_code_of_a_newer_server_becomes_the_one_of_its_status() {
    let body =
        r#"{"status":"error","errorMessage":"m","errorData":{"code":"too_sunny","message":"too sunny","hint":"wait"}}"#;
    let error = whoami(404, body).await.unwrap_err();
    assert_eq!(
        (error.code(), error.to_string(), error.hint().as_deref()),
        (Some(ErrorCode::NotFound), "too sunny".into(), Some("wait"))
    );
    let error = whoami(401, r#"{"code":"Unauthenticated","message":"sign in"}"#).await.unwrap_err();
    assert_eq!((error.code(), error.to_string()), (Some(ErrorCode::Unauthenticated), "sign in".into()));
    let error = whoami(503, r#"{"status":"error","errorMessage":"busy"}"#).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::Unavailable));
    assert!(error.is_retryable());
}

#[tokio::test]
async fn what_is_not_our_server_is_said_and_what_stands_before_it_is_retried() {
    for (status, body) in
        [(200, "<html>"), (404, "not found"), (307, ""), (200, "{}"), (200, r#"{"status":"success","value":3}"#)]
    {
        let error = whoami(status, body).await.unwrap_err();
        assert!(matches!(error, CallError::Protocol(_)), "{status} {body}: {error:?}");
        assert!(!error.is_retryable());
    }
    let error = whoami(502, "<html>bad gateway").await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }) && error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = ServerUrl::parse(&format!("http://{}", listener.local_addr().unwrap()), false).unwrap();
    drop(listener);
    let error = Client::new(&url, None).unwrap().call::<Whoami>(&Empty {}).await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(error.to_string(), format!("cannot reach the server {url}"));
    assert!(error.hint().unwrap().contains("chatroom up"));
}

#[tokio::test]
async fn what_is_no_name_is_refused_before_it_is_sent() {
    let url = ServerUrl::parse("http://127.0.0.1:1", false).unwrap();
    let client = Client::new(&url, None).unwrap();
    for name in ["../../healthz", "machines.list/../x", "a b", "a?b"] {
        let error = client.call_untyped(name, json!({})).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::BadRequest), "{name}: {error:?}");
    }
    assert!(Client::new(&url, Some("a\nb".into())).is_err());
}
