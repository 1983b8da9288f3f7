//! A real server on a free port with its own SQLite file, and clients for it.

use chatroom_protocol::user::TokenScope;
use chatroom_server::app::App;
use chatroom_server::registry::Registry;
use chatroom_server::store::credentials::{self, Holder, NewCredential};
use chatroom_server::store::users::{self, User};
use chatroom_server::{Server, ServerOptions, clock, functions, secret};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

/// Nothing on loopback takes this long unless it is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) struct TestServer {
    pub(crate) url: String,
    pub(crate) app: Arc<App>,
    /// The first user's CLI token.
    pub(crate) token: String,
    pub(crate) link: String,
    http: reqwest::Client,
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
    dir: tempfile::TempDir,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(functions::registry()).await
    }

    /// A server with these functions.
    pub(crate) async fn start_with(registry: Registry) -> Self {
        Self::start_as(registry, |_| ()).await
    }

    /// A server behind a proxy, which tells where requests come from, at `https://chat.example.org`.
    pub(crate) async fn behind_proxy() -> Self {
        Self::start_as(functions::registry(), |options| {
            options.trust_proxy = true;
            options.public_url = Some("https://chat.example.org".into());
        })
        .await
    }

    async fn start_as(registry: Registry, change: impl FnOnce(&mut ServerOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = ServerOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: dir.path().join("server"),
            database_url: None,
            public_url: None,
            trust_proxy: false,
            allowed_origins: vec!["https://app.example.org".into()],
            first_user: "ada".into(),
        };
        change(&mut options);
        let server = Server::bind_with(options, registry).await.unwrap();
        let (url, app) = (server.local_url(), Arc::clone(server.app()));
        let token = server.mint_cli_token("test").await.unwrap();
        let link = server.sign_in_link().await.unwrap();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(server.run(shutdown.clone()));
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { url, app, token, link, http, shutdown, running, dir }
    }

    /// Another user with a CLI token.
    pub(crate) async fn add_user(&self, name: &str) -> String {
        let mut tx = self.app.store.write().await.unwrap();
        let user = User { id: secret::new_id(), name: name.into(), is_admin: false, signed_in_at: None };
        users::insert(&mut tx, &user, clock::now()).await.unwrap();
        let new =
            NewCredential { user_id: &user.id, holder: Holder::Cli, name, scope: TokenScope::Full, expires_at: None };
        let (_, token) = credentials::insert(&mut tx, &new, clock::now()).await.unwrap();
        tx.commit().await.unwrap();
        token
    }

    /// The directory that holds the server's data directory, as text.
    pub(crate) fn dir(&self) -> String {
        self.dir.path().display().to_string()
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}{path}", self.url))
    }

    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.url))
    }

    /// Calls a function over `/api/run`: the HTTP status and the body.
    pub(crate) async fn run(&self, name: &str, args: Value, token: Option<&str>) -> (u16, Value) {
        let mut request = self.post(&format!("/api/run/{}", name.replace('.', "/"))).json(&json!({"args": args}));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Sends a body as it is, as the first user: the HTTP status and the text of the answer.
    pub(crate) async fn post_text(&self, path: &str, body: &str) -> (u16, String) {
        let request = self.post(path).bearer_auth(&self.token).header("content-type", "application/json");
        let response = request.body(body.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The answer of a function that must succeed, asked by the first user.
    pub(crate) async fn ok(&self, name: &str, args: Value) -> Value {
        let (status, body) = self.run(name, args, Some(&self.token)).await;
        assert_eq!(status, 200, "{name}: {body}");
        body["value"].clone()
    }

    pub(crate) async fn socket(&self) -> Socket {
        Socket::connect(&self.url).await
    }

    /// A signed-in socket of a session of this name.
    pub(crate) async fn signed_in_socket(&self, session: &str, token: &str) -> Socket {
        let mut socket = Socket::open(&self.url).await;
        socket.send(json!({"type": "Connect", "sessionId": session, "connectionCount": 0})).await;
        socket.authenticate(0, token).await;
        assert!(socket.transition().await.is_empty());
        socket
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(DEADLINE, self.running).await.expect("the server stops").unwrap().unwrap();
    }
}

/// A client of the sync socket that says what it is told to.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// A socket on which nothing was said yet.
    pub(crate) async fn open(url: &str) -> Self {
        let url = format!("{}/api/sync", url.replace("http://", "ws://"));
        // Small frames at once: else each waits 40 ms for the acknowledgement of the one before.
        let (stream, _) = tokio_tungstenite::connect_async_with_config(url, None, true).await.unwrap();
        Self(stream)
    }

    async fn connect(url: &str) -> Self {
        let mut socket = Self::open(url).await;
        socket.send(json!({"type": "Connect", "sessionId": "s", "connectionCount": 0, "lastCloseReason": null})).await;
        socket
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    pub(crate) async fn authenticate(&mut self, base: u32, token: &str) {
        self.send(json!({"type": "Authenticate", "baseVersion": base, "tokenType": "User", "value": token})).await;
    }

    pub(crate) async fn subscribe(&mut self, base: u32, query_id: u32, path: &str, args: Value) {
        self.send(json!({"type": "ModifyQuerySet", "baseVersion": base, "newVersion": base + 1, "modifications": [
            {"type": "Add", "queryId": query_id, "udfPath": path, "args": [args]}]}))
            .await;
    }

    /// Sends a frame of whatever kind.
    pub(crate) async fn send_frame(&mut self, frame: Message) {
        drop(self.0.send(frame).await);
    }

    /// Calls a mutation.
    pub(crate) async fn mutate(&mut self, request_id: u32, path: &str, args: Value) {
        self.send(json!({"type": "Mutation", "requestId": request_id, "udfPath": path, "args": [args]})).await;
    }

    /// The next message of whatever type within this time.
    pub(crate) async fn next_within(&mut self, within: Duration) -> Option<Value> {
        let next = async {
            loop {
                if let Message::Text(text) = self.0.next().await?.ok()? {
                    return serde_json::from_str(&text).ok();
                }
            }
        };
        tokio::time::timeout(within, next).await.ok().flatten()
    }

    /// With which code and reason the server closes; messages before it are passed over.
    pub(crate) async fn closed(&mut self) -> Option<(u16, String)> {
        loop {
            let frame = tokio::time::timeout(2 * DEADLINE, self.0.next()).await.expect("the server closes");
            match frame? {
                Ok(Message::Close(frame)) => return frame.map(|frame| (frame.code.into(), frame.reason.to_string())),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// The next message, pings of the server passed over; nothing when the server closed.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let frame = tokio::time::timeout(DEADLINE, self.0.next()).await.expect("the server says something");
            match frame? {
                Ok(Message::Text(text)) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if message["type"] != "Ping" {
                        return Some(message);
                    }
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next message, which must be a Transition; gives its modifications.
    pub(crate) async fn transition(&mut self) -> Vec<Value> {
        let message = self.next().await.expect("a Transition");
        assert_eq!(message["type"], "Transition", "{message}");
        message["modifications"].as_array().unwrap().clone()
    }
}
