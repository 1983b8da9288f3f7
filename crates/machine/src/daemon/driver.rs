//! The driver: feeds the supervisor with what happens and carries out what it decides, each effect on a task of its own.

use super::detection;
use super::failpoint;
use super::hosts::Hosts;
use super::journal::{Intent, Journal, Record, StartSummary};
use super::local;
use super::lock::DaemonLock;
use super::runs::{self, Runs};
use super::session::{Session, Sessions};
use super::state::{Connection, DaemonState};
use super::steady::SteadyClock;
use super::supervisor::{AckAnswer, ClaimAnswer, Effect, Event, Supervisor};
use super::tasks::Tasks;
use super::{DaemonError, Options, Shutdown, StopMode};
use crate::agent::process::{ProcessId, boot_id};
use crate::agent::run_dir::RunDir;
use crate::credentials::{self, Choice};
use crate::home::create_private_dir;
use crate::identity::{self, Fingerprint};
use crate::{Home, ServerUrl, VERSION, clock};
use chatroom_protocol::agent::AgentReport;
use chatroom_protocol::api::agents::{ReportExited, ReportExitedArgs};
use chatroom_protocol::api::machines::{DaemonStatusOutcome, UpdateDaemonStatus, UpdateDaemonStatusArgs};
use chatroom_protocol::command::{Ack, MachineStatus};
use chatroom_protocol::id::{AgentId, CommandId, DaemonSessionId, MachineId};
use serde_json::Value;
use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

/// Between heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Between looks for runs that are old.
const DISCARD: Duration = Duration::from_secs(6 * 60 * 60);
/// How long a stop may take that ends the agents; a host takes 6 s at most.
const END_LIMIT: Duration = Duration::from_millis(9_000);
/// How long it may take to tell the server once the agents have ended.
const TELL_LIMIT: Duration = Duration::from_millis(1_500);
/// How long a stop may take that keeps the agents.
const KEEP_LIMIT: Duration = Duration::from_millis(800);
/// How many events or records wait at most.
const QUEUE: usize = 256;

/// A record for the journal, and who waits for it to be durable.
type Entry = (Record, Option<oneshot::Sender<Result<(), String>>>);

/// Everything that effects are carried out with.
#[derive(Clone)]
struct Hands {
    home: Home,
    machine_id: MachineId,
    boot_id: String,
    clock: SteadyClock,
    sessions: Arc<Sessions>,
    runs: Arc<Runs>,
    journal: mpsc::Sender<Entry>,
    events: mpsc::Sender<Event>,
    tasks: Tasks,
}

