//! How long to wait before the next try: doubling, with jitter, so that many machines do not return in step.

use std::fmt;
use std::time::Duration;

/// Gives numbers in `0.0..1.0`.
pub(crate) type Jitter = Box<dyn FnMut() -> f64 + Send>;

/// Growing pauses between tries.
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    tries: u32,
    jitter: Jitter,
}

impl Backoff {
    /// Pauses from about `first` to about `longest`.
    pub(crate) fn new(first: Duration, longest: Duration, jitter: Jitter) -> Self {
        Self { first, longest, tries: 0, jitter }
    }

    /// The pause before the next try: between half and all of the doubling step.
    pub(crate) fn next(&mut self) -> Duration {
        let step = self.first.saturating_mul(1 << self.tries.min(20)).min(self.longest);
        self.tries = self.tries.saturating_add(1);
        step.mul_f64(0.5 + 0.5 * (self.jitter)().clamp(0.0, 1.0))
    }

    /// It worked: begin with short pauses again.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff").field("tries", &self.tries).finish_non_exhaustive()
    }
}

/// Jitter from the system's randomness.
pub(crate) fn random() -> Jitter {
    Box::new(|| f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(15), Box::new(|| 1.0));
        let pauses: Vec<_> = (0..10).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 15000, 15000]);
        backoff.reset();
        assert_eq!(backoff.next().as_millis(), 100);
    }

    #[test]
    fn jitter_takes_away_half_at_most() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(15), Box::new(|| 0.0));
        assert_eq!(backoff.next().as_millis(), 50);
        let mut random = random();
        assert!((0..100).all(|_| (0.0..=1.0).contains(&random())));
    }
}
