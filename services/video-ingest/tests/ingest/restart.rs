//! The process stops or is killed while somebody publishes, and comes back on the same folder.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use marquee_proto::video_ingest::v1::*;
use marquee_testkit::{ffmpeg, wait_for};
use tonic::Request;

use crate::clip::RATE;
use crate::encoder::Encoder;
use crate::stage::{Clients, LIMIT, Stage, config};
use crate::story::Story;

const FOLDER: &str = "MARQUEE_TEST_INGEST_FOLDER";

/// The child: serves until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the tests below in a process of its own"]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let mut config = config(&folder);
    config.reconnect_grace = LIMIT;
    // It may be on a small disk.
    config.storage.quota.disk_reserve = 1 << 20;
    if let Ok(seconds) = std::env::var(crate::storage::DVR) {
        config.storage.dvr_window = Duration::from_secs(seconds.parse().unwrap());
        config.storage.record = false;
        config.live_window = Duration::from_secs(6);
        config.memory_window = Duration::from_secs(6);
    }
    let objects = folder.join("objects");
    if objects.exists() {
        config.storage.objects = Some(marquee_objects::Location::Folder(objects));
    }
    #[cfg(feature = "s3")]
    if let Ok(address) = std::env::var(crate::on_s3::ADDRESS) {
        config.storage.objects = Some(crate::on_s3::location(&address));
    }
    let stage = Stage::start(&folder, config).await;
    println!("\nserves {} {}", stage.clients.http, stage.clients.rtmp);
    std::future::pending::<()>().await;
}

/// A service in a process of its own.
pub(crate) fn spawn(folder: &Path) -> (Served, Clients) {
    serving(Command::new(std::env::current_exe().unwrap()), folder)
}

/// Runs this test binary, however the command does that, as a service.
pub(crate) fn serving(mut command: Command, folder: &Path) -> (Served, Clients) {
    let mut child = command
        .args(["--exact", "restart::child", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let line = lines
        .into_iter()
        .find_map(|line| line.strip_prefix("serves ").map(str::to_owned))
        .expect("it serves");
    let addresses: Vec<SocketAddr> = line.split(' ').map(|address| address.parse().unwrap()).collect();
    let clients = Clients::new(folder, addresses[0], addresses[1]);
    (Served(child), clients)
}

/// A process that is killed when the test is done with it.
pub(crate) struct Served(pub(crate) Child);

impl Served {
    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) async fn current(clients: &Clients) -> Option<LiveStream> {
    let request = Request::new(GetLiveStreamRequest {
        name: "channels/c/liveStreams/-".to_owned(),
    });
    clients
        .streams()
        .get_live_stream(request)
        .await
        .ok()?
        .into_inner()
        .live_stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_goes_on_with_the_stream_after_the_last_whole_segment() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, clients) = spawn(folder.path());
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(7_000).await.unwrap();
    let started = wait_for("the stream", LIMIT, async || current(&clients).await)
        .await
        .unwrap();
    let before = clients
        .playlist_when(&started, |playlist| playlist.segments.len() >= 3)
        .await;
    child.kill();

    let mut short = config(folder.path());
    short.reconnect_grace = Duration::from_secs(2);
    let stage = Stage::start(folder.path(), short).await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    assert_eq!(story.expect("started").await.name, started.name);
    assert_eq!(story.expect("interrupted").await.name, started.name);
    let found = clients.playlist_when(&started, |playlist| !playlist.ended).await;
    assert_eq!(found, before, "what was shown is still there");
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(4_000).await.unwrap();
    let resumed = story.expect("resumed").await;
    assert_eq!((&resumed.name, resumed.reconnects), (&started.name, 1));
    let after = clients
        .playlist_when(&started, |playlist| playlist.last() > before.last())
        .await;
    assert_eq!((after.first, after.discontinuities), (0, 1));
    encoder.finish().await;
    story.expect("interrupted").await;
    story.expect("ended").await;
    let recording = Story::of_recordings(&*stage.bus).await.expect_recording().await;
    let url = format!("http://{}{}", clients.http, recording.playback_path);
    assert_eq!(
        ffmpeg::decode(&url, None).await.unwrap(),
        u64::from((6 + 4) * RATE)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_encoder_does_not_come_back_after_a_kill_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, clients) = spawn(folder.path());
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(5_000).await.unwrap();
    let started = wait_for("the stream", LIMIT, async || current(&clients).await)
        .await
        .unwrap();
    clients
        .playlist_when(&started, |playlist| playlist.segments.len() >= 2)
        .await;
    child.kill();
    // Killed once more while it waits: it is interrupted already, and says so only once.
    let (mut child, _) = spawn(folder.path());
    child.kill();

    let stage = Stage::start(folder.path(), config(folder.path())).await;
    let mut story = Story::of_streams(&*stage.bus).await;
    story.expect("started").await;
    story.expect("interrupted").await;
    story.expect("ended").await;
    let recording = Story::of_recordings(&*stage.bus).await.expect_recording().await;
    assert_eq!(
        recording.duration.unwrap().seconds,
        4,
        "up to the last finished segment"
    );
}

#[tokio::test]
async fn a_graceful_stop_keeps_all_that_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::start(folder.path(), config(folder.path())).await;
    let (_, secret) = stage.clients.key("c").await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    encoder.send(5_000).await.unwrap();
    let mut story = Story::of_streams(&*stage.bus).await;
    let started = story.expect("started").await;
    stage
        .clients
        .playlist_when(&started, |playlist| playlist.segments.len() >= 2)
        .await;
    stage.clients.arrived(&started, 4_900).await;
    drop(story);
    stage.stop().await;
    assert!(encoder.sent_away().await.description.contains("restarting"));

    let stage = Stage::start(folder.path(), config(folder.path())).await;
    let recording = Story::of_recordings(&*stage.bus).await.expect_recording().await;
    assert_eq!(recording.duration.unwrap().seconds, 5);
    let mut story = Story::of_streams(&*stage.bus).await;
    story.expect("started").await;
    assert_eq!(story.expect("interrupted").await.name, started.name);
    story.expect("ended").await;
}

#[tokio::test]
async fn a_broken_journal_ends_its_stream_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let long = |folder: &Path| marquee_video_ingest::Config {
        reconnect_grace: LIMIT,
        ..config(folder)
    };
    let stage = Stage::start(folder.path(), long(folder.path())).await;
    let (mut streams, mut encoders) = (Vec::new(), Vec::new());
    for channel in ["c", "d"] {
        let (_, secret) = stage.clients.key(channel).await;
        let mut story = Story::of_streams(&*stage.bus).await;
        let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
        encoder.send(3_000).await.unwrap();
        encoders.push(encoder);
        for _ in &streams {
            story.expect("started").await;
        }
        streams.push(story.expect("started").await);
    }
    let journal = stage.media(&streams[0]).join("journal");
    stage.stop().await;
    std::fs::write(&journal, "this is no journal\n").unwrap();
    let stage = Stage::start(folder.path(), long(folder.path())).await;
    let state = async |stream: &LiveStream| {
        let request = GetLiveStreamRequest {
            name: stream.name.clone(),
        };
        let found = stage.clients.streams().get_live_stream(request).await.unwrap();
        found.into_inner().live_stream.unwrap().state()
    };
    assert_eq!(state(&streams[0]).await, LiveStreamState::Ended);
    assert_eq!(state(&streams[1]).await, LiveStreamState::Interrupted);
}
