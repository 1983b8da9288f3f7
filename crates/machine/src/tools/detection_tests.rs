use super::*;
use chatroom_protocol::transcript::DriverKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Instant;

/// A machine of its own: home, a directory on PATH, and nothing of the real one.
struct Machine {
    root: tempfile::TempDir,
    config: Config,
    process: Vec<(String, String)>,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Home::at(root.path().join("home/.chatroom")).create().unwrap();
        let path = format!("{}:/usr/bin:/bin", root.path().join("bin").display());
        let home = root.path().join("home").display().to_string();
        Self { root, config: Config::default(), process: vec![("PATH".to_owned(), path), ("HOME".to_owned(), home)] }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A program with this content; gives its path.
    fn program(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A tool that prints its version, answers every login check with yes, and notes each run in `runs`.
    fn tool(&self, name: &str, version: &str) -> PathBuf {
        let runs = self.path("runs");
        self.program(name, &format!("#!/bin/sh\necho \"$0 $*\" >> {}\necho {version}\n", runs.display()))
    }

    fn runs(&self) -> usize {
        std::fs::read_to_string(self.path("runs")).unwrap_or_default().lines().count()
    }

    fn detector(&self) -> Detector {
        let process = self.process.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let home = Home::at(self.path("home/.chatroom"));
        let mut detector = Detector::with_process(&home, &self.config, process);
        // The places of this computer would be found, too.
        detector.known_places = false;
        detector.shell = None;
        detector
    }

    async fn detect(&self) -> Detection {
        self.detector().detect().await
    }
}

fn report<'a>(detection: &'a Detection, tool: &str) -> &'a ToolReport {
    detection.reports.iter().find(|report| report.name.as_str() == tool).unwrap()
}

fn ok(version: &str) -> ToolStatus {
    ToolStatus::Ok { version: version.to_owned() }
}

/// Reason and repair of a broken tool.
fn broken<'a>(detection: &'a Detection, tool: &str) -> (&'a str, &'a str) {
    match &report(detection, tool).status {
        ToolStatus::Broken { reason, repair } => (reason, repair),
        other => panic!("{tool} is not broken but {other:?}"),
    }
}

#[tokio::test]
async fn a_bare_machine_has_echo_and_every_other_tool_is_missing_with_its_repair() {
    let detection = Machine::new().detect().await;
    assert_eq!(detection.reports.len(), registry::all().len());
    for report in &detection.reports {
        if report.name.as_str() == "echo" {
            assert_eq!((report.status.clone(), report.path.as_deref()), (ok(VERSION), own_program().unwrap().to_str()));
        } else {
            assert_eq!(report.path, None);
            assert!(matches!(&report.status, ToolStatus::Missing { repair } if !repair.is_empty()), "{report:?}");
        }
    }
}

#[tokio::test]
async fn a_tool_on_path_tells_its_version_whatever_it_prints_beside_it() {
    let machine = Machine::new();
    let program = machine.program(
        "bin/opencode",
        "#!/bin/sh\necho 'WARNING: 9.9.9 in /x/1.1.1' >&2\necho 'OpenCode, the tool'\necho ' v1.18.33'\n",
    );
    let detection = machine.detect().await;
    assert_eq!(report(&detection, "opencode").status, ok("1.18.33"));
    assert_eq!(report(&detection, "opencode").path.as_deref(), program.to_str());
    assert_eq!(detection.spawn_path, machine.process[0].1);
}

#[tokio::test]
async fn a_program_that_does_not_run_is_broken_with_reason_and_repair() {
    let machine = Machine::new();
    machine.program("bin/opencode", "Error: postinstall was not run\n");
    machine.program("bin/codex", "#!/bin/sh\necho 2.0.0\necho 'node: No such file' >&2\nexit 127\n");
    machine.program("bin/gemini", "#!/bin/sh\necho hello\n");
    machine.program("bin/qwen", "#!/nonexistent/interpreter\n");
    machine.program("bin/pi", "#!/bin/sh\nkill -9 $$\n");
    let detection = machine.detect().await;
    let (reason, repair) = broken(&detection, "opencode");
    assert!(reason.contains("install step was not run"), "{reason}");
    assert_eq!(repair, "npm install -g --ignore-scripts=false opencode-ai");
    let (reason, _) = broken(&detection, "codex");
    assert!(reason.ends_with("bin/codex --version` ended with exit code 127: node: No such file"), "{reason}");
    assert!(broken(&detection, "gemini").0.ends_with("printed no version"));
    assert!(broken(&detection, "qwen").0.contains("cannot be started"));
    assert!(broken(&detection, "pi").0.contains("signal 9"));
    assert!(!report(&detection, "opencode").is_available());
}

