//! The agent host: one small process per agent, started by the daemon and independent of its life.
//!
//! It takes the claim of a run directory, starts the tool in the directory that was asked for, speaks with it (`live`), keeps
//! its output, and ends every process that the tool leaves behind. It has one thread and no runtime. SIGTERM means "stop": the
//! tool's group is asked to end, and after three seconds everything below the host is frozen and killed.

mod child;
mod control;
mod lines;
mod live;

use super::output_log::OutputLog;
use super::process::{ProcessId, RUN_ID_VARIABLE, adopt_orphans, descendants, keep_descriptors, kill_until_none};
use super::run_dir::{Ended, Refused, RunDir, Spec, Started, Stdin};
use crate::clock;
use crate::daemon::failpoint;
use crate::home::create_private_dir;
use chatroom_protocol::agent::AgentExit;
use chatroom_protocol::command::FailureCode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use std::fs::File;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the tool may take to end by itself when it is asked to.
pub const TERM_GRACE: Duration = Duration::from_secs(3);
/// How long what the tool left behind may take to end by itself once the tool is gone.
const LEFTOVER_GRACE: Duration = Duration::from_millis(200);
/// How long killing may take before it is given up.
const KILL_LIMIT: Duration = Duration::from_millis(2500);
/// Signals that mean "stop".
const STOP_SIGNALS: [i32; 2] = [Signal::TERM.as_raw(), Signal::INT.as_raw()];

/// Runs the host of the run directory `run_dir` to the end of its agent; the hidden subcommand `agent-host RUN_DIR`. Call
/// it before any thread is started. Gives the exit code: 0 when the run ended or belongs to another host, 1 when this
/// host failed.
#[must_use]
pub fn run_host(run_dir: &Path) -> i32 {
    let run = RunDir::at(run_dir);
    match host(&run) {
        Ok(()) => 0,
        Err(error) => {
            // The daemon gave this process a file as its standard error.
            let _ = writeln!(io::stderr(), "agent host: {error}");
            1
        }
    }
}

fn host(run: &RunDir) -> io::Result<()> {
    // Refused when the host leads a process group already; then it was started from a shell by hand.
    let _ = rustix::process::setsid();
    keep_descriptors();
    let mut signals = Signals::register()?;
    if !run.take_claim(&ProcessId::current()?)? {
        return Ok(());
    }
    failpoint::hit("after_host_claim");
    adopt_orphans()?;

    let spec = match run.spec() {
        Ok(spec) => spec,
        Err(error) => {
            let message = format!("the start order of the agent cannot be read: {error}");
            run.remove_secrets();
            return run.put_refused(&Refused { code: FailureCode::StorageFailed, message });
        }
    };
    if let Some(session) = &spec.session {
        return live::host(run, &spec, session, &mut signals);
    }
    let tool = match start(run, &spec) {
        Ok(tool) => tool,
        Err(refused) => {
            run.remove_secrets();
            let _ = std::fs::remove_dir_all(run.tmp());
            return run.put_refused(&refused);
        }
    };
    let started = tell_started(run, Some(tool.pid));
    run.remove_used();
    // A host that cannot tell of its tool must not let it run unseen.
    let stop_at_once = started.is_err();
    let mut tool = tool;
    let (status, stopped) =
        attend(&mut tool, &mut signals, &mut OutputLog::new(run.clone(), spec.log_limit_bytes), stop_at_once)?;
    let exit = match status {
        _ if stopped => AgentExit::Stopped,
        Some(status) => exit_of(status),
        None => AgentExit::Lost,
    };
    run.finish(&Ended { exit, exited_at: clock::now(), stopped })?;
    started
}

/// A tool that was started.
struct Tool {
    pid: Pid,
    output: Option<PipeReader>,
}

