//! What a start makes of a tool's words: the command line, the tool's own variables, and how it is spoken to. Pure.
//!
//! A prompt or a token is never an argument: arguments are visible to everybody on the machine.

use super::run_dir::SessionSpec;
use crate::tools::registry::{AgentSpec, ModeSpec, ModelChoice, Quirk, ToolSpec};
use chatroom_protocol::command::{CommandFailure, FailureCode, StartOrder};
use chatroom_protocol::tool::PermissionMode;
use chatroom_protocol::transcript::DriverKind;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// How long a tool may take until it can be spoken to, in milliseconds: the slowest takes seven seconds on a busy machine.
const START_LIMIT_MS: i64 = 90_000;

/// What is to be started.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The order of the server.
    pub order: &'a StartOrder,
    /// Absolute path of the tool, from detection.
    pub program: &'a Path,
    /// Absolute path of its adapter, where one is installed.
    pub adapter: Option<&'a Path>,
    /// Absolute path of our own program, which the agent calls.
    pub cli: &'a Path,
    /// A private directory that is the agent's own as long as it lives.
    pub state: &'a Path,
}

/// A command line without secrets, and how the tool is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Absolute path.
    pub program: PathBuf,
    /// Arguments.
    pub args: Vec<String>,
    /// Variables of this tool, set after everything else.
    pub env: Vec<(String, String)>,
    /// How it is spoken to.
    pub session: SessionSpec,
}

/// The start of `tool` for `request`.
///
/// # Errors
/// The failure of the start command: the tool cannot do what was asked.
pub fn launch(tool: &ToolSpec, request: &Request<'_>) -> Result<Launch, CommandFailure> {
    let order = request.order;
    let adapter = tool.adapter.as_ref().zip(request.adapter);
    let way = tool.way(adapter.is_some()).ok_or_else(|| cannot_start(&tool.name))?;
    let mode = mode(tool, way, order.permission_mode)?;
    let model = model(order)?;

    let mut args = way.args.clone();
    let mut env = way.set.clone();
    match (&way.model, model) {
        (ModelChoice::Flag(name), Some(model)) if name.ends_with('=') => args.push(format!("{name}{model}")),
        (ModelChoice::Flag(name), Some(model)) => args.extend([name.clone(), model.to_owned()]),
        (ModelChoice::Variable(name), Some(model)) => env.push((name.clone(), model.to_owned())),
        (ModelChoice::Never, Some(_)) => {
            return Err(CommandFailure::new(FailureCode::Unsupported, format!("{} has no models", tool.name))
                .hint("choose no model for this role"));
        }
        _ => {}
    }
    if let Some(mode) = mode {
        args.extend(mode.args.iter().cloned());
        env.extend(mode.set.iter().cloned());
    }
    if order.resume.is_none() {
        let session = session_id(order);
        args.extend(way.new_session_args.iter().map(|arg| arg.replace("{session}", &session)));
    }
    if let Some(quirk) = way.quirk {
        apply(quirk, request, &mut args, &mut env);
    }
    let mut program = request.program;
    if let Some((adapter, path)) = adapter {
        env.push((adapter.program_variable.clone(), program.to_string_lossy().into_owned()));
        program = path;
    }
    // What cannot take a session up again begins a new one.
    let can_resume = way.driver == DriverKind::Acp || way.resume_args.iter().any(|arg| arg.contains("{session}"));
    let session = SessionSpec {
        driver: way.driver,
        output: way.output,
        resume_args: way.resume_args.clone(),
        resume: order.resume.clone().filter(|_| can_resume),
        model: order.model.clone().filter(|_| way.model == ModelChoice::Protocol && model.is_some()),
        lists_all_models: way.model == ModelChoice::Protocol,
        permission_mode: order.permission_mode,
        cli: request.cli.to_owned(),
        chatroom_id: order.chatroom_id.clone(),
        role: order.role.clone(),
        mcp: way.mcp,
        login_repair: tool.login.clone(),
        start_limit_ms: START_LIMIT_MS,
    };
    Ok(Launch { program: program.to_owned(), args, env, session })
}

