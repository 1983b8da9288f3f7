//! The commit clock: times of snapshots and commits, as live clients see them. It never goes back: not when the wall clock does,
//! not over a restart, not when the database was restored from a backup (clients tell what they have seen).
//!
//! Each replica keeps its own. It is written down lazily: what a crash loses is covered by a margin at the next start.

use crate::app::App;
use crate::store::{Result, commit_clock, retried};
use chatroom_protocol::UnixMs;
use chatroom_protocol::sync::SyncTs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the clock is written down, while it is used.
const SAVE: Duration = Duration::from_secs(10);
/// A crash loses less than this, in nanoseconds: a few times [`SAVE`].
const MARGIN: u64 = 30_000_000_000;
/// What a client may claim to have seen; beyond, it is no time (clients themselves end at `i64::MAX`).
const ABSURD: u64 = u64::MAX >> 2;

/// Gives times that only grow: nanoseconds since 1970, by the wall clock or one more than the last.
#[derive(Debug, Default)]
pub struct CommitClock {
    last: AtomicU64,
    saved: AtomicU64,
}

impl CommitClock {
    /// A time later than every one before.
    #[must_use]
    pub fn tick(&self) -> SyncTs {
        self.tick_at(crate::clock::now())
    }

    fn tick_at(&self, now: UnixMs) -> SyncTs {
        let wall = u64::try_from(now.0).unwrap_or(0).saturating_mul(1_000_000);
        let next = |last: u64| wall.max(last + 1);
        let before = self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last)));
        SyncTs(next(before.unwrap_or_else(|last| last)))
    }

    /// Hears of a time that a client has seen: every later tick is above it. Absurd times are passed over.
    pub fn observe(&self, seen: SyncTs) {
        if seen.0 < ABSURD {
            self.last.fetch_max(seen.0, Ordering::SeqCst);
        }
    }

    /// Begins after everything that was given out before this start, as far as `stored` tells.
    fn resume(&self, stored: SyncTs) {
        if stored.0 > 0 {
            self.last.fetch_max(stored.0.saturating_add(MARGIN), Ordering::SeqCst);
        }
    }

    fn unsaved(&self) -> Option<SyncTs> {
        let last = self.last.load(Ordering::SeqCst);
        (last > self.saved.load(Ordering::SeqCst)).then_some(SyncTs(last))
    }
}

/// Before the first socket is served: goes on from where the last process was.
///
/// # Errors
/// When the database fails.
pub async fn resume(app: &App) -> Result<()> {
    let mut tx = app.store.read().await?;
    app.commits.resume(commit_clock::find(&mut tx).await?);
    Ok(())
}

/// Writes the clock down now and then, and once more at shutdown.
pub async fn run(app: std::sync::Arc<App>, shutdown: CancellationToken) {
    loop {
        let stops = tokio::time::timeout(SAVE, shutdown.cancelled()).await.is_ok();
        if let Some(unsaved) = app.commits.unsaved() {
            match save(&app, unsaved).await {
                Ok(()) => app.commits.saved.store(unsaved.0, Ordering::SeqCst),
                Err(error) => tracing::warn!(%error, "cannot write the commit clock down"),
            }
        }
        if stops {
            return;
        }
    }
}

async fn save(app: &App, unsaved: SyncTs) -> Result<()> {
    retried(|| async {
        let mut tx = app.store.write().await?;
        commit_clock::raise(&mut tx, unsaved).await?;
        tx.commit().await
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::{CommitClock, MARGIN};
    use chatroom_protocol::UnixMs;
    use chatroom_protocol::sync::SyncTs;

    #[test]
    fn the_clock_goes_on_when_the_wall_goes_back() {
        let clock = CommitClock::default();
        let times = [5_000, 5_000, 4_000, 0, 5_001].map(|wall| clock.tick_at(UnixMs(wall)));
        assert!(times.is_sorted_by(|one, next| one < next), "{times:?}");
        assert_eq!(times[4], SyncTs(5_001_000_000));
    }

    #[test]
    fn a_restart_and_a_client_that_has_seen_more_raise_it() {
        let clock = CommitClock::default();
        clock.resume(SyncTs(7_000_000_000));
        assert_eq!(clock.tick_at(UnixMs(1)), SyncTs(7_000_000_000 + MARGIN + 1));
        clock.observe(SyncTs(1 << 60));
        assert_eq!(clock.tick_at(UnixMs(1)), SyncTs((1 << 60) + 1));
        clock.observe(SyncTs(u64::MAX));
        assert_eq!(clock.tick_at(UnixMs(1)), SyncTs((1 << 60) + 2));
    }

    #[test]
    fn a_first_start_is_at_the_wall() {
        let clock = CommitClock::default();
        clock.resume(SyncTs(0));
        assert_eq!(clock.tick_at(UnixMs(9)), SyncTs(9_000_000));
    }
}
