//! Very many open inboxes on one process, and one event that reaches all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use jiff::Timestamp;
use marquee_proto::notifications::v1::WatchNotificationsResponse;
use marquee_proto::time::from_proto;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::Streaming;

use super::api::Person;
use super::places::{Places, connect, token};
use super::report::{DELAYS, Delays, Table};
use super::{followers, memory};

/// As many as the process takes by default.
const STREAMS: usize = 10_000;
const CONNECTIONS: usize = 20;
/// Opened at once.
const OPENING: usize = 64;
const SETTLE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(120);
const TARGET_MS: f64 = 1_000.0;

/// A notification as it was received.
struct Received {
    /// When the service made it.
    made: Timestamp,
    at: Timestamp,
    instant: Instant,
}

pub(crate) async fn measure(places: &Places) -> Result<Vec<Table>> {
    let gateway = places.connect(1).await?;
    let owner = Person::register(gateway.first().context("no connection")?.clone()).await?;
    let channel = owner.channel().await?;
    let (accounts, _) = followers::make(places, &channel, STREAMS).await?;
    let signer = places.signer().await?;
    let connections = connect(&places.notifications, CONNECTIONS).await?;
    let pid = *places.pids.get("notifications").context("no process")?;

    tokio::time::sleep(SETTLE).await;
    let idle = memory::resident(pid)?;
    let began = Instant::now();
    let opening = Arc::new(Semaphore::new(OPENING));
    let mut open = JoinSet::new();
    for (account, connection) in accounts.iter().zip(connections.iter().cycle()) {
        let person = Person::new(connection.clone(), &token(&signer, account))?;
        let opening = opening.clone();
        open.spawn(async move {
            let _permit = opening.acquire_owned().await?;
            person.watch().await
        });
    }
    let mut streams = Vec::with_capacity(STREAMS);
    while let Some(stream) = open.join_next().await {
        streams.push(stream??);
    }
    let opened = began.elapsed();
    tokio::time::sleep(SETTLE).await;
    let with_streams = memory::resident(pid)?;

    let mut readers = JoinSet::new();
    for stream in streams {
        readers.spawn(next(stream));
    }
    owner.event(&channel, "Owls for everybody").await?;
    let acknowledged = Instant::now();
    let (mut from_row, mut from_answer) = (Delays::default(), Delays::default());
    let (mut first, mut last) = (Timestamp::MAX, Timestamp::MIN);
    let mut open = Vec::with_capacity(STREAMS);
    let all = async {
        while let Some(received) = readers.join_next().await {
            let (received, stream) = received??;
            open.push(stream);
            from_row.add(received.at.duration_since(received.made).unsigned_abs());
            from_answer.add(received.instant.saturating_duration_since(acknowledged));
            (first, last) = (first.min(received.made), last.max(received.made));
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, all)
        .await
        .with_context(|| format!("not everybody was told within {PATIENCE:?}"))??;
    ensure!(from_row.len() == STREAMS, "{} were told", from_row.len());

    let mut delays = Table::new(
        format!(
            "{STREAMS} open streams of as many accounts on one process, {CONNECTIONS} connections; one event to all"
        ),
        DELAYS,
    );
    delays.row(from_row.cells("notification made (before its commit), received", Some(TARGET_MS)));
    delays.row(from_answer.cells("RPC acknowledged, received", Some(TARGET_MS)));
    let mut figures = Table::new("The process with these streams", ["figure", "value"]);
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    let each = with_streams.saturating_sub(idle) as f64 / STREAMS as f64 / 1_024.0;
    let span = last.duration_since(first).as_secs_f64();
    let mut row = |figure: &str, value: String| figures.row([figure.to_owned(), value]);
    row("memory per stream, KiB", format!("{each:.1}"));
    row(
        "opening all of them took, s",
        format!("{:.1}", opened.as_secs_f64()),
    );
    row(
        "from the first to the last notification made, s",
        format!("{span:.2}"),
    );
    Ok(vec![delays, figures])
}

/// The next notification. The stream stays open with it.
async fn next(
    mut stream: Streaming<WatchNotificationsResponse>,
) -> Result<(Received, Streaming<WatchNotificationsResponse>)> {
    let message = stream.next().await.context("the stream ended")??;
    let (at, instant) = (Timestamp::now(), Instant::now());
    let notification = message.notification.context("no notification")?;
    let made = notification.create_time.as_ref().and_then(from_proto);
    let made = made.context("no time")?;
    Ok((Received { made, at, instant }, stream))
}
