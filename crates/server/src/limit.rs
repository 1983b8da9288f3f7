//! Slows down those who guess: a count of misses per source in a sliding minute, in memory, per replica.

use chatroom_protocol::{ErrorCode, Refusal, UnixMs};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Misses that a source may have within a minute.
const MISSES_PER_MINUTE: usize = 5;
const MINUTE_MS: i64 = 60_000;
/// Sources that are remembered; beyond it the oldest are forgotten.
const SOURCES: usize = 10_000;

/// Misses by source.
#[derive(Debug, Default)]
pub struct Guesses {
    misses: Mutex<HashMap<String, Vec<UnixMs>>>,
}

impl Guesses {
    /// Whether this source may try again now.
    ///
    /// # Errors
    /// `rate_limited` after five misses within a minute.
    pub fn check(&self, source: &str, now: UnixMs) -> Result<(), Refusal> {
        let misses = self.misses.lock().unwrap_or_else(PoisonError::into_inner);
        let recent =
            misses.get(source).map_or(0, |times| times.iter().filter(|at| now.since(**at) < MINUTE_MS).count());
        if recent >= MISSES_PER_MINUTE {
            return Err(Refusal::new(ErrorCode::RateLimited, "too many wrong codes from here")
                .hint("wait a minute, then try again"));
        }
        Ok(())
    }

    /// Remembers a miss.
    pub fn missed(&self, source: &str, now: UnixMs) {
        let mut misses = self.misses.lock().unwrap_or_else(PoisonError::into_inner);
        if misses.len() >= SOURCES {
            misses.retain(|_, times| times.iter().any(|at| now.since(*at) < MINUTE_MS));
        }
        let times = misses.entry(source.to_owned()).or_default();
        times.retain(|at| now.since(*at) < MINUTE_MS);
        times.push(now);
    }
}

#[cfg(test)]
mod tests {
    use super::Guesses;
    use chatroom_protocol::UnixMs;

    #[test]
    fn the_sixth_guess_within_a_minute_has_to_wait() {
        let guesses = Guesses::default();
        for at in 0..5 {
            assert!(guesses.check("a", UnixMs(at)).is_ok());
            guesses.missed("a", UnixMs(at));
        }
        assert!(guesses.check("a", UnixMs(6)).is_err());
        assert!(guesses.check("b", UnixMs(6)).is_ok());
        assert!(guesses.check("a", UnixMs(60_005)).is_ok());
    }
}
