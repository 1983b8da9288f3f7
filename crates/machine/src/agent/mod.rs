//! Agents on this machine: how one is started, kept by its host process and ended.
//!
//! The daemon prepares a run directory and starts an agent host (this same program); the host starts the tool, keeps its
//! output and outlives the daemon. Everything that the daemon has to know again after a crash stands in the run directory.

pub mod environment;
pub mod host;
pub mod launch;
mod output_log;
pub mod process;
pub mod run_dir;
mod session;
pub mod transcript;
