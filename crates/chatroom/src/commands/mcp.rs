//! x
use crate::cli::Mcp;
use crate::context::Context;
use anyhow::Result;
/// x
pub(crate) async fn run(_context: &Context, _args: Mcp) -> Result<()> {
    Ok(())
}
