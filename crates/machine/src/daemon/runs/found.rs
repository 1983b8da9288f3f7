//! What this machine has for a start: the tool as it was detected, its models, and the directory, if its owner allows it.

use super::{Runs, storage};
use crate::agent::launch::cannot_start;
use crate::config::Config;
use crate::daemon::supervisor::Look;
use crate::home::create_private_dir;
use crate::tools::{Detection, Detector, ToolSpec, Tools, models, registry, spawn_path_for, tool_environment};
use chatroom_protocol::command::{CommandFailure, CommandResult, FailureCode};
use chatroom_protocol::tool::{ToolName, ToolStatus};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long the first detection may take before a start goes on without it.
const DETECTION_WAIT: Duration = Duration::from_secs(30);

/// A tool of this machine, and what it is started with.
pub(super) struct Found {
    pub(super) config: Config,
    pub(super) detection: Arc<Detection>,
    pub(super) program: PathBuf,
}

impl Runs {
    /// The words of a tool, and its program as it was detected; looked for again when it was not there.
    pub(super) async fn tool(&self, name: &ToolName) -> Result<(ToolSpec, Found), CommandFailure> {
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

    /// Finds something out that changes nothing.
    pub(in crate::daemon) async fn look(&self, look: Look) -> Result<CommandResult, CommandFailure> {
        match look {
            Look::Models(tool) => self.models(&tool).await,
            Look::Dir(path) => {
                let config = Config::load(&self.home).map_err(storage)?;
                let usable = spawn_blocking(move || usable_dir(&path, &config)).await;
                usable.unwrap_or_else(|error| Err(CommandFailure::new(FailureCode::Internal, error.to_string())))
            }
        }
    }

    async fn detection(&self) -> Arc<Detection> {
        let mut detection = self.detection.clone();
        let found = timeout(DETECTION_WAIT, detection.wait_for(Option::is_some)).await;
        match found {
            Ok(Ok(found)) => found.clone().unwrap_or_else(nothing_detected),
            _ => nothing_detected(),
        }
    }
}

fn nothing_detected() -> Arc<Detection> {
    let spawn_path = std::env::var("PATH").unwrap_or_default();
    Arc::new(Detection { spawn_path, ..Detection::default() })
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
pub(super) fn allowed_dir(dir: &Path, config: &Config) -> Result<PathBuf, CommandFailure> {
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
