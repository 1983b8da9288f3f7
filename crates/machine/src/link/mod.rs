//! The live link: subscriptions over the sync socket that outlive the socket.
//!
//! A link owns one task with one socket. Every new connection is told everything again, so a subscription sees a cut only as
//! [`LinkEvent::Down`], [`LinkEvent::Up`] and the newest answer. Only the newest answer counts: a slow reader costs no memory.
//! Mutations do not go over the link; they are HTTP calls. Proxies of the environment are not used by the link.

pub(crate) mod backoff;
mod driver;
mod inbox;
mod session;
#[cfg(test)]
mod tests;

use crate::{Secret, ServerUrl};
use backoff::{Backoff, Jitter};
use chatroom_protocol::{ErrorCode, Function, Refusal};
use driver::Shared;
use inbox::{Inbox, Item, Status};
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Gives the token for the next connection; asked each time, so that a later login heals the link. It may read a small file.
pub type TokenSource = Arc<dyn Fn() -> Option<Secret> + Send + Sync>;

/// A token that stays the same.
#[must_use]
pub fn fixed_token(token: Secret) -> TokenSource {
    Arc::new(move || Some(token.clone()))
}

/// What happens to a subscription.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkEvent<T> {
    /// The newest answer of the query. Answers in between may be left out; after a cut the answer comes again, changed or not.
    Value(T),
    /// The server refuses the query, or (code `unauthenticated`) the credential; the link keeps trying, with the token of then.
    Refused(Refusal),
    /// The connection is lost or cannot be made; the link keeps trying. Told once until the next [`LinkEvent::Up`].
    Down {
        /// Why, for a person.
        reason: String,
    },
    /// The server has taken the connection and its credential.
    Up,
}

/// A link to one server. Cheap to clone; the connection ends when the last clone and the last subscription are dropped, or
/// when `shutdown` is cancelled.
#[derive(Clone, Debug)]
pub struct Link {
    shared: Arc<Shared>,
    alive: Arc<DropGuard>,
}

/// The link's limits of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timings {
    /// To make a connection.
    connect: Duration,
    /// Without any frame: the server is gone.
    silence: Duration,
    /// First and longest pause between tries.
    pauses: (Duration, Duration),
    /// A connection that holds so long was a good one.
    steady: Duration,
    /// Between tries with a refused token.
    refused_retry: Duration,
    /// Between looks whether there is another token.
    token_check: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            pauses: (Duration::from_millis(100), Duration::from_secs(15)),
            steady: Duration::from_secs(5),
            refused_retry: Duration::from_secs(10),
            token_check: Duration::from_secs(1),
        }
    }
}

impl Link {
    /// Opens a link; must be called in a tokio runtime. Connects in the background.
    #[must_use]
    pub fn open(server: &ServerUrl, token: TokenSource, shutdown: CancellationToken) -> Self {
        Self::open_with(server, token, shutdown, Timings::default(), backoff::random())
    }

    fn open_with(
        server: &ServerUrl,
        token: TokenSource,
        shutdown: CancellationToken,
        timings: Timings,
        jitter: Jitter,
    ) -> Self {
        let shared = Arc::new(Shared::new(uuid::Uuid::new_v4().to_string()));
        let backoff = Backoff::new(timings.pauses.0, timings.pauses.1, jitter);
        let stop = shutdown.child_token();
        tokio::spawn(driver::run(Arc::clone(&shared), server.clone(), token, timings, backoff, stop.clone()));
        Self { shared, alive: Arc::new(stop.drop_guard()) }
    }

    /// Subscribes a query; the subscription ends when dropped.
    #[must_use]
    pub fn subscribe<F: Function>(&self, args: &F::Args) -> Subscription<F> {
        let args = serde_json::to_value(args).unwrap_or(Value::Null);
        Subscription { raw: self.subscribe_untyped(F::NAME, args), function: PhantomData }
    }

    /// Subscribes a query by its canonical name (`module.function`); values come as they are.
    #[must_use]
    pub fn subscribe_untyped(&self, name: &str, args: Value) -> RawSubscription {
        let (id, inbox) = self.shared.subscribe(name, args);
        RawSubscription { shared: Arc::clone(&self.shared), id, inbox, _alive: Arc::clone(&self.alive) }
    }
}

/// A live query.
pub struct Subscription<F> {
    raw: RawSubscription,
    function: PhantomData<fn() -> F>,
}

impl<F: Function> Subscription<F> {
    /// The next event; `None` when the link has ended (shutdown). Cancel safe.
    pub async fn next(&mut self) -> Option<LinkEvent<F::Output>> {
        Some(match self.raw.next().await? {
            LinkEvent::Value(value) => match serde_json::from_value(value) {
                Ok(value) => LinkEvent::Value(value),
                Err(error) => LinkEvent::Refused(
                    Refusal::new(
                        ErrorCode::Internal,
                        format!(
                            "the server answered {} in a way that this version does not understand: {error}",
                            F::NAME
                        ),
                    )
                    .hint("use the same version of chatroom on server and machine"),
                ),
            },
            LinkEvent::Refused(refusal) => LinkEvent::Refused(refusal),
            LinkEvent::Down { reason } => LinkEvent::Down { reason },
            LinkEvent::Up => LinkEvent::Up,
        })
    }
}

impl<F: Function> fmt::Debug for Subscription<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({})", F::NAME)
    }
}

/// A live query by name.
#[derive(Debug)]
pub struct RawSubscription {
    shared: Arc<Shared>,
    id: u32,
    inbox: Arc<Inbox>,
    _alive: Arc<DropGuard>,
}

impl RawSubscription {
    /// The next event; `None` when the link has ended (shutdown). Cancel safe.
    pub async fn next(&mut self) -> Option<LinkEvent<Value>> {
        loop {
            return Some(match self.inbox.next().await? {
                Item::Answer(Ok(value)) => LinkEvent::Value(value),
                Item::Answer(Err(refusal)) | Item::Link(Status::Refused(refusal)) => LinkEvent::Refused(refusal),
                Item::Link(Status::Down(reason)) => LinkEvent::Down { reason },
                Item::Link(Status::Up) => LinkEvent::Up,
                Item::Link(Status::Connecting) => continue,
            });
        }
    }
}

impl Drop for RawSubscription {
    fn drop(&mut self) {
        self.shared.unsubscribe(self.id);
    }
}
