//! Where the long-running processes write what they do: lines on stderr, chosen by `CHATROOM_LOG`.

use std::io::{self, IsTerminal as _};
use tracing_subscriber::EnvFilter;

/// Lines for people who look after a server: its own words, and only warnings of libraries.
const DEFAULT: &str = "warn,chatroom=info,chatroom_server=info,chatroom_machine=info";

/// Starts writing. `quiet`: only warnings, unless `CHATROOM_LOG` says otherwise.
pub(crate) fn init(quiet: bool) {
    let default = if quiet { "warn" } else { DEFAULT };
    let filter = EnvFilter::try_from_env("CHATROOM_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}
