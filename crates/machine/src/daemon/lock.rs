//! One daemon for one chatroom directory: an OS file lock that is held for the daemon's life.
//!
//! The lock ends with its process, however that ends, so nothing stale can block a start. What stands in the locked file
//! and in `daemon.pid` only tells people and `daemon stop` who holds it.

use crate::agent::process::ProcessId;
use crate::home::{FileLock, Home, write_private};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// How long to wait for the holder to have written its name after taking the lock.
const NAME_WAIT: Duration = Duration::from_millis(500);

/// What holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    /// `chatroom machine daemon start`.
    Daemon,
    /// `chatroom up`, which has a daemon inside.
    Up,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Daemon => "daemon",
            Self::Up => "chatroom up",
        })
    }
}

/// Who holds the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LockedBy {
    /// Its process.
    pub process: ProcessId,
    /// What it is.
    pub holder: Holder,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A daemon runs.
    #[error("daemon is already running ({})", describe(.0.as_ref()))]
    AlreadyRunning(Option<LockedBy>),
    /// The lock's file cannot be used.
    #[error("the lock of the daemon cannot be taken")]
    File(#[source] io::Error),
}

/// The lock, held until dropped.
#[derive(Debug)]
pub struct DaemonLock {
    home: Home,
    _lock: FileLock,
}

impl DaemonLock {
    /// Takes the lock of `home` for this process and writes `daemon.pid`.
    ///
    /// # Errors
    /// [`LockError::AlreadyRunning`] when somebody holds it.
    pub fn take(home: &Home, holder: Holder) -> Result<Self, LockError> {
        home.create().map_err(LockError::File)?;
        let lock = Self::try_take(home)?;
        let process = ProcessId::current().map_err(LockError::File)?;
        let name = serde_json::to_vec(&LockedBy { process, holder }).map_err(|error| LockError::File(error.into()))?;
        // In place: replacing the file would leave the lock on the old one.
        fs::write(home.daemon_lock(), name).map_err(LockError::File)?;
        write_private(&home.daemon_pid(), format!("{}\n", std::process::id()).as_bytes()).map_err(LockError::File)?;
        Ok(Self { home: home.clone(), _lock: lock })
    }

    fn try_take(home: &Home) -> Result<FileLock, LockError> {
        let begun = Instant::now();
        loop {
            if let Some(lock) = FileLock::try_acquire(&home.daemon_lock()).map_err(LockError::File)? {
                return Ok(lock);
            }
            // Without a living name it is somebody who asks for the holder and lets go at once, or a holder that has not
            // told its name yet.
            let by = named(home);
            if by.is_some() || begun.elapsed() > NAME_WAIT {
                return Err(LockError::AlreadyRunning(by));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Who holds the lock of `home` now; none when nobody does. Inner none: somebody who has not told its name.
    ///
    /// # Errors
    /// The lock's file cannot be used.
    pub fn holder(home: &Home) -> io::Result<Option<Option<LockedBy>>> {
        if !home.daemon_lock().exists() {
            return Ok(None);
        }
        match FileLock::try_acquire(&home.daemon_lock())? {
            Some(_free) => Ok(None),
            None => Ok(Some(named_soon(home))),
        }
    }
}

impl Drop for DaemonLock {
    fn drop(&mut self) {
        // For people: a file that is left after a crash means nothing.
        let _ = fs::remove_file(self.home.daemon_pid());
    }
}

/// The living process that is named in the locked file. Right after the lock was taken it is not there yet.
fn named(home: &Home) -> Option<LockedBy> {
    let bytes = fs::read(home.daemon_lock()).unwrap_or_default();
    serde_json::from_slice::<LockedBy>(&bytes).ok().filter(|by| by.process.is_alive())
}

/// The same, waited for a little.
fn named_soon(home: &Home) -> Option<LockedBy> {
    let begun = Instant::now();
    loop {
        let named = named(home);
        if named.is_some() || begun.elapsed() > NAME_WAIT {
            return named;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn describe(by: Option<&LockedBy>) -> String {
    match by {
        Some(LockedBy { process, holder: Holder::Daemon }) => format!("pid {}", process.pid),
        Some(LockedBy { process, holder: Holder::Up }) => format!("pid {}, inside `chatroom up`", process.pid),
        None => "pid unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::process::{Child, Command, Stdio};

    const HOME_VARIABLE: &str = "TEST_LOCK_HOME";

    /// Not a test: takes the lock in a process of its own, tells whether it got it, and holds it until its input ends.
    #[test]
    fn lock_process() {
        let Some(home) = std::env::var_os(HOME_VARIABLE) else { return };
        match DaemonLock::take(&Home::at(home), Holder::Daemon) {
            Ok(_lock) => {
                println!("\ntaken");
                let _ = std::io::stdin().read_to_end(&mut Vec::new());
            }
            Err(error) => println!("\n{error}"),
        }
    }

    fn contender(home: &Home) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "daemon::lock::tests::lock_process", "--nocapture"])
            .env(HOME_VARIABLE, home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn answer(child: &mut Child) -> String {
        use std::io::BufRead as _;
        let output = std::io::BufReader::new(child.stdout.as_mut().unwrap());
        output.lines().map(Result::unwrap).find(|line| *line == "taken" || line.contains("already running")).unwrap()
    }

    #[test]
    fn of_two_processes_at_once_one_wins_and_the_other_learns_who() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path().join("home"));
        for _ in 0..5 {
            let mut both = [contender(&home), contender(&home)];
            let mut answers = [String::new(), String::new()];
            for (child, text) in both.iter_mut().zip(&mut answers) {
                *text = answer(child);
            }
            let winner = answers.iter().position(|text| text == "taken").unwrap();
            let pid = both[winner].id();
            assert_eq!(answers[1 - winner], format!("daemon is already running (pid {pid})"));
            let holder = DaemonLock::holder(&home).unwrap().unwrap().unwrap();
            assert_eq!((holder.process.pid, holder.holder), (pid, Holder::Daemon));
            // SIGKILL: the system lets go of the lock.
            both[winner].kill().unwrap();
            for child in &mut both {
                drop(child.stdin.take());
                child.wait().unwrap();
            }
            assert_eq!(DaemonLock::holder(&home).unwrap(), None);
        }
    }

    #[test]
    fn a_stale_name_with_the_pid_of_a_living_process_blocks_nobody() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path());
        let process = ProcessId::current().unwrap();
        let stale = LockedBy { process, holder: Holder::Daemon };
        fs::write(home.daemon_lock(), serde_json::to_vec(&stale).unwrap()).unwrap();
        fs::write(home.daemon_pid(), format!("{}\n", std::process::id())).unwrap();
        assert_eq!(DaemonLock::holder(&home).unwrap(), None);
        let lock = DaemonLock::take(&home, Holder::Up).unwrap();
        let error = DaemonLock::take(&home, Holder::Daemon).unwrap_err().to_string();
        assert!(error.ends_with("inside `chatroom up`)"), "{error}");
        drop(lock);
        assert!(!home.daemon_pid().exists());
        DaemonLock::take(&home, Holder::Daemon).unwrap();
    }
}
