//! Encoders that go, come back, or hang.

use std::time::{Duration, Instant};

use marquee_auth::Role;
use marquee_proto::topic::STREAM;
use marquee_proto::video_ingest::v1::LiveStreamState;
use marquee_testkit::{ffmpeg, wait_until};

use crate::clip::RATE;
use crate::encoder::Encoder;
use crate::stage::{LIMIT, Stage};
use crate::story::{Story, count};

#[tokio::test]
async fn an_encoder_that_comes_back_goes_on_with_the_same_playlist() {
    let (stage, _folder) = Stage::tuned(|config| config.reconnect_grace = Duration::from_secs(2)).await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let mut recordings = Story::of_recordings(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut first = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    first.send(5_500).await.unwrap();
    let started = story.expect("started").await;
    let before = clients
        .playlist_when(&started, |playlist| playlist.segments.len() >= 2)
        .await;
    first.reset();
    let interrupted = story.expect("interrupted").await;
    assert_eq!(interrupted.state(), LiveStreamState::Interrupted);
    let gap = clients
        .playlist_when(&started, |playlist| playlist.last() > before.last())
        .await;
    assert!(
        !gap.ended && gap.discontinuities == 0,
        "it only stands still: {gap:?}"
    );

    let mut second = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    second.send(5_500).await.unwrap();
    let resumed = story.expect("resumed").await;
    assert_eq!((&resumed.name, resumed.reconnects), (&started.name, 1));
    let after = clients
        .playlist_when(&started, |playlist| playlist.last() > gap.last() + 1)
        .await;
    assert_eq!((after.first, after.discontinuities), (0, 1));
    assert_eq!(
        after.segments[..gap.segments.len()],
        gap.segments,
        "nothing that was shown changes"
    );
    assert_eq!(after.inits, ["init-0.mp4", "init-1.mp4"]);

    second.finish().await;
    story.expect("interrupted").await;
    let ended = story.expect("ended").await;
    assert_eq!(ended.reconnects, 1);
    assert_eq!(count(&*stage.bus, &STREAM).await, 5);
    let recording = recordings.expect_recording().await;
    let url = format!("http://{}{}", clients.http, recording.playback_path);
    let played = ffmpeg::play(&url, None).await.unwrap();
    let pictures = played.video.len();
    // A reset may swallow what the kernel had not delivered.
    assert!(pictures <= 2 * 138 && pictures > 9 * RATE as usize, "{pictures}");
    assert!(
        played
            .video
            .windows(2)
            .filter(|pair| (pair[1] - pair[0]).abs() > 1.0)
            .count()
            <= 1
    );
}

#[tokio::test]
async fn a_hung_encoder_is_taken_over_within_a_second() {
    let (stage, _folder) = Stage::tuned(|config| {
        config.takeover_wait = Duration::from_secs(1);
        config.reconnect_grace = Duration::from_secs(10);
    })
    .await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut hung = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    hung.send(5_000).await.unwrap();
    let started = story.expect("started").await;
    let before = clients
        .playlist_when(&started, |playlist| playlist.segments.len() >= 2)
        .await;
    // From now on it sends nothing, but its socket stays open.
    let asked = Instant::now();
    let mut second = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    let waited = asked.elapsed();
    assert!(
        waited > Duration::from_millis(800) && waited < Duration::from_secs(3),
        "{waited:?}"
    );
    assert!(hung.sent_away().await.description.contains("took over"));
    second.send(5_000).await.unwrap();
    story.expect("interrupted").await;
    let resumed = story.expect("resumed").await;
    assert_eq!((&resumed.name, resumed.reconnects), (&started.name, 1));
    let after = clients
        .playlist_when(&started, |playlist| playlist.last() > before.last() + 2)
        .await;
    assert_eq!((after.first, after.discontinuities), (0, 1));
    assert_eq!(after.segments[..before.segments.len()], before.segments);
}

#[tokio::test]
async fn coming_and_going_without_media_does_not_keep_a_stream_alive() {
    let (stage, _folder) = Stage::tuned(|config| config.reconnect_grace = Duration::from_secs(1)).await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(3_000).await.unwrap();
    encoder.finish().await;
    story.expect("started").await;
    story.expect("interrupted").await;
    let restless = async {
        loop {
            if let Ok(encoder) = Encoder::publish(clients.rtmp, &secret).await {
                encoder.finish().await;
            }
        }
    };
    tokio::select! {
        () = restless => {}
        _ = story.expect("ended") => {}
    }
}

#[tokio::test]
async fn an_encoder_that_sends_nothing_of_use_is_sent_away() {
    let (stage, _folder) = Stage::tuned(|config| {
        config.packager.keyframe_limit = Duration::from_millis(300);
        config.packager.missing_track_wait = Duration::from_millis(200);
    })
    .await;
    let (_, secret) = stage.clients.key("c").await;
    let encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    let reason = encoder.sent_away().await.description;
    assert!(reason.contains("nothing that can be played"), "{reason}");
    assert_eq!(count(&*stage.bus, &STREAM).await, 0, "there never was a stream");
}

#[tokio::test]
async fn joining_while_a_broadcast_ends_always_comes_to_an_answer() {
    let (stage, _folder) = Stage::tuned(|config| config.reconnect_grace = Duration::from_millis(30)).await;
    let clients = &stage.clients;
    let (_, secret) = clients.key("c").await;
    for round in 0..20_u64 {
        let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
        encoder.send(2_200).await.unwrap();
        encoder.finish().await;
        // Right before, at and after the end of the grace period.
        tokio::time::sleep(Duration::from_millis(20 + round)).await;
    }
    // Every stream that started has ended.
    wait_until("all streams to end", LIMIT, async || {
        let list = marquee_proto::video_ingest::v1::ListLiveStreamsRequest::default();
        let streams = clients
            .streams()
            .list_live_streams(clients.as_role("accounts/admin", Role::Admin, list))
            .await
            .unwrap()
            .into_inner()
            .live_streams;
        !streams.is_empty()
            && streams
                .iter()
                .all(|stream| stream.state() == LiveStreamState::Ended)
    })
    .await
    .unwrap();
}
