//! Recordings in a bucket of a real S3 server, which is killed like everything else.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::TryStreamExt as _;
use marquee_backends::{Backend, Home, Server, install};
use marquee_objects::s3::Settings;
use marquee_objects::{Location, Objects};
use marquee_proto::video_ingest::v1::*;
use marquee_testkit::{ffmpeg, wait_for};
use tonic::Request;

use crate::hls::get;
use crate::restart::{Served, current, serving};
use crate::stage::{Clients, OWNER};

/// Tells the service's process where the server is.
pub(crate) const ADDRESS: &str = "MARQUEE_TEST_INGEST_S3";
/// Everything is slower while servers are killed.
const LONG: Duration = Duration::from_secs(60);

/// `http://{key id}:{secret}@host:port/{bucket}`
pub(crate) fn location(address: &str) -> Location {
    let (credentials, place) = address.strip_prefix("http://").unwrap().split_once('@').unwrap();
    let (id, secret) = credentials.split_once(':').unwrap();
    let (host, bucket) = place.split_once('/').unwrap();
    Location::S3(Settings {
        endpoint: Some(format!("http://{host}")),
        credentials: Some((id.to_owned(), secret.to_owned())),
        prefix: "vod".to_owned(),
        timeout: Duration::from_secs(5),
        ..Settings::new(bucket)
    })
}

fn service(folder: &Path, server: &Server) -> (Served, Clients) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ADDRESS, server.address());
    serving(command, folder)
}

async fn files(objects: &Objects) -> Vec<String> {
    let listed = objects.list("c").map_ok(|entry| entry.key).try_collect();
    let mut files: Vec<String> = listed.await.unwrap_or_default();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs s3"]
async fn a_recording_is_whole_although_the_server_and_the_service_were_killed_in_the_middle() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let home = Home::default().unwrap();
    install(&home, Backend::S3, &mut |_| {}).unwrap();
    let mut server = Server::start(&home, Backend::S3, data.path()).unwrap();
    let objects = Objects::open(&location(&server.address())).await.unwrap();
    let (mut process, clients) = service(folder.path(), &server);
    let (_, secret) = clients.key("c").await;

    let first = ffmpeg::publish(&format!("rtmp://{}/live/{secret}", clients.rtmp), None).unwrap();
    let uploaded = async || (files(&objects).await.len() >= 3).then_some(());
    wait_for("the first segments in the bucket", LONG, uploaded)
        .await
        .unwrap();
    let stream = current(&clients).await.expect("it is live meanwhile");
    server.kill();
    let playlist = clients
        .playlist_when(&stream, |playlist| !playlist.segments.is_empty())
        .await;
    clients
        .playlist_when(&stream, |now| now.last() >= playlist.last() + 2)
        .await;
    process.kill();
    let _ = first.kill().await;

    let (_process, clients) = service(folder.path(), &server);
    let second = ffmpeg::publish(&format!("rtmp://{}/live/{secret}", clients.rtmp), Some(5)).unwrap();
    let (succeeded, said) = second.finish().await.unwrap();
    assert!(succeeded, "{said}");
    let again = current(&clients).await.unwrap();
    assert_eq!((&again.name, again.reconnects), (&stream.name, 1));
    let stop = StopLiveStreamRequest {
        name: stream.name.clone(),
    };
    clients
        .streams()
        .stop_live_stream(clients.by(OWNER, stop))
        .await
        .unwrap();
    let name = stream.name.replace("liveStreams", "recordings");
    let recording = async || {
        let request = Request::new(GetRecordingRequest { name: name.clone() });
        clients
            .recordings()
            .get_recording(request)
            .await
            .ok()?
            .into_inner()
            .recording
    };
    let found = recording().await.expect("it is there at once");
    assert_eq!(found.storage(), RecordingStorage::Uploading);
    let url = format!("http://{}{}", clients.http, found.playback_path);
    let from_disk = ffmpeg::play(&url, None).await.unwrap();

    server.restart().unwrap();
    let brought = async || {
        recording()
            .await
            .filter(|found| found.storage() == RecordingStorage::Objects)
    };
    wait_for("the recording in the bucket", LONG, brought)
        .await
        .unwrap();
    let ids: Vec<&str> = stream.name.split('/').collect();
    let local = folder.path().join("data/media").join(ids[1]).join(ids[3]);
    std::fs::remove_dir_all(&local).unwrap();
    let from_bucket = ffmpeg::play(&url, None).await.unwrap();
    assert_eq!(from_bucket, from_disk, "frame by frame the same");
    let pictures = ffmpeg::decode(&url, None).await.unwrap();
    assert_eq!(pictures as usize, from_disk.video.len());
    // All that was received is there: what the first encoder sent up to its last whole segment, and all of the second.
    let seconds = i64::from(ffmpeg::FRAME_RATE);
    assert!(
        i64::try_from(from_disk.video.len()).unwrap() >= (5 + 6) * seconds,
        "{}",
        from_disk.video.len()
    );
    let told = found.duration.unwrap();
    let told = told.seconds * 1_000 + i64::from(told.nanos) / 1_000_000;
    let read = i64::try_from(from_disk.video.len()).unwrap() * 1_000 / seconds;
    assert!((told - read).abs() <= 100, "{told} ms told, {read} ms read");

    let request = DeleteRecordingRequest { name: name.clone() };
    clients
        .recordings()
        .delete_recording(clients.by(OWNER, request))
        .await
        .unwrap();
    wait_for("an empty bucket", LONG, async || {
        files(&objects).await.is_empty().then_some(())
    })
    .await
    .unwrap();
    assert_eq!(get(clients.http, &found.playback_path).await.status, 404);
}