/// Runs the daemon; see [`super::run`].
pub(super) async fn run(
    home: &Home,
    options: Options,
    shutdown: Shutdown,
    told: watch::Sender<Connection>,
) -> Result<(), DaemonError> {
    let connection = watch::Sender::new(Connection::Connecting);
    let begun = begin(home, &options).await?;
    let Begun { lock, server, machine_id, hostname, journal, agents, boot_id, process } = begun;
    let clock = SteadyClock::start();
    let about =
        MachineStatus { hostname, cli_version: VERSION.to_owned(), pid: std::process::id(), agents: Vec::new() };
    let adopted: Vec<_> =
        agents.iter().filter(|known| known.fate.is_alive()).map(|known| known.agent.clone()).collect();
    let supervisor = Supervisor::new(about, journal.live(), agents);

    let tasks = Tasks::default();
    let (events, incoming) = mpsc::channel(QUEUE);
    let (inventory, known_inventory) = watch::channel(supervisor.inventory());
    let (found, detection) = watch::channel(None);
    let (detected, is_detected) = watch::channel(false);
    let detect_again = Arc::new(Notify::new());
    let sessions = Arc::new(Sessions {
        home: home.clone(),
        server: server.clone(),
        cli_path: options.cli_path.clone(),
        machine_id: machine_id.clone(),
        session_id: DaemonSessionId::from(uuid::Uuid::new_v4()),
        boot_id: boot_id.clone(),
        clock,
        current: watch::Sender::new(None),
        connection: connection.clone(),
        inventory: known_inventory,
        detected: is_detected,
        events: events.clone(),
        renew: Notify::new(),
        beat: Notify::new(),
    });
    let hosts = Hosts::new(home.clone(), machine_id.clone(), Arc::clone(&sessions), tasks.clone());
    let runs = Arc::new(Runs {
        home: home.clone(),
        server: server.clone(),
        cli_path: options.cli_path.clone(),
        host_args: options.host_args.clone(),
        settle: options.settle,
        clock,
        daemon: process,
        detection,
        detect_again: Arc::clone(&detect_again),
        events: events.clone(),
        tasks: tasks.clone(),
        watched: Mutex::new(HashSet::new()),
    });
    let (records, written) = mpsc::channel(QUEUE);
    // Ends when the last sender is dropped.
    let writing = spawn_blocking(move || write_journal(journal, written));
    let hands = Hands {
        home: home.clone(),
        machine_id,
        boot_id,
        clock,
        sessions: Arc::clone(&sessions),
        runs: Arc::clone(&runs),
        journal: records,
        events,
        tasks: tasks.clone(),
    };
    hosts.begin();
    for agent in adopted {
        if let Some(run) = RunDir::of(&home.agents_dir(), &agent) {
            runs.watch(&agent, &run);
        }
    }
    match local::bind(home) {
        Ok(listener) => {
            let desk = local::Desk {
                home: home.clone(),
                server: server.clone(),
                machine_id: hands.machine_id.clone(),
                sessions: Arc::clone(&sessions),
                detection: found.subscribe(),
                detect_again: Arc::clone(&detect_again),
                free: Arc::new(Semaphore::new(local::MAX_WAITS)),
            };
            tasks.spawn(local::run(Arc::new(desk), listener));
        }
        // Whoever waits for a task asks the server by itself then.
        Err(error) => tracing::warn!(%error, "the local socket cannot be opened"),
    }
    let (failed, failure) = oneshot::channel();
    let session_keeper = Arc::clone(&sessions);
    tasks.spawn(async move {
        let error = session_keeper.run().await;
        let _ = failed.send(error);
    });
    tasks.spawn(heartbeat(hands.clone()));
    tasks.spawn(discard_old(home.clone()));
    tasks.spawn(detection::run(home.clone(), Arc::clone(&sessions), found, detected, detect_again));
    let state = DaemonState {
        pid: std::process::id(),
        holder: options.holder,
        version: VERSION.to_owned(),
        started_at: clock::now(),
        server: server.to_string(),
        machine_id: Some(hands.machine_id.clone()),
        connection: Connection::Connecting,
        since: clock::now(),
        agents: supervisor.living(),
    };
    let (living, known_living) = watch::channel(supervisor.living());
    tasks.spawn(tell_state(home.clone(), state, connection.subscribe(), known_living, told));

    let actor = Actor { hosts, supervisor, hands, inventory, living, connection };
    let result = actor.run(incoming, shutdown, failure).await;
    tasks.end();
    drop((sessions, runs));
    // What was decided stands in the journal before the lock is free.
    let _ = tokio::time::timeout(Duration::from_secs(1), writing).await;
    // While the lock is held: the next daemon's socket has the same path.
    let _ = std::fs::remove_file(home.daemon_socket());
    drop(lock);
    result
}

/// What a daemon begins with.
struct Begun {
    lock: DaemonLock,
    server: ServerUrl,
    machine_id: MachineId,
    hostname: String,
    journal: Journal,
    agents: Vec<super::supervisor::KnownAgent>,
    boot_id: String,
    process: ProcessId,
}

async fn begin(home: &Home, options: &Options) -> Result<Begun, DaemonError> {
    let (home, options) = (home.clone(), options.clone());
    let begun = spawn_blocking(move || -> Result<Begun, DaemonError> {
        let start = |message: String, hint: Option<String>| DaemonError::Start { message, hint };
        let system = |error: io::Error| start(format!("the daemon's files cannot be used: {error}"), None);
        let lock = DaemonLock::take(&home, options.holder)?;
        let (machine, _) = identity::load_or_create(&home, &Fingerprint::read(), clock::now())
            .map_err(|error| start(error.to_string(), Some(error.hint())))?;
        let server = match options.server {
            Some(server) => server,
            // A daemon that is started from inside an agent is still the user's.
            None => credentials::resolve_choice(
                &home,
                &|name| (name != "CHATROOM_CREDENTIAL_FILE").then(|| credentials::process_env(name)).flatten(),
                &Choice::default(),
            )
            .map(|resolved| resolved.server)
            .map_err(|error| start(error.to_string(), Some(error.hint())))?,
        };
        create_private_dir(&home.agents_dir()).map_err(system)?;
        let (journal, damage) = Journal::open(&home.journal()).map_err(system)?;
        if let Some(damage) = damage {
            tracing::error!(bytes = damage.skipped_bytes, kept = %damage.kept.display(), "the journal was damaged");
        }
        let agents = runs::take_stock(&home);
        let process = ProcessId::current().map_err(system)?;
        let boot_id = boot_id().map_err(system)?;
        Ok(Begun {
            lock,
            server,
            machine_id: machine.machine_id,
            hostname: machine.hostname,
            journal,
            agents,
            boot_id,
            process,
        })
    });
    begun.await.map_err(|error| DaemonError::Start { message: error.to_string(), hint: None })?
}

