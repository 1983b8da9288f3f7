//! The seam to what the operating system knows of processes: who is alive, who descends from whom, and signals that reach
//! exactly the process that was meant.
//!
//! A pid alone names nothing for long. A process is its pid, its start time and the boot that it belongs to; a signal goes
//! out only after all three were compared. Linux is tested; the macOS half is written from its documentation.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;

#[cfg(not(target_os = "linux"))]
mod macos;
#[cfg(not(target_os = "linux"))]
use macos as os;

use chatroom_protocol::id::AgentId;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::io;
use std::time::{Duration, Instant};

/// The environment variable that every process of an agent inherits; its value is the agent's id.
pub const RUN_ID_VARIABLE: &str = "CHATROOM_RUN_ID";

/// One process, so exactly that another one with the same pid is not mistaken for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessId {
    /// The number that people see.
    pub pid: u32,
    /// When it started, in clock ticks since boot (on macOS a number that only grows).
    pub start_time: u64,
    /// This life of the kernel.
    pub boot_id: String,
}

/// A line of the process table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Process id.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// When it started, in the unit of [`ProcessId::start_time`].
    pub start_time: u64,
    /// Whether it has ended and waits for its parent to notice.
    pub zombie: bool,
    /// Whether a signal has stopped it, until another one continues it.
    pub stopped: bool,
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// It was sent to the process that was meant.
    Sent,
    /// That process is gone (its pid may belong to another one now, which got nothing).
    Gone,
}

impl ProcessId {
    /// This process.
    ///
    /// # Errors
    /// The process table or the boot id cannot be read.
    pub fn current() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// The process that has this pid now.
    ///
    /// # Errors
    /// There is none, or the process table or the boot id cannot be read.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = os::stat(pid).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no process {pid}")))?;
        Ok(Self { pid, start_time: stat.start_time, boot_id: boot_id()? })
    }

    /// Whether this very process still runs; one that has ended and only waits to be noticed does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot_id)
            && os::stat(self.pid).is_some_and(|stat| !stat.zombie && stat.start_time == self.start_time)
    }

    /// Whether this very process is held by a stop signal (as `kill -STOP` or Ctrl-Z do): it lives, and does nothing.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_alive() && os::stat(self.pid).is_some_and(|stat| stat.stopped && stat.start_time == self.start_time)
    }

    /// Sends a signal to this very process, never to another one that got its pid.
    ///
    /// # Errors
    /// It lives, but the signal is not allowed.
    pub fn signal_exact(&self, signal: Signal) -> io::Result<Signalled> {
        if boot_id()? != self.boot_id {
            return Ok(Signalled::Gone);
        }
        os::signal_if(self.pid, self.start_time, signal)
    }

    /// A descriptor that becomes readable when this process ends; none when it has ended already.
    ///
    /// # Errors
    /// The system has no such descriptors, or no more of them.
    pub fn watch(&self) -> io::Result<Option<std::os::fd::OwnedFd>> {
        if !self.is_alive() {
            return Ok(None);
        }
        let descriptor = os::watch(self.pid)?;
        // Compared again: the descriptor may be of a process that got the pid in between.
        Ok(if self.is_alive() { Some(descriptor) } else { None })
    }
}

/// This life of the kernel.
///
/// # Errors
/// It cannot be read.
pub fn boot_id() -> io::Result<String> {
    os::boot_id()
}

/// The memory that the parent of a process has for itself, with its share of what it has in common with others (PSS), in bytes.
/// None where the system does not tell.
#[must_use]
pub fn memory_of_parent(pid: u32) -> Option<u64> {
    os::memory(os::stat(pid)?.parent)
}

/// Makes this process the one that orphans below it are given to. Does nothing where the system knows no such thing.
///
/// # Errors
/// The system refused.
pub fn adopt_orphans() -> io::Result<()> {
    os::adopt_orphans()
}

/// Keeps the descriptors of this process to itself: what it starts from now on gets its standard input, output and error,
/// and nothing that whoever started this process had left open.
pub fn keep_descriptors() {
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
}

