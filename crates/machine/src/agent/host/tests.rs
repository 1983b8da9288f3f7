//! The host against real processes. It runs in a process of its own: this test program, asked for one test.

use super::super::process::{ProcessId, Signalled, with_run_id};
use super::super::run_dir::tests::session;
use super::super::run_dir::{Facts, LOG_LIMIT_BYTES, Prepared, RunDir, Spec};
use super::run_host;
use chatroom_protocol::UnixMs;
use chatroom_protocol::agent::AgentExit;
use chatroom_protocol::command::FailureCode;
use chatroom_protocol::id::{AgentId, ChatroomId, CommandId};
use chatroom_protocol::tool::ToolName;
use chatroom_protocol::transcript::DriverKind;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Not a test: the body of the host's process. Without a run directory as the last argument it does nothing.
#[test]
fn host_process() {
    let Some(run) = std::env::args().next_back().filter(|arg| Path::new(arg).is_absolute()) else { return };
    let code = run_host(Path::new(&run));
    #[allow(clippy::disallowed_methods)] // This process is the host, not a test.
    std::process::exit(code);
}

pub(super) struct Run {
    _root: tempfile::TempDir,
    pub(super) agent: AgentId,
    pub(super) dir: RunDir,
    pub(super) work: PathBuf,
    pub(super) spec: Spec,
}

impl Run {
    /// A run of `/bin/sh` with `script`, a tool that says nothing of the protocol in which it is spoken to.
    fn new(script: &str) -> Self {
        Self::of(DriverKind::Acp, script)
    }

    /// A run of `/bin/sh` with `script`, which is spoken to as `driver` says.
    pub(super) fn of(driver: DriverKind, script: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let work = root.path().join("work");
        fs::create_dir(&work).unwrap();
        let agent = AgentId::from(uuid::Uuid::new_v4());
        let dir = RunDir::of(&root.path().join("agents"), &agent).unwrap();
        let spec = Spec {
            agent_id: agent.clone(),
            program: PathBuf::from("/bin/sh"),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            cwd: work.clone(),
            log_limit_bytes: LOG_LIMIT_BYTES,
            session: session(driver),
        };
        Self { _root: root, agent, dir, work, spec }
    }

    pub(super) fn prepare(&self) {
        let prepared = Prepared {
            agent_id: self.agent.clone(),
            command_id: CommandId::from("c1"),
            chatroom_id: ChatroomId::from("r1"),
            role: "builder".to_owned(),
            tool: ToolName::from("echo"),
            working_dir: self.work.display().to_string(),
            prepared_at: UnixMs(1),
        };
        self.dir.prepare(&prepared, &self.spec, "the prompt\n").unwrap();
    }

    /// Starts a host and waits until it has told whether the tool was started.
    pub(super) fn host(&self) -> Child {
        let mut child = self.host_unheard();
        let mut told = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut told).unwrap();
        child
    }

    fn host_unheard(&self) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "agent::host::tests::host_process", "--nocapture"])
            .arg(self.dir.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    pub(super) fn to_its_end(&self) -> Facts {
        self.prepare();
        let status = self.host().wait().unwrap();
        assert!(status.success(), "{status}");
        self.dir.facts()
    }

    pub(super) fn output(&self) -> String {
        fs::read_to_string(self.dir.output()).unwrap_or_default()
    }

    pub(super) fn left(&self) -> usize {
        with_run_id(&self.agent).len()
    }
}

pub(super) fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn stop(host: &mut Child) -> Duration {
    let begun = Instant::now();
    assert_eq!(ProcessId::of(host.id()).unwrap().signal_exact(Signal::TERM).unwrap(), Signalled::Sent);
    assert!(host.wait().unwrap().success());
    begun.elapsed()
}

/// A stop that the owner of the agent wants.
pub(super) fn wanted_stop(run: &Run, host: &mut Child) -> Duration {
    run.dir.put_stop_wanted().unwrap();
    stop(host)
}

#[test]
fn the_tool_gets_its_directory_and_its_own_environment() {
    let run = Run::new("pwd; echo \"$CHATROOM_RUN_ID $TMPDIR\"; test -d \"$TMPDIR\"; env; exit 7");
    let facts = run.to_its_end();
    let ended = facts.ended.unwrap();
    assert_eq!(ended.exit, AgentExit::Code { code: 7 });
    assert!(!ended.stopped);
    let (agent, tmp) = (&run.agent, run.dir.tmp());
    let output = run.output();
    let expected = format!("{}\n{agent} {}\n", run.work.display(), tmp.display());
    assert!(output.starts_with(&expected), "{output}");
    // Beside what the shell itself adds.
    let names = output.lines().skip(2).filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let mut names: Vec<_> = names.filter(|name| !["_", "OLDPWD", "SHLVL"].contains(name)).collect();
    names.sort_unstable();
    assert_eq!(names, ["CHATROOM_RUN_ID", "PATH", "PWD", "TMPDIR"]);
    assert!(!tmp.exists());
    assert!(!run.dir.prompt().exists());
    assert!(run.dir.spec().is_err());
    assert!(ended.exited_at >= facts.started.unwrap().started_at);
}

#[test]
fn a_death_by_a_signal_of_somebody_else_is_told_as_such() {
    let facts = Run::new("kill -KILL $$").to_its_end();
    assert_eq!(facts.ended.unwrap().exit, AgentExit::Signal { signal: 9 });
}

