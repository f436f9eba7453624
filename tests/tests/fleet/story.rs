use anyhow::Result;
use marquee_testkit::Ready;
use marquee_tests::{inbox_stream, journey};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fleet"]
async fn the_whole_story_through_the_gateway() -> Result<()> {
    journey::story(&Ready::of_fleet()).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs fleet"]
async fn an_inbox_over_server_sent_events_resumes_through_the_gateway() -> Result<()> {
    inbox_stream::story(&Ready::of_fleet()).await
}
