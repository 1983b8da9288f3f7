//! `chatroom api`: any function by name, once or live, and the list of them all.

use crate::cli::Api;
use crate::context::{Context, link};
use crate::error::refused;
use crate::input;
use crate::stop::on_signal;
use crate::ui::table;
use anyhow::Result;
use chatroom_machine::LinkEvent;
use chatroom_protocol::function::canonical_name;
use chatroom_protocol::{ErrorCode, Kind};
use chatroom_server::functions;
use chatroom_server::reference::{Reference, typescript};
use serde_json::{Value, json};
use std::path::Path;

/// Calls a function with arguments that are checked by the server alone, and prints its answer as JSON.
pub(crate) async fn run(context: &Context, args: Api) -> Result<()> {
    let Some(function) = args.function else { return list(context) };
    let text = if args.args == "-" { input::read_text()? } else { args.args };
    let arguments: Value = serde_json::from_str(&text).map_err(|error| {
        refused("the arguments are not JSON").hint("write them like '{\"name\": \"x\"}'").caused_by(error)
    })?;
    if !arguments.is_object() {
        return Err(refused("the arguments are not a JSON object").hint("write them like '{\"name\": \"x\"}'").into());
    }
    if args.watch {
        return watch(context, &canonical_name(&function), arguments).await;
    }
    let answer = context.client()?.call_untyped(&function, arguments).await?;
    Ok(context.ui.document(&answer)?)
}

/// Writes the TypeScript files of the API.
pub(crate) fn generate_typescript(context: &Context, into: &Path) -> Result<()> {
    std::fs::create_dir_all(into)?;
    for (name, text) in typescript::files(&Reference::new(&functions::registry())) {
        std::fs::write(into.join(name), text)?;
    }
    Ok(context.ui.note(&format!("wrote {}", into.display()))?)
}

/// The functions of this version; the server is not asked.
fn list(context: &Context) -> Result<()> {
    let registry = functions::registry();
    let kind = |kind| if kind == Kind::Query { "query" } else { "mutation" };
    let functions: Vec<Value> = registry
        .entries()
        .map(|entry| json!({"name": entry.name, "kind": kind(entry.kind), "summary": entry.summary}))
        .collect();
    Ok(context.ui.answer(&functions, |_| {
        let rows: Vec<[String; 3]> = registry
            .entries()
            .map(|entry| [entry.name.to_owned(), kind(entry.kind).to_owned(), entry.summary.to_owned()])
            .collect();
        table(["FUNCTION", "KIND", ""], &rows)
    })?)
}

/// Prints the answer of a query now and whenever it changes, until a signal comes or nobody reads any more.
async fn watch(context: &Context, function: &str, arguments: Value) -> Result<()> {
    let stopped = on_signal(true)?;
    let link = link(&context.client()?, &stopped)?;
    let mut subscription = link.subscribe_untyped(function, arguments);
    let mut printed: Option<Value> = None;
    while let Some(event) = subscription.next().await {
        match event {
            // After a cut the same answer comes again.
            LinkEvent::Value(value) if printed.as_ref() != Some(&value) => {
                context.ui.json_line(&value)?;
                printed = Some(value);
            }
            LinkEvent::Value(_) | LinkEvent::Up => {}
            LinkEvent::Down { reason } => context.ui.note(&format!("no connection: {reason}; trying again"))?,
            LinkEvent::Refused(refusal)
                if matches!(refusal.code, ErrorCode::Internal | ErrorCode::Unavailable | ErrorCode::RateLimited) =>
            {
                context.ui.note(&format!("{refusal}; trying again"))?;
            }
            LinkEvent::Refused(refusal) => return Err(refusal.into()),
        }
    }
    Ok(())
}