/// The one loop that the supervisor lives in.
struct Actor {
    hosts: Arc<Hosts>,
    supervisor: Supervisor,
    hands: Hands,
    inventory: watch::Sender<Vec<AgentReport>>,
    living: watch::Sender<Vec<AgentId>>,
    connection: watch::Sender<Connection>,
}

impl Actor {
    async fn run(
        mut self,
        mut incoming: mpsc::Receiver<Event>,
        shutdown: Shutdown,
        mut failure: oneshot::Receiver<DaemonError>,
    ) -> Result<(), DaemonError> {
        let mut asked = shutdown.subscribe();
        let mut wished = None;
        let mut limit: Option<Instant> = None;
        let mut agents_ended = false;
        loop {
            let event = tokio::select! {
                event = incoming.recv() => match event {
                    Some(event) => event,
                    None => return Ok(()),
                },
                // A new wish; the first and, perhaps, a more urgent one.
                mode = wish(&mut asked, wished) => {
                    wished = Some(mode);
                    self.connection.send_replace(Connection::Stopping);
                    let span = if mode.ends_agents() { END_LIMIT } else { KEEP_LIMIT };
                    tracing::info!(agents = self.supervisor.living().len(), "stopping");
                    limit = Some(Instant::now() + span);
                    Event::StopRequested(mode)
                }
                // The stop has taken as long as it may.
                () = at(limit) => {
                    tracing::warn!("stopped before everything was told; the next daemon goes on with it");
                    return Ok(());
                }
                error = &mut failure => return Err(error.unwrap_or(DaemonError::Superseded)),
            };
            if !self.take_in(event) {
                return Err(DaemonError::Superseded);
            }
            if limit.is_some() {
                if self.supervisor.is_quiet() {
                    tracing::info!("stopped");
                    return Ok(());
                }
                // The agents have ended; a server that is away must not hold up the rest.
                if self.supervisor.living().is_empty() && !std::mem::replace(&mut agents_ended, true) {
                    limit = limit.map(|limit| limit.min(Instant::now() + TELL_LIMIT));
                }
            }
        }
    }

    /// Lets the supervisor decide, and begins what it decided. False: the daemon is superseded.
    fn take_in(&mut self, event: Event) -> bool {
        if let Event::AgentStarted { agent, .. } = &event
            && let Some(run) = RunDir::of(&self.hands.home.agents_dir(), agent)
        {
            self.hosts.attend(agent, &run);
        }
        let effects = self.supervisor.handle(event, self.hands.clock.now());
        let living = self.supervisor.living();
        self.living.send_if_modified(|now| {
            *now != living && {
                *now = living.clone();
                true
            }
        });
        let inventory = self.supervisor.inventory();
        self.inventory.send_if_modified(|now| {
            *now != inventory && {
                *now = inventory;
                true
            }
        });
        for effect in effects {
            if effect == Effect::GiveUp {
                return false;
            }
            self.hands.carry_out(effect);
        }
        true
    }
}

impl Hands {
    /// Begins an effect on a task of its own. If that breaks, its command fails and nothing else.
    fn carry_out(&self, effect: Effect) {
        let hands = self.clone();
        let broke = match &effect {
            Effect::Claim(command)
            | Effect::WriteIntent { command, .. }
            | Effect::Start { command, .. }
            | Effect::Look { command, .. }
            | Effect::WriteOutcome { command, .. }
            | Effect::SendOutcome { command, .. } => Some(Event::Broke { command: command.clone() }),
            Effect::Stop { agent, .. } => Some(Event::StopFailed {
                agent: agent.clone(),
                reason: "the daemon failed while it stopped it".to_owned(),
            }),
            Effect::DetectTools | Effect::Settle(_) | Effect::ReportEnds(_) | Effect::GiveUp => None,
        };
        let events = self.events.clone();
        self.tasks.spawn_or(async move { hands.do_effect(effect).await }, async move {
            if let Some(event) = broke {
                let _ = events.send(event).await;
            }
        });
    }

