use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Outbox;
use crate::{Error, EventBus, Retries};

/// Messages that are published in one go.
const BATCH: usize = 512;

/// Publishes what the outbox holds, in its order, until the token is cancelled. One relay per outbox.
///
/// A message is forgotten only after the bus has it durably, so that a crash in between publishes it twice, with the
/// same id, and never not at all. A bus or store that fails is asked again without end.
pub async fn relay(
    outbox: Arc<dyn Outbox>,
    bus: Arc<dyn EventBus>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let retries = Retries {
        max: std::time::Duration::from_secs(5),
        ..Retries::default()
    };
    let depth = metrics::gauge!("outbox_depth", "store" => outbox.name().to_owned());
    let lag = metrics::gauge!("outbox_lag_seconds", "store" => outbox.name().to_owned());
    let mut failures = 0;
    loop {
        let moved = tokio::select! {
            biased;
            // Dropped half way, a batch is published again after the restart.
            () = shutdown.cancelled() => return Ok(()),
            moved = publish_next(&*outbox, &*bus) => moved,
        };
        match moved {
            Ok(Some(oldest)) => {
                failures = 0;
                lag.set(Timestamp::now().duration_since(oldest).as_secs_f64().max(0.0));
                #[expect(clippy::cast_precision_loss, reason = "a gauge")]
                depth.set(outbox.depth().await.unwrap_or(0) as f64);
            }
            Ok(None) => {
                failures = 0;
                lag.set(0.0);
                depth.set(0.0);
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

/// Publishes one batch; the time of its oldest message, or `None` when there was nothing.
async fn publish_next(outbox: &dyn Outbox, bus: &dyn EventBus) -> Result<Option<Timestamp>, Error> {
    let pending = outbox.pending(BATCH).await?;
    let (Some(oldest), Some(last)) = (
        pending.first().map(|(_, o)| o.message.time),
        pending.last().map(|(p, _)| *p),
    ) else {
        return Ok(None);
    };
    bus.publish(pending.into_iter().map(|(_, outgoing)| outgoing).collect())
        .await?;
    outbox.published(last).await?;
    Ok(Some(oldest))
}
