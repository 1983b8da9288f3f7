//! Refusals: what a function answers when it will not do what it was asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// Why a call was refused. The text of a code is part of the API and never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl ErrorCode {
            /// Every code, for documentation and tests.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name),*];

            /// The code as it stands on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => $text,)* }
            }

            /// The HTTP status of `POST /api/run/...` for this code.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(ErrorCode::$name => $status,)* }
            }
        }
    };
}

error_codes! {
    /// The arguments do not have the function's form.
    BadRequest = "bad_request", 400;
    /// The function cannot be called over this channel (secrets go over HTTP only).
    HttpOnly = "http_only", 400;
    /// Device login: nobody has approved the code yet.
    AuthorizationPending = "authorization_pending", 400;
    /// Device login: asked again sooner than the interval; the interval has grown by five seconds.
    SlowDown = "slow_down", 400;
    /// Device login: the user said no.
    AccessDenied = "access_denied", 400;
    /// Device login: the code is too old, unknown or already used.
    ExpiredToken = "expired_token", 400;
    /// No valid credential came with the call.
    Unauthenticated = "unauthenticated", 401;
    /// The credential is valid, but this kind of caller may not call this function.
    Forbidden = "forbidden", 403;
    /// No such thing, or it belongs to somebody else.
    NotFound = "not_found", 404;
    /// The state of the thing does not allow this.
    Conflict = "conflict", 409;
    /// The fence of the write is older than the newest: somebody else holds it now, or it has ended.
    Stale = "stale", 409;
    /// A newer session or waiter has taken over.
    Superseded = "superseded", 409;
    /// The role's agent runs on another machine.
    RoleTaken = "role_taken", 409;
    /// The machine is registered by another user.
    MachineOwnedByOther = "machine_owned_by_other", 409;
    /// The tool is not installed (or does not run) on that machine.
    ToolNotAvailable = "tool_not_available", 422;
    /// Nothing says yet which tool and directory the role uses on that machine.
    NoAgentConfig = "no_agent_config", 422;
    /// The team of the room has no such role.
    UnknownRole = "unknown_role", 422;
    /// There is no such team.
    UnknownTeam = "unknown_team", 422;
    /// The tool has no such model on that machine.
    UnknownModel = "unknown_model", 422;
    /// The agent has ended: nothing can be sent into its session.
    AgentEnded = "agent_ended", 409;
    /// The working directory is not acceptable.
    InvalidWorkingDir = "invalid_working_dir", 422;
    /// The tool cannot run in this permission mode.
    PermissionModeUnsupported = "permission_mode_unsupported", 422;
    /// The same idempotency key came before with other arguments.
    IdempotencyKeyReused = "idempotency_key_reused", 422;
    /// A stated limit is reached.
    LimitReached = "limit_reached", 422;
    /// Too many tries; wait a little.
    RateLimited = "rate_limited", 429;
    /// The server failed; nothing was changed.
    Internal = "internal", 500;
    /// The server cannot take this now; try again.
    Unavailable = "unavailable", 503;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refused call: `errorData` on the wire, next to `errorMessage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which refusal this is.
    pub code: ErrorCode,
    /// What happened and why, for a person.
    pub message: String,
    /// What to do about it, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Refusal {
    /// A refusal without a hint.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The same refusal with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// `not_found`: also the answer for what belongs to another user. `noun` is the word of the thing, for example "machine".
    #[must_use]
    pub fn not_found(noun: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("{noun} not found"))
    }

    /// `bad_request` with what is wrong in the arguments.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }
}
