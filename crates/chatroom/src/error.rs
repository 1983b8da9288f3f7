//! How a command ends when it does not succeed: `Error:`, `Caused by:` and `Hint:` on stderr, and an exit code.
//!
//! 0 done, 1 refused or failed, 2 wrong usage (by the parser), 70 internal error.

use crate::ui::printable;
use chatroom_machine::CallError;
use chatroom_machine::credentials::CredentialsError;
use chatroom_machine::identity::IdentityError;
use chatroom_machine::server_url::ServerUrlError;
use chatroom_protocol::command::CommandFailure;
use chatroom_protocol::{ErrorCode, Refusal};
use std::fmt::Write as _;
use std::io;

/// Refused or failed.
pub(crate) const FAILED: u8 = 1;
/// Wrong usage.
pub(crate) const USAGE: u8 = 2;
/// A fault of this program.
pub(crate) const INTERNAL: u8 = 70;

/// A refusal of the command line itself, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refused {
    message: String,
    hint: Option<String>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A refusal: what happened and why.
pub(crate) fn refused(message: impl Into<String>) -> Refused {
    Refused { message: message.into(), hint: None, source: None }
}

impl Refused {
    /// The same with what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with what caused it.
    #[must_use]
    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl From<CommandFailure> for Refused {
    fn from(failure: CommandFailure) -> Self {
        Self { message: failure.message, hint: failure.hint, source: None }
    }
}

/// A command that failed and has already said so.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub(crate) struct Said;

/// What to print on stderr, if anything, and the exit code.
pub(crate) fn report(error: &anyhow::Error) -> (String, u8) {
    if error.is::<Said>() || is_closed_output(error) {
        return (String::new(), FAILED);
    }
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain() {
        let line = cause.to_string();
        // A wrapper that shows its source has nothing to add.
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let _ = writeln!(text, "{}: {}", if number == 0 { "Error" } else { "Caused by" }, printable(line));
    }
    if let Some(hint) = hint(error) {
        let _ = writeln!(text, "Hint: {}", printable(&hint));
    }
    (text, FAILED)
}

/// What to do about it: the first thing in the chain of causes that knows.
fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            refused.hint.clone()
        } else if let Some(call) = cause.downcast_ref::<CallError>() {
            call.hint().or_else(|| call.code().and_then(default_hint))
        } else if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            refusal.hint.clone().or_else(|| default_hint(refusal.code))
        } else if let Some(credentials) = cause.downcast_ref::<CredentialsError>() {
            Some(credentials.hint())
        } else if let Some(identity) = cause.downcast_ref::<IdentityError>() {
            Some(identity.hint())
        } else {
            cause.downcast_ref::<ServerUrlError>().map(|address| address.hint().to_owned())
        }
    })
}

fn default_hint(code: ErrorCode) -> Option<String> {
    match code {
        ErrorCode::Unauthenticated => Some("sign in: chatroom auth login --server=URL".to_owned()),
        ErrorCode::Forbidden => Some("see who you are signed in as: chatroom auth status".to_owned()),
        ErrorCode::RateLimited | ErrorCode::Unavailable => Some("try again in a little while".to_owned()),
        _ => None,
    }
}

/// Whoever read our output is gone: there is nobody to tell.
fn is_closed_output(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::{Said, refused, report};
    use anyhow::Context as _;
    use chatroom_machine::CallError;
    use chatroom_protocol::{ErrorCode, Refusal};

    #[test]
    fn a_refusal_is_told_once_with_its_hint() {
        let refusal = Refusal::new(ErrorCode::NoAgentConfig, "no config for builder").hint("give --tool and --dir");
        let error = anyhow::Error::from(CallError::from(refusal)).context("the agent was not started");
        assert_eq!(
            report(&error),
            (
                "Error: the agent was not started\nCaused by: no config for builder\nHint: give --tool and --dir\n"
                    .to_owned(),
                1
            )
        );
    }

    #[test]
    fn text_of_the_server_cannot_steer_the_terminal() {
        let error = anyhow::Error::from(refused("bad \x1b[2J name"));
        assert_eq!(report(&error).0, "Error: bad \\u{1b}[2J name\n");
    }

    #[test]
    fn a_command_that_has_said_it_is_not_told_again() {
        assert_eq!(report(&Said.into()), (String::new(), 1));
        let closed: Result<(), _> = Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(report(&closed.context("printing").unwrap_err()).0, "");
    }
}
