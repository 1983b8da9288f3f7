//! The task that owns one sync socket: it does what the session decides, watches topics, and notices silence.
//!
//! Nothing is read while something waits to be sent: of a peer that reads slowly at most one Transition is kept, and what
//! changes meanwhile is only marked. Mutations run beside it, one at a time.

use super::calls::{Calls, Waiting};
use super::io::{Event, Io};
use super::result::Outcome;
use super::session::{Effect, Query, Session};
use super::snapshots::{self, Reader, Wanted};
use crate::app::App;
use crate::caller::Caller;
use crate::live::{Topic, Waker};
use crate::registry::{Closed, Entry, Request, SocketCall};
use crate::store::{Backend, StoreError};
use crate::{clock, secret};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use chatroom_protocol::function::canonical_name;
use chatroom_protocol::sync::{Call, ClientMessage, ServerMessage};
use chatroom_protocol::{ErrorCode, Refusal, value};
use serde_json::Value;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A peer that says nothing for this long after it connected is no client.
const CONNECT: Duration = Duration::from_secs(10);
/// A peer that sends no frame for this long is silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How often we ask the peer for a frame, and show npm clients (which count messages only) that we are there.
const PING: Duration = Duration::from_secs(15);
/// A peer that takes nothing of what waits for it for this long is gone.
const SEND: Duration = Duration::from_secs(30);
/// How long what waits may take to be sent when the socket ends.
const FINISH: Duration = Duration::from_secs(1);
/// A credential that ends by time is noticed within so many fallback polls.
const POLLS_PER_CHECK: u32 = 10;
/// Close code of a restart or overload: clients come back by themselves (RFC 6455 section 7.4, IANA registry).
const TRY_AGAIN: u16 = 1013;
/// Close code of a fault of ours: clients come back by themselves.
const OUR_FAULT: u16 = 1011;
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

    /// The reason is one that npm clients know: they wait a little longer.
    fn broken(error: StoreError) -> Self {
        tracing::error!(error = %anyhow::Error::from(error), "cannot read for a socket");
        Self::close(OUR_FAULT, "InternalServerError")
    }
}

/// Serves one socket until it ends.
pub async fn serve(app: Arc<App>, socket: WebSocket, address: Option<IpAddr>, shutdown: CancellationToken) {
    let now = Instant::now();
    let poll_at = now + fallback(&app);
    let mut actor = Socket {
        id: secret::new_id::<String>().into(),
        io: Io::new(socket),
        address,
        session: Session::default(),
        calls: Calls::default(),
        caller: Caller::Public,
        identity: snapshots::identity(&Caller::Public).into(),
        token: None,
        waker: Arc::new(Waker::default()),
        opened_at: now,
        heard_at: now,
        sent_at: now,
        pinged_at: now,
        poll_at,
        polls: 0,
        seen_commits: app.store.commits().begun(),
        is_distrustful: false,
        app,
    };
    let end = actor.run(shutdown).await;
    Box::pin(actor.finish(end)).await;
}

struct Socket {
    id: Box<str>,
    app: Arc<App>,
    io: Io,
    address: Option<IpAddr>,
    session: Session,
    calls: Calls,
    caller: Caller,
    /// The caller in words, for what is read together.
    identity: Box<str>,
    /// The token of the socket, to look again when its credential changes.
    token: Option<Box<str>>,
    waker: Arc<Waker>,
    opened_at: Instant,
    heard_at: Instant,
    sent_at: Instant,
    pinged_at: Instant,
    /// When everything is read again, in case a wake was lost.
    poll_at: Instant,
    polls: u32,
    /// The commits of this process at the last poll.
    seen_commits: u64,
    /// Whether the next read must not rely on wakes.
    is_distrustful: bool,
}

