//! `chatroom user`: who may use the server.

use crate::cli::User;
use crate::context::Context;
use anyhow::Result;
use chatroom_protocol::api::users;

/// Runs a `user` command.
pub(crate) async fn run(context: &Context, command: User) -> Result<()> {
    let User::Invite { name } = command;
    let link = context.client()?.call::<users::Invite>(&users::InviteArgs { name: name.clone() }).await?;
    context.ui.note(&format!("give this link to {name}; it signs in once:"))?;
    Ok(context.ui.answer(&link, |link| link.url.clone())?)
}
