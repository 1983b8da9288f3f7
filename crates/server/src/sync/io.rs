//! A socket that sends what it was given while it receives: a peer that does not read holds nobody up but itself.

use axum::extract::ws::{Message, WebSocket};
use futures_util::{Sink as _, Stream as _};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// While this many frames wait for the peer, nothing more is received from it.
const MAX_UNSENT: usize = 32;

/// What has happened on the socket.
#[derive(Debug)]
pub enum Event {
    /// The peer said something.
    Frame(Message),
    /// Everything that was given to it has been sent.
    Drained,
    /// The connection is over.
    Gone,
}

/// A WebSocket and what waits to be sent over it.
pub struct Io {
    socket: WebSocket,
    unsent: VecDeque<Message>,
    is_flushing: bool,
    /// Since when the peer takes nothing of what waits.
    stalled: Option<Instant>,
    is_drained_told: bool,
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io").field("unsent", &self.unsent.len()).finish_non_exhaustive()
    }
}

impl Io {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(socket: WebSocket) -> Self {
        Self { socket, unsent: VecDeque::new(), is_flushing: false, stalled: None, is_drained_told: true }
    }

    /// Gives a frame to send.
    pub fn push(&mut self, frame: Message) {
        self.stalled.get_or_insert_with(Instant::now);
        self.is_drained_told = false;
        self.unsent.push_back(frame);
    }

    /// Whether everything that was given has been sent.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.unsent.is_empty() && !self.is_flushing
    }

    /// Whether the peer is listened to.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.unsent.len() < MAX_UNSENT
    }

    /// Since when the peer has taken nothing, although something waits for it.
    #[must_use]
    pub fn stalled(&self) -> Option<Instant> {
        self.stalled
    }

    /// Sends, and receives while `receive` says so, until there is news. Cancel safe.
    pub async fn next(&mut self, receive: bool) -> Event {
        poll_fn(|cx| self.poll(cx, receive)).await
    }

    /// News that is there already.
    pub async fn now(&mut self) -> Option<Event> {
        poll_fn(|cx| match self.poll(cx, true) {
            Poll::Ready(event) => Poll::Ready(Some(event)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Sends what waits, within this time.
    pub async fn finish(mut self, within: Duration) {
        let flushed = async { while let Event::Frame(_) = self.next(false).await {} };
        drop(tokio::time::timeout(within, flushed).await);
    }

    fn poll(&mut self, cx: &mut Context<'_>, receive: bool) -> Poll<Event> {
        match self.poll_send(cx) {
            Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone),
            Poll::Ready(Ok(())) => {
                self.stalled = None;
                if !std::mem::replace(&mut self.is_drained_told, true) {
                    return Poll::Ready(Event::Drained);
                }
            }
            Poll::Pending => {}
        }
        if !receive || !self.listens() {
            return Poll::Pending;
        }
        Poll::Ready(match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
            Some(Ok(frame)) => Event::Frame(frame),
            Some(Err(_)) | None => Event::Gone,
        })
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        loop {
            if self.is_flushing {
                ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
                self.is_flushing = false;
                self.stalled = (!self.unsent.is_empty()).then(Instant::now);
            }
            if self.unsent.is_empty() {
                return Poll::Ready(Ok(()));
            }
            ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
            if let Some(frame) = self.unsent.pop_front() {
                Pin::new(&mut self.socket).start_send(frame)?;
                self.is_flushing = true;
            }
        }
    }
}
