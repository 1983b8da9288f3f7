//! `users.*`: who may use this server.

use super::auth::mint_link;
use crate::caller::Caller;
use crate::fail::{Result, refuse};
use crate::registry::{MutationCx, Registry};
use crate::secret;
use crate::store::users::{self, User};
use chatroom_protocol::api::auth::SignInLink;
use chatroom_protocol::api::users::{Invite, InviteArgs};
use chatroom_protocol::{ErrorCode, Refusal};

/// Lists this module's functions.
pub fn register(registry: &mut Registry) {
    registry.mutation::<Invite>(|cx, args| Box::pin(invite(cx, args)));
}

async fn invite(cx: &mut MutationCx, args: InviteArgs) -> Result<SignInLink> {
    if !matches!(cx.caller, Caller::User { is_admin: true, .. }) {
        return refuse(ErrorCode::Forbidden, "only the first user of this server may invite others");
    }
    let name = args.name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(Refusal::bad_request("name is a text of 1 to 100 characters without control characters").into());
    }
    let user = match users::find_by_name(&mut cx.tx, name).await? {
        Some(user) if user.signed_in_at.is_some() => {
            return Err(Refusal::new(ErrorCode::Conflict, format!("there is a user named {name:?} already"))
                .hint("choose another name")
                .into());
        }
        Some(user) => user,
        None => {
            let user = User { id: secret::new_id(), name: name.to_owned(), is_admin: false, signed_in_at: None };
            users::insert(&mut cx.tx, &user, cx.now).await?;
            user
        }
    };
    mint_link(&mut cx.tx, &cx.app.public_url, &user.id, cx.now).await
}
