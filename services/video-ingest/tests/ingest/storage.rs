//! What is kept, where, for how long, and how much of it.

mod recordings;

use std::path::Path;
use std::time::Duration;

use marquee_objects::Location;
use marquee_proto::video_ingest::v1::*;
use marquee_testkit::{ffmpeg, wait_for};
use marquee_video_ingest::Config;

use crate::clip::RATE;
use crate::encoder::Encoder;
use crate::hls::{get, request};
use crate::stage::{Clients, LIMIT, OWNER, Stage, config};
use crate::story::Story;
use crate::{logs, restart};
use recordings::{broadcast, brought, listed, recording, within};

/// Tells the service's process how many seconds of a stream to keep on the disk.
pub(crate) const DVR: &str = "MARQUEE_TEST_INGEST_DVR";

fn with_objects(config: &mut Config, folder: &Path) {
    config.storage.objects = Some(Location::Folder(folder.to_owned()));
}

/// Nothing lingers, and what is not needed is looked for all the time.
fn impatient(config: &mut Config) {
    config.live_window = Duration::from_millis(500);
    config.memory_window = Duration::from_millis(500);
    config.storage.sweep_every = Duration::from_millis(200);
    config.storage.quota.disk_reserve = 0;
    config.storage.quota.played_within = Duration::ZERO;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_brought_to_the_object_store_while_the_stream_is_live() {
    let objects = tempfile::tempdir().unwrap();
    let (stage, _folder) = Stage::tuned(|config| with_objects(config, objects.path())).await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let encoder = ffmpeg::publish(&format!("rtmp://{}/live/{secret}", clients.rtmp), Some(8)).unwrap();
    let started = story.expect("started").await;
    let there = objects
        .path()
        .join("c")
        .join(started.name.rsplit('/').next().unwrap());
    let first = there.join("segment-0.m4s");
    wait_for("the first segment", LIMIT, async || first.exists().then_some(()))
        .await
        .unwrap();
    assert!(restart::current(clients).await.is_some(), "the stream is live");
    let (succeeded, said) = encoder.finish().await.unwrap();
    assert!(succeeded, "{said}");
    let ready = Story::of_recordings(&*stage.bus).await.expect_ready().await;
    brought(clients, &ready.name).await;

    // From there alone, with and without the service.
    std::fs::remove_dir_all(stage.media(&started)).unwrap();
    let url = format!("http://{}{}", clients.http, ready.playback_path);
    let played = ffmpeg::play(&url, None).await.unwrap();
    assert_eq!(played.video.len(), 8 * ffmpeg::FRAME_RATE as usize);
    let file = there.join("index.m3u8");
    let pictures = ffmpeg::decode(file.to_str().unwrap(), None).await.unwrap();
    assert_eq!(pictures, u64::from(8 * ffmpeg::FRAME_RATE));
}

#[tokio::test]
async fn parts_of_a_recording_can_be_asked_for_wherever_it_is() {
    let objects = tempfile::tempdir().unwrap();
    let (stage, _folder) = Stage::tuned(|config| with_objects(config, objects.path())).await;
    let (_, secret) = stage.clients.key("c").await;
    let ready = broadcast(&stage, &secret, 3_000).await;
    brought(&stage.clients, &ready.name).await;
    let path = ready.playback_path.replace("index.m3u8", "segment-0.m4s");
    let whole = get(stage.clients.http, &path).await;
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, "bytes"));
    let size = whole.body.len();
    for from_objects in [false, true] {
        if from_objects {
            std::fs::remove_dir_all(within(&stage.folder.join("data/media"), &ready)).unwrap();
        }
        let ask =
            async |range: &str| request(stage.clients.http, &path, &format!("range: {range}\r\n")).await;
        let middle = ask("bytes=10-19").await;
        assert_eq!((middle.status, &middle.body[..]), (206, &whole.body[10..20]));
        assert_eq!(middle.header("content-range"), format!("bytes 10-19/{size}"));
        let last = ask("bytes=-5").await;
        assert_eq!((last.status, &last.body[..]), (206, &whole.body[size - 5..]));
        let rest = ask(&format!("bytes={}-", size - 7)).await;
        assert_eq!((rest.status, rest.body.len()), (206, 7));
        let beyond = ask(&format!("bytes={size}-")).await;
        assert_eq!(
            (beyond.status, beyond.header("content-range")),
            (416, &*format!("bytes */{size}"))
        );
        assert_eq!(
            ask("bytes=0-1,5-6").await.body,
            whole.body,
            "several are answered with all"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_goes_on_with_the_upload() {
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects");
    // The object store is away: a file is where its folder should be.
    std::fs::create_dir_all(objects.join(".staging")).unwrap();
    std::fs::write(objects.join("c"), "in the way").unwrap();
    let (mut child, clients) = restart::spawn(folder.path());
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(9_000).await.unwrap();
    let started = wait_for("the stream", LIMIT, async || restart::current(&clients).await)
        .await
        .unwrap();
    clients
        .playlist_when(&started, |playlist| playlist.segments.len() >= 4)
        .await;
    child.kill();
    std::fs::remove_file(objects.join("c")).unwrap();

    let mut short = config(folder.path());
    with_objects(&mut short, &objects);
    let stage = Stage::start(folder.path(), short).await;
    let ready = Story::of_recordings(&*stage.bus).await.expect_ready().await;
    brought(&stage.clients, &ready.name).await;
    std::fs::remove_dir_all(stage.media(&started)).unwrap();
    let url = format!("http://{}{}", stage.clients.http, ready.playback_path);
    assert_eq!(ffmpeg::decode(&url, None).await.unwrap(), u64::from(8 * RATE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_store_that_is_away_holds_up_nothing_and_loses_nothing() {
    let objects = tempfile::tempdir().unwrap();
    let (stage, _folder) = Stage::tuned(|config| with_objects(config, objects.path())).await;
    let in_the_way = objects.path().join("c");
    std::fs::write(&in_the_way, "x").unwrap();
    let (_, secret) = stage.clients.key("c").await;
    let ready = broadcast(&stage, &secret, 5_000).await;
    assert_eq!(ready.storage(), RecordingStorage::Uploading);
    let url = format!("http://{}{}", stage.clients.http, ready.playback_path);
    assert_eq!(ffmpeg::decode(&url, None).await.unwrap(), u64::from(5 * RATE));
    assert!(logs::contain("uploading waits for the object store"));
    std::fs::remove_file(&in_the_way).unwrap();
    brought(&stage.clients, &ready.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_that_is_full_pauses_recording_until_the_object_store_is_back() {
    let objects = tempfile::tempdir().unwrap();
    let (stage, _folder) = Stage::tuned(|config| {
        with_objects(config, objects.path());
        config.storage.quota.backlog = Some(400_000);
    })
    .await;
    let clients = &stage.clients;
    let in_the_way = objects.path().join("c");
    std::fs::write(&in_the_way, "x").unwrap();
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    let paused = LiveStreamRecording {
        state: RecordingState::Paused.into(),
        pause_reason: RecordingPauseReason::UploadBacklog.into(),
    };
    publish_until(clients, &mut encoder, |stream| stream.recording == Some(paused)).await;
    std::fs::remove_file(&in_the_way).unwrap();
    let on = |stream: &LiveStream| stream.recording.unwrap().state() == RecordingState::On;
    let stream = publish_until(clients, &mut encoder, on).await;
    assert_eq!((stream.reconnects, stream.state()), (0, LiveStreamState::Live));
}

/// Sends media until the stream is as wanted.
pub(crate) async fn publish_until(
    clients: &Clients,
    encoder: &mut Encoder,
    wanted: impl Fn(&LiveStream) -> bool,
) -> LiveStream {
    for _ in 0..200 {
        encoder.send(2_000).await.unwrap();
        if let Some(stream) = restart::current(clients).await
            && wanted(&stream)
        {
            return stream;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?}", restart::current(clients).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_recordings_make_room_on_the_disk_and_one_that_is_played_stays() {
    let (stage, folder) = Stage::tuned(|config| {
        impatient(config);
        config.storage.quota.played_within = Duration::from_secs(600);
    })
    .await;
    let (_, secret) = stage.clients.key("c").await;
    let mut kept = Vec::new();
    for _ in 0..4 {
        kept.push(broadcast(&stage, &secret, 4_000).await);
    }
    let size = u64::try_from(kept[0].size_bytes).unwrap();
    stage.stop().await;

    let mut limited = config(folder.path());
    impatient(&mut limited);
    limited.storage.quota.played_within = Duration::from_secs(600);
    // It is watched as soon as the service is back, and before the disk is looked at.
    limited.storage.quota.disk.total = None;
    let stage = Stage::start(folder.path(), limited.clone()).await;
    assert_eq!(
        listed(&stage.clients).await.len(),
        4,
        "without a limit nothing goes"
    );
    stage.stop().await;

    // Room for two, and for the first half of another.
    limited.storage.quota.disk.total = Some(size * 11 / 4);
    let stage = Stage::start(folder.path(), limited).await;
    let gone = async || (listed(&stage.clients).await.len() <= 2).then_some(());
    wait_for("the oldest to go", LIMIT, gone).await.unwrap();
    let names: Vec<String> = listed(&stage.clients).await.into_iter().map(|r| r.name).collect();
    assert_eq!(names, [kept[3].name.clone(), kept[2].name.clone()]);
    let files = within(&stage.folder.join("data/media"), &kept[0]);
    assert!(!files.exists());
    // The older one of the two is watched now; so the newer one makes room for the next.
    assert_eq!(get(stage.clients.http, &kept[2].playback_path).await.status, 200);
    let next = broadcast(&stage, &secret, 4_000).await;
    let gone = async || {
        recording(&stage.clients, &kept[3].name)
            .await
            .is_none()
            .then_some(())
    };
    wait_for("the one that nobody watches to go", LIMIT, gone)
        .await
        .unwrap();
    let names: Vec<String> = listed(&stage.clients).await.into_iter().map(|r| r.name).collect();
    assert_eq!(names, [next.name, kept[2].name.clone()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_cannot_be_met_pauses_recording_and_not_the_stream() {
    let (stage, _folder) = Stage::tuned(|config| {
        impatient(config);
        config.storage.quota.disk.per_channel = Some(500_000);
    })
    .await;
    let clients = &stage.clients;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    let paused = LiveStreamRecording {
        state: RecordingState::Paused.into(),
        pause_reason: RecordingPauseReason::ChannelQuota.into(),
    };
    let stream = publish_until(clients, &mut encoder, |stream| stream.recording == Some(paused)).await;
    assert!(encoder.is_wanted().await, "it is not sent away");
    let metrics = get(clients.http, "/metrics").await;
    let line = metrics
        .text()
        .lines()
        .find(|line| line.starts_with("video_ingest_segments_not_stored_total{reason=\"channel_quota\""));
    assert!(line.is_some(), "{}", metrics.text());
    assert!(logs::contain("recording is paused; the stream goes on"));
    // Another channel is not concerned.
    let (_, other) = clients.key("d").await;
    let mut other = Encoder::publish(clients.rtmp, &other).await.unwrap();
    other.send(5_000).await.unwrap();
    let first = clients
        .playlist_when(&stream, |playlist| !playlist.segments.is_empty())
        .await;
    encoder.send(5_000).await.unwrap();
    clients
        .playlist_when(&stream, |playlist| playlist.last() > first.last())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_recordings_make_room_in_the_object_store() {
    let objects = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut limited = config(folder.path());
    impatient(&mut limited);
    with_objects(&mut limited, objects.path());
    let stage = Stage::start(folder.path(), limited.clone()).await;
    let (_, secret) = stage.clients.key("c").await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let ready = broadcast(&stage, &secret, 3_000).await;
        kept.push(brought(&stage.clients, &ready.name).await);
    }
    stage.stop().await;
    let size = u64::try_from(kept[0].size_bytes).unwrap();
    limited.storage.quota.objects.per_channel = Some(size * 3 / 2);
    let stage = Stage::start(folder.path(), limited).await;
    let gone = async || (listed(&stage.clients).await.len() <= 1).then_some(());
    wait_for("the oldest to go", LIMIT, gone).await.unwrap();
    assert_eq!(listed(&stage.clients).await[0].name, kept[2].name);
    for (recording, is_there) in kept.iter().zip([false, false, true]) {
        let there = within(objects.path(), recording);
        let ask = async || (there.exists() == is_there).then_some(());
        wait_for("its objects", LIMIT, ask).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disks_copy_goes_when_the_object_store_has_it_and_nobody_plays_it() {
    let objects = tempfile::tempdir().unwrap();
    let (stage, _folder) = Stage::tuned(|config| {
        impatient(config);
        with_objects(config, objects.path());
    })
    .await;
    let (_, secret) = stage.clients.key("c").await;
    let ready = broadcast(&stage, &secret, 4_000).await;
    let here = within(&stage.folder.join("data/media"), &ready);
    wait_for("the copy to go", LIMIT, async || (!here.exists()).then_some(()))
        .await
        .unwrap();
    let url = format!("http://{}{}", stage.clients.http, ready.playback_path);
    assert_eq!(ffmpeg::decode(&url, None).await.unwrap(), u64::from(4 * RATE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_recording_leaves_nothing_even_if_the_object_store_is_away_meanwhile() {
    let objects = tempfile::tempdir().unwrap();
    let (stage, _folder) = Stage::tuned(|config| {
        impatient(config);
        with_objects(config, objects.path());
    })
    .await;
    let (_, secret) = stage.clients.key("c").await;
    let ready = broadcast(&stage, &secret, 3_000).await;
    brought(&stage.clients, &ready.name).await;
    let there = within(objects.path(), &ready);
    // The object store is away.
    let (folder, away) = (objects.path().join("c"), objects.path().join("away"));
    std::fs::rename(&folder, &away).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    let request = DeleteRecordingRequest {
        name: ready.name.clone(),
    };
    let clients = &stage.clients;
    clients
        .recordings()
        .delete_recording(clients.by(OWNER, request))
        .await
        .unwrap();
    assert!(recording(clients, &ready.name).await.is_none());
    assert_ne!(get(clients.http, &ready.playback_path).await.status, 200);
    let gone = async || (!there.exists()).then_some(());
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    wait_for("its objects to go", LIMIT, gone).await.unwrap();
}

/// What the process holds, in KiB, without what it mapped from files.
fn anonymous(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dvr_window_is_on_the_disk_and_not_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.env(DVR, "7200");
    let (process, clients) = restart::serving(command, folder.path());
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    let (mut sent, mut held) = (0, Vec::new());
    for minutes in [2_u32, 20] {
        let until = minutes * 60_000;
        while sent < until {
            encoder.send(20_000).await.unwrap();
            sent += 20_000;
        }
        let stream = wait_for("the stream", LIMIT, async || restart::current(&clients).await)
            .await
            .unwrap();
        let last = u64::from(until) / 2_000 - 2;
        let playlist = clients
            .playlist_when(&stream, |playlist| playlist.last() >= last)
            .await;
        assert_eq!(playlist.first, 0, "all of it is listed");
        let path = stream.playback_path.replace("index.m3u8", "segment-0.m4s");
        assert_eq!(get(clients.http, &path).await.status, 200);
        held.push(anonymous(process.0.id()));
    }
    let bytes = std::fs::read_dir(folder.path().join("data/media/c"))
        .unwrap()
        .flatten();
    let bytes: u64 = bytes
        .flat_map(|stream| std::fs::read_dir(stream.path()).unwrap().flatten())
        .map(|file| file.metadata().unwrap().len())
        .sum();
    let grown = held[1].saturating_sub(held[0]);
    assert!(bytes > 50_000_000, "{bytes} bytes on the disk");
    assert!(grown < 2_048, "{held:?} KiB held, {bytes} bytes on the disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unrecorded_stream_keeps_its_dvr_window_and_then_nothing() {
    let (stage, _folder) = Stage::tuned(|config| {
        impatient(config);
        config.storage.dvr_window = Duration::from_secs(8);
        config.reconnect_grace = Duration::from_millis(300);
    })
    .await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let request = CreateStreamKeyRequest {
        parent: "channels/c".to_owned(),
        stream_key: Some(StreamKey {
            recording: RecordingPolicy::DoNotRecord.into(),
            ..StreamKey::default()
        }),
        ..CreateStreamKeyRequest::default()
    };
    let created = clients.keys().create_stream_key(clients.by(OWNER, request)).await;
    let created = created.unwrap().into_inner();
    assert_eq!(
        created.stream_key.unwrap().recording(),
        RecordingPolicy::DoNotRecord
    );
    let mut encoder = Encoder::publish(clients.rtmp, &created.secret).await.unwrap();
    encoder.send(41_000).await.unwrap();
    let started = story.expect("started").await;
    let playlist = clients
        .playlist_when(&started, |playlist| playlist.last() >= 19)
        .await;
    assert!((8.0..11.0).contains(&playlist.seconds), "{playlist:?}");
    let now = restart::current(clients).await.unwrap();
    assert_eq!(now.recording.unwrap().state(), RecordingState::Off);
    // All that is listed can be read, and what players may still hold; nothing older is on the disk.
    let folder = stage.media(&started);
    for listed in &playlist.segments {
        let path = now.playback_path.replace("index.m3u8", listed);
        assert_eq!(get(clients.http, &path).await.status, 200, "{listed}");
    }
    assert!(!folder.join("segment-0.m4s").exists() && !folder.join("segment-5.m4s").exists());
    encoder.finish().await;
    story.expect("interrupted").await;
    story.expect("ended").await;
    wait_for("its files to go", Duration::from_secs(40), async || {
        (!folder.exists()).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(listed(clients).await, []);
}
