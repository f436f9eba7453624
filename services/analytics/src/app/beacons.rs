//! Taking beacons: what is acknowledged is durable on the bus.

use std::sync::Arc;

use marquee_bus::{EventBus, Outgoing, event};
use marquee_error::Invalid;
use marquee_proto::analytics::v1::{Beacon, PlaybackReported};
use marquee_proto::name::AccountName;
use marquee_proto::time::to_proto;

use crate::Error;
use crate::beacon;
use crate::config::Clock;

/// Publishes beacons.
#[derive(Clone)]
pub(crate) struct Beacons {
    bus: Arc<dyn EventBus>,
    clock: Clock,
}

/// Beacons that are well formed, and what is wrong with the others by their place.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    outgoing: Vec<Outgoing>,
    pub(crate) rejected: Vec<(usize, Invalid)>,
}

impl Sorted {
    pub(crate) fn accepted(&self) -> usize {
        self.outgoing.len()
    }
}

impl Beacons {
    pub(crate) fn new(bus: Arc<dyn EventBus>, clock: Clock) -> Self {
        Self { bus, clock }
    }

    /// Tells the well-formed beacons from the others.
    pub(crate) fn sort(
        &self,
        beacons: impl IntoIterator<Item = Beacon>,
        account: Option<&AccountName>,
    ) -> Sorted {
        let receive_time = to_proto(self.clock.now());
        let account = account.map(ToString::to_string).unwrap_or_default();
        let mut sorted = Sorted::default();
        for (place, beacon) in beacons.into_iter().enumerate() {
            match beacon::report(&beacon, "") {
                Ok(report) => {
                    let reported = PlaybackReported {
                        beacon: Some(beacon),
                        account: account.clone(),
                        receive_time: Some(receive_time),
                    };
                    sorted.outgoing.push(event(report.key.viewer, &reported));
                }
                Err(invalid) => sorted.rejected.push((place, invalid)),
            }
        }
        sorted
    }

    /// Publishes what is well formed, as one. It is durable when this returns.
    pub(crate) async fn publish(&self, sorted: &mut Sorted) -> Result<(), Error> {
        let outgoing = std::mem::take(&mut sorted.outgoing);
        let (accepted, rejected) = (outgoing.len(), sorted.rejected.len());
        if !outgoing.is_empty() {
            self.bus.publish(outgoing).await?;
        }
        metrics::counter!("analytics_beacons_accepted_total").increment(accepted as u64);
        metrics::counter!("analytics_beacons_rejected_total").increment(rejected as u64);
        Ok(())
    }
}
