//! The agents of this machine in the flesh: prepares run directories, starts hosts, watches and stops them, and finds
//! everything again after a crash.
//!
//! Whether a tool may be started is decided by the claim of its run directory alone, so everything here may be repeated. An
//! agent has ended when its host has, and nothing that carries its run id is alive.

use super::failpoint;
use super::steady::SteadyClock;
use super::supervisor::{AgentFate, Event, KnownAgent, Look, Slot, StartOutcome, StopReason};
use super::tasks::Tasks;
use crate::agent::environment::{Surroundings, agent_environment};
use crate::agent::launch::{Request, cannot_start, launch};
use crate::agent::process::{ProcessId, Signalled, kill_until_none, with_run_id};
use crate::agent::run_dir::{Ended, Facts, LOG_LIMIT_BYTES, Prepared, Refused, RunDir, Spec};
use crate::config::Config;
use crate::credentials::AgentCredential;
use crate::home::{Home, create_private_dir};
use crate::tools::{Detection, Detector, ToolSpec, Tools, models, registry, spawn_path_for, tool_environment};
use crate::{ServerUrl, clock};
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::AgentExit;
use chatroom_protocol::command::{CommandFailure, CommandResult, FailureCode, StartOrder};
use chatroom_protocol::id::{AgentId, CommandId};
use chatroom_protocol::tool::{ToolName, ToolStatus};
use rustix::process::Signal;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
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
/// How long the first detection may take before a start goes on without it.
const DETECTION_WAIT: Duration = Duration::from_secs(30);
/// Between looks at facts that tell nothing of themselves.
const LOOK: Duration = Duration::from_millis(20);
/// Directories of runs that have ended are kept so long...
const KEEP_MS: i64 = 7 * 24 * 60 * 60_000;
/// ...and no more than so many of them.
const KEEP_COUNT: usize = 200;
/// What was prepared and not used for so long belongs to no host that is still on its way.
const UNUSED_MS: i64 = 60 * 60_000;

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

/// A tool of this machine, and what it is started with.
struct Found {
    config: Config,
    detection: Arc<Detection>,
    program: PathBuf,
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

    /// The words of a tool, and its program as it was detected; looked for again when it was not there.
    async fn tool(&self, name: &ToolName) -> Result<(ToolSpec, Found), CommandFailure> {
        let home = self.home.clone();
        let tools = spawn_blocking(move || Tools::load(&home)).await.unwrap_or_default();
        let tool = tools.find(name.as_str()).cloned().ok_or_else(|| match tools.fault() {
            Some(fault) => {
                let message = format!("this machine does not know the tool {name}: {fault}");
                CommandFailure::new(FailureCode::ToolMissing, message).hint("mend the file, then try again")
            }
            None => cannot_start(name.as_str()),
        })?;
        let config = Config::load(&self.home).map_err(|error| {
            let message = format!("the settings of that machine's owner cannot be used: {error}");
            CommandFailure::new(FailureCode::StorageFailed, message).hint("mend the file, then try again")
        })?;
        let mut detection = self.detection().await;
        let program = match program_of(name, &detection, &self.cli_path) {
            Ok(program) => program,
            // What is known may be minutes old: it may have been installed or mended since.
            Err(_) => {
                let detector = Detector::new(&self.home, &config).with_environment();
                detection = Arc::new(detector.detect().await);
                self.detect_again.notify_one();
                program_of(name, &detection, &self.cli_path)?
            }
        };
        Ok((tool, Found { config, detection, program }))
    }

