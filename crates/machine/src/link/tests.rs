use super::*;
use chatroom_protocol::api::Empty;
use chatroom_protocol::api::auth::Whoami;
use chatroom_protocol::api::machines::{GetPendingCommands, GetPendingCommandsArgs, PendingCommands};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use std::sync::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Short pauses, so that tests are quick; a silence that no healthy test reaches.
const QUICK: Timings = Timings {
    connect: Duration::from_secs(5),
    silence: Duration::from_secs(20),
    pauses: (Duration::from_millis(5), Duration::from_millis(20)),
    steady: Duration::from_secs(5),
    refused_retry: Duration::from_secs(20),
    token_check: Duration::from_millis(5),
};

/// Fails the test instead of hanging.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(15), future).await.expect("took longer than 15 s")
}

/// A server of one connection at a time.
struct Server {
    listener: TcpListener,
    url: ServerUrl,
}

impl Server {
    async fn new() -> Self {
        Self::on("127.0.0.1:0").await
    }

    async fn on(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url: ServerUrl::parse(&url, false).unwrap() }
    }

    async fn accept(&self) -> Peer {
        soon(async {
            let (stream, _) = self.listener.accept().await.unwrap();
            Peer { socket: tokio_tungstenite::accept_async(stream).await.unwrap(), at: json!(null) }
        })
        .await
    }

    fn link(&self, token: TokenSource) -> Link {
        Link::open_with(&self.url, token, CancellationToken::new(), QUICK, Box::new(|| 0.0))
    }
}

/// The server's side of a connection.
struct Peer {
    socket: WebSocketStream<TcpStream>,
    at: Value,
}

impl Peer {
    /// The next message of the client.
    async fn read(&mut self) -> Value {
        soon(async {
            loop {
                match self.socket.next().await.unwrap().unwrap() {
                    Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                    _ => continue,
                }
            }
        })
        .await
    }

    /// Reads Connect, Authenticate and the first query set; gives the token and the query set.
    async fn greet(&mut self) -> (String, Value) {
        assert_eq!(self.read().await["type"], "Connect");
        let authenticate = self.read().await;
        let query_set = self.read().await;
        assert_eq!(query_set["type"], "ModifyQuerySet");
        self.at = version(0, 0, 0);
        (authenticate["value"].as_str().unwrap().to_owned(), query_set)
    }

