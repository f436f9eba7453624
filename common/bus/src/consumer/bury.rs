//! What cannot be handled goes to the dead letters.

use tokio_util::sync::CancellationToken;

use super::Retries;
use crate::{EventBus, Record, dead_letter, measure, trace};

/// Publishes the record among the dead letters of its topic, again and again until the bus has it. False when it was to stop
/// before that: then the record has to come again.
pub async fn bury(
    bus: &dyn EventBus,
    record: &Record,
    group: &str,
    reason: &str,
    retries: &Retries,
    stop: &CancellationToken,
) -> bool {
    let Record {
        topic,
        partition,
        offset,
        message,
    } = record;
    tracing::error!(group, %topic, partition, offset, id = message.id, reason, "to the dead letters");
    measure::buried(group, topic);
    let mut failures = 0;
    let letter = dead_letter(record, group, reason);
    let _sending = trace::bury(&letter);
    while let Err(error) = bus.publish(vec![letter.clone()]).await {
        failures += 1;
        tracing::warn!(group, %topic, partition, offset, failures, %error, "cannot publish a dead letter, trying again");
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(retries.backoff(failures)) => {}
        }
    }
    true
}
