//! Traces of the whole process, as a collector gets them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use marquee_testkit::otlp::{Receiver, Span};
use marquee_testkit::{Marquee, http, wait_until};
use serde_json::{Value, json};

const CALLER: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER_SPAN: &str = "00f067aa0ba902b7";

/// Sends JSON as somebody, within the caller's trace.
async fn post(url: &str, token: &str, sampled: bool, body: &Value) -> Result<Value> {
    let flags = if sampled { "01" } else { "00" };
    let answer = http::curl(&[
        "--request",
        "POST",
        "--header",
        &format!("authorization: Bearer {token}"),
        "--header",
        &format!("traceparent: 00-{CALLER}-{CALLER_SPAN}-{flags}"),
        "--header",
        "content-type: application/json",
        "--data",
        &body.to_string(),
        url,
    ])
    .await?;
    ensure!(answer.status == 200, "{url}: {answer:?}");
    answer.json()
}

/// A viewer follows the demo's channel, and its creator schedules an event.
async fn schedule(marquee: &Marquee, sampled: bool) -> Result<()> {
    let ready = &marquee.ready;
    let channel = ready.channel.as_ref().context("no channel")?;
    let (creator, viewer) = (
        ready.creator.as_ref().context("no creator")?,
        ready.viewer.as_ref().context("no viewer")?,
    );
    let follow = json!({ "channel": channel });
    let follows = format!("{}/v1/accounts/me/follows", ready.rest);
    // The demo's viewer may follow it already.
    let _ = post(&follows, &viewer.access_token, false, &follow).await;
    let event = json!({ "title": "Owls", "scheduledStartTime": "2099-01-01T20:00:00Z" });
    let events = format!("{}/v1/{channel}/events", ready.rest);
    post(&events, &creator.access_token, sampled, &event).await?;
    Ok(())
}

/// The first span of that name and kind.
fn one<'a>(spans: &'a [Span], kind: &str, name: &str) -> Result<&'a Span> {
    let found = spans.iter().find(|span| span.kind == kind && span.name == name);
    found.with_context(|| {
        let names: Vec<_> = spans.iter().map(|span| (&span.kind, &span.name)).collect();
        format!("no {kind} {name:?} among {names:?}")
    })
}

fn has(spans: &[Span], kind: &str, name: &str) -> bool {
    one(spans, kind, name).is_ok()
}

const EVENTS: &str = "marquee.events.event.v1";
const NOTIFICATIONS: &str = "marquee.notifications.notification.v1";

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_from_a_rest_call_over_outbox_and_bus_to_the_notification() -> Result<()> {
    let collector = Receiver::start().await?;
    let marquee = Marquee::start(&["--demo", "--otlp-endpoint", &collector.endpoint()]).await?;
    schedule(&marquee, true).await?;

    let spans = collector
        .wait_for_trace(|spans| {
            has(spans, "Server", "POST /v1/channels/{channel}/events")
                && has(spans, "Client", &format!("send {NOTIFICATIONS}"))
        })
        .await?;
    ensure!(spans.iter().all(|span| span.trace_id == CALLER));

    let rest = one(&spans, "Server", "POST /v1/channels/{channel}/events")?;
    ensure!(rest.parent_span_id == CALLER_SPAN, "{rest:?}");
    ensure!(rest.attribute("http.request.method") == "POST");
    ensure!(rest.attribute("url.template") == "/v1/channels/{channel}/events");
    ensure!(rest.attribute("http.response.status_code") == "200");
    ensure!(rest.service() == "marquee" && rest.resource.contains_key("service.instance.id"));
    ensure!(rest.resource.get("service.version").map(String::as_str) == Some(env!("CARGO_PKG_VERSION")));

    let rpc = one(&spans, "Server", "marquee.events.v1.EventService/CreateEvent")?;
    ensure!(rpc.parent_span_id == rest.span_id);
    ensure!(rpc.attribute("rpc.system") == "grpc" && rpc.attribute("rpc.grpc.status_code") == "0");

    let publish = one(&spans, "Producer", &format!("publish {EVENTS}"))?;
    ensure!(publish.parent_span_id == rpc.span_id);
    let send = one(&spans, "Client", &format!("send {EVENTS}"))?;
    ensure!(send.parent_span_id == publish.span_id);
    ensure!(send.attribute("messaging.message.id") == publish.attribute("messaging.message.id"));

    let process = spans
        .iter()
        .find(|span| {
            span.name == format!("process {EVENTS}")
                && span
                    .attribute("messaging.consumer.group.name")
                    .contains("notifications")
        })
        .context("notifications have not consumed it")?;
    ensure!(process.kind == "Consumer" && process.parent_span_id == publish.span_id);
    let notification = one(&spans, "Producer", &format!("publish {NOTIFICATIONS}"))?;
    // A page each for followers and for reminders.
    let page = spans
        .iter()
        .find(|span| span.span_id == notification.parent_span_id);
    let page = page.context("the notification has no parent")?;
    ensure!(page.name == "fan out notifications" && page.parent_span_id == process.span_id);
    ensure!(spans.iter().all(|span| span.error.is_none()), "{spans:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_peers_are_steps_between_both_ends() -> Result<()> {
    let collector = Receiver::start().await?;
    let _marquee = Marquee::start(&["--demo", "--otlp-endpoint", &collector.endpoint()]).await?;

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
    let mut marquee = Marquee::start(&["--demo", "--otlp-endpoint", &collector.endpoint()]).await?;
    schedule(&marquee, false).await?;
    marquee.terminate().await?;
    ensure!(!collector.spans().is_empty(), "the demo's own calls");
    ensure!(!collector.traces().contains_key(CALLER));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ratio_of_nothing_sends_only_what_callers_sample() -> Result<()> {
    let collector = Receiver::start().await?;
    let endpoint = collector.endpoint();
    let mut marquee = Marquee::start(&["--demo", "--otlp-endpoint", &endpoint, "--trace-ratio", "0"]).await?;
    schedule(&marquee, true).await?;
    marquee.terminate().await?;
    let traces: Vec<_> = collector.traces().into_keys().collect();
    ensure!(traces == [CALLER], "{traces:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_are_sent_before_the_process_ends() -> Result<()> {
    let collector = Receiver::start().await?;
    let mut marquee = Marquee::start(&["--demo", "--otlp-endpoint", &collector.endpoint()]).await?;
    schedule(&marquee, true).await?;
    ensure!(marquee.terminate().await? == Some(0));
    let spans = collector.traces().remove(CALLER).context("nothing was sent")?;
    ensure!(has(&spans, "Server", "POST /v1/channels/{channel}/events"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_costs_one_warning_and_no_request() -> Result<()> {
    let collector = Receiver::start().await?;
    let (endpoint, address) = (collector.endpoint(), collector.address());
    drop(collector);
    let mut marquee = Marquee::start(&["--demo", "--otlp-endpoint", &endpoint]).await?;
    wait_until("spans that cannot be sent", Duration::from_secs(30), async || {
        schedule(&marquee, true).await.unwrap();
        failed(&marquee).await.unwrap() > 20
    })
    .await?;
    let warnings = || marquee.log().matches("cannot send traces").count();
    ensure!(warnings() == 1, "{}", marquee.log());

    // It works again once the collector is there.
    let collector = Receiver::start_at(address).await?;
    wait_until("a trace", Duration::from_secs(30), async || {
        schedule(&marquee, true).await.unwrap();
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
