//! The metrics of the whole process are those that `docs/OPERATIONS.md` tells of.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use marquee_testkit::{Marquee, http, wait_until};
use serde_json::json;

/// What a small journey in one process does not show, and when it would.
const ELSEWHERE: &[(&str, &str)] = &[
    ("marquee_consumer_retries_total", "a handler that fails"),
    (
        "marquee_consumer_dead_letters_total",
        "a message that cannot be handled",
    ),
    ("search_dead_letters_total", "a message that cannot be indexed"),
    (
        "video_ingest_timeline_repairs_total",
        "an encoder whose clock jumps",
    ),
    ("video_ingest_connections_refused_total", "too many encoders"),
    ("video_ingest_segments_not_stored_total", "a full disk"),
    ("video_ingest_recordings_paused", "a full disk"),
    ("video_ingest_uploaded_bytes_total", "an object store"),
    ("video_ingest_upload_duration_seconds", "an object store"),
    ("video_ingest_upload_failures_total", "an object store"),
    ("video_ingest_object_store_up", "an object store"),
    (
        "video_ingest_recordings_deleted_total",
        "a recording that is deleted",
    ),
    ("video_ingest_webhooks_total", "a webhook"),
    ("video_ingest_waiting_refused_total", "more players than may wait"),
    (
        "video_ingest_tracks_left_out_total",
        "an encoder with several tracks",
    ),
    ("video_ingest_players", "a player of RTMP or HTTP-FLV"),
    (
        "video_ingest_players_refused_total",
        "a player of RTMP or HTTP-FLV",
    ),
    ("video_ingest_players_stalled_total", "a player that stalls"),
    ("video_ingest_relay_lost_tags_total", "a reader that is too slow"),
    ("video_ingest_forwarding_jobs", "a forwarding target"),
    ("video_ingest_forwarding_live", "a forwarding target"),
    ("video_ingest_forwarding_failures_total", "a forwarding target"),
    ("video_ingest_forwarded_bytes_total", "a forwarding target"),
    ("analytics_swept_sessions_total", "a player that falls silent"),
    (
        "analytics_store_retries_total",
        "MongoDB with several replicas of analytics",
    ),
    (
        "otel_sdk_exporter_span_exported_total",
        "a collector: tests/trace.rs",
    ),
    (
        "otel_sdk_processor_span_processed_total",
        "a collector: tests/trace.rs",
    ),
];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Metric {
    kind: String,
    labels: BTreeSet<String>,
}

/// The table in "Metrics and traces".
fn documented() -> BTreeMap<String, Metric> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/OPERATIONS.md");
    let page = std::fs::read_to_string(docs).unwrap();
    let (_, section) = page.split_once("\n### Metrics\n").unwrap();
    let section = section.split("\n### ").next().unwrap();
    let quoted = |cell: &str| -> BTreeSet<String> {
        let words = cell.split('`').skip(1).step_by(2);
        words.map(ToOwned::to_owned).collect()
    };
    section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, name, kind, labels, ..] = cells.as_slice() else {
                panic!("{line}");
            };
            let metric = Metric {
                kind: (*kind).to_owned(),
                labels: quoted(labels),
            };
            (name.trim_matches('`').to_owned(), metric)
        })
        .collect()
}

/// What is in the Prometheus text, and which of it has a help.
fn exported(text: &str) -> (BTreeMap<String, Metric>, BTreeSet<String>) {
    let mut metrics = BTreeMap::new();
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let metric = Metric {
                kind: kind.to_owned(),
                labels: BTreeSet::new(),
            };
            metrics.insert(name.to_owned(), metric);
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            helped.insert(rest.split(' ').next().unwrap().to_owned());
        } else if let Some((name, rest)) = line.split_once('{') {
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| {
                    name.strip_suffix(suffix)
                        .filter(|family| metrics.contains_key(*family))
                })
                .unwrap_or(name);
            let labels = rest.rsplit_once('}').unwrap().0;
            // No value of ours has a quote in it.
            let names = labels.split("\",").filter_map(|label| label.split('=').next());
            let metric = metrics.get_mut(family).unwrap();
            metric.labels.extend(
                names
                    .filter(|name| *name != "le" && !name.is_empty())
                    .map(ToOwned::to_owned),
            );
        }
    }
    (metrics, helped)
}

/// Kills the encoder with the test.
struct Encoder(Child);

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Somebody publishes, somebody watches.
async fn journey(marquee: &Marquee) -> Result<Encoder> {
    let ready = &marquee.ready;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo.flv");
    let publish = |url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_marquee"));
        command.arg("publish").arg(&file).args([url, "--loop"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    // A key that nobody has.
    let mut refused = publish(&format!("{}/none", ready.rtmp))?;
    let encoder = Encoder(publish(ready.publish_url.as_ref().context("no key")?)?);
    refused.wait()?;

    let event = ready.event.as_ref().context("no event")?;
    let beacon = json!({
        "session_id": "6f8f57a0-6d1f-4f0e-9d1a-0f5f3f0c1a11",
        "sequence_number": 1,
        "event": event,
        "viewer_id": "9a1d3c52-1111-4222-8333-0a0b0c0d0e0f",
        "time": "2026-01-01T00:00:00Z",
        "state": "PLAYBACK_STATE_PLAYING",
    });
    let body = json!({ "beacons": [beacon, {}] }).to_string();
    let answer = http::curl(&[
        "--header",
        "content-type: application/json",
        "--data",
        &body,
        &format!("{}/v1/beacons", ready.rest),
    ])
    .await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(encoder)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_and_what_is_documented_are_the_same() -> Result<()> {
    let documented = documented();
    let marquee = Marquee::start(&["--demo"]).await?;
    let _encoder = journey(&marquee).await?;

    let elsewhere = |name: &str| ELSEWHERE.iter().any(|(known, _)| *known == name);
    let scrape = async || http::get(&marquee.ready.metrics).await.unwrap().body;
    let missing = async || {
        let (exported, _) = exported(&scrape().await);
        let names = documented
            .keys()
            .filter(|name| !exported.contains_key(*name) && !elsewhere(name));
        names.cloned().collect::<Vec<_>>()
    };
    let all = wait_until("every documented metric", Duration::from_secs(40), async || {
        missing().await.is_empty()
    });
    if let Err(error) = all.await {
        panic!("{error}: documented, but not exported: {:?}", missing().await);
    }

    let (exported, helped) = exported(&scrape().await);
    for (name, metric) in &exported {
        let known = documented.get(name);
        let known = known.with_context(|| format!("{name} is exported, but not in docs/OPERATIONS.md"))?;
        ensure!(known.kind == metric.kind, "{name} is a {}", metric.kind);
        ensure!(
            metric.labels.is_subset(&known.labels),
            "{name} has the labels {:?}",
            metric.labels
        );
        ensure!(helped.contains(name), "{name} has no help");
    }
    for (name, when) in ELSEWHERE {
        ensure!(
            documented.contains_key(*name),
            "{name} ({when}) is not documented"
        );
    }
    Ok(())
}

#[test]
fn what_has_a_help_and_what_is_documented_are_the_same() {
    let documented: BTreeMap<_, _> = documented()
        .into_iter()
        .map(|(name, metric)| (name, metric.kind))
        .collect();
    let described: BTreeMap<_, _> = marquee_telemetry::METRICS
        .iter()
        .map(|metric| (metric.name.to_owned(), metric.kind.to_string()))
        .collect();
    assert_eq!(documented, described);
}
