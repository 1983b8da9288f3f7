//! The task that owns the socket: connects, carries messages between socket and session, waits, connects again.

use super::backoff::Backoff;
use super::inbox::{Inbox, Status};
use super::session::{Effect, Session};
use super::{Timings, TokenSource};
use crate::{Secret, ServerUrl, VERSION, clock};
use chatroom_protocol::sync::{ClientMessage, ServerMessage};
use chatroom_protocol::{ErrorCode, Refusal};
use futures_util::{SinkExt as _, StreamExt as _};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header::USER_AGENT};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What link, subscriptions and driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// There is something to send.
    outgoing: Notify,
}

#[derive(Debug)]
struct State {
    session: Session,
    inboxes: BTreeMap<u32, Arc<Inbox>>,
    status: Status,
    ended: bool,
}

/// How a connection, or the try to make one, ended.
enum Ended {
    Shutdown,
    Lost(String),
    Unauthenticated(Refusal),
}

impl Shared {
    pub(crate) fn new(session_id: String) -> Self {
        let state = State {
            session: Session::new(session_id),
            inboxes: BTreeMap::new(),
            status: Status::Connecting,
            ended: false,
        };
        Self { state: Mutex::new(state), outgoing: Notify::new() }
    }

    /// Wants a query from now on.
    pub(crate) fn subscribe(&self, name: &str, args: Value) -> (u32, Arc<Inbox>) {
        let mut state = self.lock();
        let id = state.session.subscribe(name, args);
        let inbox = Arc::new(Inbox::new(&state.status));
        if state.ended {
            inbox.end();
        }
        state.inboxes.insert(id, Arc::clone(&inbox));
        self.outgoing.notify_one();
        (id, inbox)
    }

    /// Wants a query no longer.
    pub(crate) fn unsubscribe(&self, id: u32) {
        let mut state = self.lock();
        state.inboxes.remove(&id);
        state.session.unsubscribe(id);
        self.outgoing.notify_one();
    }

    fn set_status(&self, status: Status) {
        let mut state = self.lock();
        for inbox in state.inboxes.values() {
            inbox.put_status(&status);
        }
        state.status = status;
    }

    fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.inboxes.values().for_each(|inbox| inbox.end());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a connection to `server` until `shutdown`.
pub(crate) async fn run(
    shared: Arc<Shared>,
    server: ServerUrl,
    token: TokenSource,
    timings: Timings,
    mut backoff: Backoff,
    shutdown: CancellationToken,
) {
    loop {
        let now = token();
        let ended = match &now {
            None => Ended::Unauthenticated(not_signed_in(&server)),
            Some(token) => {
                let begun = Instant::now();
                let ended = connection(&shared, &server, token, &timings, &shutdown).await;
                // A connection that held for a while was a good one; one that fails at once again and again is not.
                if begun.elapsed() >= timings.steady {
                    backoff.reset();
                }
                ended
            }
        };
        match ended {
            Ended::Shutdown => break,
            Ended::Lost(reason) => {
                tracing::info!(server.url = %server, reason, "the link to the server is down");
                shared.lock().session.disconnected(&reason);
                shared.set_status(Status::Down(reason));
                tokio::select! {
                    () = sleep(backoff.next()) => {}
                    () = shutdown.cancelled() => break,
                }
            }
            Ended::Unauthenticated(refusal) => {
                tracing::warn!(server.url = %server, reason = %refusal, "the server does not take the credential");
                shared.lock().session.disconnected("unauthenticated");
                shared.set_status(Status::Refused(refusal));
                tokio::select! {
                    () = other_token(&token, now.as_ref(), &timings) => {}
                    () = shutdown.cancelled() => break,
                }
            }
        }
    }
    shared.end();
}

/// Waits until there is another token than the refused one, or for the slow retry (the server may take it again).
async fn other_token(token: &TokenSource, refused: Option<&Secret>, timings: &Timings) {
    let until = Instant::now() + timings.refused_retry;
    while Instant::now() < until && token().as_ref() == refused {
        sleep(timings.token_check).await;
    }
}

/// One connection from beginning to end.
async fn connection(
    shared: &Shared,
    server: &ServerUrl,
    token: &Secret,
    timings: &Timings,
    shutdown: &CancellationToken,
) -> Ended {
    let mut socket = tokio::select! {
        () = shutdown.cancelled() => return Ended::Shutdown,
        made = timeout(timings.connect, connect(server)) => match made {
            Ok(Ok(socket)) => socket,
            Ok(Err(ended)) => return ended,
            Err(_) => return Ended::Lost(format!("the server did not answer within {} s", timings.connect.as_secs())),
        },
    };
    shared.lock().session.connected(token, clock::now());
    let mut last_frame = Instant::now();
    loop {
        loop {
            let Some(message) = shared.lock().session.next_outgoing() else { break };
            if let Err(reason) = send(&mut socket, &message, timings.silence).await {
                return Ended::Lost(reason);
            }
        }
        tokio::select! {
            // Say good-bye, so that the server knows at once.
            () = shutdown.cancelled() => {
                let _ = timeout(Duration::from_secs(1), socket.close(None)).await;
                return Ended::Shutdown;
            }
            // A subscription came or went.
            () = shared.outgoing.notified() => {}
            // The server, or its silence. Pings are answered by the socket itself and count as a sign of life.
            frame = timeout_at(last_frame + timings.silence, socket.next()) => {
                let frame = match frame {
                    Ok(Some(Ok(frame))) => frame,
                    Ok(Some(Err(error))) => return Ended::Lost(describe(&error)),
                    Ok(None) => return Ended::Lost("the server closed the connection".to_owned()),
                    Err(_) => return Ended::Lost(format!("no sign of the server for {} s", timings.silence.as_secs())),
                };
                last_frame = Instant::now();
                if let Some(ended) = receive(shared, frame) {
                    return ended;
                }
            }
        }
    }
}

/// Carries one frame into the session and its effects to the subscriptions.
fn receive(shared: &Shared, frame: Message) -> Option<Ended> {
    let text = match frame {
        Message::Text(text) => text,
        Message::Close(Some(close)) => {
            return Some(Ended::Lost(format!("the server closed the connection: {} {}", close.code, close.reason)));
        }
        Message::Close(None) => return Some(Ended::Lost("the server closed the connection".to_owned())),
        _ => return None,
    };
    let Ok(message) = serde_json::from_str::<ServerMessage>(&text) else {
        return Some(Ended::Lost("the server sent what this version does not understand".to_owned()));
    };
    let effects = shared.lock().session.handle(message);
    for effect in effects {
        match effect {
            Effect::Up => shared.set_status(Status::Up),
            Effect::Answer { query, answer } => {
                let inbox = shared.lock().inboxes.get(&query).cloned();
                if let Some(inbox) = inbox {
                    inbox.put_answer(answer);
                }
            }
            Effect::Unauthenticated(message) => return Some(Ended::Unauthenticated(unauthenticated(message))),
            Effect::Reconnect(reason) => return Some(Ended::Lost(reason)),
        }
    }
    None
}

async fn connect(server: &ServerUrl) -> Result<Socket, Ended> {
    let lost = |error: &dyn Error| Ended::Lost(describe(error));
    let mut request = server.sync_url().into_client_request().map_err(|error| lost(&error))?;
    if let Ok(agent) = HeaderValue::from_str(&format!("chatroom/{VERSION}")) {
        request.headers_mut().insert(USER_AGENT, agent);
    }
    // Small buffers: the messages are small, and there is one link per process.
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_message_size(Some(16 * 1024 * 1024))
        .max_frame_size(Some(16 * 1024 * 1024));
    let connector = if server.is_plain_http() { Connector::Plain } else { tls().map_err(|error| lost(&error))? };
    match tokio_tungstenite::connect_async_tls_with_config(request, Some(config), true, Some(connector)).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) if matches!(response.status().as_u16(), 401 | 403) => {
            Err(Ended::Unauthenticated(unauthenticated("the server does not take this credential".to_owned())))
        }
        Err(tungstenite::Error::Http(response)) => {
            Err(Ended::Lost(format!("{server} answered with HTTP status {}", response.status().as_u16())))
        }
        Err(error) => Err(lost(&error)),
    }
}

/// The same trust as the HTTP client has: what this machine trusts.
fn tls() -> Result<Connector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(Connector::Rustls(Arc::new(config)))
}

async fn send(socket: &mut Socket, message: &ClientMessage, limit: Duration) -> Result<(), String> {
    let text = serde_json::to_string(message).map_err(|error| error.to_string())?;
    match timeout(limit, socket.send(Message::text(text))).await {
        Ok(sent) => sent.map_err(|error| describe(&error)),
        Err(_) => Err("the server does not read".to_owned()),
    }
}

fn unauthenticated(message: String) -> Refusal {
    Refusal::new(ErrorCode::Unauthenticated, message).hint("chatroom auth login --server URL")
}

fn not_signed_in(server: &ServerUrl) -> Refusal {
    Refusal::new(ErrorCode::Unauthenticated, format!("nobody is signed in at {server}"))
        .hint(format!("chatroom auth login --server {server}"))
}

/// An error with its causes, in one line.
fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
