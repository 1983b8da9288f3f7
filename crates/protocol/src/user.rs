//! Users and credentials.

use crate::id::{AgentId, ChatroomId, CredentialId, MachineId, UserId};
use crate::time::UnixMs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who a credential speaks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Identity {
    /// A user.
    User {
        /// Which.
        user_id: UserId,
        /// Their name.
        user_name: String,
    },
    /// A machine, for itself.
    Machine {
        /// Its owner.
        user_id: UserId,
        /// Which.
        machine_id: MachineId,
    },
    /// An agent, for its room and role.
    Agent {
        /// Its owner.
        user_id: UserId,
        /// The machine that it runs on.
        machine_id: MachineId,
        /// Which.
        agent_id: AgentId,
        /// Its room.
        chatroom_id: ChatroomId,
        /// Its role.
        role: String,
    },
}

/// What a user's token may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// Everything the user may.
    #[default]
    Full,
    /// Queries only.
    Read,
}

impl TokenScope {
    /// As it stands on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Read => "read",
        }
    }

    /// Reads [`Self::as_str`] back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Full, Self::Read].into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A credential as its owner sees it: never the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Its id.
    pub credential_id: CredentialId,
    /// `cli`, `browser`, `script`, `machine` or `agent`.
    pub kind: String,
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub scope: TokenScope,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMs>,
    /// When it was last used (kept to the minute).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<UnixMs>,
}
