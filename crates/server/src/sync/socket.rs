//! The task that owns one sync socket: it does what the session decides, watches topics, and notices silence.

use super::session::{Effect, Outcome, Session};
use crate::app::App;
use crate::caller::Caller;
use crate::live::{Topic, Waker};
use crate::registry::{Closed, Entry, QueryCx, Request};
use crate::secret;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use chatroom_protocol::function::canonical_name;
use chatroom_protocol::sync::{Call, ClientMessage, ServerMessage};
use chatroom_protocol::{ErrorCode, Kind, Refusal, value};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A peer that sends no frame for this long is silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How often we ask the peer for a frame, and show npm clients (which count messages only) that we are there.
const PING: Duration = Duration::from_secs(15);
/// A frame that the peer does not take within this long ends the socket.
const SEND: Duration = Duration::from_secs(30);
/// Close code of a restart or overload: clients come back by themselves (RFC 6455 section 7.4, IANA registry).
const TRY_AGAIN: u16 = 1013;
/// Close code of a client that does not keep the protocol.
const PROTOCOL: u16 = 1002;

/// Why a socket ends, and with which close frame.
#[derive(Debug)]
struct End {
    why: Closed,
    close: Option<(u16, &'static str)>,
}

impl End {
    const GONE: End = End { why: Closed::Gone, close: None };

