//! The live channel: the sync socket that our own daemon and official Convex clients subscribe over.
//!
//! `session` decides, `socket` does. Every result of one Transition is of one snapshot, whose time is taken before the read begins.

pub mod session;
pub mod socket;

use chatroom_protocol::sync::SyncTs;
use std::sync::atomic::{AtomicU64, Ordering};

/// Gives times that only grow: nanoseconds since 1970, by the wall clock or one more than the last.
#[derive(Debug, Default)]
pub struct CommitClock(AtomicU64);

impl CommitClock {
    /// A time later than every one before.
    #[must_use]
    pub fn tick(&self) -> SyncTs {
        let wall = u64::try_from(crate::clock::now().0).unwrap_or(0).saturating_mul(1_000_000);
        let before = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(wall.max(last + 1)));
        let before = before.unwrap_or_else(|last| last);
        SyncTs(wall.max(before + 1))
    }

    /// Hears of a time that a client has seen: every later tick is above it. Absurd times (beyond what clients can read)
    /// are passed over.
    pub fn observe(&self, seen: SyncTs) {
        if seen.0 < u64::try_from(i64::MAX).unwrap_or(u64::MAX) / 2 {
            self.0.fetch_max(seen.0, Ordering::SeqCst);
        }
    }
}
