//! Runs a program for a moment: no input, a limit of time, a limit of output, and nothing of it left behind.

use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::{Instant, sleep_until, timeout};

/// How much output is kept of each stream, in bytes. More is read and thrown away.
const KEEP: usize = 1024 * 1024;
/// How long to wait for output after the program itself has ended: something that it started may hold the pipe.
const REST: Duration = Duration::from_millis(500);

/// How a short run ended.
#[derive(Debug)]
pub(crate) enum Ran {
    /// It ended by itself.
    Exited { status: ExitStatus, stdout: Vec<u8>, stderr: Vec<u8> },
    /// It was killed at the limit, with everything that it had started.
    TimedOut,
    /// It could not be started.
    NotStarted(io::Error),
}

/// Kills the process group when a run is given up in the middle.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody left in the group is what we want.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs `command` to its end or for `limit`. The command must make its process the leader of a group.
pub(crate) async fn run(mut command: Command, limit: Duration) -> Ran {
    let deadline = Instant::now() + limit;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ran::NotStarted(error),
    };
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (status, ended) = {
        let reading = async { tokio::join!(read(&mut out, &mut stdout), read(&mut err, &mut stderr)) };
        tokio::pin!(reading);
        let mut ended = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                _ = &mut reading, if !ended => ended = true,
                () = sleep_until(deadline) => return Ran::TimedOut,
            }
        };
        if !ended {
            ended = timeout(REST, &mut reading).await.is_ok();
        }
        (status, ended)
    };
    if ended {
        // Nothing of it lives: its number may belong to others already.
        group.0 = None;
    }
    match status {
        Ok(status) => Ran::Exited { status, stdout, stderr },
        Err(error) => Ran::NotStarted(error),
    }
}

async fn read(stream: &mut Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(stream) = stream else { return };
    let mut buffer = [0; 4096];
    while let Ok(count) = stream.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        let room = KEEP.saturating_sub(into.len()).min(count);
        into.extend_from_slice(&buffer[..room]);
    }
}
