//! The story that the whole product tells, on the real process with stock ffmpeg and Chromium.

use anyhow::{Context as _, Result};
use marquee_testkit::Marquee;
use marquee_tests::journey;

/// The journey does not wait for the default of 30 s.
const GRACE: &str = "6";

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_story() -> Result<()> {
    let pages = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/dist");
    let marquee = Marquee::start(&["--reconnect-grace", GRACE, "--pages", pages]).await?;
    let result = journey::story(&marquee.ready).await;
    result.with_context(|| format!("the log of marquee:\n{}", marquee.log()))
}
