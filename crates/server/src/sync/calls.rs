//! The mutations of one socket: they run one at a time, in the order in which they came, while everything else goes on.

use super::result::Outcome;
use crate::app::App;
use crate::registry::Request;
use chatroom_protocol::Kind;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::{JoinError, JoinHandle};

/// Mutations that may wait; beyond, the socket is not listened to.
const MAX_WAITING: usize = 1000;
/// Bytes that waiting mutations may hold.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A mutation that waits for its turn.
#[derive(Debug)]
pub struct Waiting {
    /// The client's number for it.
    pub request_id: u32,
    /// Canonical name of the function.
    pub name: String,
    /// The call, by the caller of the moment when it came.
    pub request: Request,
    /// How many bytes its message had.
    pub bytes: usize,
}

#[derive(Debug)]
struct Running {
    request_id: u32,
    committing: Arc<AtomicBool>,
    task: JoinHandle<Outcome>,
}

/// The mutations of one socket. One that runs when the socket ends runs to its end: the client asks for its outcome again.
#[derive(Debug, Default)]
pub struct Calls {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    running: Option<Running>,
}

impl Calls {
    /// Takes a mutation in.
    pub fn push(&mut self, call: Waiting) {
        self.bytes += call.bytes;
        self.waiting.push_back(call);
    }

    /// Whether more may come.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING && self.bytes < MAX_BYTES
    }

    /// Begins the next, if none runs.
    pub fn start(&mut self, app: &Arc<App>) {
        if self.running.is_some() {
            return;
        }
        let Some(Waiting { request_id, name, request, bytes }) = self.waiting.pop_front() else { return };
        self.bytes -= bytes;
        let committing = request.replay_key.as_ref().map(|call| Arc::clone(&call.committing)).unwrap_or_default();
        let app = Arc::clone(app);
        let task = tokio::spawn(async move { app.call(&name, Some(Kind::Mutation), &request).await });
        self.running = Some(Running { request_id, committing, task });
    }

    /// Whether one runs whose effects may be seen already, though it has not been answered.
    #[must_use]
    pub fn is_committing(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.committing.load(Ordering::SeqCst))
    }

    /// The outcome of the one that runs; never, while none does. Cancel safe.
    ///
    /// # Errors
    /// When it panicked.
    pub async fn done(&mut self) -> Result<(u32, Outcome), JoinError> {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let outcome = (&mut running.task).await;
        let request_id = running.request_id;
        self.running = None;
        Ok((request_id, outcome?))
    }
}