    async fn send(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// A transition from where the client is to `end`.
    async fn transition(&mut self, end: Value, modifications: Value) {
        let start = std::mem::replace(&mut self.at, end.clone());
        self.send(json!({"type": "Transition", "startVersion": start, "endVersion": end,
                         "modifications": modifications, "serverTs": 1, "clientClockSkew": 0}))
            .await;
    }
}

fn version(query_set: u32, identity: u32, ts: u64) -> Value {
    json!({"querySet": query_set, "identity": identity, "ts": chatroom_protocol::sync::SyncTs(ts)})
}

fn updated(query: u32, value: Value) -> Value {
    json!([{"type": "QueryUpdated", "queryId": query, "value": value, "logLines": [], "journal": null}])
}

fn commands(link: &Link) -> Subscription<GetPendingCommands> {
    link.subscribe(&GetPendingCommandsArgs { machine_id: "m".into(), epoch: 3 })
}

fn token() -> TokenSource {
    fixed_token(Secret::new("t1"))
}

const SUPERSEDED: LinkEvent<PendingCommands> = LinkEvent::Value(PendingCommands::Superseded);

fn no_commands() -> LinkEvent<PendingCommands> {
    LinkEvent::Value(PendingCommands::Current { commands: Vec::new() })
}

#[tokio::test]
async fn a_subscription_gets_its_first_answer_and_every_change() {
    let server = Server::new().await;
    let link = server.link(token());
    let mut subscription = commands(&link);
    let mut peer = server.accept().await;
    let (token, query_set) = peer.greet().await;
    assert_eq!(token, "t1");
    assert_eq!(query_set["modifications"][0]["udfPath"], "machines:getPendingCommands");
    assert_eq!(query_set["modifications"][0]["args"], json!([{"machineId": "m", "epoch": 3.0}]));

    peer.transition(version(1, 1, 1), updated(0, json!({"session": "current", "commands": []}))).await;
    assert_eq!(soon(subscription.next()).await, Some(LinkEvent::Up));
    assert_eq!(soon(subscription.next()).await, Some(no_commands()));
    peer.transition(version(1, 1, 2), updated(0, json!({"session": "superseded"}))).await;
    assert_eq!(soon(subscription.next()).await, Some(SUPERSEDED));

    // A later subscription learns that the link is up, and only its own answer goes to it.
    let mut later = link.subscribe::<Whoami>(&Empty {});
    assert_eq!(peer.read().await["newVersion"], 2);
    let failed = json!([{"type": "QueryFailed", "queryId": 1, "errorMessage": "no", "journal": null,
                         "errorData": {"code": "forbidden", "message": "no"}}]);
    peer.transition(version(2, 1, 3), failed).await;
    assert_eq!(soon(later.next()).await, Some(LinkEvent::Up));
    assert_eq!(soon(later.next()).await, Some(LinkEvent::Refused(Refusal::new(ErrorCode::Forbidden, "no"))));

    // Dropped: the server is told.
    drop(later);
    assert_eq!(peer.read().await["modifications"], json!([{"type": "Remove", "queryId": 1}]));
}

#[tokio::test]
async fn a_gap_in_the_versions_makes_a_new_connection_that_is_told_everything() {
    let server = Server::new().await;
    let link = server.link(token());
    let mut subscription = commands(&link);
    let mut peer = server.accept().await;
    peer.greet().await;
    peer.at = version(0, 0, 7);
    peer.transition(version(1, 1, 8), updated(0, json!({"session": "superseded"}))).await;
    assert!(matches!(soon(subscription.next()).await, Some(LinkEvent::Down { .. })));

    let mut peer = server.accept().await;
    let (_, query_set) = peer.greet().await;
    assert_eq!((&query_set["baseVersion"], &query_set["newVersion"]), (&json!(0), &json!(1)));
    peer.transition(version(1, 1, 9), updated(0, json!({"session": "current", "commands": []}))).await;
    assert_eq!(soon(subscription.next()).await, Some(LinkEvent::Up));
    assert_eq!(soon(subscription.next()).await, Some(no_commands()));
}

#[tokio::test]
async fn a_server_that_dies_and_returns_is_found_again() {
    let server = Server::new().await;
    let address = server.listener.local_addr().unwrap().to_string();
    let link = server.link(token());
    let mut subscription = commands(&link);
    let mut peer = server.accept().await;
    peer.greet().await;
    peer.transition(version(1, 1, 1), updated(0, json!({"session": "current", "commands": []}))).await;
    assert_eq!(soon(subscription.next()).await, Some(LinkEvent::Up));
    assert_eq!(soon(subscription.next()).await, Some(no_commands()));

    drop(server);
    drop(peer);
    assert!(matches!(soon(subscription.next()).await, Some(LinkEvent::Down { .. })));
    // Subscribed while nobody is there: learns that, too, and is told to the server that returns.
    let mut second = link.subscribe::<Whoami>(&Empty {});
    assert!(matches!(soon(second.next()).await, Some(LinkEvent::Down { .. })));

    let server = Server::on(&address).await;
    let mut peer = server.accept().await;
    let (_, query_set) = peer.greet().await;
    assert_eq!(query_set["modifications"].as_array().unwrap().len(), 2);
    peer.transition(version(1, 1, 5), updated(0, json!({"session": "superseded"}))).await;
    // Down was told once although many tries failed.
    assert_eq!(soon(subscription.next()).await, Some(LinkEvent::Up));
    assert_eq!(soon(subscription.next()).await, Some(SUPERSEDED));
    assert_eq!(soon(second.next()).await, Some(LinkEvent::Up));
}

#[tokio::test]
async fn a_refused_credential_is_told_and_a_later_login_heals_the_link() {
    let server = Server::new().await;
    let stored = Arc::new(Mutex::new(Secret::new("old")));
    let source = Arc::clone(&stored);
    let link = server.link(Arc::new(move || Some(source.lock().unwrap().clone())));
    let mut subscription = commands(&link);
    let mut peer = server.accept().await;
    assert_eq!(peer.greet().await.0, "old");
    peer.send(json!({"type": "AuthError", "error": "revoked", "baseVersion": 0, "authUpdateAttempted": true})).await;
    let Some(LinkEvent::Refused(refusal)) = soon(subscription.next()).await else { panic!("not refused") };
    assert_eq!((refusal.code, refusal.message.as_str()), (ErrorCode::Unauthenticated, "revoked"));

    *stored.lock().unwrap() = Secret::new("new");
    let mut peer = server.accept().await;
    assert_eq!(peer.greet().await.0, "new");
    peer.transition(version(1, 1, 1), updated(0, json!({"session": "superseded"}))).await;
    assert_eq!(soon(subscription.next()).await, Some(LinkEvent::Up));
    assert_eq!(soon(subscription.next()).await, Some(SUPERSEDED));
}

#[tokio::test]
async fn without_any_credential_nothing_is_tried_until_there_is_one() {
    let server = Server::new().await;
    let stored: Arc<Mutex<Option<Secret>>> = Arc::default();
    let source = Arc::clone(&stored);
    let link = server.link(Arc::new(move || source.lock().unwrap().clone()));
    let mut subscription = commands(&link);
    let Some(LinkEvent::Refused(refusal)) = soon(subscription.next()).await else { panic!("not refused") };
    assert!(refusal.hint.unwrap().contains("chatroom auth login"));
    *stored.lock().unwrap() = Some(Secret::new("first"));
    assert_eq!(server.accept().await.greet().await.0, "first");
}

#[tokio::test]
async fn a_silent_server_is_dropped_but_pings_keep_the_link() {
    let server = Server::new().await;
    let timings = Timings { silence: Duration::from_millis(1500), ..QUICK };
    let link = Link::open_with(&server.url, token(), CancellationToken::new(), timings, Box::new(|| 0.0));
    let mut subscription = commands(&link);
    let mut peer = server.accept().await;
    peer.greet().await;
    peer.transition(version(1, 1, 1), json!([])).await;
    assert_eq!(soon(subscription.next()).await, Some(LinkEvent::Up));
    // For longer than the limit nothing but pings; each is answered.
    for number in 0..7 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        peer.socket.send(Message::Ping(vec![number].into())).await.unwrap();
        let answer = soon(peer.socket.next()).await.unwrap().unwrap();
        assert_eq!(answer, Message::Pong(vec![number].into()));
    }
    let Some(LinkEvent::Down { reason }) = soon(subscription.next()).await else { panic!("not down") };
    assert!(reason.contains("no sign of the server"), "{reason}");
}