    /// The models of a tool of this machine.
    async fn models(&self, name: &ToolName) -> Result<CommandResult, CommandFailure> {
        let (tool, Found { config, detection, program }) = self.tool(name).await?;
        let adapter = detection.adapters.get(name).map(PathBuf::as_path);
        let path = spawn_path_for(&detection.spawn_path, adapter.unwrap_or(&program));
        let env = tool_environment(&tool, &config, std::env::vars_os(), &detection.environment, OsStr::new(&path));
        let text = |text: OsString| text.into_string().ok();
        let env = env.into_iter().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect();
        let dir = self.home.path().join(format!("models-{}", uuid::Uuid::now_v7()));
        create_private_dir(&dir).map_err(storage)?;
        let ask = models::Ask { tool: &tool, program: &program, adapter, env: &env, dir: &dir };
        let found = models::list(&ask).await;
        let _ = spawn_blocking(move || std::fs::remove_dir_all(dir)).await;
        Ok(CommandResult::Models(found?))
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

    /// Finds something out that changes nothing.
    pub(super) async fn look(&self, look: Look) -> Result<CommandResult, CommandFailure> {
        match look {
            Look::Models(tool) => self.models(&tool).await,
            Look::Dir(path) => {
                let config = Config::load(&self.home).map_err(storage)?;
                let usable = spawn_blocking(move || usable_dir(&path, &config)).await;
                usable.unwrap_or_else(|error| Err(CommandFailure::new(FailureCode::Internal, error.to_string())))
            }
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

    async fn detection(&self) -> Arc<Detection> {
        let mut detection = self.detection.clone();
        let found = timeout(DETECTION_WAIT, detection.wait_for(Option::is_some)).await;
        match found {
            Ok(Ok(found)) => found.clone().unwrap_or_else(nothing_detected),
            _ => nothing_detected(),
        }
    }

    async fn tell(&self, event: Event) {
        // Without a listener the daemon has ended; the run directory tells the next one.
        let _ = self.events.send(event).await;
    }
}

fn nothing_detected() -> Arc<Detection> {
    let spawn_path = std::env::var("PATH").unwrap_or_default();
    Arc::new(Detection { spawn_path, ..Detection::default() })
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

/// What the run directories tell of agents, for a daemon that begins. Ends what a dead host left behind. Blocks the thread.
pub(super) fn take_stock(home: &Home) -> Vec<KnownAgent> {
    let mut known = Vec::new();
    for (agent, run) in directories(home) {
        let mut facts = run.facts();
        // Without a claim a host may be on its way to it; a command that is still open will find out.
        let (Some(prepared), Some(_)) = (facts.prepared.clone(), &facts.claim) else { continue };
        let host_is_gone = facts.host().is_some_and(|host| !host.is_alive());
        if host_is_gone && facts.ended.is_none() && facts.refusal().is_none() {
            if let Err(error) = end_of(&agent, &run) {
                tracing::warn!(agent.id = %agent, %error, "an agent without a host would not end");
            }
            facts = run.facts();
        }
        let fate = fate_of(&facts);
        let reported = facts.reported || fate == AgentFate::NeverRan;
        known.push(KnownAgent { agent, slot: Slot::new(&prepared.chatroom_id, &prepared.role), fate, reported });
    }
    known
}

/// Removes the directories of runs that are over and told, when they are old or too many. Blocks the thread.
pub(super) fn discard_old(home: &Home, now: UnixMs) {
    let mut over = Vec::new();
    for (_, run) in directories(home) {
        let facts = run.facts();
        let prepared_at = facts.prepared.as_ref().map_or(UnixMs(0), |prepared| prepared.prepared_at);
        match (&facts.claim, &facts.ended) {
            // Prepared for nothing, with its secrets.
            (None, _) if now.since(prepared_at) > UNUSED_MS => over.push((UnixMs(0), run)),
            (Some(_), Some(ended)) if facts.reported => over.push((ended.exited_at, run)),
            (Some(_), _) if facts.refusal().is_some() => over.push((prepared_at, run)),
            _ => {}
        }
    }
    over.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    for (number, (at, run)) in over.into_iter().enumerate() {
        if number >= KEEP_COUNT || now.since(at) > KEEP_MS {
            // What cannot be removed is tried again the next time.
            let _ = std::fs::remove_dir_all(run.path());
        }
    }
}

pub(super) fn directories(home: &Home) -> impl Iterator<Item = (AgentId, RunDir)> {
    let agents = home.agents_dir();
    let entries = std::fs::read_dir(&agents).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let agent = AgentId::from(entry.file_name().into_string().ok()?);
        let run = RunDir::of(&agents, &agent)?;
        Some((agent, run))
    })
}

fn fate_of(facts: &Facts) -> AgentFate {
    if facts.refusal().is_some() {
        return AgentFate::NeverRan;
    }
    match (&facts.ended, &facts.started) {
        (Some(Ended { exit, exited_at, .. }), _) => AgentFate::Ended { exit: exit.clone(), at: *exited_at },
        (None, Some(started)) => AgentFate::Running { pid: started.tool.pid, started_at: started.started_at },
        (None, None) => AgentFate::Starting,
    }
}

/// How a run has ended whose host is gone; none when its tool was never started. Blocks the thread.
fn end_of(agent: &AgentId, run: &RunDir) -> io::Result<Option<(AgentExit, UnixMs)>> {
    let facts = run.facts();
    if facts.refusal().is_some() {
        return Ok(None);
    }
    if let Some(ended) = facts.ended {
        return Ok(Some((ended.exit, ended.exited_at)));
    }
    if !kill_until_none(|| with_run_id(agent), || (), SWEEP_LIMIT) {
        return Err(io::Error::other("some of its processes are still alive"));
    }
    let exit = if facts.stop_wanted { AgentExit::Stopped } else { AgentExit::Lost };
    let ended = Ended { exit, exited_at: clock::now(), stopped: facts.stop_wanted };
    run.finish(&ended)?;
    Ok(Some((ended.exit, ended.exited_at)))
}

/// The program of a tool, as it was detected.
fn program_of(tool: &ToolName, detection: &Detection, cli: &Path) -> Result<PathBuf, CommandFailure> {
    if tool.as_str() == registry::ECHO {
        return Ok(cli.to_owned());
    }
    let missing = |message: String| CommandFailure::new(FailureCode::ToolMissing, message);
    let Some(report) = detection.reports.iter().find(|report| report.name == *tool) else {
        return Err(missing(format!("{tool} was not found on this machine")));
    };
    match (&report.status, &report.path) {
        (ToolStatus::Ok { .. } | ToolStatus::NotSignedIn { .. }, Some(path)) => Ok(PathBuf::from(path)),
        (ToolStatus::Broken { reason, repair }, _) => {
            Err(missing(format!("{tool} does not run on this machine: {reason}")).hint(repair.clone()))
        }
        (ToolStatus::Missing { repair }, _) => {
            Err(missing(format!("{tool} is not installed on this machine")).hint(repair.clone()))
        }
        (_, None) => Err(missing(format!("{tool} was not found on this machine"))),
    }
}

/// The directory to work in, if the machine's owner lets agents work there.
fn allowed_dir(dir: &Path, config: &Config) -> Result<PathBuf, CommandFailure> {
    if config.allowed_dirs.is_none() {
        return Ok(dir.to_owned());
    }
    let real = dir.canonicalize().map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => FailureCode::WorkingDirMissing,
            _ => FailureCode::WorkingDirDenied,
        };
        CommandFailure::new(code, format!("the working directory {} cannot be used: {error}", dir.display()))
    })?;
    if config.allows_dir(&real) {
        return Ok(real);
    }
    let message = format!("the owner of this machine does not let agents work in {}", dir.display());
    Err(CommandFailure::new(FailureCode::WorkingDirDenied, message)
        .hint("choose another directory, or add it to allowed_dirs in ~/.chatroom/config.toml there"))
}

/// Whether an agent could work in a directory: it is there, may be entered, and its owner allows it. Blocks the thread.
fn usable_dir(dir: &Path, config: &Config) -> Result<CommandResult, CommandFailure> {
    let denied = |error: &dyn std::fmt::Display| {
        CommandFailure::new(
            FailureCode::WorkingDirDenied,
            format!("the working directory {} cannot be used: {error}", dir.display()),
        )
    };
    let real = dir.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CommandFailure::new(
            FailureCode::WorkingDirMissing,
            format!("the working directory {} does not exist", dir.display()),
        ),
        _ => denied(&error),
    })?;
    // Opening it finds out whether it is a directory that may be read.
    std::fs::read_dir(&real).map_err(|error| denied(&error))?;
    allowed_dir(&real, config)?;
    Ok(CommandResult::DirIsUsable { path: real.to_string_lossy().into_owned() })
}

fn storage(error: impl std::fmt::Display) -> CommandFailure {
    CommandFailure::new(FailureCode::StorageFailed, format!("the agent's directory cannot be written: {error}"))
        .hint("free some disk space there, and see that ~/.chatroom belongs to you")
}

#[cfg(test)]
mod tests;
