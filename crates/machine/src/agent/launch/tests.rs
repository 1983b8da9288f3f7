use super::*;
use crate::tools::registry::{self, find};
use chatroom_protocol::id::{AgentId, ChatroomId};
use chatroom_protocol::tool::ToolName;

pub(crate) fn order(tool: &str, mode: PermissionMode) -> StartOrder {
    StartOrder {
        agent_id: AgentId::from("a1"),
        chatroom_id: ChatroomId::from("r1"),
        role: "builder".to_owned(),
        tool: ToolName::from(tool),
        model: None,
        working_dir: "/work".to_owned(),
        permission_mode: mode,
        resume: None,
        prompt: "THE-PROMPT".to_owned(),
        prompt_version: "1".to_owned(),
        credential: "THE-TOKEN".to_owned(),
    }
}

const MODES: [PermissionMode; 3] = [PermissionMode::Ask, PermissionMode::AcceptEdits, PermissionMode::Full];

fn started(order: &StartOrder, adapter: Option<&str>) -> Result<Launch, CommandFailure> {
    let request = Request {
        order,
        program: Path::new("/bin/tool"),
        adapter: adapter.map(Path::new),
        cli: Path::new("/opt/chat room/chatroom"),
        state: Path::new("/run/state"),
    };
    launch(find(order.tool.as_str()).unwrap(), &request)
}

/// What is on the command line, without what is the same in all cases.
fn line(launch: &Launch) -> String {
    format!("{} {}", launch.program.display(), launch.args.join(" "))
}

fn variable<'a>(launch: &'a Launch, name: &str) -> Option<&'a str> {
    launch.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn every_tool_is_started_by_its_words() {
    let uuid = session_id(&order("claude", PermissionMode::Ask));
    let mcp = r#"--mcp-config={"mcpServers":{"chatroom":{"args":["mcp"],"command":"/opt/chat room/chatroom"}}}"#;
    let claude = format!(
        "/bin/tool -p --input-format=stream-json --output-format=stream-json --verbose --include-partial-messages --permission-prompt-tool=stdio --session-id={uuid} {mcp}"
    );
    for (tool, driver, expected) in [
        ("opencode", DriverKind::Acp, "/bin/tool acp"),
        ("claude", DriverKind::Claude, claude.as_str()),
        ("cursor", DriverKind::Acp, "/bin/tool acp"),
        ("gemini", DriverKind::Acp, "/bin/tool --acp"),
        ("copilot", DriverKind::Acp, "/bin/tool --acp"),
        ("qwen", DriverKind::Acp, "/bin/tool --acp"),
        ("goose", DriverKind::Acp, "/bin/tool acp"),
        ("echo", DriverKind::Acp, "/bin/tool echo-agent"),
    ] {
        for mode in MODES {
            let launch = started(&order(tool, mode), None).unwrap();
            assert_eq!(line(&launch), expected);
            assert_eq!((launch.session.driver, launch.session.permission_mode), (driver, mode), "{tool}");
            assert_eq!(launch.session.resume, None);
        }
    }
    let codex = |mode, adapter| started(&order("codex", mode), adapter).unwrap();
    assert_eq!(
        line(&codex(PermissionMode::AcceptEdits, None)),
        "/bin/tool exec --json --skip-git-repo-check --sandbox=workspace-write -c sandbox_workspace_write.network_access=true"
    );
    assert_eq!(
        line(&codex(PermissionMode::Full, None)),
        "/bin/tool exec --json --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox"
    );
    let pi = started(&order("pi", PermissionMode::Full), None).unwrap();
    assert_eq!(line(&pi), "/bin/tool -p --continue");
    assert_eq!(variable(&pi, "PI_CODING_AGENT_SESSION_DIR"), Some("/run/state"));
    let failure = launch(
        find("amp").unwrap(),
        &Request {
            order: &order("amp", PermissionMode::Full),
            program: Path::new("/bin/amp"),
            adapter: None,
            cli: Path::new("/c"),
            state: Path::new("/s"),
        },
    );
    assert_eq!(failure.unwrap_err().code, FailureCode::Unsupported);
}

#[test]
fn codex_is_spoken_to_over_its_adapter_where_there_is_one() {
    for (mode, initial) in [(MODES[0], "read-only"), (MODES[1], "workspace-write"), (MODES[2], "agent-full-access")] {
        let launch = started(&order("codex", mode), Some("/bin/codex-acp")).unwrap();
        assert_eq!(line(&launch).trim(), "/bin/codex-acp");
        assert_eq!(launch.session.driver, DriverKind::Acp);
        assert_eq!(variable(&launch, "CODEX_PATH"), Some("/bin/tool"));
        assert_eq!(variable(&launch, "INITIAL_AGENT_MODE"), Some(initial));
    }
}

