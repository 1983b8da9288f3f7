//! `chatroom machine daemon`: the background process of this machine.

use crate::agent_log::tail_of;
use crate::cli::Daemon;
use crate::context::Context;
use crate::duration::show;
use crate::error::{Refused, Said, refused};
use crate::stop::on_signal;
use crate::ui::one_line;
use crate::{log, program};
use anyhow::Result;
use chatroom_machine::config::Config;
use chatroom_machine::daemon::control::{Announcer, BackgroundStart};
use chatroom_machine::daemon::service::Service;
use chatroom_machine::daemon::{
    self, Connection, DaemonError, DaemonState, Holder, LockedBy, Options, Status, StopMode,
};
use chatroom_machine::identity::{self, Fingerprint};
use chatroom_machine::{ServerUrl, clock};
use rustix::fs::Access;
use serde_json::json;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

/// How often the log is looked at for more.
const LOOK: Duration = Duration::from_millis(300);

/// Runs a `machine daemon` command.
pub(crate) async fn run(context: &Context, command: Daemon) -> Result<()> {
    match command {
        Daemon::Start { foreground: true } => foreground(context).await,
        Daemon::Start { foreground: false } => start(context, None),
        Daemon::Stop { keep_agents } => stop(context, keep_agents),
        Daemon::Status => status(context),
        Daemon::Restart => restart(context),
        Daemon::Logs { lines, follow } => logs(context, lines, follow).await,
        Daemon::Install => install(context),
        Daemon::Uninstall => uninstall(context),
    }
}

/// The daemon in the background: the process that `start` made.
pub(crate) async fn run_daemon(context: &Context) -> Result<()> {
    // First of all: what is printed from now on is for whoever started this.
    let announcer = Announcer::detach();
    log::init(false);
    let options = options(context)?;
    daemon::run_process(&context.home, options, Some(announcer)).await.map_err(told)
}

async fn foreground(context: &Context) -> Result<()> {
    log::init(false);
    daemon::run_process(&context.home, options(context)?, None).await.map_err(told)
}

fn options(context: &Context) -> Result<Options> {
    let mut options = Options::new(Holder::Daemon, program::path()?);
    if let Some(server) = &context.global.server {
        options.server = Some(ServerUrl::parse(server, context.global.insecure_http)?);
    }
    Ok(options)
}

/// What a daemon stands on: a directory that can be written, and files that can be understood.
///
/// # Errors
/// What is wrong with which file, and what to do.
pub(crate) fn check_files(context: &Context) -> Result<()> {
    let path = context.home.path();
    let writable = |()| rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK).map_err(Into::into);
    context.home.create().and_then(writable).map_err(|error| {
        refused(format!("the directory {} cannot be used", path.display()))
            .hint("check owner and mode (0700) of it and of what is above it, or name another with CHATROOM_HOME")
            .caused_by(error)
    })?;
    Config::load(&context.home)?;
    identity::load_or_create(&context.home, &Fingerprint::read(), clock::now())?;
    Ok(())
}

/// `kept` is the server of the daemon before, if that is to stay.
fn start(context: &Context, kept: Option<String>) -> Result<()> {
    check_files(context)?;
    if let Status::Running { by: Some(by), .. } = daemon::status(&context.home)?
        && by.holder == Holder::Up
    {
        let state = DaemonState::load(&context.home);
        if let Some(DaemonState { connection: Connection::WaitingForLogin { reason }, server, .. }) = state {
            let pid = by.process.pid;
            let what = format!("daemon is running (pid {pid}, inside `chatroom up`), but not signed in: {reason}");
            return Err(refused(what).hint(format!("chatroom auth login --server={server}")).into());
        }
        return Err(refused(format!("daemon is already running (pid {}, inside `chatroom up`)", by.process.pid))
            .hint("nothing needs to be done; for a daemon of its own, end `chatroom up` with Ctrl-C first")
            .into());
    }
    let (pid, reason) = match background(context, kept)? {
        BackgroundStart::Connected { pid } => (pid, None),
        BackgroundStart::NotConnected { pid, reason } => (pid, Some(reason)),
    };
    let answer = json!({"pid": pid, "connected": reason.is_none(), "reason": reason});
    context.ui.answer(&answer, |_| match &reason {
        None => format!("daemon is running (pid {pid}), connected"),
        Some(reason) => format!("daemon is running (pid {pid}), but not connected yet: {}", one_line(reason)),
    })?;
    Ok(())
}

