//! The keys that tokens are checked with, kept fresh.

use std::time::Duration;

use marquee_auth::Verifier;
use tokio_util::sync::CancellationToken;

/// A key that is withdrawn is let go at the latest after this; one that is new is asked for when a token first names it.
const REFRESH: Duration = Duration::from_secs(5 * 60);
/// While there are none, or subscriptions is away.
const RETRY: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// How long to wait after so many failures before this one.
fn retry_after(failures: usize) -> Duration {
    RETRY[failures.min(RETRY.len() - 1)]
}

/// Fetches keys until it is told to stop. While subscriptions is away, those that are known go on being used.
pub(crate) async fn follow(verifier: &Verifier, stop: CancellationToken) {
    let mut failures = 0;
    let following = async {
        loop {
            let wait = match verifier.refresh().await {
                Ok(()) => {
                    failures = 0;
                    REFRESH
                }
                Err(error) => {
                    if verifier.has_keys() && failures == 0 {
                        tracing::warn!(%error, "keeping the keys that are known");
                    }
                    let wait = retry_after(failures);
                    failures += 1;
                    wait
                }
            };
            tokio::time::sleep(wait).await;
        }
    };
    stop.run_until_cancelled(following).await;
}

/// Whether tokens can be checked.
pub(crate) fn ready(verifier: &Verifier) -> Result<(), String> {
    if verifier.has_keys() {
        Ok(())
    } else {
        Err("subscriptions: has not given its keys yet, without which no token can be checked".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_begin_with_the_shortest_wait_and_stay_with_the_longest() {
        let waits: Vec<_> = (0..7).map(|failures| retry_after(failures).as_millis()).collect();
        assert_eq!(waits, [100, 250, 500, 1_000, 2_000, 2_000, 2_000]);
    }
}