#[test]
fn what_cannot_be_started_is_refused_with_the_reason() {
    let refusal = |change: &dyn Fn(&mut Run)| {
        let mut run = Run::new("exit 0");
        change(&mut run);
        let facts = run.to_its_end();
        assert_eq!((facts.started, facts.ended), (None, None));
        assert!(!run.dir.tmp().exists() && !run.dir.prompt().exists());
        facts.refused.unwrap()
    };
    let missing = refusal(&|run| run.spec.cwd = run.work.join("gone"));
    assert_eq!(missing.code, FailureCode::WorkingDirMissing);
    assert!(missing.message.contains("gone does not exist"), "{}", missing.message);
    let file = refusal(&|run| {
        run.spec.cwd = run.work.join("file");
        fs::write(&run.spec.cwd, "").unwrap();
    });
    assert_eq!(file.code, FailureCode::WorkingDirDenied);
    let tool = refusal(&|run| run.spec.program = run.work.join("no-tool"));
    assert_eq!(tool.code, FailureCode::ToolMissing);
    let stub = refusal(&|run| {
        use std::os::unix::fs::PermissionsExt as _;
        run.spec.program = run.work.join("stub");
        fs::write(&run.spec.program, "postinstall was not run").unwrap();
        fs::set_permissions(&run.spec.program, fs::Permissions::from_mode(0o755)).unwrap();
    });
    assert_eq!(stub.code, FailureCode::ToolMissing);
}

#[test]
fn a_second_host_of_the_same_run_goes_away_quietly() {
    let run = Run::new("echo once >> starts; sleep 0.2");
    run.prepare();
    let mut hosts: Vec<_> = (0..4).map(|_| run.host_unheard()).collect();
    for host in &mut hosts {
        assert!(host.wait().unwrap().success());
    }
    assert_eq!(fs::read_to_string(run.work.join("starts")).unwrap(), "once\n");
    assert_eq!(run.dir.facts().ended.unwrap().exit, AgentExit::Code { code: 0 });
}

#[test]
fn nothing_that_the_tool_left_behind_outlives_it() {
    let run = Run::new(
        "setsid sh -c 'trap \"\" TERM HUP; echo a >> up; while :; do sleep 60; done' >/dev/null 2>&1 & \
         (setsid sh -c '(sh -c \"echo b >> up; exec sleep 60\" &) ; sleep 60' &) ; \
         while [ \"$(wc -l < up)\" != 2 ]; do sleep 0.02; done; exit 0",
    );
    let facts = run.to_its_end();
    assert_eq!(facts.ended.unwrap().exit, AgentExit::Code { code: 0 });
    assert_eq!(run.left(), 0);
}

#[test]
fn a_tool_that_obeys_is_stopped_at_once() {
    // The end of its input is enough, or else a signal.
    for (script, limit_ms) in [("echo up; cat > heard", 1_000), ("echo up; exec sleep 60", 3_000)] {
        let run = Run::new(script);
        run.prepare();
        let mut host = run.host();
        until("it runs", || run.output() == "up\n");
        let took = wanted_stop(&run, &mut host);
        assert!(took < Duration::from_millis(limit_ms), "{script}: {took:?}");
        assert_eq!(run.left(), 0);
        let ended = run.dir.facts().ended.unwrap();
        assert_eq!((ended.exit, ended.stopped), (AgentExit::Stopped, true));
    }
}

#[test]
fn a_tool_that_closes_its_output_is_still_waited_for() {
    let run = Run::new("exec >&- 2>&- <&-; sleep 0.3; exit 3");
    assert_eq!(run.to_its_end().ended.unwrap().exit, AgentExit::Code { code: 3 });
}

#[test]
fn a_process_that_holds_the_output_open_does_not_delay_the_end() {
    let run = Run::new("sleep 60 & echo done");
    let begun = Instant::now();
    let facts = run.to_its_end();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(facts.ended.unwrap().exit, AgentExit::Code { code: 0 });
    assert_eq!(run.output(), "done\n");
}

#[test]
fn output_without_end_is_kept_within_its_limit() {
    let mut run = Run::new("i=0; while [ $i -lt 2000 ]; do echo \"line $i\"; i=$((i+1)); done");
    run.spec.log_limit_bytes = 4096;
    run.to_its_end();
    assert!(run.output().ends_with("line 1999\n"));
    let kept = fs::metadata(run.dir.output()).unwrap().len() + fs::metadata(run.dir.older_output()).unwrap().len();
    assert!(kept <= 2 * (4096 + 16 * 1024), "{kept}");
}

#[test]
fn a_run_whose_spec_is_gone_or_of_an_older_version_is_refused() {
    // Older versions started tools without a session.
    let of_old = r#"{"agentId":"a1","program":"/bin/sh","args":[],"env":{},"cwd":"/","stdin":"prompt","logLimitBytes":1,"session":null}"#;
    for (spec, why) in [(None, "cannot be read: No such file"), (Some(of_old), "cannot be read: invalid type: null")] {
        let run = Run::new("exit 0");
        run.prepare();
        let path = run.dir.path().join("spec.json");
        match spec {
            Some(spec) => fs::write(path, spec).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        assert!(run.host().wait().unwrap().success());
        let refused = run.dir.facts().refused.unwrap();
        assert_eq!(refused.code, FailureCode::StorageFailed);
        assert!(refused.message.contains(why), "{}", refused.message);
        assert!(run.dir.spec().is_err() && !run.dir.prompt().exists());
    }
}

#[test]
fn a_host_that_was_killed_leaves_processes_that_are_found_by_their_run_id() {
    let run = Run::new("setsid sleep 60 & echo up; exec sleep 60");
    run.prepare();
    let mut host = run.host();
    until("both run", || run.left() == 2 && run.output() == "up\n");
    host.kill().unwrap();
    host.wait().unwrap();
    assert_eq!(run.left(), 2);
    let swept = super::super::process::kill_until_none(|| with_run_id(&run.agent), || (), Duration::from_secs(5));
    assert!(swept);
    assert_eq!(run.dir.facts().ended, None);
}
