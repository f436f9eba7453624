//! What the services themselves count, added up over all processes that there were.

use std::collections::BTreeMap;

use crate::probes::get;

/// A group and the topic that it consumes.
pub(crate) type Consumer = (String, String);

#[derive(Default)]
pub(crate) struct Metrics {
    /// By service and consumer: of processes that are gone, and of the one that runs.
    consumed: BTreeMap<(String, Consumer), (f64, f64)>,
    retries: BTreeMap<(String, Consumer), (f64, f64)>,
    /// Who consumes what.
    pub(crate) consumers: std::collections::BTreeSet<Consumer>,
    /// By service: messages that wait in its outbox.
    pub(crate) outboxes: BTreeMap<String, f64>,
}

impl Metrics {
    /// Asks a service, at `host:port`. One that does not answer counts as it did.
    pub(crate) async fn ask(&mut self, service: &str, address: &str) {
        let Ok((200, body)) = get(address, "/metrics").await else {
            return;
        };
        let text = String::from_utf8_lossy(&body);
        let mut depth = 0.0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let label = |name: &str| {
                let (_, rest) = labels.split_once(&format!("{name}=\""))?;
                rest.split('"').next().map(ToOwned::to_owned)
            };
            let consumer = || {
                Some((
                    label("messaging_consumer_group_name")?,
                    label("messaging_destination_name")?,
                ))
            };
            let table = match name {
                "messaging_client_consumed_messages_total" => &mut self.consumed,
                "marquee_consumer_retries_total" => &mut self.retries,
                "marquee_consumer_lag_messages" => {
                    self.consumers.extend(consumer());
                    continue;
                }
                "marquee_outbox_depth_messages" => {
                    depth += value;
                    continue;
                }
                _ => continue,
            };
            let Some(consumer) = consumer() else { continue };
            self.consumers.insert(consumer.clone());
            let (gone, runs) = table.entry((service.to_owned(), consumer)).or_default();
            if value < *runs {
                // Another process, which begins at 0.
                *gone += *runs;
            }
            *runs = value;
        }
        self.outboxes.insert(service.to_owned(), depth);
    }

    /// Messages that came to a consumer.
    pub(crate) fn consumed(&self) -> BTreeMap<Consumer, f64> {
        sum(&self.consumed)
    }

    /// Attempts of handlers that were made again.
    pub(crate) fn retries(&self) -> f64 {
        sum(&self.retries).values().sum()
    }
}

fn sum(table: &BTreeMap<(String, Consumer), (f64, f64)>) -> BTreeMap<Consumer, f64> {
    let mut sums = BTreeMap::new();
    for ((_, consumer), (gone, runs)) in table {
        *sums.entry(consumer.clone()).or_insert(0.0) += gone + runs;
    }
    sums
}