fn start(run: &RunDir, spec: &Spec) -> Result<Tool, Refused> {
    enter(&spec.cwd)?;
    let refused =
        |code, what: &str, error: &dyn std::fmt::Display| Refused { code, message: format!("{what}: {error}") };
    let storage = |error: io::Error| refused(FailureCode::StorageFailed, "the run directory cannot be used", &error);
    create_private_dir(&run.tmp()).map_err(storage)?;
    let stdin = match spec.stdin {
        Stdin::Prompt => Stdio::from(File::open(run.prompt()).map_err(storage)?),
        Stdin::Null => Stdio::null(),
    };
    let spawn_failed = |error: io::Error| refused(FailureCode::SpawnFailed, "the tool cannot be started", &error);
    let (output, writer) = io::pipe().map_err(spawn_failed)?;
    let stdio = [stdin, Stdio::from(writer.try_clone().map_err(spawn_failed)?), Stdio::from(writer)];
    let pid = spawn(run, spec, &spec.args, stdio)?;
    Ok(Tool { pid, output: Some(output) })
}

/// Starts the tool in the directory of this process, at the head of a group of its own. It is waited for by pid, with all
/// the orphans.
fn spawn(run: &RunDir, spec: &Spec, args: &[String], [stdin, stdout, stderr]: [Stdio; 3]) -> Result<Pid, Refused> {
    let mut command = Command::new(&spec.program);
    command
        .args(args)
        .env_clear()
        .envs(&spec.env)
        .env("PWD", &spec.cwd)
        .env("TMPDIR", run.tmp())
        .env(RUN_ID_VARIABLE, spec.agent_id.as_str())
        .process_group(0)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr);
    let child = command.spawn().map_err(|error| not_spawned(&spec.program, &error))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| not_spawned(&spec.program, &io::Error::other("the system gave no process id")))
}

fn not_spawned(program: &Path, error: &io::Error) -> Refused {
    let shown = program.display();
    let missing = |what: &str| Refused { code: FailureCode::ToolMissing, message: format!("{shown} {what}: {error}") };
    match error.kind() {
        io::ErrorKind::NotFound => missing("is not there (any more)"),
        io::ErrorKind::PermissionDenied => missing("may not be run"),
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            missing("is not a program that this machine can run")
        }
        _ => Refused { code: FailureCode::SpawnFailed, message: format!("the tool cannot be started: {error}") },
    }
}

/// Looks whether a program could be started, for a tool that is started later.
fn usable_program(program: &Path) -> Result<(), Refused> {
    let found = std::fs::metadata(program).map_err(|error| not_spawned(program, &error))?;
    let may_run = rustix::fs::access(program, rustix::fs::Access::EXEC_OK);
    if !found.is_file() || may_run.is_err() {
        return Err(not_spawned(program, &io::ErrorKind::PermissionDenied.into()));
    }
    Ok(())
}

/// Makes `cwd` the directory of this process, so that the tool starts in the very directory that was looked at.
fn enter(cwd: &Path) -> Result<(), Refused> {
    let refused = |code, why: &str| Refused { code, message: format!("the working directory {} {why}", cwd.display()) };
    #[cfg(target_os = "linux")]
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let entered = rustix::fs::open(cwd, flags, Mode::empty()).and_then(rustix::process::fchdir);
    entered.map_err(|error| match error {
        Errno::NOENT => refused(FailureCode::WorkingDirMissing, "does not exist"),
        Errno::NOTDIR => refused(FailureCode::WorkingDirDenied, "is not a directory"),
        Errno::ACCESS | Errno::PERM => refused(FailureCode::WorkingDirDenied, "may not be entered"),
        error => refused(FailureCode::WorkingDirDenied, &format!("cannot be entered: {error}")),
    })
}

/// Writes the start down and wakes the daemon, which waits for the end of this process's standard output.
/// Without a process of its own between its runs, the tool is this process.
fn tell_started(run: &RunDir, tool: Option<Pid>) -> io::Result<()> {
    let pid = tool.map_or(Ok(std::process::id()), |tool| u32::try_from(tool.as_raw_nonzero().get()));
    let pid = pid.unwrap_or_default();
    let told = ProcessId::of(pid).and_then(|tool| run.put_started(&Started { tool, started_at: clock::now() }));
    // Also when that failed: the daemon must not wait for ever. Its directory is left so that it can be unmounted.
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
    let _ = rustix::process::chdir("/");
    told
}

