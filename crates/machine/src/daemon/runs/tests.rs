//! Starts, stops and adoption with real hosts and a stand-in for a tool.

use super::*;
use crate::agent::launch::tests::order;
use crate::agent::process::{boot_id, with_run_id};
use crate::agent::run_dir::Ended;
use crate::daemon::supervisor::AgentFate;
use chatroom_protocol::tool::{PermissionMode, ToolName, ToolReport, ToolStatus};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

const FAR: UnixMs = UnixMs(i64::MAX);

struct Machine {
    _root: tempfile::TempDir,
    runs: Arc<Runs>,
    incoming: mpsc::Receiver<Event>,
    order: StartOrder,
    _detection: watch::Sender<Option<Arc<Detection>>>,
}

impl Machine {
    /// A machine whose tool `cursor` is `script`.
    fn new(script: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path().join("home"));
        crate::home::create_private_dir(&home.agents_dir()).unwrap();
        let tool = root.path().join("cursor-agent");
        fs::write(&tool, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        let report = ToolReport {
            name: ToolName::from("cursor"),
            driver: None,
            asks: false,
            path: Some(tool.display().to_string()),
            status: ToolStatus::Ok { version: "1".to_owned() },
        };
        let detection =
            Detection { reports: vec![report], spawn_path: "/usr/bin:/bin".to_owned(), ..Detection::default() };
        let (sender, detection) = watch::channel(Some(Arc::new(detection)));
        let (events, incoming) = mpsc::channel(100);
        let runs = Runs {
            home,
            server: ServerUrl::parse("http://127.0.0.1:1", false).unwrap(),
            cli_path: std::env::current_exe().unwrap(),
            host_args: ["--exact", "agent::host::tests::host_process", "--nocapture"].map(str::to_owned).to_vec(),
            settle: Duration::from_millis(300),
            clock: SteadyClock::start(),
            daemon: ProcessId::current().unwrap(),
            detection,
            detect_again: Arc::new(Notify::new()),
            events,
            tasks: Tasks::default(),
            watched: Mutex::new(HashSet::new()),
        };
        let mut order = order("cursor", PermissionMode::Full);
        order.agent_id = AgentId::from(uuid::Uuid::new_v4());
        order.working_dir = root.path().display().to_string();
        Self { _root: root, runs: Arc::new(runs), incoming, order, _detection: sender }
    }

    async fn start(&mut self, not_after: UnixMs) -> StartOutcome {
        self.runs.start(CommandId::from("c1"), self.order.clone(), not_after, |_, _| ()).await;
        loop {
            if let Event::StartEnded { outcome, .. } = self.event().await {
                return outcome;
            }
        }
    }

    async fn event(&mut self) -> Event {
        timeout(Duration::from_secs(30), self.incoming.recv()).await.unwrap().unwrap()
    }

    async fn end(&mut self) -> Option<AgentExit> {
        loop {
            if let Event::AgentEnded { end, .. } = self.event().await {
                return end.map(|(exit, _)| exit);
            }
        }
    }

