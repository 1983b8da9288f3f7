//! Agent CLIs: which there are, where they are on this machine, whether they run, and with which environment to start them.

pub mod detection;
pub mod environment;
pub mod registry;
pub mod shell_path;

pub use detection::{Detection, Detector};
pub use environment::{spawn_path_for, tool_environment};
pub use registry::ToolSpec;
pub use shell_path::ShellEnvironment;
