//! How a function fails: refused for a reason of the caller's, or broken for a reason of ours.

use crate::store::{MayBeRace, StoreError};
use chatroom_protocol::{ErrorCode, Refusal};

/// Why a function gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fail {
    /// The caller asked for what it may not or cannot have; told in full.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed; told as `internal`, or tried again when it only lost a race.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Anything else of ours; told as `internal`.
    #[error("internal error")]
    Internal(#[from] anyhow::Error),
}

impl MayBeRace for Fail {
    fn is_race(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_retryable())
    }
}

/// Result of a function.
pub type Result<T> = std::result::Result<T, Fail>;

impl Fail {
    /// What the caller is told. Our own faults go into the log, not to the caller.
    #[must_use]
    pub fn into_refusal(self, function: &str) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Store(error) if error.is_retryable() => {
                Refusal::new(ErrorCode::Unavailable, "the server is too busy to take this now; nothing was changed")
                    .hint("try again in a moment")
            }
            Self::Store(error) if error.is_unstorable_text() => {
                Refusal::bad_request("a text of the arguments holds a NUL character")
            }
            broken => {
                tracing::error!(function, error = %anyhow::Error::from(broken).chain().map(ToString::to_string).collect::<Vec<_>>().join(": "), "a function failed");
                Refusal::new(ErrorCode::Internal, "the server failed; nothing was changed")
                    .hint("the server's log says why")
            }
        }
    }
}

/// Shorthand for refusing inside a function.
///
/// # Errors
/// Always: that is what it is for.
pub fn refuse<T>(code: ErrorCode, message: impl Into<String>) -> Result<T> {
    Err(Refusal::new(code, message).into())
}
