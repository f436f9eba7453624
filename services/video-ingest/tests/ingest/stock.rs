//! Stock ffmpeg as encoder and player.

use marquee_testkit::ffmpeg;

use crate::logs;
use crate::stage::Stage;
use crate::story::Story;

#[tokio::test]
async fn ffmpeg_publishes_and_plays_live_and_the_recording() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let mut recordings = Story::of_recordings(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let encoder = ffmpeg::publish(&format!("rtmp://{}/live/{secret}", clients.rtmp), Some(8)).unwrap();
    let started = story.expect("started").await;
    clients
        .playlist_when(&started, |playlist| playlist.segments.len() >= 2)
        .await;
    let live = format!("http://{}{}", clients.http, started.playback_path);
    let pictures = ffmpeg::decode(&live, Some(3)).await.unwrap();
    assert!(pictures >= u64::from(3 * ffmpeg::FRAME_RATE) - 2, "{pictures}");
    let (succeeded, said) = encoder.finish().await.unwrap();
    assert!(succeeded, "{said}");
    let recording = recordings.expect_recording().await;
    let url = format!("http://{}{}", clients.http, recording.playback_path);
    let played = ffmpeg::play(&url, None).await.unwrap();
    assert_eq!(played.video.len(), 8 * ffmpeg::FRAME_RATE as usize);
    assert!(
        (played.video_seconds() - 7.96).abs() < 0.1,
        "{}",
        played.video_seconds()
    );
    assert!(!logs::contain(&secret));
}

#[tokio::test]
async fn ffmpeg_shows_why_a_key_is_refused() {
    let (stage, _folder) = Stage::new().await;
    let url = format!("rtmp://{}/live/mq_stocknotakey", stage.clients.rtmp);
    let (succeeded, said) = ffmpeg::publish(&url, Some(2)).unwrap().finish().await.unwrap();
    assert!(
        !succeeded && said.contains("the stream key is not known or revoked"),
        "{said}"
    );
    assert!(!logs::contain("stocknotakey"));
}

#[tokio::test]
async fn a_killed_ffmpeg_interrupts_and_the_next_one_resumes() {
    let (stage, _folder) = Stage::tuned(|config| config.reconnect_grace = crate::stage::LIMIT).await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let url = format!("rtmp://{}/live/{secret}", clients.rtmp);
    let first = ffmpeg::publish(&url, None).unwrap();
    let started = story.expect("started").await;
    clients
        .playlist_when(&started, |playlist| playlist.segments.len() >= 2)
        .await;
    first.kill().await.unwrap();
    story.expect("interrupted").await;
    let second = ffmpeg::publish(&url, None).unwrap();
    assert_eq!(story.expect("resumed").await.reconnects, 1);
    let after = clients
        .playlist_when(&started, |playlist| playlist.discontinuities == 1)
        .await;
    assert_eq!(after.first, 0);
    second.stop().await.unwrap();
}
