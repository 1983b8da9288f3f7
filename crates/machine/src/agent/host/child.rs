//! A run of the tool with its three pipes, none of which may ever block the host.

use super::lines::Lines;
use super::{exit_of, spawn};
use crate::agent::run_dir::{Refused, RunDir, Spec};
use crate::agent::session::Run;
use chatroom_protocol::agent::AgentExit;
use chatroom_protocol::command::FailureCode;
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, WaitStatus};
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::process::Stdio;
use std::time::Instant;

/// Bytes that may wait for a tool that does not read.
const OUTGOING_BYTES: usize = 32 * 1024 * 1024;
/// Bytes that are read of one pipe before others have their turn.
const ROUND_BYTES: usize = 64 * 1024;

/// A run.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: Pid,
    pub(super) status: Option<WaitStatus>,
    pub(super) stdin: Option<PipeWriter>,
    pub(super) stdout: Option<PipeReader>,
    pub(super) stderr: Option<PipeReader>,
    /// Since when its end is wanted, when that is so.
    pub(super) ending: Option<Instant>,
    /// Since when it has closed its standard output, or its standard input before everything was written.
    pub(super) closed: Option<Instant>,
    outgoing: Vec<u8>,
    /// Whether nothing follows what waits to be written.
    is_last: bool,
    lines: Lines,
}

impl Child {
    /// Starts `wanted`.
    pub(super) fn start(run: &RunDir, spec: &Spec, wanted: Run) -> Result<Self, Refused> {
        let failed = |error: io::Error| Refused {
            code: FailureCode::SpawnFailed,
            message: format!("the tool cannot be started: {error}"),
        };
        let pipe = || {
            let (reader, writer) = io::pipe()?;
            Ok((reader, writer))
        };
        let (their_stdin, stdin) = pipe().map_err(failed)?;
        let (stdout, their_stdout) = pipe().map_err(failed)?;
        let (stderr, their_stderr) = pipe().map_err(failed)?;
        for ours in [ioctl_fionbio(&stdin, true), ioctl_fionbio(&stdout, true), ioctl_fionbio(&stderr, true)] {
            ours.map_err(|error| failed(error.into()))?;
        }
        let pid = spawn(
            run,
            spec,
            &wanted.args,
            [Stdio::from(their_stdin), Stdio::from(their_stdout), Stdio::from(their_stderr)],
        )?;
        let is_last = wanted.stdin.is_some();
        let mut child = Self {
            pid,
            status: None,
            stdin: Some(stdin),
            stdout: Some(stdout),
            stderr: Some(stderr),
            ending: None,
            closed: None,
            outgoing: wanted.stdin.unwrap_or_default().into_bytes(),
            is_last,
            lines: Lines::default(),
        };
        child.send();
        Ok(child)
    }

    /// Writes a line, now or when the tool reads. False: it does not read, and too much waits already.
    pub(super) fn say(&mut self, line: &str) -> bool {
        if self.stdin.is_none() || self.is_last {
            return true;
        }
        self.outgoing.extend_from_slice(line.as_bytes());
        self.outgoing.push(b'\n');
        self.send();
        self.outgoing.len() <= OUTGOING_BYTES
    }

    /// Whether something waits to be written.
    pub(super) fn has_more_to_say(&self) -> bool {
        self.stdin.is_some() && !self.outgoing.is_empty()
    }

    /// Closes its standard input once everything is written.
    pub(super) fn close_stdin(&mut self) {
        self.is_last = true;
        self.send();
    }

    /// Writes what the tool takes now.
    pub(super) fn send(&mut self) {
        while let Some(stdin) = self.stdin.as_mut().filter(|_| !self.outgoing.is_empty()) {
            match stdin.write(&self.outgoing) {
                Ok(count) if count > 0 => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It has closed its end.
                _ => {
                    self.stdin = None;
                    self.closed.get_or_insert_with(Instant::now);
                }
            }
        }
        if self.is_last || self.stdin.is_none() {
            self.stdin = None;
            self.outgoing = Vec::new();
        } else {
            self.outgoing.shrink_to(ROUND_BYTES);
        }
    }

    /// Reads what it has written on its standard output, a round of it, and gives each line. False: nothing is there now.
    pub(super) fn read_lines(&mut self, mut each: impl FnMut(String)) -> bool {
        let lines = &mut self.lines;
        let had_some = read(&mut self.stdout, |bytes| lines.push(bytes, &mut each));
        if self.stdout.is_none() {
            self.closed.get_or_insert_with(Instant::now);
            if let Some(rest) = lines.rest() {
                each(rest);
            }
        }
        had_some
    }

    /// Reads what it has written on its standard error, a round of it.
    pub(super) fn read_errors(&mut self, mut each: impl FnMut(&[u8])) -> bool {
        read(&mut self.stderr, &mut each)
    }

    /// Gives what it has written without the end of a line, when it has ended.
    pub(super) fn last_line(&mut self) -> Option<String> {
        self.lines.rest()
    }

    /// Asks the whole group to end.
    pub(super) fn ask_to_end(&self) {
        // A group that is gone has ended by itself.
        let _ = rustix::process::kill_process_group(self.pid, Signal::TERM);
    }

    /// How it has ended.
    pub(super) fn exit(&self) -> AgentExit {
        self.status.map_or(AgentExit::Lost, exit_of)
    }
}

fn read(pipe: &mut Option<PipeReader>, mut each: impl FnMut(&[u8])) -> bool {
    let mut buffer = [0; 16 * 1024];
    let mut total = 0;
    while total < ROUND_BYTES {
        let Some(open) = pipe else { break };
        match open.read(&mut buffer) {
            Ok(0) => *pipe = None,
            Ok(count) => {
                total += count;
                each(&buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => *pipe = None,
        }
    }
    total > 0
}
