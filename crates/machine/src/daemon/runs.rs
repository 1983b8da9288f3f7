//! The agents of this machine in the flesh: prepares run directories, starts hosts, watches and stops them, and finds
//! everything again after a crash.
//!
//! Whether a tool may be started is decided by the claim of its run directory alone, so everything here may be repeated. An
//! agent has ended when its host has, and nothing that carries its run id is alive.

mod found;
mod stock;

pub(super) use stock::{directories, discard_old, take_stock};

use super::failpoint;
use super::steady::SteadyClock;
use super::supervisor::{Event, StartOutcome, StopReason};
use super::tasks::Tasks;
use crate::agent::environment::{Surroundings, agent_environment};
use crate::agent::launch::{Request, launch};
use crate::agent::process::{ProcessId, Signalled};
use crate::agent::run_dir::{LOG_LIMIT_BYTES, Prepared, Refused, RunDir, Spec};
use crate::credentials::AgentCredential;
use crate::home::Home;
use crate::tools::{Detection, registry};
use crate::{ServerUrl, clock};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::AgentExit;
use chatroom_protocol::command::{CommandFailure, FailureCode, StartOrder};
use chatroom_protocol::id::{AgentId, CommandId};
use found::{Found, allowed_dir};
use rustix::process::Signal;
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use stock::end_of;
use tokio::io::AsyncReadExt as _;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

/// How long a host may take to tell whether its tool was started.
const HOST_WAIT: Duration = Duration::from_secs(15);
/// How long a host may take to stop its agent, before the daemon does it without the host.
const STOP_WAIT: Duration = Duration::from_millis(6_500);
/// How long killing what a host left behind may take.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);
/// Between looks at facts that tell nothing of themselves.
const LOOK: Duration = Duration::from_millis(20);

/// What it takes to start agents.
#[derive(Debug)]
pub(super) struct Runs {
    pub(super) home: Home,
    pub(super) server: ServerUrl,
    pub(super) cli_path: PathBuf,
    pub(super) host_args: Vec<String>,
    pub(super) settle: Duration,
    pub(super) clock: SteadyClock,
    pub(super) daemon: ProcessId,
    pub(super) detection: watch::Receiver<Option<Arc<Detection>>>,
    /// Woken when a tool turned out to be not as it was detected.
    pub(super) detect_again: Arc<Notify>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) tasks: Tasks,

    /// Agents whose end somebody waits for.
    pub(super) watched: Mutex<HashSet<AgentId>>,
}

impl Runs {
    /// Starts the agent of `order`, or finds out what became of its start if its claim is taken. Tells the outcome and
    /// what follows from it as events; `spawned` hears of a new host.
    pub(super) async fn start(
        self: &Arc<Self>,
        command: CommandId,
        order: StartOrder,
        not_after: UnixMs,
        spawned: impl Fn(AgentId, ProcessId),
    ) {
        let agent = order.agent_id.clone();
        let outcome = self.try_start(&command, &order, not_after, spawned).await;
        let mut outcome = outcome.unwrap_or_else(StartOutcome::Failed);
        if let StartOutcome::Failed(failure) = &mut outcome
            && failure.code == FailureCode::ToolMissing
        {
            let install = registry::find(order.tool.as_str()).map(|tool| tool.install.clone());
            failure.hint = failure.hint.take().or(install.filter(|install| !install.is_empty()));
            self.detect_again.notify_one();
        }
        self.tell(Event::StartEnded { command, agent, outcome }).await;
    }