/// Starts a daemon in the background; `kept` as in [`start`].
fn background(context: &Context, kept: Option<String>) -> Result<BackgroundStart> {
    let mut args = Vec::new();
    // The daemon before has talked to it: its decision about plain http stands.
    let insecure = context.global.insecure_http || kept.as_ref().is_some_and(|server| server.starts_with("http://"));
    if let Some(server) = kept.as_ref().or(context.global.server.as_ref()) {
        args.push(format!("--server={server}"));
    }
    if insecure {
        args.push("--insecure-http".to_owned());
    }
    daemon::start_background(&context.home, &args).map_err(control)
}

fn stop(context: &Context, keep_agents: bool) -> Result<()> {
    let mode = if keep_agents { StopMode::KeepAgents } else { StopMode::EndAgents };
    let was_running = daemon::stop(&context.home, mode).map_err(control)?;
    let said = if was_running { "daemon is stopped" } else { "daemon is not running" };
    Ok(context.ui.answer(&json!({"wasRunning": was_running}), |_| said.to_owned())?)
}

fn restart(context: &Context) -> Result<()> {
    // A login elsewhere has changed the default server since: that does not move the daemon.
    let kept = match &context.global.server {
        Some(_) => None,
        None => {
            DaemonState::load(&context.home).filter(|state| state.holder == Holder::Daemon).map(|state| state.server)
        }
    };
    daemon::stop(&context.home, StopMode::KeepAgents).map_err(control)?;
    start(context, kept)
}

fn service(context: &Context) -> Result<Service> {
    let user_home = std::env::home_dir()
        .ok_or_else(|| refused("your home directory cannot be told").hint("set HOME, then try again"))?;
    let mut args: Vec<String> = context.global.server.iter().map(|server| format!("--server={server}")).collect();
    if context.global.insecure_http {
        args.push("--insecure-http".to_owned());
    }
    Ok(Service { home: context.home.clone(), user_home, cli: program::path()?, args })
}

fn install(context: &Context) -> Result<()> {
    check_files(context)?;
    let service = service(context)?;
    service.check().map_err(|error| refused(format!("{error}; nothing was changed")).hint(error.hint()))?;
    // The one that runs makes room for the service's; its agents go on.
    let server = DaemonState::load(&context.home).map(|state| state.server);
    let was_running = daemon::stop(&context.home, StopMode::KeepAgents).map_err(control)?;
    let missing = match service.install() {
        Ok(missing) => missing,
        Err(error) => {
            let now = match was_running.then(|| background(context, server)) {
                None => "nothing was changed",
                Some(Ok(_)) => "the daemon runs again as before",
                Some(Err(_)) => "the daemon is stopped",
            };
            return Err(refused(format!("{error}; {now}")).hint(error.hint()).into());
        }
    };
    if let Some(missing) = &missing {
        context.ui.note(missing)?;
    }
    let file = service.file();
    let answer = json!({"file": file, "startsAtBoot": missing.is_none()});
    Ok(context.ui.answer(&answer, |_| format!("the daemon is a service now: {}", file.display()))?)
}

fn uninstall(context: &Context) -> Result<()> {
    let service = service(context)?;
    let removed = service.uninstall().map_err(|error| refused(error.to_string()).hint(error.hint()))?;
    let said = if removed {
        "the daemon is no service any more; agents that ran go on, and `chatroom machine daemon start` finds them"
    } else {
        "the daemon was not installed as a service"
    };
    Ok(context.ui.answer(&json!({"removed": removed}), |_| said.to_owned())?)
}