    const fn close(code: u16, reason: &'static str) -> Self {
        Self { why: Closed::Gone, close: Some((code, reason)) }
    }
}

/// Serves one socket until it ends.
pub async fn serve(app: Arc<App>, socket: WebSocket, address: Option<IpAddr>, shutdown: CancellationToken) {
    let mut actor = Socket {
        id: secret::new_id(),
        app,
        socket,
        address,
        session: Session::default(),
        caller: Caller::Public,
        token: None,
        waker: Arc::new(Waker::default()),
        watched: BTreeMap::new(),
        present: BTreeMap::new(),
        heard_at: Instant::now(),
        sent_at: Instant::now(),
    };
    let end = actor.run(shutdown).await;
    actor.finish(end).await;
}

struct Socket {
    id: String,
    app: Arc<App>,
    socket: WebSocket,
    address: Option<IpAddr>,
    session: Session,
    caller: Caller,
    /// The token of the socket, to look again when its credential changes.
    token: Option<String>,
    waker: Arc<Waker>,
    /// What each subscription depends on.
    watched: BTreeMap<u32, Vec<Topic>>,
    /// Subscriptions that are evidence of somebody's presence, by name and arguments.
    present: BTreeMap<u32, (String, Value)>,
    heard_at: Instant,
    sent_at: Instant,
}

impl Socket {
    async fn run(&mut self, shutdown: CancellationToken) -> End {
        let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
        loop {
            let step = tokio::select! {
                // In this order: what was heard in time counts before silence does.
                biased;
                // A server that stops says so: the client's next try finds the new one.
                () = shutdown.cancelled() => {
                    return End { why: Closed::ServerStops, close: Some((TRY_AGAIN, "ServerStops")) };
                }
                // What the client says.
                frame = self.socket.recv() => self.receive(frame).await,
                // What others have changed.
                () = self.waker.wait() => self.woken().await,
                // Keep-alive, both ways.
                _ = ping.tick() => self.ping().await,
                // Nothing heard: the peer is there no more, or asleep.
                () = tokio::time::sleep_until(self.heard_at + SILENCE) => {
                    return End { why: Closed::Silent, close: Some((TRY_AGAIN, "Silent")) };
                }
            };
            let step = match step {
                Ok(()) => self.settle().await,
                Err(end) => Err(end),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn receive(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        self.heard_at = Instant::now();
        let text = match frame {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Binary(_))) => {
                return Err(End::close(PROTOCOL, "binary frames are not part of the protocol"));
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(End::GONE),
        };
        let Ok(message) = serde_json::from_str::<Value>(&text)
            .map(value::normalise)
            .and_then(serde_json::from_value::<ClientMessage>)
        else {
            self.send(&ServerMessage::FatalError { error: "a message could not be read".to_owned() }).await?;
            return Err(End::close(PROTOCOL, "a message could not be read"));
        };
        for effect in self.session.receive(message) {
            self.perform(effect).await?;
        }
        Ok(())
    }

    async fn perform(&mut self, effect: Effect) -> Result<(), End> {
        match effect {
            Effect::Observe(ts) => self.app.commits.observe(ts),
            Effect::Subscribe { query_id } => self.open_presence(query_id).await,
            Effect::Unsubscribe { query_id } => self.unwatch(query_id).await,
            Effect::Authenticate { token, base_version } => return self.authenticate(token, base_version).await,
            Effect::Call(call) => return self.call(call).await,
            Effect::Close { reason } => return Err(End::close(PROTOCOL, reason)),
        }
        Ok(())
    }

    async fn authenticate(&mut self, token: Option<String>, base_version: u32) -> Result<(), End> {
        let caller = match &token {
            None => Caller::Public,
            Some(token) => self.app.caller(token).await.map_err(|_| End::close(TRY_AGAIN, "InternalServerError"))?,
        };
        if token.is_some() && caller == Caller::Public {
            let refused = self.session.auth_refused(base_version, "the credential is not valid".to_owned());
            return self.send(&refused).await;
        }
        self.close_presences(Closed::Gone).await;
        if let Some(id) = self.caller.credential_id() {
            self.app.hub.unwatch(&Topic::Credential(id.clone()), &self.waker);
        }
        if let Some(id) = caller.credential_id() {
            self.app.hub.watch(&Topic::Credential(id.clone()), &self.waker);
        }
        (self.caller, self.token) = (caller, token);
        // Revoked between the look and the watch: look again.
        self.check_credential().await?;
        self.session.authenticated();
        for query_id in self.session.query_ids().collect::<Vec<_>>() {
            self.open_presence(query_id).await;
        }
        Ok(())
    }

    async fn check_credential(&mut self) -> Result<(), End> {
        let Some(token) = &self.token else { return Ok(()) };
        let caller = self.app.caller(token).await.map_err(|_| End::close(TRY_AGAIN, "InternalServerError"))?;
        if caller != Caller::Public {
            return Ok(());
        }
        let revoked = self.session.credential_revoked();
        self.send(&revoked).await?;
        Err(End::close(TRY_AGAIN, "Revoked"))
    }

    async fn call(&mut self, call: Call) -> Result<(), End> {
        let name = canonical_name(&call.udf_path);
        let args = call.args.into_iter().next().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        let outcome = match self.app.registry.find(&name) {
            Ok(entry) if entry.secret => Err(Refusal::new(
                ErrorCode::HttpOnly,
                format!("{name} answers with a secret; call it over HTTP: POST /api/run/{}", name.replace('.', "/")),
            )),
            Ok(_) => {
                let replay_key = self.session.session_id().map(|id| format!("sync:{id}:{}", call.request_id));
                let request = Request { caller: self.caller.clone(), address: self.address, args, replay_key };
                self.app.call(&name, Some(Kind::Mutation), &request).await
            }
            Err(refusal) => Err(refusal),
        };
        let answer = self.session.answered(call.request_id, outcome.map(value::encode), self.app.commits.tick());
        self.send(&answer).await
    }

    async fn woken(&mut self) -> Result<(), End> {
        let topics = self.waker.take();
        if topics.iter().any(|topic| matches!(topic, Topic::Credential(_))) {
            self.check_credential().await?;
        }
        let stale: Vec<u32> = self
            .watched
            .iter()
            .filter(|(_, watched)| watched.iter().any(|topic| topics.contains(topic)))
            .map(|(query_id, _)| *query_id)
            .collect();
        self.session.invalidate(stale);
        Ok(())
    }

    /// Sends the Transition that is due, if one is.
    async fn settle(&mut self) -> Result<(), End> {
        let Some(due) = self.session.due() else { return Ok(()) };
        // First register interest, then take the time, then read: a commit in between wakes us again.
        for query_id in &due {
            self.watch(*query_id);
        }
        let ts = self.app.commits.tick();
        let results = if due.is_empty() { Vec::new() } else { self.read(&due).await? };
        let transition = self.session.transition(ts, results);
        self.send(&transition).await
    }

    async fn read(&mut self, due: &[u32]) -> Result<Vec<(u32, Outcome)>, End> {
        let failed = |error: crate::store::StoreError| {
            tracing::error!(error = %anyhow::Error::from(error), "cannot read for a subscription");
            End::close(TRY_AGAIN, "InternalServerError")
        };
        let tx = self.app.store.read().await.map_err(failed)?;
        let mut cx = QueryCx { tx, caller: self.caller.clone(), app: Arc::clone(&self.app) };
        let mut results = Vec::with_capacity(due.len());
        for query_id in due {
            let Some(query) = self.session.query(*query_id) else { continue };
            let outcome = match self.app.registry.find(&query.name) {
                Ok(entry) => {
                    let answer = entry.run_query(&mut cx, query.args.clone()).await;
                    answer.map(value::encode).map_err(|fail| fail.into_refusal(entry.name))
                }
                Err(refusal) => Err(refusal),
            };
            results.push((*query_id, outcome));
        }
        Ok(results)
    }

    fn watch(&mut self, query_id: u32) {
        let Some(query) = self.session.query(query_id) else { return };
        let topics = match self.app.registry.find(&query.name) {
            Ok(entry) => entry.topics(&self.caller, &query.args).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        for topic in &topics {
            self.app.hub.watch(topic, &self.waker);
        }
        self.watched.insert(query_id, topics);
    }

    async fn unwatch(&mut self, query_id: u32) {
        for topic in self.watched.remove(&query_id).unwrap_or_default() {
            if !self.watched.values().any(|others| others.contains(&topic)) {
                self.app.hub.unwatch(&topic, &self.waker);
            }
        }
        if let Some((name, args)) = self.present.remove(&query_id) {
            self.presence_closed(&name, &args, Closed::Gone).await;
        }
    }

    async fn open_presence(&mut self, query_id: u32) {
        let Some(query) = self.session.query(query_id) else { return };
        let Ok(entry) = self.app.registry.find(&query.name) else { return };
        let Some(presence) = entry.presence() else { return };
        if entry.admit(&self.caller).is_err() {
            return;
        }
        let args = value::normalise(query.args.clone());
        match presence.opened(&self.app, &self.caller, &args, &self.id).await {
            Ok(()) => {
                let name = entry.name.to_owned();
                self.present.insert(query_id, (name, args));
            }
            Err(error) => tracing::debug!(%error, function = entry.name, "a subscription is no evidence of presence"),
        }
    }

    async fn close_presences(&mut self, why: Closed) {
        for (name, args) in std::mem::take(&mut self.present).into_values() {
            self.presence_closed(&name, &args, why).await;
        }
    }

    async fn presence_closed(&mut self, name: &str, args: &Value, why: Closed) {
        let Some(presence) = self.app.registry.find(name).ok().and_then(Entry::presence) else { return };
        if let Err(error) = presence.closed(&self.app, &self.caller, args, &self.id, why).await {
            tracing::warn!(%error, function = name, "cannot record that somebody left");
        }
    }

    async fn ping(&mut self) -> Result<(), End> {
        if self.sent_at.elapsed() >= PING {
            self.send(&ServerMessage::Ping {}).await?;
        }
        self.send_frame(Message::Ping(axum::body::Bytes::new())).await
    }

    async fn send(&mut self, message: &ServerMessage) -> Result<(), End> {
        let text = serde_json::to_string(message).map_err(|_| End::close(TRY_AGAIN, "InternalServerError"))?;
        self.sent_at = Instant::now();
        self.send_frame(Message::Text(text.into())).await
    }

    async fn send_frame(&mut self, frame: Message) -> Result<(), End> {
        match tokio::time::timeout(SEND, self.socket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::GONE),
            Err(_) => Err(End { why: Closed::Silent, close: None }),
        }
    }

    async fn finish(mut self, end: End) {
        self.close_presences(end.why).await;
        if let Some((code, reason)) = end.close {
            let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
            drop(tokio::time::timeout(Duration::from_secs(1), self.socket.send(frame)).await);
        }
    }
}
