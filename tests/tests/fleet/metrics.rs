//! What every process of the fleet exports.

use anyhow::{Context as _, Result, ensure};
use marquee_testkit::{Ready, http, wait_until};
use marquee_tests::{Api, uuid};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// Operations on a store.
macro_rules! stored {
    ($system:literal) => {
        Wanted(
            "db_client_operation_duration_seconds_count",
            &[("db_system_name", $system)],
        )
    };
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fleet"]
async fn every_service_shows_requests_lag_outbox_and_stores() -> Result<()> {
    let place = Ready::of_fleet();
    let api = Api::at(&place).await?;
    let tag = &uuid()[..8];
    // Something of every kind happens.
    let creator = api.register(&format!("mia-{tag}@example.org"), "Mia").await?;
    let channel = api.channel(&creator, &format!("metrics{tag}"), "Metrics").await?;
    let event = api.event(&creator, &channel, "Counted").await?;
    api.stream_key(&creator, &channel).await?;
    for asked in [
        "/v1/search?query=metrics".to_owned(),
        "/v1/accounts/nobody/notifications:unreadCount".to_owned(),
        format!("/v1/{}/audience", event.name),
    ] {
        http::get(&format!("{}{asked}", place.rest)).await?;
    }

    let everywhere = [
        Wanted("rpc_server_duration_seconds_count", &[]),
        Wanted("process_resident_memory_bytes", &[]),
        Wanted("target_info", &[]),
    ];
    const OUTBOX: Wanted = Wanted("marquee_outbox_depth_messages", &[]);
    const MONGODB: Wanted = stored!("mongodb");
    const LAG: Wanted = Wanted("marquee_consumer_lag_messages", &[]);
    let of_service: &[(&str, &[Wanted])] = &[
        (
            "subscriptions",
            &[
                OUTBOX,
                stored!("postgresql"),
                Wanted("messaging_client_sent_messages_total", &[]),
            ],
        ),
        ("events", &[OUTBOX, MONGODB, LAG]),
        (
            "video-ingest",
            &[OUTBOX, MONGODB, Wanted("rpc_client_duration_seconds_count", &[])],
        ),
        ("notifications", &[OUTBOX, MONGODB, LAG]),
        (
            "search",
            &[
                stored!("elasticsearch"),
                Wanted("messaging_client_consumed_messages_total", &[]),
                Wanted(
                    "marquee_consumer_lag_messages",
                    &[("messaging_consumer_group_name", "search.index")],
                ),
            ],
        ),
        ("analytics", &[MONGODB, LAG]),
    ];
    for (service, metrics) in of_service {
        let address = place.services.get(*service).context("no such service")?;
        let url = format!("{address}/metrics");
        let expected: Vec<_> = everywhere.iter().chain(metrics.iter()).collect();
        let missing = async || -> Result<Vec<String>> {
            let text = http::get(&url).await?.body;
            let missing = expected
                .iter()
                .filter(|wanted| !text.lines().any(|line| wanted.is(line)));
            Ok(missing.map(|wanted| format!("{wanted:?}")).collect())
        };
        let complete = async || missing().await.is_ok_and(|missing| missing.is_empty());
        if wait_until("all metrics", SOON, complete).await.is_err() {
            let missing = missing().await?;
            ensure!(missing.is_empty(), "{service} does not export {missing:?}");
        }
    }
    drained(&place).await
}

/// A series: its name, and labels that it must have.
#[derive(Debug, Clone, Copy)]
struct Wanted(&'static str, &'static [(&'static str, &'static str)]);

impl Wanted {
    fn is(&self, line: &str) -> bool {
        let Some(rest) = line.strip_prefix(self.0) else {
            return false;
        };
        (rest.starts_with('{') || rest.starts_with(' '))
            && self
                .1
                .iter()
                .all(|(name, value)| rest.contains(&format!("{name}=\"{value}\"")))
    }
}

/// Whatever was still to be handled is, in time: each of these has been nothing once.
async fn drained(place: &Ready) -> Result<()> {
    let mut waiting: BTreeMap<String, String> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let deadline = tokio::time::Instant::now() + SOON * 2;
    loop {
        for (service, address) in &place.services {
            let text = http::get(&format!("{address}/metrics")).await?.body;
            let levels = text.lines().filter(|line| {
                line.starts_with("marquee_consumer_lag_messages{")
                    || line.starts_with("marquee_outbox_depth_messages{")
            });
            for line in levels {
                let (series, value) = line.rsplit_once(' ').context("no value")?;
                let series = format!("{service} {series}");
                if value.parse::<f64>()? == 0.0 {
                    waiting.remove(&series);
                    seen.insert(series);
                } else if !seen.contains(&series) {
                    waiting.insert(series, value.to_owned());
                }
            }
        }
        if waiting.is_empty() && !seen.is_empty() {
            return Ok(());
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "not handled: {waiting:#?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