    async fn try_start(
        self: &Arc<Self>,
        command: &CommandId,
        order: &StartOrder,
        not_after: UnixMs,
        spawned: impl Fn(AgentId, ProcessId),
    ) -> Result<StartOutcome, CommandFailure> {
        let agent = &order.agent_id;
        let run = RunDir::of(&self.home.agents_dir(), agent).ok_or_else(|| {
            CommandFailure::new(
                FailureCode::Internal,
                "the server gave the agent an id that is no name for a directory",
            )
        })?;
        let (child, run) = if run.is_claimed() {
            // The claim of the command has made a new credential and revoked the one that the agent has.
            if run.facts().ended.is_none() {
                self.save_credential(&run, order).map_err(storage)?;
            }
            (None, run)
        } else {
            let run = match self.prepare(run.clone(), command, order).await {
                Ok(run) => run,
                Err(failure) => return self.give_up(&run, failure).await,
            };
            if self.clock.now() > not_after {
                let failure =
                    CommandFailure::new(FailureCode::Expired, "its deadline passed before this machine could begin");
                return self.give_up(&run, failure.hint("send it again")).await;
            }
            failpoint::hit("before_spawn");
            match self.spawn_host(&run) {
                Ok(child) => {
                    failpoint::hit("after_spawn");
                    if let Some(host) = child.id().and_then(|pid| ProcessId::of(pid).ok()) {
                        spawned(agent.clone(), host);
                    }
                    (Some(child), run)
                }
                Err(error) => {
                    let message = format!("the process that keeps the agent cannot be started: {error}");
                    return self.give_up(&run, CommandFailure::new(FailureCode::SpawnFailed, message)).await;
                }
            }
        };
        self.follow_start(child, &run, order).await
    }

    /// Makes everything that the host needs. Nothing of it is used until a host has the claim.
    async fn prepare(&self, run: RunDir, command: &CommandId, order: &StartOrder) -> Result<RunDir, CommandFailure> {
        let (tool, found) = self.tool(&order.tool).await?;
        let Found { config, detection, program } = &found;
        let cwd = allowed_dir(Path::new(&order.working_dir), config)?;
        let adapter = detection.adapters.get(&order.tool).map(PathBuf::as_path);
        let state = run.path().join("state");
        let request = Request { order, program, adapter, cli: &self.cli_path, state: &state };
        let launch = launch(&tool, &request)?;
        let surroundings = Surroundings { home: &self.home, config, detection, server: &self.server };
        let env = agent_environment(surroundings, &tool, order, &launch, &run, std::env::vars_os());
        let spec = Spec {
            agent_id: order.agent_id.clone(),
            program: launch.program,
            args: launch.args,
            env,
            cwd,
            log_limit_bytes: LOG_LIMIT_BYTES,
            session: launch.session,
        };
        let prepared = Prepared {
            agent_id: order.agent_id.clone(),
            command_id: command.clone(),
            chatroom_id: order.chatroom_id.clone(),
            role: order.role.clone(),
            tool: order.tool.clone(),
            working_dir: order.working_dir.clone(),
            prepared_at: clock::now(),
        };
        run.prepare(&prepared, &spec, &order.prompt).map_err(storage)?;
        self.save_credential(&run, order).map_err(storage)?;
        Ok(run)
    }

    fn save_credential(&self, run: &RunDir, order: &StartOrder) -> io::Result<()> {
        let token = order.credential.as_str().into();
        let (agent, room) = (order.agent_id.clone(), order.chatroom_id.clone());
        AgentCredential::new(&self.server, token, agent, room, order.role.clone()).save(&run.credential())
    }

    /// Nobody is to start the tool: takes the claim for that. If a host has it, what came of that counts.
    async fn give_up(&self, run: &RunDir, failure: CommandFailure) -> Result<StartOutcome, CommandFailure> {
        let why = Refused { code: failure.code, message: failure.message.clone() };
        match run.fence(&self.daemon, &why) {
            Ok(true) => Err(failure),
            Ok(false) => Ok(self.outcome_of(run).await),
            // Without a directory no host has begun, and none can.
            Err(_) => Err(failure),
        }
    }

