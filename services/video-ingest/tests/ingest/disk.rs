//! A disk that takes no more: recording pauses, streams go on.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use marquee_proto::video_ingest::v1::*;
use marquee_testkit::{ffmpeg, wait_for};

use crate::clip::RATE;
use crate::encoder::Encoder;
use crate::hls::get;
use crate::logs;
use crate::restart::{current, serving};
use crate::stage::{Clients, LIMIT, OWNER, Stage};
use crate::storage::publish_until;
use crate::story::Story;

async fn stop(clients: &Clients, stream: &LiveStream) {
    let request = StopLiveStreamRequest {
        name: stream.name.clone(),
    };
    let stopped = clients
        .streams()
        .stop_live_stream(clients.by(OWNER, request))
        .await;
    stopped.unwrap();
}

fn is_recording(stream: &LiveStream) -> bool {
    stream.recording.unwrap().state() == RecordingState::On
}

fn is_full(stream: &LiveStream) -> bool {
    let recording = stream.recording.unwrap();
    recording.state() == RecordingState::Paused && recording.pause_reason() == RecordingPauseReason::DiskFull
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_pauses_the_recording_and_the_stream_goes_on() {
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
    let next: Vec<_> = (2..200)
        .map(|n| stage.media(&started).join(format!("segment-{n}.m4s")))
        .collect();
    for segment in &next {
        symlink("/dev/full", segment).unwrap();
    }
    publish_until(clients, &mut encoder, is_full).await;
    assert!(logs::contain("recording is paused; the stream goes on"));
    for segment in &next {
        // One that was tried is gone.
        let _ = std::fs::remove_file(segment);
    }
    let stream = publish_until(clients, &mut encoder, is_recording).await;
    assert_eq!((stream.state(), stream.reconnects), (LiveStreamState::Live, 0));
    assert!(encoder.is_wanted().await);
    encoder.finish().await;
    stop(clients, &started).await;
    let recording = recordings.expect_recording().await;
    let url = format!("http://{}{}", clients.http, recording.playback_path);
    let pictures = ffmpeg::decode(&url, None).await.unwrap();
    let duration = recording.duration.unwrap();
    let millis = duration.seconds * 1_000 + i64::from(duration.nanos) / 1_000_000;
    assert_eq!(i64::try_from(pictures).unwrap(), millis * i64::from(RATE) / 1_000);
    let media = recording.playback_path.replace("index", "media");
    assert!(
        get(clients.http, &media)
            .await
            .text()
            .contains("#EXT-X-DISCONTINUITY\n")
    );
}

/// Media, store and bus on a disk of 12 MiB that fills up. The disk is a tmpfs that only the service's process sees.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs user namespaces: unshare --user --mount"]
async fn the_service_outlives_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    command.arg(r#"mount -t tmpfs -o size=12m tmpfs "$MARQUEE_TEST_INGEST_FOLDER" && cp "$0/signer" "$MARQUEE_TEST_INGEST_FOLDER" && exec "$@""#);
    // The key that tokens are signed with has to be on both sides of the mount.
    let outside = tempfile::tempdir().unwrap();
    let _ = crate::stage::signer(outside.path());
    std::fs::copy(outside.path().join("signer"), folder.path().join("signer")).unwrap();
    command.arg(outside.path()).arg(std::env::current_exe().unwrap());
    let (mut child, clients) = serving(command, folder.path());
    let inside = PathBuf::from(format!("/proc/{}/root{}", child.0.id(), folder.path().display()));

    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    let old = publish_until(&clients, &mut encoder, is_recording).await;
    encoder.send(10_000).await.unwrap();
    clients.arrived(&old, 11_000).await;
    stop(&clients, &old).await;

    // Media fill it up to the reserve, others fill the rest.
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    let stream = publish_until(&clients, &mut encoder, is_full).await;
    let mut ballast = std::fs::File::create(inside.join("ballast")).unwrap();
    while ballast.write_all(&[1; 4_096]).is_ok() {}
    let before = clients
        .playlist_when(&stream, |playlist| !playlist.segments.is_empty())
        .await;
    for _ in 0..5 {
        encoder.send(4_000).await.unwrap();
    }
    clients
        .playlist_when(&stream, |playlist| playlist.last() >= before.last() + 8)
        .await;
    assert!(encoder.is_wanted().await, "it is not sent away");
    let now = current(&clients).await.unwrap();
    assert_eq!((now.state(), now.reconnects), (LiveStreamState::Live, 0));

    // With no byte left a recording can be deleted; then there is room.
    let request = DeleteRecordingRequest {
        name: old.name.replace("liveStreams", "recordings"),
    };
    let deleted = clients
        .recordings()
        .delete_recording(clients.by(OWNER, request))
        .await;
    deleted.unwrap();
    std::fs::remove_file(inside.join("ballast")).unwrap();
    drop(ballast);
    publish_until(&clients, &mut encoder, is_recording).await;
    encoder.finish().await;
    stop(&clients, &stream).await;
    let path = format!(
        "/recordings/c/{}/index.m3u8",
        stream.name.rsplit('/').next().unwrap()
    );
    let url = format!("http://{}{path}", clients.http);
    let found = async || (get(clients.http, &path).await.status == 200).then_some(());
    wait_for("the recording", LIMIT, found).await.unwrap();
    assert!(ffmpeg::decode(&url, None).await.unwrap() > u64::from(4 * RATE));
    assert!(child.0.try_wait().unwrap().is_none(), "it never stopped");
}
