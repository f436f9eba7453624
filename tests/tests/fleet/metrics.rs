//! What every process of the fleet exports.

use anyhow::{Context as _, Result, ensure};
use marquee_testkit::{Ready, http, wait_until};
use marquee_tests::{Api, uuid};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fleet"]
async fn every_service_shows_requests_lag_outbox_and_stores() -> Result<()> {
    let place = Ready::of_fleet();
    let api = Api::at(&place).await?;
    let tag = &uuid()[..8];
    // Something of every kind happens.
    let creator = api.register(&format!("mia-{tag}@example.org"), "Mia").await?;
    let channel = api.channel(&creator, &format!("metrics{tag}"), "Metrics").await?;
    api.event(&creator, &channel, "Counted").await?;
    api.stream_key(&creator, &channel).await?;

    let everywhere = [
        "rpc_server_duration_seconds_count",
        "process_resident_memory_bytes",
        "target_info",
    ];
    let of_service: &[(&str, &[&str])] = &[
        (
            "subscriptions",
            &[
                "marquee_outbox_depth_messages",
                "postgresql",
                "messaging_client_sent_messages_total",
            ],
        ),
        (
            "events",
            &[
                "marquee_outbox_depth_messages",
                "mongodb",
                "marquee_consumer_lag_messages",
            ],
        ),
        (
            "video-ingest",
            &[
                "marquee_outbox_depth_messages",
                "mongodb",
                "rpc_client_duration_seconds_count",
            ],
        ),
        (
            "notifications",
            &[
                "marquee_outbox_depth_messages",
                "mongodb",
                "marquee_consumer_lag_messages",
            ],
        ),
        (
            "search",
            &["elasticsearch", "messaging_client_consumed_messages_total"],
        ),
        ("analytics", &["mongodb", "marquee_consumer_lag_messages"]),
    ];
    for (service, metrics) in of_service {
        let address = place.services.get(*service).context("no such service")?;
        let url = format!("{address}/metrics");
        let expected: Vec<_> = everywhere.iter().chain(metrics.iter()).collect();
        let missing = async || -> Result<Vec<String>> {
            let text = http::get(&url).await?.body;
            let missing = expected.iter().filter(|name| !text.contains(**name));
            Ok(missing.map(ToString::to_string).collect())
        };
        let complete = async || missing().await.is_ok_and(|missing| missing.is_empty());
        if wait_until("all metrics", SOON, complete).await.is_err() {
            let missing = missing().await?;
            ensure!(missing.is_empty(), "{service} does not export {missing:?}");
        }
    }
    Ok(())
}
