//! Traces of the whole process, as a collector gets them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use marquee_testkit::otlp::story::{self, People};
use marquee_testkit::otlp::{Receiver, Span};
use marquee_testkit::{Marquee, http, wait_until};

const CALLER: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_from_a_rest_call_over_outbox_and_bus_to_the_notification() -> Result<()> {
    let collector = Receiver::start().await?;
    let marquee = Marquee::start(&["--otlp-endpoint", &collector.endpoint()]).await?;
    let people = People::register(&marquee.ready.rest).await?;
    let story = story::tell(&people, &collector).await?;

    ensure!(story.rest.attribute("http.request.method") == "POST");
    ensure!(story.rest.attribute("url.template") == "/v1/channels/{channel}/events");
    ensure!(story.rest.attribute("http.response.status_code") == "200");
    ensure!(story.rpc.attribute("rpc.system") == "grpc");
    ensure!(story.rpc.attribute("rpc.service") == "marquee.events.v1.EventService");
    ensure!(story.rpc.attribute("rpc.method") == "CreateEvent");
    ensure!(story.rpc.attribute("rpc.grpc.status_code") == "0");
    let id = "messaging.message.id";
    ensure!(story.send.attribute(id) == story.publish.attribute(id));
    ensure!(story.process.attribute(id) == story.publish.attribute(id));
    // Handled in a batch with others.
    let is_indexed = |span: &Span| {
        span.parent_span_id == story.publish.span_id
            && span.attribute("messaging.consumer.group.name") == "search.index"
    };
    collector
        .wait_for_trace(|spans| spans.iter().any(is_indexed))
        .await?;
    let resource = &story.rest.resource;
    ensure!(resource.get("service.name").map(String::as_str) == Some("marquee"));
    ensure!(resource.get("service.version").map(String::as_str) == Some(env!("CARGO_PKG_VERSION")));
    ensure!(resource.contains_key("service.instance.id"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_peers_are_steps_between_both_ends() -> Result<()> {
    let collector = Receiver::start().await?;
    let marquee = Marquee::start(&["--otlp-endpoint", &collector.endpoint()]).await?;
    People::register(&marquee.ready.rest).await?;

    let spans = collector
        .wait_for_trace(|spans| {
            spans.iter().any(|client| {
                let is_answer =
                    |server: &&Span| server.parent_span_id == client.span_id && server.kind == "Server";
                client.kind == "Client"
                    && client.attribute("rpc.system") == "grpc"
                    && spans
                        .iter()
                        .find(is_answer)
                        .is_some_and(|server| server.name == client.name)
            })
        })
        .await?;
    ensure!(!spans.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_does_not_sample_is_not_sent() -> Result<()> {
    let collector = Receiver::start().await?;
    let mut marquee = Marquee::start(&["--otlp-endpoint", &collector.endpoint()]).await?;
    let people = People::register(&marquee.ready.rest).await?;
    people.schedule(NOT_SAMPLED).await?;
    marquee.terminate().await?;
    ensure!(!collector.spans().is_empty(), "what was sampled is");
    ensure!(!collector.traces().contains_key(CALLER));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ratio_of_nothing_sends_only_what_callers_sample() -> Result<()> {
    let collector = Receiver::start().await?;
    let endpoint = collector.endpoint();
    let mut marquee = Marquee::start(&["--otlp-endpoint", &endpoint, "--trace-ratio", "0"]).await?;
    let people = People::register(&marquee.ready.rest).await?;
    people.schedule(SAMPLED).await?;
    marquee.terminate().await?;
    let traces: Vec<_> = collector.traces().into_keys().collect();
    ensure!(traces == [CALLER], "{traces:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_are_sent_before_the_process_ends() -> Result<()> {
    let collector = Receiver::start().await?;
    let mut marquee = Marquee::start(&["--otlp-endpoint", &collector.endpoint()]).await?;
    let people = People::register(&marquee.ready.rest).await?;
    people.schedule(SAMPLED).await?;
    ensure!(marquee.terminate().await? == Some(0));
    let spans = collector.traces().remove(CALLER).context("nothing was sent")?;
    let rest = |span: &Span| span.name == "POST /v1/channels/{channel}/events";
    ensure!(spans.iter().any(rest), "{spans:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_costs_one_warning_and_no_request() -> Result<()> {
    let collector = Receiver::start().await?;
    let (endpoint, address) = (collector.endpoint(), collector.address());
    drop(collector);
    let mut marquee = Marquee::start(&["--otlp-endpoint", &endpoint]).await?;
    let people = People::register(&marquee.ready.rest).await?;
    wait_until("spans that cannot be sent", Duration::from_secs(30), async || {
        people.schedule(SAMPLED).await.unwrap();
        failed(&marquee).await.unwrap() > 20
    })
    .await?;
    let warnings = || marquee.log().matches("cannot send traces").count();
    ensure!(warnings() == 1, "{}", marquee.log());

    // It works again once the collector is there.
    let collector = Receiver::start_at(address).await?;
    wait_until("a trace", Duration::from_secs(30), async || {
        people.schedule(SAMPLED).await.unwrap();
        collector.traces().contains_key(CALLER)
    })
    .await?;
    ensure!(marquee.log().contains("traces are sent again"));
    drop(collector);
    ensure!(
        marquee.terminate().await? == Some(0),
        "it ends without a collector"
    );
    Ok(())
}

async fn failed(marquee: &Marquee) -> Result<u64> {
    let metrics = http::get(&marquee.ready.metrics).await?.body;
    let line = metrics.lines().find_map(|line| {
        line.strip_prefix("otel_sdk_exporter_span_exported_total{error_type=\"unavailable\"} ")
    });
    Ok(line.map_or(Ok(0), str::parse)?)
}