#[tokio::test]
async fn a_tool_that_hangs_is_given_up_with_all_it_started_and_not_asked_again_at_once() {
    let machine = Machine::new();
    let pid_file = machine.path("pid");
    machine.program("bin/amp", &format!("#!/bin/sh\nsleep 1000 &\necho $! > {}\nwait\n", pid_file.display()));
    let mut detector = machine.detector();
    detector.limit = Duration::from_millis(700);
    let detection = detector.detect().await;
    assert!(broken(&detection, "amp").0.contains("gave no answer within 700 ms"));
    let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    // It may be a zombie until the init of this machine reaps it.
    let gone = || {
        rustix::process::test_kill_process(pid).is_err()
            || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while !gone() {
        assert!(Instant::now() < deadline, "what the tool started lives on");
        tokio::task::yield_now().await;
    }
    std::fs::remove_file(&pid_file).unwrap();
    assert!(broken(&detector.detect().await, "amp").0.contains("gave no answer"));
    assert!(!pid_file.exists(), "it was run again");
}

#[tokio::test]
async fn a_child_that_keeps_the_output_open_does_not_hold_up_the_answer() {
    let machine = Machine::new();
    machine.program("bin/amp", "#!/bin/sh\nsleep 1000 &\necho 1.2.3\n");
    let begun = Instant::now();
    assert_eq!(report(&machine.detect().await, "amp").status, ok("1.2.3"));
    assert!(begun.elapsed() < LIMIT);
}

#[tokio::test]
async fn what_has_not_changed_is_not_run_again() {
    let machine = Machine::new();
    machine.tool("bin/opencode", "1.0.0");
    let detector = machine.detector();
    assert_eq!(detector.detect().await, detector.detect().await);
    assert_eq!(report(&machine.detect().await, "opencode").status, ok("1.0.0"));
    assert_eq!(machine.runs(), 1);

    // Replaced: another file under the same name.
    machine.tool("bin/new", "2.0.0");
    std::fs::rename(machine.path("bin/new"), machine.path("bin/opencode")).unwrap();
    assert_eq!(report(&machine.detect().await, "opencode").status, ok("2.0.0"));
    assert_eq!(machine.runs(), 2);
    // Asked for.
    machine.detector().fresh().detect().await;
    assert_eq!(machine.runs(), 3);
}

#[tokio::test]
async fn tools_that_come_and_go_are_seen() {
    let machine = Machine::new();
    let opencode = machine.tool("bin/opencode", "1.0.0");
    assert!(report(&machine.detect().await, "opencode").is_available());
    std::fs::remove_file(opencode).unwrap();
    machine.tool("bin/gemini", "0.61.0");
    let detection = machine.detect().await;
    assert!(matches!(report(&detection, "opencode").status, ToolStatus::Missing { .. }));
    assert_eq!(report(&detection, "gemini").status, ok("0.61.0"));
}

#[tokio::test]
async fn a_tool_that_only_the_login_shell_knows_is_found_and_its_interpreter_beside_it() {
    let mut machine = Machine::new();
    machine.program("nvm/node", "#!/bin/sh\necho 3.2.1\n");
    let program = machine.program("nvm/codex", "#!/usr/bin/env node\n");
    let directory = machine.path("nvm").display().to_string();
    std::fs::write(
        machine.path("home/.profile"),
        format!("echo welcome\nexport PATH=\"{directory}:$PATH\" OPENAI_API_KEY=k OTHER=o\n"),
    )
    .unwrap();
    machine.process.push(("SHELL".to_owned(), "/bin/sh".to_owned()));
    let process: Vec<_> =
        machine.process.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let login_shell = LoginShell::of(&process, &machine.path("home"), SHELL_LIMIT);
    let with_shell = || {
        let mut detector = machine.detector();
        detector.shell = Some(login_shell.clone());
        detector
    };
    assert_eq!(report(&machine.detect().await, "codex").path, None);
    let detection = with_shell().detect().await;
    assert_eq!(report(&detection, "codex").path.as_deref(), program.to_str());
    assert_eq!(report(&detection, "codex").status, ok("3.2.1"));
    assert!(detection.spawn_path.starts_with(&machine.process[0].1) && detection.spawn_path.contains(&directory));

    // The PATH is kept, the keys are not; the daemon asks for them.
    assert!(!std::fs::read_to_string(machine.path("home/.chatroom/tools-cache.json")).unwrap().contains("OPENAI"));
    let stored = with_shell().detect().await.environment;
    assert!(stored.path().unwrap().contains(&directory));
    assert_eq!(stored.get("OPENAI_API_KEY"), None);
    let full = with_shell().with_environment().detect().await.environment;
    assert_eq!((full.get("OPENAI_API_KEY"), full.get("OTHER")), (Some("k"), None));
}

#[tokio::test]
async fn a_tool_in_a_known_place_runs_with_its_own_directory_in_front() {
    let machine = Machine::new();
    machine.program("home/.opencode/bin/chatroom-test-interpreter", "#!/bin/sh\necho 4.5.6\n");
    let program = machine.program("home/.opencode/bin/opencode", "#!/usr/bin/env chatroom-test-interpreter\n");
    let mut detector = machine.detector();
    detector.known_places = true;
    let detection = detector.detect().await;
    assert_eq!(report(&detection, "opencode").status, ok("4.5.6"));
    assert_eq!(report(&detection, "opencode").path.as_deref(), program.to_str());
}

#[tokio::test]
async fn the_owners_path_is_the_only_one_and_a_wrong_one_is_said() {
    let mut machine = Machine::new();
    machine.tool("bin/opencode", "1.0.0");
    let mine = machine.tool("mine/opencode", "2.0.0");
    let set = |machine: &mut Machine, path: &Path| {
        let text = format!("[tools.opencode]\npath = \"{}\"\n", path.display());
        machine.config = Config::parse(&text, Path::new("config.toml")).unwrap();
    };
    set(&mut machine, &mine);
    assert_eq!(report(&machine.detect().await, "opencode").status, ok("2.0.0"));
    let nowhere = machine.path("nowhere");
    set(&mut machine, &nowhere);
    let detection = machine.detect().await;
    let (_, repair) = broken(&detection, "opencode");
    assert!(repair.contains("tools.opencode.path") && repair.contains("config.toml"), "{repair}");
}

#[tokio::test]
async fn a_broken_tool_does_not_hide_a_working_one_further_on() {
    let mut machine = Machine::new();
    machine.program("bin/opencode", "stub\n");
    let second = machine.tool("second/opencode", "1.0.0");
    machine.process[0].1 = format!("{}:{}", machine.process[0].1, machine.path("second").display());
    assert_eq!(report(&machine.detect().await, "opencode").path.as_deref(), second.to_str());
}

#[tokio::test]
async fn a_tool_where_nobody_is_signed_in_says_so_unless_the_environment_signs_in() {
    let mut machine = Machine::new();
    let signed_in = machine.path("signed-in");
    machine.program(
        "bin/claude",
        &format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '2.1.330 (Claude Code)'; exit 0; fi\n\
             [ \"$*\" = 'auth status' ] || exit 9\n[ -e {} ]\n",
            signed_in.display()
        ),
    );
    let not_signed_in =
        ToolStatus::NotSignedIn { version: "2.1.330".to_owned(), repair: "claude auth login".to_owned() };
    assert_eq!(report(&machine.detect().await, "claude").status, not_signed_in);
    std::fs::write(&signed_in, "").unwrap();
    assert_eq!(report(&machine.detect().await, "claude").status, ok("2.1.330"));

    std::fs::remove_file(&signed_in).unwrap();
    assert_eq!(report(&machine.detector().fresh().detect().await, "claude").status, not_signed_in);
    machine.process.push(("ANTHROPIC_API_KEY".to_owned(), "k".to_owned()));
    assert_eq!(report(&machine.detector().fresh().detect().await, "claude").status, ok("2.1.330"));
}

#[tokio::test]
async fn only_cursors_own_agent_is_cursor() {
    let machine = Machine::new();
    machine.program("bin/agent", "#!/bin/sh\necho 'monitoring agent 1.2.3'\n");
    assert!(matches!(report(&machine.detect().await, "cursor").status, ToolStatus::Missing { .. }));
    machine.program("bin/agent", "#!/bin/sh\nexit 1\n");
    assert!(matches!(report(&machine.detect().await, "cursor").status, ToolStatus::Missing { .. }));

    machine.program("new", "#!/bin/sh\necho 2025.09.18-7ae6800\n");
    std::fs::rename(machine.path("new"), machine.path("bin/agent")).unwrap();
    assert_eq!(report(&machine.detect().await, "cursor").status, ok("2025.09.18-7ae6800"));

    let file = machine.program("cursor-agent/versions/x/cursor-agent", "#!/bin/sh\necho 1.0.0\n");
    std::fs::remove_file(machine.path("bin/agent")).unwrap();
    symlink(&file, machine.path("bin/agent")).unwrap();
    let detection = machine.detect().await;
    assert_eq!(report(&detection, "cursor").status, ok("1.0.0"));
    // The link is what is run, not the file behind it.
    assert_eq!(report(&detection, "cursor").path.as_deref(), machine.path("bin/agent").to_str());
}

#[tokio::test]
async fn what_a_tool_can_be_started_as_is_reported() {
    let machine = Machine::new();
    for tool in ["opencode", "claude", "codex", "amp"] {
        machine.tool(&format!("bin/{tool}"), "1.0.0");
    }
    let found = |detection: &Detection, tool| (report(detection, tool).driver, report(detection, tool).asks);
    let detection = machine.detect().await;
    assert_eq!(found(&detection, "opencode"), (Some(DriverKind::Acp), true));
    assert_eq!(found(&detection, "claude"), (Some(DriverKind::Claude), true));
    assert_eq!(found(&detection, "codex"), (Some(DriverKind::OneShot), false));
    assert_eq!(found(&detection, "amp"), (None, false));
    assert_eq!(found(&detection, "echo"), (Some(DriverKind::Acp), true));
    assert!(detection.adapters.is_empty());

    // An older adapter of the same name tells no version, and is none.
    machine.program("bin/codex-acp", "#!/bin/sh\nexit 2\n");
    assert_eq!(found(&machine.detect().await, "codex"), (Some(DriverKind::OneShot), false));
    machine.program("new", "#!/bin/sh\necho '@agentclientprotocol/codex-acp 2.6.0'\n");
    std::fs::rename(machine.path("new"), machine.path("bin/codex-acp")).unwrap();
    let detection = machine.detect().await;
    assert_eq!(found(&detection, "codex"), (Some(DriverKind::Acp), true));
    assert_eq!(report(&detection, "codex").path.as_deref(), machine.path("bin/codex").to_str());
    assert_eq!(detection.adapters[&ToolName::from("codex")], machine.path("bin/codex-acp"));
}

#[tokio::test]
async fn the_owners_tools_are_found_beside_the_built_in_ones() {
    let mut machine = Machine::new();
    machine.tool("bin/opencode", "1.0.0");
    let mine = machine.program("mine/agent", "#!/bin/sh\n[ \"$1\" = version ] && echo \"$HOUSE_KEY.1\"\n");
    machine.program("bin/runner", "#!/bin/sh\nexit 9\n");
    machine.process.push(("HOUSE_KEY".to_owned(), "4.5".to_owned()));
    let describe = |text: &str| std::fs::write(machine.path("home/.chatroom/tools.toml"), text).unwrap();
    let text = format!(
        "[[tool]]\nname = \"house\"\ncommand = \"{}\"\ndriver = \"acp\"\nversion_args = [\"version\"]\nenv_pass = [\"HOUSE_*\"]\n\
         [[tool]]\nname = \"runner\"\ncommand = \"runner\"\ndriver = \"one-shot\"\nversion_args = []\n\
         [[tool]]\nname = \"nowhere\"\ncommand = \"not-on-this-machine\"\ndriver = \"claude\"\n",
        mine.display()
    );
    describe(&text);
    let detector = machine.detector();
    let detection = detector.detect().await;
    assert_eq!(detection.fault, None);
    assert_eq!(detection.reports.len(), registry::all().len() + 3);
    let house = report(&detection, "house");
    assert_eq!((house.status.clone(), house.driver, house.asks), (ok("4.5.1"), Some(DriverKind::Acp), true));
    let runner = report(&detection, "runner");
    // It was not run to find out.
    assert_eq!((runner.status.clone(), runner.driver, runner.asks), (ok("unknown"), Some(DriverKind::OneShot), false));
    let ToolStatus::Missing { repair } = &report(&detection, "nowhere").status else { panic!("{detection:?}") };
    assert!(repair.contains("not-on-this-machine") && repair.contains("tools.toml"), "{repair}");

    // Read again at each detection; what is wrong hides no built-in tool.
    describe("[[tool]]\nname = \"house\"\n");
    let detection = detector.detect().await;
    assert!(detection.fault.as_deref().unwrap().contains("tools.toml:1: "), "{:?}", detection.fault);
    assert_eq!(detection.reports.len(), registry::all().len());
    assert!(report(&detection, "opencode").is_available());
    std::fs::remove_file(&mine).unwrap();
    describe(&text);
    assert!(broken(&detector.detect().await, "house").1.contains("tools.toml"));
}
