//! When a waiting command is to end: TERM, HUP, INT, or nobody reads its output any more.

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How often the output is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Gives a token that is cancelled by TERM, HUP or INT, and, with `output`, when the reader of stdout is gone.
pub(crate) fn on_signal(output: bool) -> Result<CancellationToken> {
    watch(Some(signal(SignalKind::interrupt())?), output)
}

/// Gives a token that is cancelled by TERM or HUP, or when the reader of stdout is gone: for those that take INT by themselves.
pub(crate) fn on_end() -> Result<CancellationToken> {
    watch(None, true)
}

/// INT, again and again.
pub(crate) struct Interrupts(Signal);

impl Interrupts {
    /// Listens from now on; INT does not end the process any more.
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self(signal(SignalKind::interrupt())?))
    }

    /// The next one. Cancel safe.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

fn watch(interrupt: Option<Signal>, output: bool) -> Result<CancellationToken> {
    let mut signals = [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    let stopped = CancellationToken::new();
    let token = stopped.clone();
    tokio::spawn(async move {
        let [term, hup] = &mut signals;
        let interrupted = async {
            match interrupt {
                Some(mut signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        let closed = async {
            if !output {
                return std::future::pending().await;
            }
            while !is_output_closed() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = hup.recv() => {}
            _ = interrupted => {}
            () = closed => {}
        }
        token.cancel();
    });
    Ok(stopped)
}

/// Whether nobody can read what is printed any more.
pub(crate) fn is_output_closed() -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now))
        .is_ok_and(|_| fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL))
}
