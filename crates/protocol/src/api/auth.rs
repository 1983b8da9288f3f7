//! `auth.*`: device login, sessions and credentials.

use super::Empty;
use crate::id::{CredentialId, UserId};
use crate::time::UnixMs;
use crate::user::{Credential, Identity, TokenScope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

functions! {
    /// Begins a device login (RFC 8628): gives a code to poll with and a code to show to a person.
    StartDeviceLogin(StartDeviceLoginArgs) -> DeviceLoginStarted = "auth.startDeviceLogin", Mutation, [PUBLIC] secret;
    /// Asks whether a device login was approved; the first time after approval it gives the token, once.
    PollDeviceLogin(PollDeviceLoginArgs) -> DeviceLoginDone = "auth.pollDeviceLogin", Mutation, [PUBLIC] secret;
    /// Shows what asks for approval under a user code.
    GetDeviceLogin(UserCodeArgs) -> DeviceLogin = "auth.getDeviceLogin", Query, [USER];
    /// Approves a device login: its machine may act as the caller.
    ApproveDeviceLogin(UserCodeArgs) -> DeviceLogin = "auth.approveDeviceLogin", Mutation, [USER];
    /// Refuses a device login.
    DenyDeviceLogin(UserCodeArgs) -> DeviceLogin = "auth.denyDeviceLogin", Mutation, [USER];
    /// Tells who the credential of this call speaks for.
    Whoami(Empty) -> Identity = "auth.whoami", Query, [USER MACHINE AGENT];
    /// Revokes the credential of this call.
    Logout(Empty) -> Empty = "auth.logout", Mutation, [USER MACHINE];
    /// Mints a named, scoped, expiring token for scripts.
    CreateToken(CreateTokenArgs) -> TokenCreated = "auth.createToken", Mutation, [USER] secret;
    /// Makes a new one-time link that signs a browser in as the caller.
    CreateSignInLink(Empty) -> SignInLink = "auth.createSignInLink", Mutation, [USER] secret;
    /// Lists the caller's live credentials.
    ListCredentials(Empty) -> Vec<Credential> = "auth.listCredentials", Query, [USER];
    /// Revokes one of the caller's credentials; its open sockets close.
    RevokeCredential(RevokeCredentialArgs) -> Empty = "auth.revokeCredential", Mutation, [USER];
}

/// Arguments of `auth.startDeviceLogin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartDeviceLoginArgs {
    /// What asks: the machine's hostname, shown to the person who approves. At most 200 characters.
    pub machine_name: String,
}

/// Answer of `auth.startDeviceLogin`; fields as in RFC 8628 section 3.2.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceLoginStarted {
    /// Secret to poll with.
    pub device_code: String,
    /// Eight letters for the person, written `XXXX-XXXX`.
    pub user_code: String,
    /// Where to approve.
    pub verification_uri: String,
    /// The same with the code filled in.
    pub verification_uri_complete: String,
    /// Seconds until the codes end.
    pub expires_in: i64,
    /// Seconds between polls.
    pub interval: i64,
}

/// Arguments of `auth.pollDeviceLogin`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PollDeviceLoginArgs {
    /// From `auth.startDeviceLogin`.
    pub device_code: String,
}

/// Answer of `auth.pollDeviceLogin` after approval. Before that it refuses with `authorization_pending`, `slow_down`,
/// `access_denied` or `expired_token`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceLoginDone {
    /// The user token.
    pub token: String,
    /// Whom it speaks for.
    pub identity: Identity,
}

/// Arguments that name a device login by its user code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserCodeArgs {
    /// As shown; case, spaces and the dash do not matter.
    pub user_code: String,
}

/// A device login as the person who approves sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceLogin {
    /// As shown on the machine.
    pub user_code: String,
    /// What the machine calls itself.
    pub machine_name: String,
    /// Network address that the request came from.
    pub address: String,
    /// When it began.
    pub requested_at: UnixMs,
    /// When it ends.
    pub expires_at: UnixMs,
    /// Where it stands.
    pub status: DeviceLoginStatus,
}

/// Where a device login stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceLoginStatus {
    /// Waits for a person.
    Pending,
    /// Approved, the token not fetched yet.
    Approved,
    /// Refused.
    Denied,
    /// The token was fetched.
    Redeemed,
}

impl DeviceLoginStatus {
    /// As it stands on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Redeemed => "redeemed",
        }
    }

    /// Reads [`Self::as_str`] back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Approved, Self::Denied, Self::Redeemed].into_iter().find(|status| status.as_str() == text)
    }
}

/// Arguments of `auth.createToken`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateTokenArgs {
    /// What it is for. At most 200 characters.
    pub name: String,
    /// What it may do.
    #[serde(default)]
    pub scope: TokenScope,
    /// How long it lives, in milliseconds: from one minute to one year.
    pub expires_in_ms: i64,
}

/// Answer of `auth.createToken`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenCreated {
    /// The secret; shown once.
    pub token: String,
    /// Its id, for `auth.revokeCredential`.
    pub credential_id: CredentialId,
    /// When it ends.
    pub expires_at: UnixMs,
}

/// Answer of `auth.createSignInLink`, `users.invite`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignInLink {
    /// The link; works once.
    pub url: String,
    /// When it ends.
    pub expires_at: UnixMs,
}

/// Answer of `POST /api/session-token`, which trades a browser's session cookie for a token that its page may hold.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionToken {
    /// For `Authorization: Bearer` and for the live channel.
    pub token: String,
    /// When it ends; it ends sooner when the session does.
    pub expires_at: UnixMs,
}

/// What `POST /sign-in` takes, which signs a browser in.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignIn {
    /// The user's name, without regard to case.
    pub name: String,
    /// Their password.
    pub password: String,
}

/// Answer of `POST /sign-in`; the session itself is in the cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedIn {
    /// Who it is.
    pub user_id: UserId,
    /// The session's id in `auth.listCredentials`.
    pub credential_id: CredentialId,
}

/// Answer of `GET /password` and `POST /password`: how it stands with the password of whoever is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordState {
    /// When it was set; nothing when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_at: Option<UnixMs>,
    /// Whether the current one has to be told to change it.
    pub needs_current: bool,
}

/// What `POST /password` takes.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum ChangePassword {
    /// Sets a first or another password.
    Set {
        /// The new one.
        password: String,
        /// The one that it replaces.
        #[serde(default)]
        current: Option<String>,
    },
    /// Removes it: links alone sign in then.
    Remove {
        /// The one to remove.
        #[serde(default)]
        current: Option<String>,
    },
}

/// Arguments of `auth.revokeCredential`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokeCredentialArgs {
    /// Which.
    pub credential_id: CredentialId,
}