    fn spawn_host(&self, run: &RunDir) -> io::Result<Child> {
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(run.host_log())?;
        let mut command = Command::new(&self.cli_path);
        command.args(&self.host_args).arg(run.path()).env_clear().current_dir("/");
        if let Some(point) = std::env::var_os(failpoint::VARIABLE) {
            command.env(failpoint::VARIABLE, point);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(false).spawn()
    }

    /// Waits until it is known whether the tool runs, and whether it fails at once.
    async fn follow_start(
        self: &Arc<Self>,
        child: Option<Child>,
        run: &RunDir,
        order: &StartOrder,
    ) -> Result<StartOutcome, CommandFailure> {
        let agent = &order.agent_id;
        if let Some(mut child) = child {
            if let Some(mut output) = child.stdout.take() {
                // The end of its output is the host's word that it has written down what came of the start.
                let _ = timeout(HOST_WAIT, output.read_to_end(&mut Vec::new())).await;
            }
            if !run.is_claimed() {
                let _ = child.start_kill();
                let message = "the process that keeps the agent ended at its start";
                let failure = CommandFailure::new(FailureCode::SpawnFailed, message)
                    .hint("see host.log in the agent's directory below ~/.chatroom/agents");
                return self.give_up(run, failure).await;
            }
            // Reaped by the runtime when it ends; watched by its descriptor, as every other host.
            drop(child);
        }
        let outcome = self.outcome_of(run).await;
        if let (StartOutcome::Started { pid }, Some(started)) = (&outcome, run.facts().started) {
            self.tell(Event::AgentStarted { agent: agent.clone(), pid: *pid, started_at: started.started_at }).await;
            failpoint::hit("after_started");
        }
        self.watch(agent, run);
        if !matches!(outcome, StartOutcome::Started { .. }) {
            if run.facts().refusal().is_none() {
                // A host that tells nothing must not start its tool later.
                let _ = self.try_stop(agent, run, StopReason::Wanted).await;
            }
            return Ok(outcome);
        }
        self.settled(run, order, outcome).await
    }

    /// Waits until the facts of a claimed run tell what came of its start.
    async fn outcome_of(&self, run: &RunDir) -> StartOutcome {
        let begun = Instant::now();
        loop {
            let facts = run.facts();
            if let Some(refused) = facts.refusal() {
                return StartOutcome::Failed(refused.to_failure());
            }
            if let Some(started) = &facts.started {
                return StartOutcome::Started { pid: started.tool.pid };
            }
            // The start is written before the end, and the end before the host goes.
            let host_is_gone = facts.host().is_none_or(|host| !host.is_alive());
            if facts.ended.is_some() || (host_is_gone && run.facts() == facts) {
                return StartOutcome::Lost;
            }
            if begun.elapsed() > HOST_WAIT {
                return StartOutcome::Failed(CommandFailure::new(
                    FailureCode::SpawnFailed,
                    "the process that keeps the agent does not tell whether its tool was started",
                ));
            }
            sleep(LOOK).await;
        }
    }

    /// A tool that exits with an error right after its start has failed to start.
    async fn settled(
        &self,
        run: &RunDir,
        order: &StartOrder,
        outcome: StartOutcome,
    ) -> Result<StartOutcome, CommandFailure> {
        let settle_ms = i64::try_from(self.settle.as_millis()).unwrap_or(i64::MAX);
        let facts = run.facts();
        let Some(started) = &facts.started else { return Ok(outcome) };
        let age_ms = clock::now().since(started.started_at);
        if let Some(host) = facts.host().filter(|_| facts.ended.is_none() && age_ms < settle_ms) {
            let left = Duration::from_millis((settle_ms - age_ms).unsigned_abs());
            let _ = timeout(left, gone(host)).await;
        }
        let Some(ended) = run.facts().ended else { return Ok(outcome) };
        let at_once = ended.exited_at.since(started.started_at) <= settle_ms && !ended.stopped;
        let how = match ended.exit {
            AgentExit::Code { code } if code != 0 => format!("with exit code {code}"),
            AgentExit::Signal { signal } => format!("by signal {signal}"),
            _ => return Ok(outcome),
        };
        if !at_once {
            return Ok(outcome);
        }
        self.detect_again.notify_one();
        let last = run.last_line().map(|line| format!(": {line}")).unwrap_or_default();
        Err(CommandFailure::new(
            FailureCode::ExitedAtOnce,
            format!("{} ended {how} right after its start{last}", order.tool),
        )
        .hint("see its output with `chatroom agent logs` on that machine"))
    }

    /// Tells the end of an agent once, when it comes.
    pub(super) fn watch(self: &Arc<Self>, agent: &AgentId, run: &RunDir) {
        if !self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(agent.clone()) {
            return;
        }
        let (runs, agent, run) = (Arc::clone(self), agent.clone(), run.clone());
        self.tasks.spawn(async move {
            if let Some(host) = run.facts().host() {
                gone(host).await;
            }
            let end = runs.end_of(&agent, &run).await;
            runs.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(&agent);
            runs.tell(Event::AgentEnded { agent, end }).await;
        });
    }

    /// How a run has ended whose host is gone. A host that was killed leaves processes behind; they are ended here.
    async fn end_of(&self, agent: &AgentId, run: &RunDir) -> Option<(AgentExit, UnixMs)> {
        let mut told = false;
        loop {
            let (swept, run) = (agent.clone(), run.clone());
            let end = spawn_blocking(move || end_of(&swept, &run)).await;
            match end {
                Ok(Ok(end)) => return end,
                Ok(Err(error)) => {
                    tracing::warn!(agent.id = %agent, %error, "an agent without a host would not end");
                    if !std::mem::replace(&mut told, true) {
                        let reason = error.to_string();
                        self.tell(Event::StopFailed { agent: agent.clone(), reason }).await;
                    }
                }
                Err(error) => tracing::error!(agent.id = %agent, %error, "the end of an agent cannot be found out"),
            }
            sleep(Duration::from_secs(5)).await;
        }
    }

    /// Stops an agent. Its end is told by whoever watches it. `why` tells whether it is wanted again when the machine is back.
    pub(super) async fn stop(self: &Arc<Self>, agent: AgentId, why: StopReason) {
        let Some(run) = RunDir::of(&self.home.agents_dir(), &agent) else { return };
        if let Err(reason) = self.try_stop(&agent, &run, why).await {
            self.tell(Event::StopFailed { agent, reason }).await;
        }
    }

    async fn try_stop(self: &Arc<Self>, agent: &AgentId, run: &RunDir, reason: StopReason) -> Result<(), String> {
        let why = Refused { code: FailureCode::Cancelled, message: "it was stopped before it had begun".to_owned() };
        // Nobody has begun to start it, and now nobody can.
        if run.fence(&self.daemon, &why).map_err(|error| error.to_string())? {
            self.tell(Event::AgentEnded { agent: agent.clone(), end: None }).await;
            return Ok(());
        }
        if reason == StopReason::Wanted {
            run.put_stop_wanted().map_err(|error| error.to_string())?;
        }
        let facts = run.facts();
        let Some(host) = facts.host() else {
            self.watch(agent, run);
            return Ok(());
        };
        match host.signal_exact(Signal::TERM) {
            Ok(Signalled::Sent) => {
                if timeout(STOP_WAIT, gone(host)).await.is_err() {
                    tracing::warn!(agent.id = %agent, "the host of an agent did not end in time and is killed");
                    host.signal_exact(Signal::KILL).map_err(|error| error.to_string())?;
                }
            }
            Ok(Signalled::Gone) => {}
            Err(error) => return Err(error.to_string()),
        }
        self.watch(agent, run);
        Ok(())
    }

    async fn tell(&self, event: Event) {
        // Without a listener the daemon has ended; the run directory tells the next one.
        let _ = self.events.send(event).await;
    }
}

/// Waits until a process is gone.
pub(super) async fn gone(process: &ProcessId) {
    match process.watch() {
        Ok(None) => return,
        Ok(Some(descriptor)) => {
            #[allow(deprecated)] // Sound here: the descriptor is owned. Its replacement is an unsafe function.
            if let Ok(descriptor) = AsyncFd::new(descriptor)
                && descriptor.readable().await.is_ok()
            {
                return;
            }
        }
        Err(_) => {}
    }
    // No such descriptors here, or no more of them.
    while process.is_alive() {
        sleep(Duration::from_millis(250)).await;
    }
}

fn storage(error: impl std::fmt::Display) -> CommandFailure {
    CommandFailure::new(FailureCode::StorageFailed, format!("the agent's directory cannot be written: {error}"))
        .hint("free some disk space there, and see that ~/.chatroom belongs to you")
}

#[cfg(test)]
mod tests;