    async fn do_effect(self, effect: Effect) {
        match effect {
            Effect::Claim(command) => {
                let answer = claim_answer(self.sessions.ack(&command, &Ack::Processing).await);
                failpoint::hit("after_claim");
                self.tell(Event::Claimed { command, answer }).await;
            }
            Effect::WriteIntent { command, kind, agent, start } => {
                tracing::info!(command.id = %command, kind, "command claimed");
                let epoch = self.sessions.current.borrow().as_ref().map_or(0, |session| session.epoch);
                let intent = Intent {
                    command_id: command.clone(),
                    kind: kind.to_owned(),
                    agent_id: agent,
                    start: start.as_deref().map(StartSummary::from),
                    boot_id: self.boot_id.clone(),
                    epoch,
                    at: clock::now(),
                };
                let result = self.write(Record::Intent(intent)).await;
                failpoint::hit("after_intent");
                self.tell(Event::IntentWritten { command, result }).await;
            }
            Effect::Start { command, order, not_after } => {
                let journal = self.journal.clone();
                let spawned = move |agent_id, host| {
                    // For people who read the journal; a full queue may leave it out.
                    let _ = journal.try_send((Record::Spawned { agent_id, host }, None));
                };
                self.runs.start(command, *order, not_after, spawned).await;
            }
            Effect::Look { command, look } => {
                let result = self.runs.look(look).await;
                self.tell(Event::Looked { command, result }).await;
            }
            Effect::DetectTools => self.runs.detect_again.notify_one(),
            Effect::Stop { agent, why } => self.runs.stop(agent, why).await,
            Effect::WriteOutcome { command, ack } => {
                if let Err(error) = self.write(Record::Outcome { command_id: command.clone(), ack }).await {
                    tracing::error!(command.id = %command, error, "the end of a command cannot be written down");
                }
                self.tell(Event::OutcomeWritten { command }).await;
            }
            Effect::SendOutcome { command, ack } => {
                failpoint::hit("before_ack");
                let answer = ack_answer(self.sessions.ack(&command, &ack).await);
                failpoint::hit("after_ack");
                log_end(&command, &ack, answer);
                self.tell(Event::Acked { command, answer }).await;
            }
            Effect::Settle(command_id) => drop(self.write(Record::Recorded { command_id }).await),
            Effect::ReportEnds(agents) => self.report_ends(agents).await,
            Effect::GiveUp => {}
        }
    }

    async fn report_ends(&self, agents: Vec<AgentReport>) {
        let ids: Vec<_> = agents.iter().map(|report| report.agent_id.clone()).collect();
        for id in &ids {
            tracing::info!(agent.id = %id, "agent ended");
        }
        let args = ReportExitedArgs { machine_id: self.machine_id.clone(), agents };
        let call = |session: Session| {
            let args = args.clone();
            async move { session.client.call::<ReportExited>(&args).await }
        };
        if let Err(error) = self.sessions.call(call).await {
            tracing::error!(%error, "the server does not take the ends of agents");
            return;
        }
        for run in ids.iter().filter_map(|id| RunDir::of(&self.home.agents_dir(), id)) {
            if let Err(error) = run.put_reported() {
                tracing::warn!(%error, "that the end of an agent is recorded cannot be written down");
            }
        }
        self.tell(Event::EndsReported(ids)).await;
    }

    async fn write(&self, record: Record) -> Result<(), String> {
        let (done, written) = oneshot::channel();
        let gone = |_| "the daemon ends".to_owned();
        self.journal.send((record, Some(done))).await.map_err(|_| "the daemon ends".to_owned())?;
        written.await.map_err(gone)?
    }

    async fn tell(&self, event: Event) {
        let _ = self.events.send(event).await;
    }
}

/// Sends a heartbeat every 30 seconds, and at once when asked; nothing else can hold it up.
async fn heartbeat(hands: Hands) {
    let mut ticks = tokio::time::interval(HEARTBEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = hands.sessions.beat.notified() => {}
        }
        let session = hands.sessions.current.borrow().clone();
        let Some(session) = session else { continue };
        let args = UpdateDaemonStatusArgs {
            machine_id: hands.machine_id.clone(),
            epoch: session.epoch,
            agents: hands.sessions.inventory.borrow().clone(),
        };
        match session.client.call::<UpdateDaemonStatus>(&args).await {
            Ok(DaemonStatusOutcome::Applied { unwanted }) if unwanted.is_empty() => {}
            Ok(DaemonStatusOutcome::Applied { unwanted }) => hands.tell(Event::Unwanted(unwanted)).await,
            Ok(DaemonStatusOutcome::Superseded) => hands.tell(Event::Superseded).await,
            // The link tells of a server that is away, once.
            Err(error) => tracing::debug!(%error, "a heartbeat was lost"),
        }
    }
}

