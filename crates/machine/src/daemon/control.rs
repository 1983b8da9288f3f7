//! The daemon seen from other processes: start it in the background, ask how it is, stop it.
//!
//! A stop is a signal to exactly the process that holds the lock (SIGINT ends the agents, SIGUSR1 leaves them); it is done
//! when the lock is free. A start is done when the daemon says so over the pipe that it got as its standard output.

use super::StopMode;
use super::lock::{DaemonLock, Holder, LockError, LockedBy};
use super::state::{Connection, DaemonState};
use crate::agent::process::{RUN_ID_VARIABLE, Signalled, keep_descriptors};
use crate::home::Home;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The hidden subcommand that is the daemon in the background.
pub const SUBCOMMAND: &str = "daemon-run";
/// How long a start waits for the connection before it says why there is none yet.
pub const START_WAIT: Duration = Duration::from_secs(15);
/// How long a stop waits for the daemon to be gone.
pub const STOP_WAIT: Duration = Duration::from_secs(12);
/// A log that is longer at a start begins anew; the old one is kept beside it.
const LOG_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// What the daemon says over its standard output while it starts: one JSON document a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "kebab-case")]
pub enum StartReport {
    /// It is connected; nothing follows.
    Connected,
    /// It is not connected yet and tries on.
    Waiting {
        /// Why.
        reason: String,
    },
    /// It ends.
    Failed {
        /// Why.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
}

/// A daemon that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackgroundStart {
    /// It is connected.
    Connected {
        /// Its process id.
        pid: u32,
    },
    /// It runs, but is not connected yet; it keeps trying.
    NotConnected {
        /// Its process id.
        pid: u32,
        /// Why not.
        reason: String,
    },
}

/// Why no daemon was started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// One runs already, or the lock cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It ended right away.
    #[error("{message}")]
    Failed {
        /// Why.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// Something of the system failed.
    #[error("the daemon cannot be {what}")]
    System {
        /// `started`, `stopped`.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The daemon is part of `chatroom up`.
    #[error("the daemon runs inside `chatroom up` (pid {pid})")]
    InsideUp {
        /// Its process id.
        pid: u32,
    },
    /// It did not end in time.
    #[error("the daemon (pid {pid}) did not end within {} seconds", STOP_WAIT.as_secs())]
    WouldNotEnd {
        /// Its process id.
        pid: u32,
    },
}

impl ControlError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Lock(LockError::AlreadyRunning(_)) => Some(
                "see `chatroom machine daemon status`; `chatroom machine daemon restart` starts it anew".to_owned(),
            ),
            Self::Failed { hint, .. } => hint.clone(),
            Self::InsideUp { .. } => Some("end `chatroom up` with Ctrl-C in its terminal".to_owned()),
            Self::WouldNotEnd { pid } => {
                Some(format!("see its log with `chatroom machine daemon logs`; `kill -9 {pid}` ends it in any case"))
            }
            Self::Lock(LockError::File(_)) | Self::System { .. } => None,
        }
    }
}

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// No daemon runs.
    NotRunning,
    /// One runs.
    Running {
        /// Who holds the lock; none while it has not told its name.
        by: Option<LockedBy>,
        /// What it tells of itself; none while it has not told anything.
        state: Option<DaemonState>,
    },
}

/// Asks how the daemon of `home` is. Blocks for half a second at most.
///
/// # Errors
/// The lock's file cannot be used.
pub fn status(home: &Home) -> io::Result<Status> {
    let Some(by) = DaemonLock::holder(home)? else { return Ok(Status::NotRunning) };
    let pid = by.as_ref().map(|by| by.process.pid);
    // A state of an earlier daemon says nothing about this one.
    let state = DaemonState::load(home).filter(|state| Some(state.pid) == pid);
    Ok(Status::Running { by, state })
}

