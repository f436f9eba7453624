//! A disk that takes no more.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use marquee_proto::video_ingest::v1::LiveStreamState;
use marquee_testkit::{ffmpeg, wait_for};

use crate::clip::RATE;
use crate::encoder::Encoder;
use crate::hls::get;
use crate::logs;
use crate::restart::{current, serving};
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
    // All that it sent is read before the owner ends the stream.
    encoder.finish().await;
    story.expect("interrupted").await;
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

/// Media, store and bus on a disk of 8 MiB that fills up. The disk is a tmpfs that only the service's process sees.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs user namespaces: unshare --user --mount"]
async fn the_service_outlives_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    command.arg(r#"mount -t tmpfs -o size=8m tmpfs "$MARQUEE_TEST_INGEST_FOLDER" && cp "$0/signer" "$MARQUEE_TEST_INGEST_FOLDER" && exec "$@""#);
    // The key that tokens are signed with has to be on both sides of the mount.
    let outside = tempfile::tempdir().unwrap();
    let _ = crate::stage::signer(outside.path());
    std::fs::copy(outside.path().join("signer"), folder.path().join("signer")).unwrap();
    command.arg(outside.path()).arg(std::env::current_exe().unwrap());
    let (mut child, clients) = serving(command, folder.path());
    let inside = PathBuf::from(format!("/proc/{}/root{}", child.0.id(), folder.path().display()));
    let ballast = inside.join("ballast");
    std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();

    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    // Until it does not fit any more.
    while encoder.is_wanted().await && encoder.send(1_000).await.is_ok() {}
    assert_eq!(encoder.sent_away().await.description, "the server's disk is full");
    let ready = get(clients.http, "/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.text());
    let stream = current(&clients).await.unwrap();
    let before = clients
        .playlist_when(&stream, |playlist| !playlist.segments.is_empty())
        .await;

    std::fs::remove_file(&ballast).unwrap();
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(5_000).await.unwrap();
    let resumed = wait_for("the stream to go on", LIMIT, async || {
        current(&clients)
            .await
            .filter(|stream| stream.state() == LiveStreamState::Live)
    });
    let resumed = resumed.await.unwrap();
    assert_eq!((&resumed.name, resumed.reconnects), (&stream.name, 1));
    clients
        .playlist_when(&stream, |playlist| playlist.last() > before.last())
        .await;
    assert!(child.0.try_wait().unwrap().is_none(), "it never stopped");
}
