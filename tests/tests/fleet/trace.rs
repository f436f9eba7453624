//! One trace through NGINX, six processes and Kafka, as a collector gets it.

use anyhow::{Context as _, Result, ensure};
use marquee_testkit::Ready;
use marquee_testkit::otlp::Receiver;
use marquee_testkit::otlp::story::{self, People};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fleet"]
async fn one_trace_goes_from_the_gateway_over_outbox_and_kafka_to_the_notification() -> Result<()> {
    let ready = Ready::of_fleet();
    let address = ready.otlp.trim_start_matches("http://");
    let address = address
        .parse()
        .with_context(|| format!("the fleet was started without --otlp-endpoint: {address:?}"))?;
    let collector = Receiver::start_at(address).await?;
    let people = People::register(&ready.rest).await?;
    let story = story::tell(&people, &collector).await?;

    for (span, service) in [
        (&story.rest, "events"),
        (&story.rpc, "events"),
        (&story.publish, "events"),
        (&story.send, "events"),
        (&story.process, "notifications"),
        (&story.fan_out, "notifications"),
        (&story.notification, "notifications"),
    ] {
        ensure!(span.service() == service, "{span:?}");
    }
    Ok(())
}
