//! `chatroom backlog`: what is to be done in a room some day.

use crate::cli::{Backlog, BacklogItem as ItemRef};
use crate::context::Context;
use crate::duration::show;
use crate::input;
use crate::retry::idempotent;
use crate::ui::table;
use anyhow::Result;
use chatroom_machine::clock;
use chatroom_protocol::UnixMs;
use chatroom_protocol::api::backlog;
use chatroom_protocol::room::{BacklogItem, BacklogState};

/// Runs a `backlog` command.
pub(crate) async fn run(context: &Context, command: Backlog) -> Result<()> {
    let (client, ui) = (context.client()?, context.ui);
    match command {
        Backlog::Add { chatroom_id, role, text } => {
            let content = if text == "-" { input::read_message("the item")? } else { text };
            let args = backlog::AddArgs { chatroom_id: chatroom_id.into(), role, content };
            let item = idempotent::<backlog::Add>(&client, &args).await?;
            Ok(ui.answer(&item, |item| format!("added as {}", item.item_id))?)
        }
        Backlog::List { chatroom_id, state } => {
            let state = state.as_deref().and_then(BacklogState::parse);
            let list =
                client.call::<backlog::List>(&backlog::ListArgs { chatroom_id: chatroom_id.into(), state }).await?;
            Ok(ui.answer(&list, |list| describe(list, clock::now()))?)
        }
        Backlog::Start { item, target_role } => {
            let args = backlog::StartArgs {
                chatroom_id: item.chatroom_id.into(),
                item_id: item.item_id.into(),
                role: item.role,
                target_role,
            };
            let started = idempotent::<backlog::Start>(&client, &args).await?;
            Ok(ui.answer(&started, |started| format!("sent to {} as task {}", started.role, started.task_id))?)
        }
        Backlog::Complete(item) => {
            let ItemRef { chatroom_id, role, item_id } = item;
            let args = backlog::ItemArgs { chatroom_id: chatroom_id.into(), item_id: item_id.into(), role };
            let written = idempotent::<backlog::Complete>(&client, &args).await?;
            Ok(ui.answer(&written, |written| format!("item {} is completed", written.item.item_id))?)
        }
        Backlog::Remove(item) => {
            let args =
                backlog::RemoveArgs { chatroom_id: item.chatroom_id.into(), item_id: item.item_id.as_str().into() };
            let removed = idempotent::<backlog::Remove>(&client, &args).await?;
            Ok(ui.answer(&removed, |_| format!("item {} is removed", item.item_id))?)
        }
    }
}

/// A table of items.
pub(crate) fn describe(list: &[BacklogItem], now: UnixMs) -> String {
    if list.is_empty() {
        return "nothing in the backlog".to_owned();
    }
    let row = |item: &BacklogItem| {
        let state = match &item.task_role {
            Some(role) if item.state == BacklogState::Started => format!("started by {role}"),
            _ => item.state.as_str().to_owned(),
        };
        let line = item.content.lines().next().unwrap_or_default().chars().take(60).collect();
        [item.item_id.to_string(), state, item.author_role.clone(), show(now.since(item.created_at)), line]
    };
    table(["ITEM", "STATE", "BY", "AGE", "TEXT"], &list.iter().map(row).collect::<Vec<_>>())
}
