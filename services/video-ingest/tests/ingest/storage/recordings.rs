//! Recordings as their owner sees them.

use std::path::{Path, PathBuf};

use marquee_proto::video_ingest::v1::*;
use marquee_testkit::wait_for;
use tonic::Request;

use crate::encoder::Encoder;
use crate::stage::{Clients, LIMIT, OWNER, Stage};

/// Broadcasts so many milliseconds, and waits until what is kept of it is ready.
pub(super) async fn broadcast(stage: &Stage, secret: &str, millis: u32) -> Recording {
    let known: Vec<String> = listed(&stage.clients).await.into_iter().map(|r| r.name).collect();
    let mut encoder = Encoder::publish(stage.clients.rtmp, secret).await.unwrap();
    encoder.send(millis).await.unwrap();
    encoder.finish().await;
    let its_own = async || {
        let recordings = listed(&stage.clients).await;
        recordings
            .into_iter()
            .find(|recording| !known.contains(&recording.name))
    };
    wait_for("its recording", LIMIT, its_own).await.unwrap()
}

pub(super) async fn listed(clients: &Clients) -> Vec<Recording> {
    let request = ListRecordingsRequest {
        parent: "channels/c".to_owned(),
        ..ListRecordingsRequest::default()
    };
    let listed = clients
        .recordings()
        .list_recordings(clients.by(OWNER, request))
        .await;
    listed.unwrap().into_inner().recordings
}

pub(super) async fn recording(clients: &Clients, name: &str) -> Option<Recording> {
    let request = GetRecordingRequest {
        name: name.to_owned(),
    };
    let found = clients.recordings().get_recording(Request::new(request)).await;
    found.ok()?.into_inner().recording
}

/// Where the files of a recording are in a folder that has one per channel.
pub(super) fn within(folder: &Path, recording: &Recording) -> PathBuf {
    let ids: Vec<&str> = recording.name.split('/').collect();
    folder.join(ids[1]).join(ids[3])
}

/// The recording once all of it is in the object store.
pub(super) async fn brought(clients: &Clients, name: &str) -> Recording {
    let ask = async || {
        recording(clients, name)
            .await
            .filter(|recording| recording.storage() == RecordingStorage::Objects)
    };
    wait_for("the recording in the object store", LIMIT, ask)
        .await
        .unwrap()
}
