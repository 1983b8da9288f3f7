//! The daemon's clock: the wall clock as it was at the daemon's start, carried on by time since boot.
//!
//! It goes on while the machine sleeps and does not jump when somebody sets the wall clock, so a deadline cannot come back.

use crate::clock;
use chatroom_protocol::UnixMs;
use rustix::time::{ClockId, clock_gettime};

/// A clock that only goes forward.
#[derive(Clone, Copy, Debug)]
pub(super) struct SteadyClock {
    wall: UnixMs,
    boot_ms: i64,
}

impl SteadyClock {
    /// A clock that agrees with the wall clock now.
    #[must_use]
    pub(super) fn start() -> Self {
        Self { wall: clock::now(), boot_ms: since_boot_ms() }
    }

    /// The time now.
    #[must_use]
    pub(super) fn now(&self) -> UnixMs {
        self.wall + (since_boot_ms() - self.boot_ms)
    }
}

fn since_boot_ms() -> i64 {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    // Written from its documentation, not tested: this one stands still while the machine sleeps.
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::SteadyClock;
    use crate::clock;

    #[test]
    fn it_agrees_with_the_wall_clock_and_goes_on() {
        let steady = SteadyClock::start();
        let first = steady.now();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let second = steady.now();
        assert!(second.since(first) >= 19);
        assert!((clock::now().0 - second.0).abs() < 5_000);
    }
}