/// What is said of a tool that can only be detected.
#[must_use]
pub fn cannot_start(tool: &str) -> CommandFailure {
    CommandFailure::new(FailureCode::Unsupported, format!("this version of chatroom cannot start the tool {tool}"))
        .hint("choose another tool for the role, or update chatroom on that machine")
}

/// What the permission mode adds. A tool that cannot ask is started only in the modes that its words name.
fn mode<'a>(tool: &ToolSpec, way: &'a AgentSpec, mode: PermissionMode) -> Result<Option<&'a ModeSpec>, CommandFailure> {
    let found = way.modes.iter().find(|spec| spec.mode == mode);
    if !way.asks && (mode == PermissionMode::Ask || (found.is_none() && !way.modes.is_empty())) {
        let fitting = [PermissionMode::AcceptEdits, PermissionMode::Full]
            .into_iter()
            .filter(|mode| way.modes.is_empty() || way.modes.iter().any(|spec| spec.mode == *mode));
        let fitting: Vec<&str> = fitting.map(PermissionMode::as_str).collect();
        return Err(CommandFailure::new(
            FailureCode::Unsupported,
            format!("{} cannot ask for permissions, so it is not started in the mode {}", tool.name, mode.as_str()),
        )
        .hint(format!("choose the permission mode {} for this role", fitting.join(" or "))));
    }
    Ok(found)
}

/// The model, if one was chosen.
fn model(order: &StartOrder) -> Result<Option<&str>, CommandFailure> {
    match order.model.as_deref().filter(|model| !model.is_empty()) {
        Some(model) if model.starts_with('-') || model.chars().any(char::is_control) => {
            Err(CommandFailure::new(FailureCode::SpawnFailed, "the model's name is not acceptable")
                .hint("choose a model in the tool's own words, or none for its default"))
        }
        model => Ok(model),
    }
}

/// The UUID of a new session: the agent's own id where that is one, so that the two are found by the same name.
fn session_id(order: &StartOrder) -> String {
    let id = order.agent_id.as_str();
    uuid::Uuid::parse_str(id)
        .unwrap_or_else(|_| {
            let digest = Sha256::digest(id.as_bytes());
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&digest[..16]);
            uuid::Builder::from_random_bytes(bytes).into_uuid()
        })
        .to_string()
}

fn apply(quirk: Quirk, request: &Request<'_>, args: &mut Vec<String>, env: &mut Vec<(String, String)>) {
    match quirk {
        Quirk::OpenCodeRules => {
            // Merged over the user's own configuration, which stays in force for everything else. Our own program is not
            // excepted: what of it an agent may do without asking, the host knows better than a pattern.
            let ask = |edit: &str| {
                json!({
                    "edit": edit,
                    "bash": {"*": "ask"},
                    "external_directory": "ask",
                    "webfetch": "ask",
                    "websearch": "ask",
                    "chatroom_*": "allow",
                })
            };
            let rules = match request.order.permission_mode {
                PermissionMode::Ask => ask("ask"),
                PermissionMode::AcceptEdits => ask("allow"),
                PermissionMode::Full => json!({"*": "allow"}),
            };
            env.push(("OPENCODE_PERMISSION".to_owned(), rules.to_string()));
        }
        Quirk::ClaudeMcp => {
            let cli = request.cli.to_string_lossy();
            let servers = json!({"mcpServers": {"chatroom": {"command": cli, "args": ["mcp"]}}});
            args.push(format!("--mcp-config={servers}"));
        }
        Quirk::PiSessions => {
            let state = request.state.to_string_lossy().into_owned();
            env.push(("PI_CODING_AGENT_SESSION_DIR".to_owned(), state));
            args.push("--continue".to_owned());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
