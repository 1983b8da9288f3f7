//! `chatroom api`: any function by name.

use crate::cli::Api;
use crate::context::Context;
use crate::error::refused;
use crate::input;
use anyhow::Result;
use serde_json::Value;

/// Calls a function with arguments that are checked by the server alone, and prints its answer as JSON.
pub(crate) async fn run(context: &Context, args: Api) -> Result<()> {
    let text = if args.args == "-" { input::read_text()? } else { args.args };
    let arguments: Value = serde_json::from_str(&text).map_err(|error| {
        refused("the arguments are not JSON").hint("write them like '{\"name\": \"x\"}'").caused_by(error)
    })?;
    if !arguments.is_object() {
        return Err(refused("the arguments are not a JSON object").hint("write them like '{\"name\": \"x\"}'").into());
    }
    let answer = context.client()?.call_untyped(&args.function, arguments).await?;
    Ok(context.ui.document(&answer)?)
}
