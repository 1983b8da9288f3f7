//! Drivers: how each tool is told to be an agent. One file per tool; all of them pure.
//!
//! A driver makes the command line, the tool's own variables and what stands on its standard input. A prompt or a token is
//! never an argument: arguments are visible to everybody on the machine.

mod claude;
mod cursor;
mod echo;
mod opencode;

use super::run_dir::Stdin;
use chatroom_protocol::command::{CommandFailure, FailureCode, StartOrder};
use chatroom_protocol::tool::{PermissionMode, ToolName};
use std::path::{Path, PathBuf};

/// A way to start one tool.
pub trait Driver: Send + Sync {
    /// The tool that it starts.
    fn tool(&self) -> &'static str;

    /// The command line for `request`.
    ///
    /// # Errors
    /// The failure of the start command: the tool cannot do what was asked.
    fn launch(&self, request: &Request<'_>) -> Result<Launch, CommandFailure>;
}

/// What a driver is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The order of the server.
    pub order: &'a StartOrder,
    /// Absolute path of the tool, from detection.
    pub program: &'a Path,
    /// Absolute path of our own program, which the agent calls.
    pub cli: &'a Path,
}

/// A command line without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Absolute path.
    pub program: PathBuf,
    /// Arguments.
    pub args: Vec<String>,
    /// Variables of this tool, set after everything else.
    pub env: Vec<(&'static str, String)>,
    /// Standard input.
    pub stdin: Stdin,
}

/// How long a shell command of an agent may take before its tool loses patience, in milliseconds: long enough for the
/// bounded wait of `wait-for-task`, whatever its limit.
const SHELL_LIMIT_MS: &str = "600000";

/// The driver of a tool.
///
/// # Errors
/// `unsupported`: this version cannot start that tool.
pub fn find(tool: &ToolName) -> Result<&'static dyn Driver, CommandFailure> {
    const DRIVERS: [&dyn Driver; 4] = [&claude::Claude, &cursor::Cursor, &echo::Echo, &opencode::OpenCode];
    DRIVERS.into_iter().find(|driver| driver.tool() == tool.as_str()).ok_or_else(|| {
        CommandFailure::new(FailureCode::Unsupported, format!("this version of chatroom cannot start the tool {tool}"))
            .hint("choose another tool for the role, or update chatroom on that machine")
    })
}

/// Whether a one-shot tool may do everything: the two modes that need nobody to answer questions.
fn is_full(order: &StartOrder) -> Result<bool, CommandFailure> {
    match order.permission_mode {
        PermissionMode::AcceptEdits => Ok(false),
        PermissionMode::Full => Ok(true),
        PermissionMode::Ask => Err(CommandFailure::new(
            FailureCode::Unsupported,
            format!("{} is started for one run and cannot ask for permissions", order.tool),
        )
        .hint("choose the permission mode accept-edits or full for this role")),
    }
}

/// The arguments that choose the model, if one was chosen. One word, so that a model cannot be read as another option.
fn model_args(order: &StartOrder) -> Result<Option<String>, CommandFailure> {
    match order.model.as_deref().filter(|model| !model.is_empty()) {
        None => Ok(None),
        Some(model) if model.starts_with('-') || model.chars().any(char::is_control) => {
            Err(CommandFailure::new(FailureCode::SpawnFailed, "the model's name is not acceptable")
                .hint("choose a model in the tool's own words, or none for its default"))
        }
        Some(model) => Ok(Some(format!("--model={model}"))),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use chatroom_protocol::id::{AgentId, ChatroomId};

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

    fn launch(order: &StartOrder) -> Result<Launch, CommandFailure> {
        let request = Request { order, program: Path::new("/bin/tool"), cli: Path::new("/opt/chat room/chatroom") };
        find(&order.tool)?.launch(&request)
    }

    #[test]
    fn every_startable_tool_has_a_driver_and_no_other() {
        for spec in crate::tools::registry::all() {
            assert_eq!(find(&ToolName::from(spec.name)).is_ok(), spec.startable, "{}", spec.name);
        }
    }

    #[test]
    fn no_command_line_or_variable_carries_the_prompt_or_the_token() {
        for tool in ["claude", "cursor", "echo", "opencode"] {
            for mode in [PermissionMode::AcceptEdits, PermissionMode::Full] {
                let shown = format!("{:?}", launch(&order(tool, mode)).unwrap());
                assert!(!shown.contains("THE-"), "{shown}");
                assert!(!shown.contains("IS_SANDBOX"), "{shown}");
            }
        }
    }

    #[test]
    fn a_tool_that_runs_once_refuses_to_ask() {
        for tool in ["claude", "cursor", "opencode"] {
            let failure = launch(&order(tool, PermissionMode::Ask)).unwrap_err();
            assert_eq!(failure.code, FailureCode::Unsupported);
            assert!(failure.hint.unwrap().contains("accept-edits"));
        }
    }

    #[test]
    fn a_model_cannot_be_another_option() {
        for tool in ["claude", "cursor", "opencode"] {
            let mut order = order(tool, PermissionMode::Full);
            order.model = Some("anthropic/opus".to_owned());
            assert!(launch(&order).unwrap().args.contains(&"--model=anthropic/opus".to_owned()), "{tool}");
            order.model = Some("--share".to_owned());
            assert!(launch(&order).is_err());
            order.model = Some(String::new());
            assert!(!launch(&order).unwrap().args.iter().any(|arg| arg.starts_with("--model")));
        }
    }

    #[test]
    fn edits_only_means_our_own_program_is_the_only_command() {
        let claude = launch(&order("claude", PermissionMode::AcceptEdits)).unwrap();
        assert!(claude.args.contains(&"--allowedTools=Bash(/opt/chat room/chatroom:*)".to_owned()));
        assert!(!claude.args.contains(&"--dangerously-skip-permissions".to_owned()));

        let opencode = launch(&order("opencode", PermissionMode::AcceptEdits)).unwrap();
        let (_, rules) = opencode.env.iter().find(|(name, _)| *name == "OPENCODE_PERMISSION").unwrap();
        // The last rule that fits holds, so the refusal has to come before the exception.
        let refusal = rules.find(r#""*":"deny""#).unwrap();
        assert!(rules.find(r#""/opt/chat room/chatroom *":"allow""#).unwrap() > refusal, "{rules}");
    }
}