/// Starts the daemon of `home` in the background: this program with the subcommand `daemon-run` and `args`. Returns when
/// it is connected or after [`START_WAIT`]. Blocks the thread.
///
/// # Errors
/// [`ControlError`]: it runs already, or it ended, and why.
pub fn start_background(home: &Home, args: &[String]) -> Result<BackgroundStart, ControlError> {
    if let Some(by) = DaemonLock::holder(home).map_err(LockError::File)? {
        return Err(LockError::AlreadyRunning(by).into());
    }
    let started = |source| ControlError::System { what: "started", source };
    home.create().map_err(started)?;
    let log = open_log(home).map_err(started)?;
    let mut command = Command::new(std::env::current_exe().map_err(started)?);
    command.arg(SUBCOMMAND).args(args).env("CHATROOM_HOME", home.path()).current_dir("/");
    // Started from inside an agent it is still nobody's agent.
    for variable in [RUN_ID_VARIABLE, "CHATROOM_AGENT_ID", "CHATROOM_CREDENTIAL_FILE"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    keep_descriptors();
    let child = command.spawn().map_err(started)?;
    await_start(child, START_WAIT)
}

fn await_start(mut child: Child, limit: Duration) -> Result<BackgroundStart, ControlError> {
    let pid = child.id();
    let (reports, reported) = mpsc::sync_channel(16);
    if let Some(output) = child.stdout.take() {
        // Ends with the daemon's last report, or stays behind for the rest of this short-lived program.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(report) = serde_json::from_str::<StartReport>(&line) else { continue };
                if reports.send(report).is_err() {
                    break;
                }
            }
        });
    }
    let begun = Instant::now();
    let mut reason = "it has not told why".to_owned();
    loop {
        match reported.recv_timeout(limit.saturating_sub(begun.elapsed())) {
            Ok(StartReport::Connected) => return Ok(BackgroundStart::Connected { pid }),
            Ok(StartReport::Waiting { reason: newer }) => reason = newer,
            Ok(StartReport::Failed { message, hint }) => return Err(ControlError::Failed { message, hint }),
            Err(mpsc::RecvTimeoutError::Timeout) => return Ok(BackgroundStart::NotConnected { pid, reason }),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                return Err(ControlError::Failed {
                    message: format!("the daemon ended at its start ({status})"),
                    hint: Some("see its log with `chatroom machine daemon logs`".to_owned()),
                });
            }
        }
    }
}

/// Stops the daemon of `home` and waits until it is gone. False: none was running. Blocks the thread.
///
/// # Errors
/// [`ControlError`]: it is part of `chatroom up`, or it did not end.
pub fn stop(home: &Home, mode: StopMode) -> Result<bool, ControlError> {
    let stopped = |source| ControlError::System { what: "stopped", source };
    let by = match DaemonLock::holder(home).map_err(stopped)? {
        None => return Ok(false),
        Some(None) => return Err(stopped(io::Error::other("it has not told its process id; try again"))),
        Some(Some(by)) => by,
    };
    let pid = by.process.pid;
    if by.holder == Holder::Up {
        return Err(ControlError::InsideUp { pid });
    }
    let signal = match mode {
        StopMode::EndAgents => Signal::INT,
        StopMode::ShutDown => Signal::TERM,
        StopMode::KeepAgents => Signal::USR1,
    };
    if by.process.signal_exact(signal).map_err(stopped)? == Signalled::Gone {
        return Ok(true);
    }
    // One that is held by a stop signal hears the other one only when it goes on. That does nothing to one that runs.
    by.process.signal_exact(Signal::CONT).map_err(stopped)?;
    let begun = Instant::now();
    while begun.elapsed() < STOP_WAIT {
        match DaemonLock::holder(home).map_err(stopped)? {
            Some(Some(now)) if now == by => std::thread::sleep(Duration::from_millis(20)),
            Some(None) => {}
            _ => return Ok(true),
        }
    }
    Err(ControlError::WouldNotEnd { pid })
}

