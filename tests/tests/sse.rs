//! An inbox over server-sent events, through the real process.

use anyhow::{Context as _, Result};
use marquee_testkit::Marquee;
use marquee_tests::inbox_stream;

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_over_server_sent_events_resumes_without_loss_or_repeat() -> Result<()> {
    let marquee = Marquee::start(&[]).await?;
    let result = inbox_stream::story(&marquee.ready).await;
    result.with_context(|| format!("the log of marquee:\n{}", marquee.log()))
}
