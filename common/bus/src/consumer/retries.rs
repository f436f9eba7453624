use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long to wait between attempts: exponential with jitter, up to a limit, without end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retries {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub max: Duration,
    /// After so many failures the wait is the longest and the failure is reported as an error. It is still retried:
    /// an event is never lost to an outage.
    pub attempts: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            max: Duration::from_secs(30),
            attempts: 10,
        }
    }
}

impl Retries {
    /// The wait after the given number of failures: half of the exponential step, and up to as much again by chance,
    /// so that many consumers of one ailing peer do not come back at the same moment.
    pub fn backoff(&self, failures: u32) -> Duration {
        let step = if failures >= self.attempts {
            self.max
        } else {
            self.first
                .saturating_mul(1 << failures.saturating_sub(1).min(20))
                .min(self.max)
        };
        let chance = RandomState::new().hash_one(failures) % 1000;
        step / 2 + step.mul_f64(chance as f64 / 2000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_jitter_below() {
        let retries = Retries {
            first: Duration::from_millis(100),
            max: Duration::from_secs(1),
            attempts: 10,
        };
        for (failures, step) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1000),
            (9, 1000),
            (10, 1000),
            (400, 1000),
        ] {
            let step = Duration::from_millis(step);
            for _ in 0..50 {
                let wait = retries.backoff(failures);
                assert!(wait >= step / 2 && wait <= step, "{failures}: {wait:?}");
            }
        }
    }
}