impl Socket {
    async fn run(&mut self, shutdown: CancellationToken) -> End {
        loop {
            let (receive, listened, deadline) = (self.calls.has_room(), self.listens(), self.next_deadline());
            let step = tokio::select! {
                // A server that stops says so: the client's next try finds the new one.
                () = shutdown.cancelled() => {
                    return End { why: Closed::ServerStops, close: Some((TRY_AGAIN, "ServerStops")) };
                }
                // What the client says, or that it has taken everything.
                event = self.io.next(receive) => Box::pin(self.happened(event)).await,
                // What others have changed.
                () = self.waker.wait() => Box::pin(self.woken()).await,
                // The mutation that runs has ended.
                done = self.calls.done() => self.answer(done),
                // Keep-alive, silence, the fallback poll.
                () = tokio::time::sleep_until(deadline) => Box::pin(self.time_passed()).await,
            };
            if !listened {
                // Who is not listened to is not silent.
                self.heard_at = Instant::now();
            }
            let step = match step {
                Ok(()) => Box::pin(self.settle()).await,
                Err(end) => Err(end),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn happened(&mut self, event: Event) -> Result<(), End> {
        let text = match event {
            Event::Drained => return Ok(()),
            Event::Gone | Event::Frame(Message::Close(_)) => return Err(End::GONE),
            Event::Frame(Message::Text(text)) => text,
            Event::Frame(Message::Ping(_) | Message::Pong(_)) => {
                self.heard_at = Instant::now();
                return Ok(());
            }
            Event::Frame(Message::Binary(_)) => {
                return Err(End::close(PROTOCOL, "binary frames are not part of the protocol"));
            }
        };
        self.heard_at = Instant::now();
        let Ok(message) = serde_json::from_str::<Value>(&text)
            .map(value::normalise)
            .and_then(serde_json::from_value::<ClientMessage>)
        else {
            self.send(&ServerMessage::FatalError { error: "a message could not be read".to_owned() });
            return Err(End::close(PROTOCOL, "a message could not be read"));
        };
        for effect in self.session.receive(message, clock::now()) {
            self.perform(effect, text.len()).await?;
        }
        Ok(())
    }

    async fn perform(&mut self, effect: Effect, bytes: usize) -> Result<(), End> {
        match effect {
            Effect::Observe(ts) => self.app.commits.observe(ts),
            Effect::Send(message) => self.send(&message),
            Effect::Subscribe { query_id } => {
                self.watch(query_id);
                self.open_presence(query_id).await;
            }
            Effect::Unsubscribe(query) => self.unsubscribe(*query).await,
            Effect::Authenticate { token, base_version } => return self.authenticate(token, base_version).await,
            Effect::Mutation(call) => self.mutate(call, bytes),
            Effect::Action(call) => {
                let refusal = self.app.registry.no_action(&canonical_name(&call.udf_path));
                let answer = self.session.action_answered(call.request_id, Err(refusal));
                self.send(&answer);
            }
            Effect::Close { reason } => return Err(End::close(PROTOCOL, reason)),
        }
        Ok(())
    }

    async fn authenticate(&mut self, token: Option<String>, base_version: u32) -> Result<(), End> {
        let caller = match &token {
            None => Caller::Public,
            Some(token) => self.app.caller(token).await.map_err(End::broken)?,
        };
        if token.is_some() && caller == Caller::Public {
            let refused = self.session.auth_refused(base_version, "the credential is not valid".to_owned());
            self.send(&refused);
            return Ok(());
        }
        self.close_presences(Closed::Gone).await;
        if let Some(id) = self.caller.credential_id() {
            self.app.hub.unwatch(&Topic::Credential(id.clone()), &self.waker);
        }
        if let Some(id) = caller.credential_id() {
            self.app.hub.watch(&Topic::Credential(id.clone()), &self.waker);
        }
        self.identity = snapshots::identity(&caller).into();
        (self.caller, self.token) = (caller, token.map(Into::into));
        // Revoked between the look and the watch: look again.
        self.check_credential().await?;
        self.session.authenticated();
        for query_id in self.session.queries().iter().map(|query| query.query_id).collect::<Vec<_>>() {
            self.watch(query_id);
            self.open_presence(query_id).await;
        }
        Ok(())
    }

    async fn check_credential(&mut self) -> Result<(), End> {
        let Some(token) = &self.token else { return Ok(()) };
        if self.app.still_caller(token).await.map_err(End::broken)? != Caller::Public {
            return Ok(());
        }
        let revoked = self.session.credential_revoked();
        self.send(&revoked);
        Err(End::close(TRY_AGAIN, "Revoked"))
    }

    /// Takes a mutation in, as the caller of now.
    fn mutate(&mut self, call: Call, bytes: usize) {
        let name = canonical_name(&call.udf_path);
        let args = match <[Value; 1]>::try_from(call.args) {
            Ok([args]) => args,
            Err(args) if args.is_empty() => Value::Object(serde_json::Map::new()),
            // For the function to refuse.
            Err(args) => Value::Array(args),
        };
        let refusal = match self.app.registry.find(&name) {
            Ok(entry) if entry.secret => Some(Refusal::new(
                ErrorCode::HttpOnly,
                format!("{name} answers with a secret; call it over HTTP: POST /api/run/{}", name.replace('.', "/")),
            )),
            Ok(_) => None,
            Err(refusal) => Some(refusal),
        };
        if let Some(refusal) = refusal {
            let answer = self.session.answered(call.request_id, Err(refusal), self.app.commits.tick());
            return self.send(&answer);
        }
        // A record is for whoever made it: nobody in particular makes none.
        let session = self.session.session_id().filter(|_| self.caller != Caller::Public);
        let replay_key =
            session.map(|id| SocketCall { key: format!("sync:{id}:{}", call.request_id), committing: Arc::default() });
        let request = Request { caller: self.caller.clone(), address: self.address, args, replay_key };
        self.calls.push(Waiting { request_id: call.request_id, name, request, bytes });
    }

    fn answer(&mut self, done: Result<(u32, Outcome), tokio::task::JoinError>) -> Result<(), End> {
        let (request_id, outcome) = done.map_err(|error| {
            tracing::error!(%error, "a mutation panicked");
            End::close(OUR_FAULT, "InternalServerError")
        })?;
        // Later than the commit: a Transition at or after this time shows its effects.
        let answer = self.session.answered(request_id, outcome, self.app.commits.tick());
        self.send(&answer);
        Ok(())
    }

    async fn woken(&mut self) -> Result<(), End> {
        let topics = self.waker.take();
        if topics.is_empty() {
            return Ok(());
        }
        if topics.iter().any(|topic| matches!(**topic, Topic::Credential(_))) {
            self.check_credential().await?;
        }
        self.session.invalidate(&topics);
        Ok(())
    }

    fn next_deadline(&self) -> Instant {
        let mut next = self.poll_at.min(self.sent_at + PING).min(self.pinged_at + PING);
        if let Some(stalled) = self.io.stalled() {
            // Nothing more is sent before this is: pings wait with it.
            next = self.poll_at.min(stalled + SEND);
        }
        if self.session.session_id().is_none() {
            next = next.min(self.opened_at + CONNECT);
        }
        if self.listens() {
            next = next.min(self.heard_at + SILENCE);
        }
        next
    }

    /// Whether the peer could be heard if it said something.
    fn listens(&self) -> bool {
        self.calls.has_room() && self.io.listens()
    }

    async fn time_passed(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.listens() && now >= self.heard_at + SILENCE {
            // What was heard in time counts before silence does.
            return match self.io.now().await {
                Some(event) => Box::pin(self.happened(event)).await,
                None => Err(End { why: Closed::Silent, close: Some((TRY_AGAIN, "Silent")) }),
            };
        }
        if self.io.stalled().is_some_and(|since| now >= since + SEND) {
            return Err(End { why: Closed::Silent, close: None });
        }
        if self.session.session_id().is_none() && now >= self.opened_at + CONNECT {
            return Err(End::close(PROTOCOL, "Connect did not come in time"));
        }
        if self.io.stalled().is_none() && now >= (self.sent_at + PING).min(self.pinged_at + PING) {
            if now >= self.sent_at + PING {
                self.send(&ServerMessage::Ping {});
            }
            self.pinged_at = now;
            self.io.push(Message::Ping(axum::body::Bytes::new()));
        }
        if now >= self.poll_at {
            self.poll_at = now + fallback(&self.app);
            self.poll().await?;
        }
        Ok(())
    }

    /// Reads everything again, unless it is certain that nothing has changed.
    async fn poll(&mut self) -> Result<(), End> {
        self.polls = self.polls.wrapping_add(1);
        let commits = self.app.store.commits().begun();
        let may_have_changed = self.app.store.backend() == Backend::Postgres || commits != self.seen_commits;
        self.seen_commits = commits;
        if may_have_changed {
            self.session.invalidate_all();
            self.is_distrustful = true;
        }
        if may_have_changed || self.polls.is_multiple_of(POLLS_PER_CHECK) {
            self.check_credential().await?;
        }
        Ok(())
    }

    /// Begins the next mutation and sends the Transition that is due, once everything before it has been sent.
    async fn settle(&mut self) -> Result<(), End> {
        while self.io.is_drained() {
            self.calls.start(&self.app);
            // What an answered mutation has changed is shown by the Transition that follows, not by a later one.
            self.woken().await?;
            let Some(due) = self.session.due() else { return Ok(()) };
            let wanted: Vec<&Query> = due.iter().filter_map(|query_id| self.session.query(*query_id)).collect();
            let read = if wanted.is_empty() {
                (self.app.commits.tick(), Vec::new())
            } else {
                let reader = Reader {
                    caller: &self.caller,
                    identity: &self.identity,
                    after: self.session.shown(),
                    fresh: self.is_distrustful,
                };
                let queries: Vec<_> =
                    wanted.iter().map(|query| Wanted { name: &query.name, args: &query.args }).collect();
                self.app.snapshots.read(&self.app, reader, &queries).await.map_err(End::broken)?
            };
            if self.calls.is_committing() {
                // What was read may show the effects of a mutation whose answer has to come first.
                let done = self.calls.done().await;
                self.answer(done)?;
                return Ok(());
            }
            self.is_distrustful = false;
            let (ts, results) = read;
            let results: Vec<_> = due.into_iter().zip(results).collect();
            if let Some(text) = self.session.transition(ts, &results, clock::now()) {
                self.sent_at = Instant::now();
                self.io.push(Message::Text(text.into()));
            }
        }
        Ok(())
    }

    /// Registers interest, before the first read: a commit in between wakes us.
    fn watch(&mut self, query_id: u32) {
        let Some(query) = self.session.query(query_id) else { return };
        let topics = match self.app.registry.find(&query.name) {
            Ok(entry) => entry.topics(&self.caller, &parse(&query.args)).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let topics = topics.iter().map(|topic| self.app.hub.watch(topic, &self.waker)).collect();
        let before = self.session.set_topics(query_id, topics);
        self.unwatch(&before);
    }

    /// Lets go of topics that no subscription has any more.
    fn unwatch(&self, topics: &[Arc<Topic>]) {
        for topic in topics {
            if !self.session.queries().iter().any(|query| query.topics.contains(topic)) {
                self.app.hub.unwatch(topic, &self.waker);
            }
        }
    }

    async fn unsubscribe(&mut self, query: Query) {
        self.unwatch(&query.topics);
        if query.is_presence {
            self.presence_closed(&query.name, &query.args, Closed::Gone).await;
        }
    }

    async fn open_presence(&mut self, query_id: u32) {
        let Some(query) = self.session.query(query_id) else { return };
        let Ok(entry) = self.app.registry.find(&query.name) else { return };
        let Some(presence) = entry.presence() else { return };
        if entry.admit(&self.caller).is_err() {
            return;
        }
        match presence.opened(&self.app, &self.caller, &parse(&query.args), &self.id).await {
            Ok(()) => self.session.set_presence(query_id, true),
            Err(error) => tracing::debug!(%error, function = entry.name, "a subscription is no evidence of presence"),
        }
    }

    async fn close_presences(&mut self, why: Closed) {
        let present = self.session.queries().iter().filter(|query| query.is_presence);
        let present: Vec<_> = present.map(|query| (query.query_id, query.name.clone(), query.args.clone())).collect();
        for (query_id, name, args) in present {
            self.session.set_presence(query_id, false);
            self.presence_closed(&name, &args, why).await;
        }
    }

    async fn presence_closed(&mut self, name: &str, args: &str, why: Closed) {
        let Some(presence) = self.app.registry.find(name).ok().and_then(Entry::presence) else { return };
        if let Err(error) = presence.closed(&self.app, &self.caller, &parse(args), &self.id, why).await {
            tracing::warn!(%error, function = name, "cannot record that somebody left");
        }
    }

    fn send(&mut self, message: &ServerMessage) {
        match serde_json::to_string(message) {
            Ok(text) => {
                self.sent_at = Instant::now();
                self.io.push(Message::Text(text.into()));
            }
            Err(error) => tracing::error!(%error, "a message cannot be written"),
        }
    }

    async fn finish(mut self, end: End) {
        self.close_presences(end.why).await;
        for topic in self.session.queries().iter().flat_map(|query| &query.topics) {
            self.app.hub.unwatch(topic, &self.waker);
        }
        if let Some(id) = self.caller.credential_id() {
            self.app.hub.unwatch(&Topic::Credential(id.clone()), &self.waker);
        }
        if let Some((code, reason)) = end.close {
            self.io.push(Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })));
            self.io.finish(FINISH).await;
        }
    }
}

/// The arguments as a function takes them; they were text of ours.
fn parse(args: &str) -> Value {
    serde_json::from_str(args).map(value::normalise).unwrap_or_default()
}

/// How long until the next fallback poll: sockets that were opened together do not poll together.
fn fallback(app: &App) -> Duration {
    let usual = app.fallback_ms.load(Ordering::Relaxed);
    let jitter = RandomState::new().hash_one(()) % (usual * 2 / 5 + 1);
    Duration::from_millis(usual - usual / 5 + jitter)
}

#[cfg(test)]
mod tests {
    fn size_of_future<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_socket_that_waits_is_small() {
        let future = size_of_future(super::serve);
        assert!(future <= 2048, "the task of a socket has {future} bytes");
    }
}