/// The daemon's end of [`start_background`]: its own session, and its standard output as the pipe for reports.
#[derive(Debug)]
pub struct Announcer {
    /// None once the last word was said.
    output: Option<io::Stdout>,
}

impl Announcer {
    /// Makes this process a daemon of its own session. Call it before anything is printed.
    #[must_use]
    pub fn detach() -> Self {
        // Refused when it leads a group already, as when a service manager started it.
        let _ = rustix::process::setsid();
        Self { output: Some(io::stdout()) }
    }

    /// Reports to whoever started this daemon. After the last word the pipe is closed and nothing is said any more.
    pub fn tell(&mut self, report: &StartReport) {
        let Some(output) = &mut self.output else { return };
        // Whoever started this may be gone.
        if let Ok(line) = serde_json::to_string(report) {
            let _ = writeln!(output, "{line}").and_then(|()| output.flush());
        }
        if !matches!(report, StartReport::Waiting { .. }) {
            self.output = None;
            if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
                let _ = rustix::stdio::dup2_stdout(&null);
            }
        }
    }

    /// Reports how the daemon stands with its server.
    pub fn tell_connection(&mut self, connection: &Connection) {
        match connection {
            Connection::Connected => self.tell(&StartReport::Connected),
            Connection::Retrying { reason } | Connection::WaitingForLogin { reason } => {
                self.tell(&StartReport::Waiting { reason: reason.clone() });
            }
            Connection::Connecting | Connection::Stopping => {}
        }
    }
}

fn open_log(home: &Home) -> io::Result<fs::File> {
    let path = home.daemon_log();
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LOG_LIMIT_BYTES) {
        fs::rename(&path, path.with_extension("1.log"))?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        Command::new("/bin/sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn a_start_returns_with_the_first_connection() {
        let child =
            shell(r#"echo noise; echo '{"tell":"waiting","reason":"r"}'; echo '{"tell":"connected"}'; exec sleep 1"#);
        let pid = child.id();
        assert_eq!(await_start(child, Duration::from_secs(30)).unwrap(), BackgroundStart::Connected { pid });
        let _ = crate::agent::process::ProcessId::of(pid).unwrap().signal_exact(Signal::KILL);
    }

    #[test]
    fn a_start_tells_why_there_is_no_connection_yet() {
        let child = shell(r#"echo '{"tell":"waiting","reason":"no server"}'; exec sleep 30"#);
        let pid = child.id();
        let started = await_start(child, Duration::from_millis(500)).unwrap();
        assert_eq!(started, BackgroundStart::NotConnected { pid, reason: "no server".to_owned() });
        let _ = crate::agent::process::ProcessId::of(pid).unwrap().signal_exact(Signal::KILL);
    }

    #[test]
    fn a_daemon_that_ends_tells_why_or_its_exit_is_told() {
        let told = shell(r#"echo '{"tell":"failed","message":"not signed in","hint":"sign in"}'"#);
        let error = await_start(told, Duration::from_secs(30)).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.hint().as_deref()), ("not signed in", Some("sign in")));
        let error = await_start(shell("exit 3"), Duration::from_secs(30)).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    #[test]
    fn nothing_runs_in_an_empty_home() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path().join("none"));
        assert_eq!(status(&home).unwrap(), Status::NotRunning);
        assert!(!stop(&home, StopMode::EndAgents).unwrap());
        assert!(!home.path().exists());
    }

    #[test]
    fn the_daemon_inside_up_is_not_stopped_from_outside() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path());
        let _lock = DaemonLock::take(&home, Holder::Up).unwrap();
        assert!(matches!(stop(&home, StopMode::EndAgents), Err(ControlError::InsideUp { .. })));
        let Status::Running { by: Some(by), state: None } = status(&home).unwrap() else { panic!("it runs") };
        assert_eq!(by.process.pid, std::process::id());
        assert!(matches!(start_background(&home, &[]), Err(ControlError::Lock(LockError::AlreadyRunning(Some(_))))));
    }
}
