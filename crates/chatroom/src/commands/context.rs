//! `chatroom context`: what a role needs to know now, and from where on a room's conversation counts.

use crate::cli::RoleContext;
use crate::context::Context;
use crate::duration::show;
use crate::input;
use crate::machines::this_machine;
use crate::retry;
use crate::ui::table;
use anyhow::Result;
use chatroom_machine::credentials::Source;
use chatroom_machine::{CallError, Client, clock};
use chatroom_protocol::ErrorCode;
use chatroom_protocol::api::contexts;
use chatroom_protocol::api::machines::ChatroomArgs;
use chatroom_protocol::api::tasks::{Confirm, RoleArgs};
use chatroom_protocol::room;

/// Runs a `context` command.
pub(crate) async fn run(context: &Context, command: RoleContext) -> Result<()> {
    match command {
        RoleContext::Read { chatroom_id, role, before, limit } => {
            let resolved = context.resolve()?;
            let machine_id = match resolved.source {
                Source::Agent(_) => None,
                _ => this_machine(context),
            };
            let client = crate::context::signed_in(&resolved)?;
            let args = contexts::ReadArgs { chatroom_id: chatroom_id.into(), role, before, limit, machine_id };
            let read = read(&client, args).await?;
            Ok(context.ui.answer(&read, |read| read.brief.clone())?)
        }
        RoleContext::New { chatroom_id, role, title } => {
            let content = input::read_message("what one must know")?;
            let args = contexts::CreateArgs { chatroom_id: chatroom_id.into(), role, title, content };
            let created = retry::idempotent::<contexts::Create>(&context.client()?, &args).await?;
            Ok(context.ui.answer(&created, |created| {
                format!("a new context began after message #{}: {}", created.after_sequence, created.title)
            })?)
        }
        RoleContext::List(room) => {
            let args = ChatroomArgs { chatroom_id: room.chatroom_id.into() };
            let list = context.client()?.call::<contexts::List>(&args).await?;
            let now = clock::now();
            Ok(context.ui.answer(&list, |list| match list.as_slice() {
                [] => "no context was begun: the whole conversation counts".to_owned(),
                list => {
                    let row = |one: &room::Context| {
                        let age = show(now.since(one.created_at));
                        [one.title.clone(), one.author_role.clone(), format!("#{}", one.after_sequence), age]
                    };
                    table(["TITLE", "BY", "AFTER", "AGE"], &list.iter().map(row).collect::<Vec<_>>())
                }
            })?)
        }
    }
}

/// Reads what a role needs to know. Whoever reads for a role has got its task: that is confirmed first.
///
/// # Errors
/// [`CallError`].
pub(crate) async fn read(client: &Client, args: contexts::ReadArgs) -> Result<contexts::RoleContext, CallError> {
    let role = RoleArgs { chatroom_id: args.chatroom_id.clone(), role: args.role.clone() };
    client.call::<Confirm>(&role).await?;
    match client.call::<contexts::Read>(&args).await {
        // The machine is not registered, or is another user's: the commands name the CLI by its plain name.
        Err(error) if error.code() == Some(ErrorCode::NotFound) && args.machine_id.is_some() => {
            client.call::<contexts::Read>(&contexts::ReadArgs { machine_id: None, ..args }).await
        }
        other => other,
    }
}