    /// Waits until the tool has written a file in its directory.
    async fn until_written(&self, name: &str, content: &str) {
        let path = Path::new(&self.order.working_dir).join(name);
        let begun = Instant::now();
        while fs::read_to_string(&path).unwrap_or_default() != content {
            assert!(begun.elapsed() < Duration::from_secs(20), "{name} does not become {content:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn run(&self) -> RunDir {
        RunDir::of(&self.runs.home.agents_dir(), &self.order.agent_id).unwrap()
    }

    fn left(&self) -> usize {
        with_run_id(&self.order.agent_id).len()
    }
}

fn failure(outcome: StartOutcome) -> CommandFailure {
    match outcome {
        StartOutcome::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_agent_gets_its_credential_in_a_private_file_and_ends_with_a_stop() {
    let mut machine = Machine::new("echo \"$CHATROOM_CREDENTIAL_FILE\" > got; setsid sleep 60 & sleep 60");
    let StartOutcome::Started { pid } = machine.start(FAR).await else { panic!("not started") };
    assert!(ProcessId::of(pid).unwrap().is_alive());
    let run = machine.run();
    let credential = AgentCredential::load(&run.credential()).unwrap();
    assert_eq!(credential.token.expose(), machine.order.credential);
    assert_eq!(fs::metadata(run.credential()).unwrap().permissions().mode() & 0o777, 0o600);
    machine.until_written("got", &format!("{}\n", run.credential().display())).await;
    assert!(run.spec().is_err() && !run.prompt().exists());

    let agent = machine.order.agent_id.clone();
    machine.runs.stop(agent.clone(), StopReason::Wanted).await;
    assert_eq!(machine.end().await, Some(AgentExit::Stopped));
    assert_eq!(machine.left(), 0);
    assert!(!run.credential().exists());
    // Again: nothing is left to be stopped, and nobody is hurt.
    machine.runs.stop(agent, StopReason::Wanted).await;
    assert_eq!(machine.end().await, Some(AgentExit::Stopped));
}

#[tokio::test]
async fn a_start_that_is_repeated_starts_nothing_and_hands_over_the_new_credential() {
    let mut machine = Machine::new("echo once >> starts; sleep 60");
    let first = machine.start(FAR).await;
    machine.order.credential = "ANOTHER-TOKEN".to_owned();
    // Its deadline is over by now; it has happened all the same.
    assert_eq!(machine.start(UnixMs(0)).await, first);
    machine.until_written("starts", "once\n").await;
    let credential = AgentCredential::load(&machine.run().credential()).unwrap();
    assert_eq!(credential.token.expose(), "ANOTHER-TOKEN");
    machine.runs.stop(machine.order.agent_id.clone(), StopReason::Wanted).await;
    machine.end().await;
    assert_eq!(machine.left(), 0);
}

#[tokio::test]
async fn a_tool_that_fails_at_once_has_failed_to_start_with_its_last_words() {
    let mut machine = Machine::new("echo starting; echo 'no key' >&2; exit 3");
    let failure = failure(machine.start(FAR).await);
    assert_eq!(failure.code, FailureCode::ExitedAtOnce);
    assert_eq!(failure.message, "cursor ended with exit code 3 right after its start: no key");
    assert_eq!(machine.end().await, Some(AgentExit::Code { code: 3 }));
}

#[tokio::test]
async fn after_the_deadline_nothing_is_started_then_or_later() {
    let mut machine = Machine::new("echo once >> starts");
    assert_eq!(failure(machine.start(machine.runs.clock.now() - 1).await).code, FailureCode::Expired);
    assert_eq!(failure(machine.start(FAR).await).code, FailureCode::Expired);
    assert!(!Path::new(&machine.order.working_dir).join("starts").exists());
    assert!(machine.run().spec().is_err());
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_told_with_its_repair_and_looked_for_again() {
    let mut machine = Machine::new("exit 0");
    fs::remove_file(Path::new(&machine.order.working_dir).join("cursor-agent")).unwrap();
    let missing = failure(machine.start(FAR).await);
    assert_eq!(missing.code, FailureCode::ToolMissing);
    assert!(missing.hint.unwrap().contains("cursor.com/install"));
    machine.runs.detect_again.notified().await;
}

#[tokio::test]
async fn the_owner_of_the_machine_bounds_the_directories() {
    let mut machine = Machine::new("exit 0");
    fs::write(machine.runs.home.config_toml(), "allowed_dirs = [\"/usr\"]\n").unwrap();
    assert_eq!(failure(machine.start(FAR).await).code, FailureCode::WorkingDirDenied);
}

#[tokio::test]
async fn a_stop_before_the_host_has_begun_means_that_it_never_does() {
    let mut machine = Machine::new("echo once >> starts");
    let run = machine.runs.prepare(machine.run(), &CommandId::from("c1"), &machine.order).await.unwrap();
    machine.runs.stop(machine.order.agent_id.clone(), StopReason::Wanted).await;
    assert_eq!(machine.end().await, None);
    machine.runs.spawn_host(&run).unwrap().wait().await.unwrap();
    assert_eq!(failure(machine.start(FAR).await).code, FailureCode::Cancelled);
    assert!(!Path::new(&machine.order.working_dir).join("starts").exists());
}

#[tokio::test]
async fn a_daemon_that_begins_finds_living_agents_and_ends_what_a_dead_host_left() {
    let mut machine = Machine::new("setsid sleep 60 & sleep 60");
    let StartOutcome::Started { pid } = machine.start(FAR).await else { panic!("not started") };
    let home = machine.runs.home.clone();
    let known = take_stock(&home);
    assert!(matches!(known[0].fate, AgentFate::Running { pid: found, .. } if found == pid));
    assert!(!known[0].reported);

    // The daemon that watched it is gone with its tasks; the host is killed.
    machine.runs.tasks.end();
    let run = machine.run();
    run.facts().host().unwrap().signal_exact(Signal::KILL).unwrap();
    gone(run.facts().host().unwrap()).await;
    assert!(machine.left() > 0);
    let known = take_stock(&home);
    assert!(matches!(known[0].fate, AgentFate::Ended { exit: AgentExit::Lost, .. }), "{known:?}");
    assert_eq!(machine.left(), 0);
    assert_eq!(take_stock(&home), known);
}

#[test]
fn old_runs_are_removed_once_they_are_told() {
    let root = tempfile::tempdir().unwrap();
    let home = Home::at(root.path());
    crate::home::create_private_dir(&home.agents_dir()).unwrap();
    let day = 24 * 60 * 60_000;
    let now = UnixMs(100 * day);
    let host = ProcessId { pid: 1, start_time: 0, boot_id: boot_id().unwrap() };
    let make = |name: &str, age_ms: i64, reported: bool| {
        let run = RunDir::of(&home.agents_dir(), &AgentId::from(name)).unwrap();
        crate::home::create_private_dir(run.path()).unwrap();
        run.take_claim(&host).unwrap();
        run.finish(&Ended { exit: AgentExit::Stopped, exited_at: now - age_ms, stopped: true }).unwrap();
        if reported {
            run.put_reported().unwrap();
        }
        run
    };
    let (old, untold, fresh) = (make("old", 8 * day, true), make("untold", 8 * day, false), make("fresh", day, true));
    let unused = RunDir::of(&home.agents_dir(), &AgentId::from("unused")).unwrap();
    crate::home::create_private_dir(unused.path()).unwrap();
    discard_old(&home, now);
    let left = [&old, &untold, &fresh, &unused].map(|run| run.path().exists());
    assert_eq!(left, [false, true, true, false]);
}
