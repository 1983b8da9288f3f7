//! The live link: subscriptions over the sync socket that outlive the socket.

use crate::{Secret, ServerUrl};
use chatroom_protocol::{Function, Refusal};
use std::marker::PhantomData;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Gives the token for the next connection; asked each time, so that a later login heals the link.
pub type TokenSource = Arc<dyn Fn() -> Option<Secret> + Send + Sync>;

/// A token that stays the same.
#[must_use]
pub fn fixed_token(token: Secret) -> TokenSource {
    Arc::new(move || Some(token.clone()))
}

/// What happens to a subscription.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkEvent<T> {
    /// The newest answer of the query. Answers in between may be left out.
    Value(T),
    /// The server refuses the query, or (code `unauthenticated`) the credential; the link keeps trying.
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
pub struct Link {}

impl Link {
    /// Opens a link; must be called in a tokio runtime. Connects in the background.
    #[must_use]
    pub fn open(server: &ServerUrl, token: TokenSource, shutdown: CancellationToken) -> Self {
        let _ = (server, token, shutdown);
        unimplemented!()
    }

    /// Subscribes a query; the subscription ends when dropped.
    #[must_use]
    pub fn subscribe<F: Function>(&self, args: &F::Args) -> Subscription<F> {
        let _ = args;
        unimplemented!()
    }
}

/// A live query.
#[derive(Debug)]
pub struct Subscription<F> {
    function: PhantomData<fn() -> F>,
}

impl<F: Function> Subscription<F> {
    /// The next event; `None` when the link has ended (shutdown). Cancel safe.
    pub async fn next(&mut self) -> Option<LinkEvent<F::Output>> {
        let _ = self.function;
        unimplemented!()
    }
}
