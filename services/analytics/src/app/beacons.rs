//! Taking beacons: what is acknowledged is durable on the bus.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use marquee_bus::{EventBus, Outgoing, event};
use marquee_error::{Invalid, invalid};
use marquee_proto::analytics::v1::{Beacon, PlaybackReported};
use marquee_proto::name::AccountName;
use marquee_proto::time::to_proto;
use tokio::time::timeout;

use super::Catalogue;
use crate::Error;
use crate::beacon;
use crate::config::Clock;

/// How long a stream waits for the bus. What was not acknowledged is sent again by the player, and counts once.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(30);

/// Publishes beacons.
#[derive(Clone)]
pub(crate) struct Beacons {
    bus: Arc<dyn EventBus>,
    catalogue: Catalogue,
    clock: Clock,
}

/// Beacons that are well formed and of an event that exists, and what is wrong with the others by their place.
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
    pub(crate) fn new(bus: Arc<dyn EventBus>, catalogue: Catalogue, clock: Clock) -> Self {
        Self {
            bus,
            catalogue,
            clock,
        }
    }

    /// Tells the well-formed beacons of events that exist from the others.
    pub(crate) async fn sort(
        &self,
        beacons: impl IntoIterator<Item = Beacon>,
        account: Option<&AccountName>,
    ) -> Result<Sorted, Error> {
        let receive_time = to_proto(self.clock.now());
        let account = account.map(ToString::to_string).unwrap_or_default();
        let mut sorted = Sorted::default();
        let reports: Vec<_> = beacons
            .into_iter()
            .map(|beacon| (beacon::report(&beacon, ""), beacon))
            .collect();
        let events: BTreeSet<_> = reports
            .iter()
            .filter_map(|(report, _)| Some(report.as_ref().ok()?.key.event.clone()))
            .collect();
        let missing = self.catalogue.missing(events).await?;
        for (place, (report, beacon)) in reports.into_iter().enumerate() {
            match report {
                Ok(report) if missing.contains(&report.key.event) => {
                    let none = invalid("event", "must be an event that exists");
                    sorted.rejected.push((place, none));
                }
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
        Ok(sorted)
    }

    /// Publishes what is well formed, as one. It is durable when this returns.
    pub(crate) async fn publish(&self, sorted: &mut Sorted) -> Result<(), Error> {
        let outgoing = std::mem::take(&mut sorted.outgoing);
        let (accepted, rejected) = (outgoing.len(), sorted.rejected.len());
        if !outgoing.is_empty() {
            let publish = self.bus.publish(outgoing);
            timeout(PUBLISHED_WITHIN, publish).await.unwrap_or_else(|_| {
                let text = format!("no answer within {} s", PUBLISHED_WITHIN.as_secs());
                Err(marquee_bus::Error::Unavailable(text))
            })?;
        }
        metrics::counter!("analytics_beacons_accepted_total").increment(accepted as u64);
        metrics::counter!("analytics_beacons_rejected_total").increment(rejected as u64);
        Ok(())
    }
}