/// Keeps the directories of old runs from piling up.
async fn discard_old(home: Home) {
    let mut ticks = tokio::time::interval(DISCARD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let home = home.clone();
        if let Err(error) = spawn_blocking(move || runs::discard_old(&home, clock::now())).await {
            tracing::warn!(%error, "old runs are left");
        }
    }
}

/// Writes `daemon.json` whenever something in it changes. Whoever follows the connection is `told` after it is written: what they
/// say then stands in the file.
async fn tell_state(
    home: Home,
    mut state: DaemonState,
    mut connection: watch::Receiver<Connection>,
    mut living: watch::Receiver<Vec<AgentId>>,
    told: watch::Sender<Connection>,
) {
    loop {
        let now = connection.borrow_and_update().clone();
        if now != state.connection {
            state.since = clock::now();
            state.connection = now;
        }
        state.agents = living.borrow_and_update().clone();
        let (file_home, written) = (home.clone(), state.clone());
        if let Ok(Err(error)) = spawn_blocking(move || written.save(&file_home)).await {
            tracing::warn!(%error, "the daemon's state cannot be written");
        }
        told.send_if_modified(|known| std::mem::replace(known, state.connection.clone()) != state.connection);
        tokio::select! {
            changed = connection.changed() => if changed.is_err() { return },
            changed = living.changed() => if changed.is_err() { return },
        }
    }
}

/// Writes records as they come, as many at once as have come.
fn write_journal(mut journal: Journal, mut records: mpsc::Receiver<Entry>) {
    let mut batch = Vec::new();
    while let Some(first) = records.blocking_recv() {
        batch.push(first);
        while batch.len() < QUEUE
            && let Ok(next) = records.try_recv()
        {
            batch.push(next);
        }
        let lines: Vec<_> = batch.iter().map(|(record, _)| record.clone()).collect();
        let result = journal.append(&lines).map_err(|error| error.to_string());
        for waiting in batch.drain(..).filter_map(|(_, waiting)| waiting) {
            // One that does not wait any more belongs to a daemon that ends.
            let _ = waiting.send(result.clone());
        }
    }
}

/// The next wish to stop that is another one than `seen`. Cancel safe.
async fn wish(asked: &mut watch::Receiver<Option<StopMode>>, seen: Option<StopMode>) -> StopMode {
    match asked.wait_for(|mode| mode.is_some() && *mode != seen).await.ok().and_then(|mode| *mode) {
        Some(mode) => mode,
        // Nobody is left who could wish.
        None => std::future::pending().await,
    }
}

async fn at(limit: Option<Instant>) {
    match limit {
        Some(limit) => sleep_until(limit).await,
        None => std::future::pending().await,
    }
}

/// Reads the answer to a claim. Its order may be one that this version does not know.
fn claim_answer(answer: Option<Value>) -> ClaimAnswer {
    let Some(answer) = answer else { return ClaimAnswer::Lost };
    match answer.get("outcome").and_then(Value::as_str) {
        Some("applied") => {
            let order = answer.get("order").cloned().unwrap_or(Value::Null);
            ClaimAnswer::Claimed(serde_json::from_value(order).ok())
        }
        Some("superseded") => ClaimAnswer::Superseded,
        _ => ClaimAnswer::Lost,
    }
}

fn ack_answer(answer: Option<Value>) -> AckAnswer {
    match answer.as_ref().and_then(|answer| answer.get("outcome")).and_then(Value::as_str) {
        Some("applied") => AckAnswer::Applied,
        Some("superseded") => AckAnswer::Superseded,
        _ => AckAnswer::Stale,
    }
}

fn log_end(command: &CommandId, ack: &Ack, answer: AckAnswer) {
    match ack {
        Ack::Failed { failure } => {
            tracing::warn!(command.id = %command, code = ?failure.code, ?answer, "command failed: {}", failure.message);
        }
        Ack::Completed { .. } => tracing::info!(command.id = %command, ?answer, "command completed"),
        Ack::Processing => {}
    }
}