/// Every living process below `root`, which is not in the list itself.
#[must_use]
pub fn descendants(root: u32) -> Vec<ProcessStat> {
    let all = os::all();
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for stat in all.iter().filter(|stat| stat.parent == parent && stat.pid != root) {
            parents.push(stat.pid);
            found.push(stat.clone());
        }
    }
    found.retain(|stat| !stat.zombie);
    found
}

/// Every living process whose environment carries the run id of `agent`, this process left out.
#[must_use]
pub fn with_run_id(agent: &AgentId) -> Vec<ProcessStat> {
    os::with_environment_entry(RUN_ID_VARIABLE, agent.as_str())
        .into_iter()
        .filter(|stat| !stat.zombie && stat.pid != std::process::id())
        .collect()
}

/// Ends every process that `list` finds, again and again until it finds none: first freezes them, so that none forks
/// away, then kills. `between` runs after each round (to reap). Gives whether none was left before `limit` was over.
pub fn kill_until_none(list: impl Fn() -> Vec<ProcessStat>, mut between: impl FnMut(), limit: Duration) -> bool {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        let found = list();
        if found.is_empty() {
            return true;
        }
        signal_all(&found, Signal::STOP);
        // Listed again after the freeze: what was forked before it is found now.
        signal_all(&list(), Signal::KILL);
        between();
        if begun.elapsed() >= limit {
            return list().is_empty();
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(30));
    }
}

fn signal_all(processes: &[ProcessStat], signal: Signal) {
    for process in processes {
        // One that is gone or not ours is looked for again in the next round.
        let _ = os::signal_if(process.pid, process.start_time, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn sleeper() -> std::process::Child {
        Command::new("sleep").arg("60").env(RUN_ID_VARIABLE, "run-of-a-test").stdin(Stdio::null()).spawn().unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_of_a_parent_is_told_in_bytes() {
        let mut child = sleeper();
        let bytes = memory_of_parent(child.id()).unwrap();
        assert!((100_000..10_000_000_000).contains(&bytes), "{bytes}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(memory_of_parent(child.id()), None);
    }

    #[test]
    fn a_process_is_alive_until_it_was_killed() {
        let mut child = sleeper();
        let id = ProcessId::of(child.id()).unwrap();
        assert!(id.is_alive());
        assert_eq!(id.signal_exact(Signal::KILL).unwrap(), Signalled::Sent);
        child.wait().unwrap();
        assert!(!id.is_alive());
        assert_eq!(id.signal_exact(Signal::KILL).unwrap(), Signalled::Gone);
        assert!(id.watch().unwrap().is_none());
    }

    #[test]
    fn a_process_that_a_signal_holds_is_told_from_one_that_runs() {
        let mut child = sleeper();
        let id = ProcessId::of(child.id()).unwrap();
        assert!(!id.is_stopped());
        id.signal_exact(Signal::STOP).unwrap();
        let begun = Instant::now();
        while !id.is_stopped() {
            assert!(begun.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(id.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!id.is_stopped());
    }

    #[test]
    fn a_process_with_the_same_pid_but_another_start_gets_no_signal() {
        let mut child = sleeper();
        let id = ProcessId::of(child.id()).unwrap();
        let earlier = ProcessId { start_time: id.start_time - 1, ..id.clone() };
        let other_boot = ProcessId { boot_id: "another".to_owned(), ..id.clone() };
        for stranger in [earlier, other_boot] {
            assert!(!stranger.is_alive());
            assert_eq!(stranger.signal_exact(Signal::KILL).unwrap(), Signalled::Gone);
        }
        assert!(id.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn processes_are_found_by_parent_and_by_run_id_and_all_are_ended() {
        let mut child = sleeper();
        let pid = child.id();
        assert!(descendants(std::process::id()).iter().any(|stat| stat.pid == pid));
        let run = AgentId::from("run-of-a-test");
        let of_child = || with_run_id(&run).into_iter().filter(|stat| stat.pid == pid).collect::<Vec<_>>();
        // The environment is the child's own only after its exec, which spawn has waited for.
        assert_eq!(of_child().len(), 1);
        assert!(with_run_id(&AgentId::from("run-of-a")).is_empty());
        assert!(kill_until_none(of_child, || (), Duration::from_secs(5)));
        child.wait().unwrap();
    }
}
