//! How long to wait before a server is tried again.

use std::time::Duration;

/// Waits that double, each somewhere between half and all of its length, so that many who lost the same server do not come
/// back at once.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
            failures: 0,
        }
    }

    /// It worked for long enough to be taken as good.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
        self.failures = 0;
    }

    /// How often in a row it did not work.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// The next wait; `chance` is from 0 to 1.
    pub(super) fn next(&mut self, chance: f64) -> Duration {
        let wait = self.next.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        self.next = self.next.saturating_mul(2).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, 10 * second);
        let waits: Vec<u64> = (0..6).map(|_| backoff.next(1.0).as_secs()).collect();
        assert_eq!((waits, backoff.failures()), (vec![1, 2, 4, 8, 10, 10], 6));
        assert_eq!(backoff.next(0.0), 5 * second);
        backoff.reset();
        assert_eq!((backoff.failures(), backoff.next(1.0)), (0, second));
    }
}
