use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use metrics::Gauge;
use tokio_util::sync::CancellationToken;

use super::Outbox;
use crate::{Error, EventBus, Retries, trace};

/// Messages that are published in one go.
const BATCH: usize = 512;

/// What is in the outbox has so long to get to the bus when the relay is to stop.
const FINISH: Duration = Duration::from_secs(5);

/// The longest pause after a failure when the relay is to stop.
const LAST_RETRY: Duration = Duration::from_millis(250);

/// Publishes what the outbox holds, in its order, until the token is cancelled, and then until nothing is left in it, for
/// five seconds at most. One relay per outbox.
///
/// The token is to be cancelled when nobody writes any more, so that all that was acknowledged is on the bus in the end;
/// what a bus that is away does not take is published after the next start. Where another process relays the same outbox,
/// it goes on with it.
///
/// A message is forgotten only after the bus has it durably, so that a crash in between publishes it twice, with the
/// same id, and never not at all. A bus or store that fails is asked again without end.
pub async fn relay(
    outbox: Arc<dyn Outbox>,
    bus: Arc<dyn EventBus>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(FINISH).await;
    };
    tokio::select! {
        () = relay_until(&*outbox, &*bus, &shutdown) => {}
        () = outbox.hold() => {}
        () = late => tracing::warn!(
            store = outbox.name(),
            "the bus did not take what is left in the outbox: it is published after the next start"
        ),
    }
    outbox.release().await;
    Ok(())
}

/// Until nothing is pending after the token was cancelled.
async fn relay_until(outbox: &dyn Outbox, bus: &dyn EventBus, shutdown: &CancellationToken) {
    let retries = Retries {
        max: Duration::from_secs(5),
        ..Retries::default()
    };
    let gauges = Gauges {
        depth: metrics::gauge!("marquee_outbox_depth_messages", "store" => outbox.name().to_owned()),
        lag: metrics::gauge!("marquee_outbox_lag_seconds", "store" => outbox.name().to_owned()),
    };
    let mut failures = 0;
    loop {
        // What was committed before the token was cancelled is found by a look that begins after it.
        let last = shutdown.is_cancelled();
        let moved = publish_next(outbox, bus, &gauges).await;
        match moved {
            Ok(true) => failures = 0,
            Ok(false) if last => return,
            Ok(false) => {
                failures = 0;
                shutdown.run_until_cancelled(outbox.wait()).await;
            }
            Err(error) => {
                failures += 1;
                if failures >= retries.attempts {
                    tracing::error!(store = outbox.name(), %error, failures, "the outbox is stuck");
                } else {
                    tracing::warn!(store = outbox.name(), %error, failures, "cannot publish, trying again");
                }
                let pause = retries.backoff(failures);
                if last {
                    tokio::time::sleep(pause.min(LAST_RETRY)).await;
                } else {
                    shutdown.run_until_cancelled(tokio::time::sleep(pause)).await;
                }
            }
        }
    }
}

struct Gauges {
    depth: Gauge,
    lag: Gauge,
}

/// Publishes one batch; false when there was nothing.
async fn publish_next(outbox: &dyn Outbox, bus: &dyn EventBus, gauges: &Gauges) -> Result<bool, Error> {
    let pending = outbox.pending(BATCH).await?;
    let (Some(oldest), Some(last)) = (
        pending.first().map(|(_, o)| o.message.time),
        pending.last().map(|(p, _)| *p),
    ) else {
        gauges.depth.set(0.0);
        gauges.lag.set(0.0);
        return Ok(false);
    };
    // Before they are published: both have to grow while the bus cannot be reached. What is not a whole batch is all there is,
    // and to count it would cost a question for every batch.
    let depth = match pending.len() {
        all if all < BATCH => all as u64,
        some => outbox.depth().await.unwrap_or(some as u64),
    };
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    gauges.depth.set(depth as f64);
    let waiting = Timestamp::now().duration_since(oldest).as_secs_f64();
    gauges.lag.set(waiting.max(0.0));
    let batch: Vec<_> = pending.into_iter().map(|(_, outgoing)| outgoing).collect();
    let sending = trace::send(&batch);
    bus.publish(batch).await?;
    drop(sending);
    outbox.published(last).await?;
    Ok(true)
}
