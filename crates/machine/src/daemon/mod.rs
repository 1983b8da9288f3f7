//! The daemon: this machine's half of every command.
//!
//! It holds the lock of the chatroom directory, dials out to the server, carries out what it is told and keeps word of every
//! agent. It can be killed at any instant: the journal, the run directories and one snapshot restore the truth. What to do
//! is decided by the supervisor, which does no I/O; everything else here carries that out.

pub mod control;
mod detection;
mod driver;
pub mod failpoint;
mod hosts;
pub mod journal;
pub mod local;
pub mod lock;
mod runs;
pub mod service;
mod session;
pub mod state;
mod steady;
pub mod supervisor;
mod tasks;

pub use control::{BackgroundStart, ControlError, Status, start_background, status, stop};
pub use lock::{DaemonLock, Holder, LockError, LockedBy};
pub use state::{Connection, DaemonState};

use crate::agent::process::keep_descriptors;
use crate::{Home, ServerUrl};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What becomes of the agents when the daemon stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// They are stopped too.
    EndAgents,
    /// They are stopped too, because the machine shuts down: they are started again when it is back.
    ShutDown,
    /// They go on and are found again by the next daemon.
    KeepAgents,
}

impl StopMode {
    /// Whether the agents end with the daemon.
    #[must_use]
    pub const fn ends_agents(self) -> bool {
        matches!(self, Self::EndAgents | Self::ShutDown)
    }
}

/// Asks a daemon to stop. Clones ask the same daemon.
#[derive(Clone, Debug)]
pub struct Shutdown {
    mode: watch::Sender<Option<StopMode>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { mode: watch::Sender::new(None) }
    }
}

impl Shutdown {
    /// Asks for a stop. Asked to keep the agents while it ends them, the daemon leaves those that still live and goes.
    pub fn request(&self, mode: StopMode) {
        self.mode.send_if_modified(|now| match now {
            None | Some(StopMode::EndAgents | StopMode::ShutDown) if *now != Some(mode) => {
                *now = Some(mode);
                true
            }
            _ => false,
        });
    }

    /// What was asked for, if anything.
    #[must_use]
    pub fn requested(&self) -> Option<StopMode> {
        *self.mode.borrow()
    }

    /// Follows what is asked for.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<StopMode>> {
        self.mode.subscribe()
    }
}

/// How a daemon is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it is part of.
    pub holder: Holder,
    /// Which server; the default one of the stored logins when absent.
    pub server: Option<ServerUrl>,
    /// Absolute path of this program; prompts and agents name it.
    pub cli_path: PathBuf,
    /// Arguments of this program that make it an agent host; the run directory follows.
    pub host_args: Vec<String>,
    /// A tool that exits with an error so soon after its start has failed to start.
    pub settle: Duration,
}

impl Options {
    /// The options of a daemon of this program.
    #[must_use]
    pub fn new(holder: Holder, cli_path: PathBuf) -> Self {
        Self {
            holder,
            server: None,
            cli_path,
            host_args: vec!["agent-host".to_owned()],
            settle: Duration::from_millis(400),
        }
    }
}

/// Why a daemon ended, other than because it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another one runs.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It cannot begin.
    #[error("{message}")]
    Start {
        /// Why.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A newer daemon of this machine has taken over.
    #[error("another daemon of this machine has taken over")]
    Superseded,
}

impl DaemonError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Lock(LockError::AlreadyRunning(_)) => Some("see `chatroom machine daemon status`".to_owned()),
            Self::Lock(LockError::File(_)) => None,
            Self::Start { hint, .. } => hint.clone(),
            Self::Superseded => Some(
                "if this machine's directory was copied to another machine, run `chatroom machine repair --new` on one of them"
                    .to_owned(),
            ),
        }
    }
}

/// Runs the daemon of `home` until `shutdown` asks it to stop; then it is gone within 10 seconds. `connection` follows how
/// it stands with its server. Must be called in a tokio runtime with time and I/O.
///
/// # Errors
/// [`DaemonError`]: it could not begin, or a newer daemon has taken over. What it can wait for is no error.
pub async fn run(
    home: &Home,
    options: Options,
    shutdown: Shutdown,
    connection: watch::Sender<Connection>,
) -> Result<(), DaemonError> {
    // Before the first host is started.
    keep_descriptors();
    driver::run(home, options, shutdown, connection).await
}

/// Runs the daemon as a process of its own: SIGINT stops it and its agents, SIGTERM too, as a machine that shuts down does;
/// SIGHUP and SIGUSR1 leave the agents. With `announcer` it reports to whoever started it in the background.
///
/// # Errors
/// As [`run`].
pub async fn run_process(
    home: &Home,
    options: Options,
    announcer: Option<control::Announcer>,
) -> Result<(), DaemonError> {
    let shutdown = Shutdown::default();
    let listening = obey_signals(shutdown.clone()).map_err(|error| DaemonError::Start {
        message: format!("the daemon cannot listen to signals: {error}"),
        hint: None,
    })?;
    let _listening = AbortOnDropHandle::new(tokio::spawn(listening));
    let (connection, mut followed) = watch::channel(Connection::Connecting);
    let announcer = Arc::new(Mutex::new(announcer));
    let telling = Arc::clone(&announcer);
    let _telling = AbortOnDropHandle::new(tokio::spawn(async move {
        while followed.changed().await.is_ok() {
            let connection = followed.borrow_and_update().clone();
            if let Some(announcer) = telling.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                announcer.tell_connection(&connection);
            }
        }
    }));
    let result = run(home, options, shutdown, connection).await;
    if let (Err(error), Some(announcer)) = (&result, announcer.lock().unwrap_or_else(PoisonError::into_inner).as_mut())
    {
        announcer.tell(&control::StartReport::Failed { message: error.to_string(), hint: error.hint() });
    }
    result
}

/// Turns signals into wishes. Registered before it returns.
fn obey_signals(shutdown: Shutdown) -> std::io::Result<impl Future<Output = ()>> {
    let mut end = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let mut keep = [signal(SignalKind::hangup())?, signal(SignalKind::user_defined1())?];
    Ok(async move {
        let ([term, int], [hup, usr1]) = (&mut end, &mut keep);
        loop {
            let mode = tokio::select! {
                _ = term.recv() => StopMode::ShutDown,
                _ = int.recv() => StopMode::EndAgents,
                _ = hup.recv() => StopMode::KeepAgents,
                _ = usr1.recv() => StopMode::KeepAgents,
            };
            shutdown.request(mode);
        }
    })
}
