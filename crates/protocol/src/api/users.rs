//! `users.*`: who may use this server.

use super::auth::SignInLink;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Makes another user and a one-time link that signs them in. Only the first user may.
    Invite(InviteArgs) -> SignInLink = "users.invite", Mutation, [USER] secret;
}

/// Arguments of `users.invite`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InviteArgs {
    /// Their name: 1 to 100 characters, not in use. Inviting a name that has not signed in yet revokes the lost link.
    pub name: String,
}
