//! Identifiers: one newtype per noun, all of them opaque text on the wire.
//!
//! Ids made by the server are UUIDv7 text; a [`MachineId`] is a UUIDv4 that the machine makes once for itself. An id that
//! names nothing, or a thing of somebody else, is answered with `not_found`, whatever its shape.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<uuid::Uuid> for $name {
            fn from(id: uuid::Uuid) -> Self {
                Self(id.to_string())
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }
    )*};
}

id! {
    /// A person who owns machines and chatrooms.
    UserId,
    /// A computer with the CLI: a UUID made once, kept in `~/.chatroom/machine.json`.
    MachineId,
    /// A chatroom.
    ChatroomId,
    /// One started process (or live session) that holds a role in a room.
    AgentId,
    /// An instruction to a machine.
    CommandId,
    /// A piece of work addressed to a role.
    TaskId,
    /// A message in a room.
    MessageId,
    /// A stored credential (never the secret itself).
    CredentialId,
    /// One life of a daemon process, made by the daemon; the server answers it with an epoch.
    DaemonSessionId,
    /// One `wait-for-task` process, made by that process.
    WaiterId,
    /// A point from which a room's conversation counts anew.
    ContextId,
    /// Something to be done some day.
    BacklogItemId,
    /// Something that an owner sent into an agent's session.
    InputId,
    /// A request of an agent for a permission.
    PermissionId,
    /// A rule that answers permission requests.
    RuleId,
}

impl MachineId {
    /// Whether this is the canonical text of a UUID (not the nil one), as `machines.register` requires.
    #[must_use]
    pub fn is_uuid(&self) -> bool {
        uuid::Uuid::try_parse(&self.0).is_ok_and(|id| !id.is_nil() && id.hyphenated().to_string() == self.0)
    }
}
