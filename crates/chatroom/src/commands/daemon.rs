//! `chatroom machine daemon`: the background process of this machine.

use crate::cli::Daemon;
use crate::context::Context;
use anyhow::Result;

/// Runs a `machine daemon` command.
pub(crate) async fn run(_context: &Context, _command: Daemon) -> Result<()> {
    Ok(())
}

/// Runs the daemon in this process.
pub(crate) async fn run_daemon(_context: &Context) -> Result<()> {
    Ok(())
}