#[tokio::test]
async fn what_is_not_a_message_ends_the_connection_and_what_is_not_a_server_is_said() {
    let server = Server::new().await;
    let link = server.link(token());
    let mut subscription = commands(&link);
    let mut peer = server.accept().await;
    peer.greet().await;
    peer.socket.send(Message::text("<html>")).await.unwrap();
    assert!(matches!(soon(subscription.next()).await, Some(LinkEvent::Down { .. })));

    // A port where nobody listens.
    let address = server.listener.local_addr().unwrap();
    drop((server, peer));
    let url = ServerUrl::parse(&format!("http://{address}"), false).unwrap();
    let link = Link::open_with(&url, token(), CancellationToken::new(), QUICK, Box::new(|| 0.0));
    let Some(LinkEvent::Down { reason }) = soon(commands(&link).next()).await else { panic!("not down") };
    assert!(reason.to_lowercase().contains("refused"), "{reason}");
}

#[tokio::test]
async fn shutdown_closes_the_socket_and_ends_every_subscription() {
    let server = Server::new().await;
    let shutdown = CancellationToken::new();
    let link = Link::open_with(&server.url, token(), shutdown.clone(), QUICK, Box::new(|| 0.0));
    let mut subscription = commands(&link);
    let mut peer = server.accept().await;
    peer.greet().await;
    shutdown.cancel();
    assert!(matches!(soon(peer.socket.next()).await, Some(Ok(Message::Close(_)))));
    assert_eq!(soon(subscription.next()).await, None);
    assert_eq!(soon(commands(&link).next()).await, None);
}

#[tokio::test]
async fn the_connection_ends_with_the_last_subscription_of_a_dropped_link() {
    let server = Server::new().await;
    let link = server.link(token());
    let subscription = commands(&link);
    let mut peer = server.accept().await;
    peer.greet().await;
    drop(link);
    peer.socket.send(Message::Ping(Vec::new().into())).await.unwrap();
    assert!(matches!(soon(peer.socket.next()).await, Some(Ok(Message::Pong(_)))));
    drop(subscription);
    let ended = soon(async {
        loop {
            match peer.socket.next().await {
                Some(Ok(Message::Close(_))) => return true,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return false,
            }
        }
    });
    assert!(ended.await);
}