fn status(context: &Context) -> Result<()> {
    match daemon::status(&context.home)? {
        Status::NotRunning => {
            context.ui.answer(&json!({"running": false}), |_| "daemon is not running".to_owned())?;
            Err(Said.into())
        }
        Status::Running { by, state } => {
            let pid = by.as_ref().map(|by| by.process.pid);
            let is_stopped = by.as_ref().is_some_and(|by| by.process.is_stopped());
            let answer = json!({"running": true, "pid": pid, "stoppedBySignal": is_stopped, "state": state});
            if let (Some(pid), true) = (pid, is_stopped) {
                context.ui.answer(&answer, |_| {
                    format!(
                        "daemon is stopped by a signal (pid {pid}) and does nothing; `kill -CONT {pid}` continues it"
                    )
                })?;
                return Err(Said.into());
            }
            Ok(context.ui.answer(&answer, |_| describe(by.as_ref(), state.as_ref()))?)
        }
    }
}

fn describe(by: Option<&LockedBy>, state: Option<&DaemonState>) -> String {
    let mut text = match by {
        Some(by) if by.holder == Holder::Up => {
            format!("daemon is running inside `chatroom up` (pid {})", by.process.pid)
        }
        Some(by) => format!("daemon is running (pid {})", by.process.pid),
        None => "daemon is running".to_owned(),
    };
    if let Some(state) = state {
        let now = clock::now();
        let connection = match &state.connection {
            Connection::Connecting => "connecting".to_owned(),
            Connection::Connected => "connected".to_owned(),
            Connection::Retrying { reason } => format!("not connected: {}", one_line(reason)),
            Connection::WaitingForLogin { reason } => {
                format!(
                    "waits for a login ({}): chatroom auth login --server={}",
                    one_line(reason),
                    one_line(&state.server)
                )
            }
            Connection::Stopping => "stopping".to_owned(),
        };
        let since = show(now.since(state.since));
        let age = show(now.since(state.started_at));
        let server = one_line(&state.server);
        let count = state.agents.len();
        text.push_str(&format!(
            "\nserver {server}: {connection}, for {since}\nversion {}, started {age} ago, {count} agents",
            state.version
        ));
    }
    text
}

async fn logs(context: &Context, lines: usize, follow: bool) -> Result<()> {
    let path = context.home.daemon_log();
    if !path.exists() {
        return Err(refused("the daemon has written no log").hint("start it: chatroom machine daemon start").into());
    }
    context.ui.say(&tail_of(&path, lines)?)?;
    if !follow {
        return Ok(());
    }
    let stopped = on_signal(true)?;
    let mut position = std::fs::metadata(&path)?.len();
    while !stopped.is_cancelled() {
        let added = read_from(&path, &mut position)?;
        if !added.is_empty() {
            context.ui.say(added.trim_end_matches('\n'))?;
        }
        tokio::select! {
            () = stopped.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    Ok(())
}

/// What was added after `position`; a file that became shorter is a new one.
fn read_from(path: &Path, position: &mut u64) -> Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    if length < *position {
        *position = 0;
    }
    file.seek(SeekFrom::Start(*position))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    *position += bytes.len() as u64;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A daemon that ended, as the command line tells it.
pub(crate) fn told(error: DaemonError) -> anyhow::Error {
    with_hint(error.hint(), error)
}

fn control(error: daemon::ControlError) -> anyhow::Error {
    with_hint(error.hint(), error)
}

fn with_hint(hint: Option<String>, error: impl std::error::Error + Send + Sync + 'static) -> anyhow::Error {
    let refused: Refused = refused(error.to_string());
    let refused = match hint {
        Some(hint) => refused.hint(hint),
        None => refused,
    };
    // The same words again are not told twice; what is behind them is.
    refused.caused_by(error).into()
}
