//! The only place of the server that asks the clock. Everything else gets `now` as a parameter.

use chatroom_protocol::UnixMs;
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock now; 1970 when the clock stands before it.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
pub fn now() -> UnixMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
