//! Slows down those who guess: a count of misses per source in a sliding minute, in memory, per replica.

use chatroom_protocol::{ErrorCode, Refusal, UnixMs};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
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
        let _ = self.count(source, usize::MAX, now);
    }

    /// Counts a try before anybody knows how it ends, so that many at once are counted too: `false`, and not counted, when
    /// there were `most` within a minute. A try that was no miss is taken back by [`Self::forgive`].
    #[must_use]
    pub fn count(&self, source: &str, most: usize, now: UnixMs) -> bool {
        let mut misses = self.misses.lock().unwrap_or_else(PoisonError::into_inner);
        if misses.len() >= SOURCES {
            misses.retain(|_, times| times.iter().any(|at| now.since(*at) < MINUTE_MS));
        }
        let times = misses.entry(source.to_owned()).or_default();
        times.retain(|at| now.since(*at) < MINUTE_MS);
        let is_admitted = times.len() < most;
        if is_admitted {
            times.push(now);
        }
        is_admitted
    }

    /// Takes back what was counted at this time.
    pub fn forgive(&self, source: &str, at: UnixMs) {
        let mut misses = self.misses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(times) = misses.get_mut(source)
            && let Some(place) = times.iter().position(|time| *time == at)
        {
            times.swap_remove(place);
        }
    }
}

/// What one guesser has of addresses: an IPv4 address, or the network of an IPv6 address, in which everybody has 2^64 of them.
#[must_use]
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Seconds that a device login must let pass between two polls, to begin with (RFC 8628 section 3.2).
pub const POLL_INTERVAL_S: i64 = 2;
/// By how much the interval grows when it was not kept (RFC 8628 section 3.5).
const SLOW_DOWN_S: i64 = 5;

/// When each device login was last polled, in memory: a replica more is one poll more.
#[derive(Debug, Default)]
pub struct Polls {
    polls: Mutex<HashMap<String, (UnixMs, i64)>>,
}

impl Polls {
    /// Remembers a poll of the device login `id`.
    ///
    /// # Errors
    /// `slow_down` when it came sooner than the interval; the interval has then grown by 5 seconds.
    pub fn check(&self, id: &str, now: UnixMs) -> Result<(), Refusal> {
        let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        if polls.len() >= SOURCES {
            polls.retain(|_, (at, _)| now.since(*at) < 10 * MINUTE_MS);
        }
        let Some((at, interval_s)) = polls.get_mut(id) else {
            polls.insert(id.to_owned(), (now, POLL_INTERVAL_S));
            return Ok(());
        };
        let too_soon = now.since(*at) < *interval_s * 1000;
        *at = now;
        if too_soon {
            *interval_s += SLOW_DOWN_S;
            return Err(Refusal::new(
                ErrorCode::SlowDown,
                "polled sooner than the interval; it has grown by 5 seconds",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Guesses, Polls, network};
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

    #[test]
    fn tries_that_are_under_way_count_until_they_are_forgiven() {
        let guesses = Guesses::default();
        assert!(guesses.count("a", 2, UnixMs(1)) && guesses.count("a", 2, UnixMs(2)));
        assert!(!guesses.count("a", 2, UnixMs(3)));
        guesses.forgive("a", UnixMs(1));
        guesses.forgive("a", UnixMs(3));
        guesses.forgive("b", UnixMs(1));
        assert!(guesses.count("a", 2, UnixMs(4)));
        assert!(!guesses.count("a", 2, UnixMs(60_001)));
        assert!(guesses.count("a", 2, UnixMs(60_002)));
    }

    #[test]
    fn who_has_a_network_of_addresses_counts_once() {
        let of = |address: &str| network(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8:0:0:ffff::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn a_poll_sooner_than_the_interval_makes_it_longer() {
        let polls = Polls::default();
        assert!(polls.check("a", UnixMs(0)).is_ok());
        assert!(polls.check("a", UnixMs(2_000)).is_ok());
        assert!(polls.check("a", UnixMs(3_000)).is_err());
        assert!(polls.check("a", UnixMs(9_000)).is_err());
        assert!(polls.check("a", UnixMs(30_000)).is_ok());
        assert!(polls.check("b", UnixMs(30_000)).is_ok());
    }
}
