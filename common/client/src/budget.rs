use std::sync::atomic::{AtomicU32, Ordering};

/// In thousandths of a token.
const FULL: u32 = 10_000;
const RETRY: u32 = 1_000;
const SUCCESS: u32 = 100;

/// How many retries a peer may still be asked (gRFC A6, retry throttling): every failure takes a token, every success
/// gives a tenth back, and below half there is no retry, so that a peer in trouble does not get the traffic twice.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU32);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU32::new(FULL))
    }
}

impl Budget {
    pub(crate) fn succeeded(&self) {
        // Most calls succeed with a full budget: no write, no contended cache line.
        if self.0.load(Ordering::Relaxed) < FULL {
            self.change(|tokens| (tokens + SUCCESS).min(FULL));
        }
    }

    /// Counts a failure; true when it may be retried.
    pub(crate) fn failed(&self) -> bool {
        self.change(|tokens| tokens.saturating_sub(RETRY)) > FULL / 2
    }

    fn change(&self, with: impl Fn(u32) -> u32) -> u32 {
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| Some(with(tokens)));
        with(before.unwrap_or_else(|tokens| tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_keeps_failing_is_soon_not_retried() {
        let budget = Budget::default();
        let retries = (0..100).filter(|_| budget.failed()).count();
        assert_eq!(retries, 4);
    }

    #[test]
    fn successes_earn_retries_back() {
        let budget = Budget::default();
        while budget.failed() {}
        for _ in 0..20 {
            budget.succeeded();
        }
        assert!(budget.failed());
    }
}
