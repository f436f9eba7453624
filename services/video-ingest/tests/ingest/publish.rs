//! A broadcast from its first to its last second.

use marquee_proto::topic::{RECORDING, STREAM};
use marquee_proto::video_ingest::v1::*;
use marquee_testkit::{ffmpeg, wait_for};

use crate::clip::RATE;
use crate::encoder::Encoder;
use crate::hls::get;
use crate::stage::{LIMIT, OWNER, STRANGER, Stage};
use crate::story::{Story, count};

#[tokio::test]
async fn media_starts_the_stream_and_can_be_played_at_once() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(9_000).await.unwrap();
    let started = story.expect("started").await;
    assert!(started.name.starts_with("channels/c/liveStreams/"));
    assert_eq!(started.state(), LiveStreamState::Live);
    let playlist = clients
        .playlist_when(&started, |playlist| playlist.segments.len() >= 4)
        .await;
    assert_eq!(
        (playlist.first, playlist.discontinuities, playlist.ended),
        (0, 0, false)
    );
    assert_eq!(playlist.inits, ["init-0.mp4"]);

    let multivariant = get(clients.http, &started.playback_path).await;
    assert_eq!(
        multivariant.header("content-type"),
        "application/vnd.apple.mpegurl"
    );
    assert_eq!(multivariant.header("cache-control"), "no-cache");
    assert!(
        !multivariant.header("access-control-allow-origin").is_empty(),
        "any page may play it"
    );
    assert!(
        multivariant.text().contains("RESOLUTION=320x180"),
        "{}",
        multivariant.text()
    );
    let folder = started.playback_path.replace("index.m3u8", "");
    for file in [&playlist.inits[0], &playlist.segments[0]] {
        let media = get(clients.http, &format!("{folder}{file}")).await;
        assert_eq!((media.status, media.header("content-type")), (200, "video/mp4"));
        assert!(media.header("cache-control").contains("immutable"));
        assert!(media.body.len() > 500);
    }
    let channel = get(clients.http, "/live/c/index.m3u8").await;
    let id = started.name.rsplit('/').next().unwrap();
    assert!(
        channel.text().contains(&format!("\n{id}/media.m3u8")),
        "{}",
        channel.text()
    );
}

#[tokio::test]
async fn figures_say_what_arrives() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(5_000).await.unwrap();
    let figures = wait_for("figures", LIMIT, async || {
        let request = GetLiveStreamRequest {
            name: "channels/c/liveStreams/-".to_owned(),
        };
        let stream = clients
            .streams()
            .get_live_stream(request)
            .await
            .ok()?
            .into_inner()
            .live_stream?;
        stream.figures.filter(|figures| figures.bitrate > 0)
    })
    .await
    .unwrap();
    assert!(figures.video_codec.starts_with("avc1."), "{figures:?}");
    assert_eq!(figures.audio_codec, "mp4a.40.2");
    assert_eq!((figures.width, figures.height), (320, 180));
    assert_eq!(figures.keyframe_interval.unwrap().seconds, 1);
    assert!(figures.frame_rate > 0.0 && figures.bytes > 10_000);
    assert!((4..=5).contains(&figures.media_duration.unwrap().seconds));
}

#[tokio::test]
async fn a_stream_whose_encoder_stays_away_ends_with_a_recording() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let mut recordings = Story::of_recordings(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(30_000).await.unwrap();
    encoder.finish().await;
    story.expect("started").await;
    story.expect("interrupted").await;
    let ended = story.expect("ended").await;
    assert_eq!((ended.state(), ended.reconnects), (LiveStreamState::Ended, 0));
    assert!(ended.end_time.is_some());
    let playlist = clients.playlist_when(&ended, |playlist| playlist.ended).await;
    assert!(playlist.first > 0, "the live playlist is a window");

    let recording = recordings.expect_recording().await;
    assert_eq!(recording.live_stream, ended.name);
    assert_eq!(recording.duration.unwrap().seconds, 30);
    let url = format!("http://{}{}", clients.http, recording.playback_path);
    let played = ffmpeg::play(&url, None).await.unwrap();
    assert_eq!(played.video.len(), 30 * RATE as usize, "every picture is there");
    assert!(
        (played.video_seconds() - 29.96).abs() < 0.1,
        "{}",
        played.video_seconds()
    );
    assert_eq!(ffmpeg::decode(&url, None).await.unwrap(), u64::from(30 * RATE));
    assert_eq!(count(&*stage.bus, &STREAM).await, 3);
    assert_eq!(count(&*stage.bus, &RECORDING).await, 1, "it becomes ready once");
    let current = get(clients.http, "/live/c/index.m3u8").await;
    assert_eq!(current.status, 404, "nothing is on the air");
}

#[tokio::test]
async fn the_owner_stops_a_stream_at_once() {
    let (stage, _folder) = Stage::tuned(|config| config.reconnect_grace = LIMIT * 10).await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(5_000).await.unwrap();
    let started = story.expect("started").await;
    // What is still on the wire when the stream is stopped is not part of it.
    clients.arrived(&started, 4_900).await;
    let stop = || StopLiveStreamRequest {
        name: "channels/c/liveStreams/-".to_owned(),
    };
    let refused = clients
        .streams()
        .stop_live_stream(clients.by(STRANGER, stop()))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let stopped = clients
        .streams()
        .stop_live_stream(clients.by(OWNER, stop()))
        .await
        .unwrap();
    let stopped = stopped.into_inner().live_stream.unwrap();
    assert_eq!(
        (&stopped.name, stopped.state()),
        (&started.name, LiveStreamState::Ended)
    );
    story.expect("ended").await;
    assert_eq!(
        encoder.sent_away().await.description,
        "the stream was stopped by its owner"
    );
    let playlist = clients.playlist_when(&started, |playlist| playlist.ended).await;
    assert!(
        (playlist.seconds - 5.0).abs() < 0.1,
        "all that came is there: {}",
        playlist.seconds
    );
    // One that is over stays as it is.
    let named = StopLiveStreamRequest { name: started.name };
    let again = clients
        .streams()
        .stop_live_stream(clients.by(OWNER, named))
        .await
        .unwrap();
    assert_eq!(again.into_inner().live_stream.unwrap(), stopped);
}

#[tokio::test]
async fn the_next_broadcast_of_a_channel_is_another_stream() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut names = Vec::new();
    for _ in 0..2 {
        let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
        encoder.send(2_500).await.unwrap();
        names.push(story.expect("started").await.name);
        encoder.finish().await;
        story.expect("interrupted").await;
        story.expect("ended").await;
    }
    assert_ne!(names[0], names[1]);
}

#[tokio::test]
async fn metrics_count_streams_bytes_and_segments() {
    let metrics = marquee_telemetry::Metrics::install();
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(5_000).await.unwrap();
    let started = story.expect("started").await;
    clients
        .playlist_when(&started, |playlist| playlist.segments.len() >= 2)
        .await;
    Encoder::publish(clients.rtmp, "mq_wrong").await.err().unwrap();
    let text = metrics.render();
    for name in [
        "video_ingest_live_streams",
        "video_ingest_received_bytes_total",
        "video_ingest_segments_written_total",
        "video_ingest_publishes_refused_total{reason=\"bad_key\"}",
    ] {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {text}"));
        assert!(
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() >= 1.0,
            "{line}"
        );
    }
}

#[tokio::test]
async fn the_service_is_ready_when_its_storage_takes_writes() {
    let (stage, _folder) = Stage::new().await;
    let ready = get(stage.clients.http, "/readyz").await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    assert!(ready.text().contains("video-ingest/storage"), "{}", ready.text());
}
