//! A disk that takes no more.

use std::os::unix::fs::symlink;

use marquee_testkit::ffmpeg;

use crate::clip::RATE;
use crate::encoder::Encoder;
use crate::logs;
use crate::stage::{LIMIT, Stage};
use crate::story::Story;

#[tokio::test]
async fn a_full_disk_sends_the_encoder_away_and_the_stream_goes_on_when_there_is_room() {
    let (stage, _folder) = Stage::tuned(|config| config.reconnect_grace = LIMIT).await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let mut recordings = Story::of_recordings(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(5_000).await.unwrap();
    let started = story.expect("started").await;
    clients
        .playlist_when(&started, |playlist| playlist.last() >= 1)
        .await;
    // Whatever is written there, the kernel says that there is no space left on the device.
    let next: Vec<_> = (2..5)
        .map(|n| stage.media(&started).join(format!("segment-{n}.m4s")))
        .collect();
    for segment in &next {
        symlink("/dev/full", segment).unwrap();
    }
    // It may be sent away before all is sent.
    let _ = encoder.send(3_000).await;
    assert_eq!(encoder.sent_away().await.description, "the server's disk is full");
    assert!(logs::contain("No space left on device"));
    story.expect("interrupted").await;

    for segment in &next {
        std::fs::remove_file(segment).unwrap();
    }
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(4_000).await.unwrap();
    story.expect("resumed").await;
    let playlist = clients
        .playlist_when(&started, |playlist| playlist.last() >= 2)
        .await;
    assert_eq!((playlist.first, playlist.discontinuities), (0, 1));
    let stop = marquee_proto::video_ingest::v1::StopLiveStreamRequest { name: started.name };
    clients
        .streams()
        .stop_live_stream(clients.by(crate::stage::OWNER, stop))
        .await
        .unwrap();
    let recording = recordings.expect_recording().await;
    let url = format!("http://{}{}", clients.http, recording.playback_path);
    let pictures = ffmpeg::decode(&url, None).await.unwrap();
    assert_eq!(
        pictures,
        u64::from(8 * RATE),
        "two segments from before, all from after"
    );
}
