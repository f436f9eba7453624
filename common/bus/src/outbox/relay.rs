use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use metrics::Gauge;
use tokio_util::sync::CancellationToken;

use super::Outbox;
use crate::{Error, EventBus, Retries, trace};

/// Messages that are published in one go.
const BATCH: usize = 512;

/// A batch in hand has so long to get to the bus when the relay is to stop.
const FINISH: Duration = Duration::from_secs(5);

/// Publishes what the outbox holds, in its order, until the token is cancelled. One relay per outbox.
///
/// A message is forgotten only after the bus has it durably, so that a crash in between publishes it twice, with the
/// same id, and never not at all. A bus or store that fails is asked again without end.
pub async fn relay(
    outbox: Arc<dyn Outbox>,
    bus: Arc<dyn EventBus>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let result = tokio::select! {
        result = relay_until(&*outbox, &*bus, &shutdown) => result,
        () = outbox.hold() => Ok(()),
    };
    outbox.release().await;
    result
}

async fn relay_until(
    outbox: &dyn Outbox,
    bus: &dyn EventBus,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
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
        if shutdown.is_cancelled() {
            return Ok(());
        }
        let moved = {
            let mut moving = pin!(publish_next(outbox, bus, &gauges));
            tokio::select! {
                moved = &mut moving => moved,
                () = shutdown.cancelled() => {
                    // Dropped half way, a batch would be published again after the restart.
                    if tokio::time::timeout(FINISH, moving).await.is_err() {
                        tracing::warn!(store = outbox.name(), "the bus did not take the last batch: it is published again");
                    }
                    return Ok(());
                }
            }
        };
        match moved {
            Ok(true) => failures = 0,
            Ok(false) => {
                failures = 0;
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    () = outbox.wait() => {}
                }
            }
            Err(error) => {
                failures += 1;
                if failures >= retries.attempts {
                    tracing::error!(store = outbox.name(), %error, failures, "the outbox is stuck");
                } else {
                    tracing::warn!(store = outbox.name(), %error, failures, "cannot publish, trying again");
                }
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    () = tokio::time::sleep(retries.backoff(failures)) => {}
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
    // Before they are published: both have to grow while the bus cannot be reached.
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    gauges.depth.set(outbox.depth().await.unwrap_or(0) as f64);
    let waiting = Timestamp::now().duration_since(oldest).as_secs_f64();
    gauges.lag.set(waiting.max(0.0));
    let batch: Vec<_> = pending.into_iter().map(|(_, outgoing)| outgoing).collect();
    let sending = trace::send(&batch);
    bus.publish(batch).await?;
    drop(sending);
    outbox.published(last).await?;
    Ok(true)
}