#[test]
fn no_command_line_or_variable_carries_the_prompt_or_the_token() {
    for spec in registry::all().iter().filter(|spec| spec.agent.is_some()) {
        let launch = started(&order(&spec.name, PermissionMode::Full), None).unwrap();
        let shown = format!("{launch:?}");
        assert!(!shown.contains("THE-"), "{shown}");
        assert!(!shown.contains("IS_SANDBOX") && !shown.contains("skip-permissions"), "{shown}");
    }
}

#[test]
fn a_tool_that_cannot_ask_is_refused_where_it_would_have_to() {
    for (tool, mode, fitting) in [
        ("codex", PermissionMode::Ask, "accept-edits or full"),
        ("pi", PermissionMode::Ask, "mode full"),
        ("pi", PermissionMode::AcceptEdits, "mode full"),
    ] {
        let failure = started(&order(tool, mode), None).unwrap_err();
        assert_eq!(failure.code, FailureCode::Unsupported);
        assert!(failure.hint.as_ref().unwrap().contains(fitting), "{failure:?}");
    }
}

#[test]
fn a_model_is_chosen_by_a_flag_a_variable_or_the_protocol_and_is_no_other_option() {
    for tool in ["claude", "cursor", "gemini", "copilot", "qwen", "opencode", "goose", "codex", "pi"] {
        let mut order = order(tool, PermissionMode::Full);
        order.model = Some("anthropic/opus".to_owned());
        let launch = started(&order, None).unwrap();
        let by_flag =
            line(&launch).contains(if tool == "pi" { " --model anthropic/opus" } else { " --model=anthropic/opus" });
        let by_variable = variable(&launch, "GOOSE_MODEL") == Some("anthropic/opus");
        let by_protocol = launch.session.model.as_deref() == Some("anthropic/opus");
        assert_eq!(usize::from(by_flag) + usize::from(by_variable) + usize::from(by_protocol), 1, "{tool}: {launch:?}");
        assert_eq!(by_protocol, tool == "opencode", "{tool}");
        order.model = Some("--share".to_owned());
        assert!(started(&order, None).is_err());
        order.model = Some(String::new());
        let launch = started(&order, None).unwrap();
        assert!(!format!("{launch:?}").contains("--model") && launch.session.model.is_none(), "{launch:?}");
    }
    let mut order = order("echo", PermissionMode::Ask);
    order.model = Some("opus".to_owned());
    assert_eq!(started(&order, None).unwrap_err().code, FailureCode::Unsupported);
}

#[test]
fn an_earlier_session_is_taken_up_by_its_name_and_a_new_one_gets_a_uuid() {
    let mut order = order("claude", PermissionMode::Ask);
    let new = started(&order, None).unwrap();
    assert!(new.args.iter().any(|arg| arg.starts_with("--session-id=") && arg.len() == 13 + 36), "{new:?}");
    order.agent_id = AgentId::from("01a2022f-4d52-75b3-9727-6585a626981c");
    let named = started(&order, None).unwrap();
    assert!(named.args.contains(&"--session-id=01a2022f-4d52-75b3-9727-6585a626981c".to_owned()));

    order.resume = Some("s1".to_owned());
    let resumed = started(&order, None).unwrap();
    assert!(!line(&resumed).contains("--session-id"), "{resumed:?}");
    assert_eq!(resumed.session.resume.as_deref(), Some("s1"));
    assert_eq!(resumed.session.resume_args, ["--resume={session}"]);
    for (tool, resumes) in [("opencode", true), ("codex", true), ("pi", false)] {
        let launch = started(
            &StartOrder { tool: ToolName::from(tool), permission_mode: PermissionMode::Full, ..order.clone() },
            None,
        );
        assert_eq!(launch.unwrap().session.resume.is_some(), resumes, "{tool}");
    }
}

#[test]
fn opencode_asks_for_everything_that_the_mode_does_not_allow() {
    let rules = |mode| {
        let launch = started(&order("opencode", mode), None).unwrap();
        variable(&launch, "OPENCODE_PERMISSION").unwrap().to_owned()
    };
    for (mode, edit) in [(PermissionMode::Ask, r#""edit":"ask""#), (PermissionMode::AcceptEdits, r#""edit":"allow""#)] {
        let rules = rules(mode);
        assert!(rules.contains(r#""bash":{"*":"ask"}"#) && rules.contains(r#""chatroom_*":"allow""#), "{rules}");
        assert!(rules.contains(edit) && rules.contains(r#""external_directory":"ask""#), "{rules}");
    }
    assert_eq!(rules(PermissionMode::Full), r#"{"*":"allow"}"#);
}
