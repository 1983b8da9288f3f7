//! The environment that tools are run with: an allow list, never everything.

use super::{ShellEnvironment, ToolSpec};
use crate::config::Config;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The environment for a process of `spec`: common names, the tool's names and the owner's `env_pass`, from `process` (first)
/// or the login shell, with `PATH` set to `path`. Nothing that begins with `CHATROOM_` passes.
#[must_use]
pub fn tool_environment(
    spec: &ToolSpec,
    config: &Config,
    process: impl IntoIterator<Item = (OsString, OsString)>,
    shell: &ShellEnvironment,
    path: &OsStr,
) -> BTreeMap<OsString, OsString> {
    let _ = (spec, config, process.into_iter(), shell, path);
    unimplemented!()
}

/// `base` with the directory of `program` in front, unless it is in there: tools that are scripts find their interpreter
/// beside them.
#[must_use]
pub fn spawn_path_for(base: &str, program: &Path) -> String {
    let Some(directory) = program.parent().and_then(Path::to_str).filter(|directory| !directory.is_empty()) else {
        return base.to_owned();
    };
    if base.split(':').any(|entry| entry == directory) { base.to_owned() } else { format!("{directory}:{base}") }
}
