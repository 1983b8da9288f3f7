//! The agent host: one small process per agent, started by the daemon and independent of its life.
//!
//! It takes the claim of a run directory, starts the tool in the directory that was asked for, speaks with it (`live`), keeps
//! its output, and ends every process that the tool leaves behind. It has one thread and no runtime. SIGTERM means "stop": the
//! tool's input is closed, then its group is asked to end, and after four seconds everything below the host is frozen and killed.

mod child;
mod control;
mod lines;
mod live;

use super::process::{ProcessId, RUN_ID_VARIABLE, adopt_orphans, keep_descriptors};
use super::run_dir::{Refused, RunDir, Spec, Started};
use crate::clock;
use crate::daemon::failpoint;
use chatroom_protocol::agent::AgentExit;
use chatroom_protocol::command::FailureCode;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitStatus};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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

    match run.spec() {
        Ok(spec) => live::host(run, &spec, &mut signals),
        // It is gone, or of a version that started tools in another way.
        Err(error) => {
            let message = format!("the start order of the agent cannot be read: {error}");
            refuse(run, &Refused { code: FailureCode::StorageFailed, message })
        }
    }
}

fn refuse(run: &RunDir, refused: &Refused) -> io::Result<()> {
    run.remove_secrets();
    let _ = std::fs::remove_dir_all(run.tmp());
    run.put_refused(refused)
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
