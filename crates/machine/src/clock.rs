//! The wall clock: the single place in this crate that asks it. Everything else gets `now` as a parameter.

use chatroom_protocol::UnixMs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time now, by this machine's clock.
#[must_use]
pub fn now() -> UnixMs {
    #[allow(clippy::disallowed_methods)] // This is the driver that the others ask.
    let now = SystemTime::now();
    unix_ms(now)
}

/// A file's time as milliseconds; times before 1970 are zero.
#[must_use]
pub fn unix_ms(time: SystemTime) -> UnixMs {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
