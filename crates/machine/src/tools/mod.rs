//! Agent CLIs: which there are, where they are on this machine, whether they run, and with which environment to start them.

mod cache;
pub mod detection;
pub mod environment;
pub mod models;
pub mod own;
pub mod registry;
mod run;
mod search;
pub mod shell_path;
mod version;

pub use detection::{Detection, Detector};
pub use environment::{spawn_path_for, tool_environment};
pub use own::Tools;
pub use registry::ToolSpec;
pub use shell_path::ShellEnvironment;

use std::path::PathBuf;

/// The absolute path of this program, as prompts and `echo` name it. After the file was replaced by a newer version it is the
/// path of the newer one.
#[must_use]
pub fn own_program() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?;
    // What Linux appends when the running file has been replaced.
    match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(path) => Some(PathBuf::from(path)),
        None => Some(path),
    }
}
