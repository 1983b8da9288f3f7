//! `chatroom up`: server, this machine's daemon and a login, in one process.

use crate::cli;
use crate::context::Context;
use anyhow::Result;

/// Runs until it is told to stop.
pub(crate) async fn run(_context: &Context, _args: cli::Up) -> Result<()> {
    Ok(())
}