/// Keeps the output and waits for the end: of the tool by itself, or by a stop. At the end no process is left below this
/// one. Gives the tool's status and whether it was stopped.
fn attend(
    tool: &mut Tool,
    signals: &mut Signals,
    log: &mut OutputLog,
    stop_at_once: bool,
) -> io::Result<(Option<WaitStatus>, bool)> {
    let mut status = None;
    let mut stop_begun = None;
    if stop_at_once {
        signals.stop.store(true, Ordering::SeqCst);
    }
    loop {
        reap(tool.pid, &mut status);
        if status.is_some() {
            break;
        }
        if signals.stop.load(Ordering::SeqCst) && stop_begun.is_none() {
            stop_begun = Some(Instant::now());
            // A group that is gone has ended by itself; its status comes with the next round.
            let _ = rustix::process::kill_process_group(tool.pid, Signal::TERM);
        }
        let wait = match stop_begun {
            None => None,
            Some(begun) => match TERM_GRACE.checked_sub(begun.elapsed()) {
                Some(left) => Some(left),
                None => break,
            },
        };
        keep_output(tool, signals, log, wait)?;
    }
    let stopped = stop_begun.is_some();
    let own = std::process::id();
    let leftover_begun = Instant::now();
    while status.is_some() && !descendants(own).is_empty() {
        let Some(left) = LEFTOVER_GRACE.checked_sub(leftover_begun.elapsed()) else { break };
        keep_output(tool, signals, log, Some(left.min(Duration::from_millis(20))))?;
        reap(tool.pid, &mut status);
    }
    let killed = kill_until_none(|| descendants(own), || reap(tool.pid, &mut status), KILL_LIMIT);
    reap(tool.pid, &mut status);
    // What is still in the pipe; somebody who escaped may hold it open, so its end is not waited for.
    while tool.output.is_some() && keep_output(tool, signals, log, Some(Duration::ZERO))? {}
    if killed { Ok((status, stopped)) } else { Err(io::Error::other("some processes of the agent would not end")) }
}

/// Waits at most `wait` for output or a signal and keeps the output. Gives whether there was output.
fn keep_output(
    tool: &mut Tool,
    signals: &mut Signals,
    log: &mut OutputLog,
    wait: Option<Duration>,
) -> io::Result<bool> {
    let wait = wait.map(|wait| Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() });
    let (signalled, readable) = {
        let mut watched = vec![PollFd::new(&signals.wake, PollFlags::IN)];
        watched.extend(tool.output.as_ref().map(|output| PollFd::new(output, PollFlags::IN)));
        match poll(&mut watched, wait.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        (!watched[0].revents().is_empty(), watched.get(1).is_some_and(|fd| !fd.revents().is_empty()))
    };
    if signalled {
        signals.clear();
    }
    let Some(output) = tool.output.as_mut().filter(|_| readable) else { return Ok(false) };
    let mut buffer = [0; 16 * 1024];
    match output.read(&mut buffer) {
        Ok(0) => tool.output = None,
        Ok(count) => {
            log.write(&buffer[..count]);
            return Ok(true);
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(false)
}

/// Reaps everything that has ended below this process; keeps the status of the tool.
fn reap(tool: Pid, status: &mut Option<WaitStatus>) {
    while let Ok(Some((pid, ended))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == tool {
            *status = Some(ended);
        }
    }
}

fn exit_of(status: WaitStatus) -> AgentExit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => AgentExit::Code { code },
        (None, Some(signal)) => AgentExit::Signal { signal },
        (None, None) => AgentExit::Lost,
    }
}

/// The signals that a host lives by: a stop, and the end of a child.
struct Signals {
    stop: Arc<AtomicBool>,
    wake: UnixStream,
}

impl Signals {
    fn register() -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        for signal in STOP_SIGNALS {
            // The flag first: whoever is woken sees it.
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
            signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
        }
        signal_hook::low_level::pipe::register(Signal::CHILD.as_raw(), waker)?;
        // A hang-up of some terminal is not for the agent.
        signal_hook::flag::register(Signal::HUP.as_raw(), Arc::new(AtomicBool::new(false)))?;
        Ok(Self { stop, wake })
    }

    fn clear(&mut self) {
        let mut buffer = [0; 64];
        while self.wake.read(&mut buffer).is_ok_and(|count| count > 0) {}
    }
}

#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod tests;
