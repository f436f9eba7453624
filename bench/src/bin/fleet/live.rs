//! From the first keyframe of a stream to the follower and to the search index.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use marquee_proto::name::new_id;
use marquee_proto::notifications::v1::{NotificationKind, WatchNotificationsResponse};
use marquee_rtmp::flv::Tag;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tonic::Streaming;

use super::api::Person;
use super::places::Places;
use super::publisher;
use super::report::{DELAYS, Delays, Table};

const STREAMS: usize = 50;
/// Between the starts of two.
const APART: Duration = Duration::from_millis(400);
/// Of one stream.
const LENGTH: Duration = Duration::from_secs(4);
/// Between two searches.
const SEARCH_EVERY: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(20);
const TARGET_MS: f64 = 1_000.0;

/// When the follower was told of each event.
type Told = Arc<Mutex<HashMap<(String, i32), Instant>>>;

struct Stream {
    event: String,
    title: String,
    url: String,
}

pub(crate) async fn measure(places: &Places) -> Result<Vec<Table>> {
    let connections = places.connect(3).await?;
    let [one, two, three] = connections.as_slice() else {
        unreachable!("three were asked for")
    };
    let owner = Person::register(one.clone()).await?;
    let follower = Person::register(two.clone()).await?;
    let told = Told::default();
    let reader = tokio::spawn(read(follower.watch().await?, told.clone()));

    let mut channels = Vec::new();
    for _ in 0..STREAMS {
        let channel = owner.channel().await?;
        follower.follow(&channel).await?;
        channels.push(channel);
    }
    // Until the follows have reached the notifications service; the notification of each event shows that they have.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut streams = Vec::new();
    for channel in &channels {
        // One word that no other title has.
        let title = format!("owls{}", new_id());
        let event = owner.event(channel, &title).await?.name;
        let url = format!("{}/{}", places.rtmp, owner.stream_key(channel).await?);
        streams.push(Stream { event, title, url });
    }
    for stream in &streams {
        at(&told, &stream.event, NotificationKind::EventScheduled).await?;
    }

    let clip: Arc<[Tag]> = publisher::read(&places.clip)?.into();
    let searcher = owner.over(three);
    let mut running = JoinSet::new();
    for stream in streams {
        running.spawn(one_stream(stream, clip.clone(), searcher.clone(), told.clone()));
        tokio::time::sleep(APART).await;
    }
    let (mut notified, mut found) = (Delays::default(), Delays::default());
    for done in running.join_all().await {
        let (to_follower, to_index) = done?;
        notified.add(to_follower);
        found.add(to_index);
    }
    reader.abort();
    let mut table = Table::new(
        format!(
            "Going live: {STREAMS} streams, one every {} ms, RTMP and gRPC through NGINX",
            APART.as_millis()
        ),
        DELAYS,
    );
    table.row(notified.cells(
        "first keyframe sent, notification on an open stream",
        Some(TARGET_MS),
    ));
    table.row(found.cells("first keyframe sent, found as live in search", Some(TARGET_MS)));
    Ok(vec![table])
}

async fn read(mut inbox: Streaming<WatchNotificationsResponse>, told: Told) -> Result<()> {
    while let Some(message) = inbox.message().await? {
        let now = Instant::now();
        if let Some(notification) = message.notification {
            told.lock().insert((notification.event, notification.kind), now);
        }
    }
    Ok(())
}

async fn at(told: &Told, event: &str, kind: NotificationKind) -> Result<Instant> {
    let key = (event.to_owned(), kind.into());
    let began = Instant::now();
    loop {
        if let Some(at) = told.lock().get(&key) {
            return Ok(*at);
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "the follower is not told of {event} ({kind:?})"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn one_stream(
    stream: Stream,
    clip: Arc<[Tag]>,
    searcher: Person,
    told: Told,
) -> Result<(Duration, Duration)> {
    let (keyframe, sent) = oneshot::channel();
    let url = stream.url.clone();
    let publishing = tokio::spawn(async move { publisher::publish(&clip, &url, LENGTH, keyframe).await });
    let found = async {
        let sent = sent.await.context("the publisher ended")?;
        loop {
            if searcher.finds_live(&stream.title, &stream.event).await? {
                return anyhow::Ok((sent, sent.elapsed()));
            }
            ensure!(sent.elapsed() < PATIENCE, "{} is not found as live", stream.event);
            tokio::time::sleep(SEARCH_EVERY).await;
        }
    };
    let ((sent, to_index), notified) =
        tokio::try_join!(found, at(&told, &stream.event, NotificationKind::EventLive))?;
    publishing.await??;
    Ok((notified.saturating_duration_since(sent), to_index))
}
