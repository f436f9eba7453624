//! Getting, listing, watching; recordings.

use marquee_auth::Role;
use marquee_proto::video_ingest::v1::*;
use tonic::Code;

use crate::encoder::Encoder;
use crate::hls::get;
use crate::stage::{LIMIT, OWNER, STRANGER, Stage, fields, reason};
use crate::story::Story;

/// A stream of a channel that has ended.
async fn broadcast(stage: &Stage, channel: &str) -> LiveStream {
    let (_, secret) = stage.clients.key(channel).await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    encoder.send(2_500).await.unwrap();
    let name = format!("channels/{channel}/liveStreams/-");
    let stop = async || {
        let request = stage
            .clients
            .by(OWNER, StopLiveStreamRequest { name: name.clone() });
        stage.clients.streams().stop_live_stream(request).await.ok()
    };
    let stopped = marquee_testkit::wait_for("the stream", LIMIT, stop)
        .await
        .unwrap();
    stopped.into_inner().live_stream.unwrap()
}

#[tokio::test]
async fn watching_shows_every_state_and_ends_with_the_stream() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut story = Story::of_streams(&*stage.bus).await;
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(3_000).await.unwrap();
    let name = story.expect("started").await.name;
    let request = WatchLiveStreamRequest { name: name.clone() };
    let mut watch = clients
        .streams()
        .watch_live_stream(request.clone())
        .await
        .unwrap()
        .into_inner();
    let mut states = Vec::new();
    let mut encoder = Some(encoder);
    while let Some(message) = watch.message().await.unwrap() {
        states.push(message.live_stream.unwrap().state());
        if let Some(encoder) = encoder.take() {
            encoder.finish().await;
        }
    }
    states.dedup();
    assert_eq!(
        states,
        [
            LiveStreamState::Live,
            LiveStreamState::Interrupted,
            LiveStreamState::Ended
        ]
    );
    let mut late = clients
        .streams()
        .watch_live_stream(request)
        .await
        .unwrap()
        .into_inner();
    let only = late.message().await.unwrap().unwrap().live_stream.unwrap();
    assert_eq!((only.name, only.state), (name, LiveStreamState::Ended.into()));
    assert!(late.message().await.unwrap().is_none());
}

#[tokio::test]
async fn streams_are_listed_by_channel_and_state_newest_first() {
    let (stage, _folder) = Stage::tuned(|config| config.reconnect_grace = LIMIT * 10).await;
    let clients = &stage.clients;
    let mut ended = Vec::new();
    for channel in ["c", "d", "c"] {
        ended.insert(0, broadcast(&stage, channel).await.name);
    }
    let (_, secret) = clients.key("c").await;
    let mut encoder = Encoder::publish(clients.rtmp, &secret).await.unwrap();
    encoder.send(2_500).await.unwrap();
    let current = async || {
        let name = "channels/c/liveStreams/-".to_owned();
        let found = clients
            .streams()
            .get_live_stream(GetLiveStreamRequest { name })
            .await
            .ok()?;
        found.into_inner().live_stream
    };
    let live = marquee_testkit::wait_for("the stream", LIMIT, current)
        .await
        .unwrap()
        .name;
    let list = async |parent: &str, state: LiveStreamState, page_size, page_token: String| {
        let request = ListLiveStreamsRequest {
            parent: parent.to_owned(),
            page_size,
            page_token,
            state: state.into(),
        };
        clients
            .streams()
            .list_live_streams(clients.as_role("accounts/admin", Role::Admin, request))
            .await
            .map(tonic::Response::into_inner)
    };
    let names = |response: &ListLiveStreamsResponse| -> Vec<String> {
        response
            .live_streams
            .iter()
            .map(|stream| stream.name.clone())
            .collect()
    };
    let any = LiveStreamState::Unspecified;
    let all = list("", any, 0, String::new()).await.unwrap();
    assert_eq!(names(&all), [std::slice::from_ref(&live), &ended].concat());
    let on_air = list("channels/-", LiveStreamState::Live, 0, String::new())
        .await
        .unwrap();
    assert_eq!(names(&on_air), [live]);
    let of_c = list("channels/c", LiveStreamState::Ended, 1, String::new())
        .await
        .unwrap();
    let rest = list(
        "channels/c",
        LiveStreamState::Ended,
        1,
        of_c.next_page_token.clone(),
    )
    .await
    .unwrap();
    assert_eq!(
        [names(&of_c), names(&rest)].concat(),
        [ended[0].clone(), ended[2].clone()]
    );
    let foreign = list("channels/d", LiveStreamState::Ended, 1, of_c.next_page_token)
        .await
        .unwrap_err();
    assert_eq!(
        (foreign.code(), fields(&foreign)),
        (Code::InvalidArgument, vec!["page_token".to_owned()])
    );
    let wrong = list("channel/c", any, 0, String::new()).await.unwrap_err();
    assert_eq!(fields(&wrong), ["parent"]);
}

#[tokio::test]
async fn unknown_streams_and_files_are_not_found() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let ended = broadcast(&stage, "c").await;
    let elsewhere = ended.name.replace("channels/c/", "channels/d/");
    for name in [
        "channels/c/liveStreams/none",
        "channels/c/liveStreams/-",
        &elsewhere,
    ] {
        let request = GetLiveStreamRequest {
            name: name.to_owned(),
        };
        let error = clients.streams().get_live_stream(request).await.unwrap_err();
        assert_eq!(
            (error.code(), reason(&error).as_str()),
            (Code::NotFound, "LIVE_STREAM_NOT_FOUND")
        );
    }
    let bad = GetLiveStreamRequest {
        name: "liveStreams/x".to_owned(),
    };
    assert_eq!(
        fields(&clients.streams().get_live_stream(bad).await.unwrap_err()),
        ["name"]
    );
    let folder = ended.playback_path.replace("index.m3u8", "");
    for path in [
        "/live/c/none/index.m3u8".to_owned(),
        "/recordings/c/none/index.m3u8".to_owned(),
        format!("{folder}segment-99.m4s"),
        format!("{folder}journal"),
        format!("{folder}..%2fjournal"),
        elsewhere
            .replace("channels/", "/live/")
            .replace("/liveStreams", "")
            + "/media.m3u8",
    ] {
        let answer = get(clients.http, &path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (404, "application/problem+json"),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn a_deleted_recording_is_gone_with_its_media() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut story = Story::of_recordings(&*stage.bus).await;
    let ended = broadcast(&stage, "c").await;
    let recording = story.expect_recording().await;
    assert_eq!(get(clients.http, &recording.playback_path).await.status, 200);
    let delete = || DeleteRecordingRequest {
        name: recording.name.clone(),
    };
    let refused = clients
        .recordings()
        .delete_recording(clients.by(STRANGER, delete()))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    clients
        .recordings()
        .delete_recording(clients.by(OWNER, delete()))
        .await
        .unwrap();
    assert_eq!(story.expect_deleted().await.name, recording.name);
    assert_eq!(get(clients.http, &recording.playback_path).await.status, 404);
    assert_eq!(get(clients.http, &ended.playback_path).await.status, 404);
    assert!(!stage.media(&ended).exists());
    let again = clients
        .recordings()
        .delete_recording(clients.by(OWNER, delete()))
        .await
        .unwrap_err();
    assert_eq!(
        (again.code(), reason(&again).as_str()),
        (Code::NotFound, "RECORDING_NOT_FOUND")
    );
}

#[tokio::test]
async fn recordings_are_listed_newest_first() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let mut names = Vec::new();
    for channel in ["c", "d"] {
        names.insert(
            0,
            broadcast(&stage, channel)
                .await
                .name
                .replace("liveStreams", "recordings"),
        );
    }
    let list = async |parent: &str| {
        let request = ListRecordingsRequest {
            parent: parent.to_owned(),
            ..ListRecordingsRequest::default()
        };
        let listed = clients
            .recordings()
            .list_recordings(clients.as_role("accounts/admin", Role::Admin, request))
            .await
            .unwrap()
            .into_inner()
            .recordings;
        listed
            .into_iter()
            .map(|recording| recording.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(list("channels/-").await, names);
    assert_eq!(list("channels/c").await, names[1..]);
    let get = GetRecordingRequest {
        name: names[0].clone(),
    };
    let found = clients
        .recordings()
        .get_recording(get)
        .await
        .unwrap()
        .into_inner()
        .recording
        .unwrap();
    assert!(found.size_bytes > 10_000 && found.duration.unwrap().seconds == 2);
}

/// A broadcast may be unlisted: who may not publish on a channel does not see what it has.
#[tokio::test]
async fn lists_are_for_the_owner_and_of_all_channels_for_admins() {
    let (stage, _folder) = Stage::new().await;
    broadcast(&stage, "c1").await;
    let clients = &stage.clients;
    let listed = async |account: &str, role: Role, parent: &str| {
        let streams = ListLiveStreamsRequest {
            parent: parent.to_owned(),
            ..Default::default()
        };
        let recordings = ListRecordingsRequest {
            parent: parent.to_owned(),
            ..Default::default()
        };
        let streams = clients
            .streams()
            .list_live_streams(clients.as_role(account, role, streams))
            .await;
        let recordings = clients
            .recordings()
            .list_recordings(clients.as_role(account, role, recordings))
            .await;
        (
            streams
                .map(|streams| streams.into_inner().live_streams.len())
                .map_err(|status| status.code()),
            recordings
                .map(|recordings| recordings.into_inner().recordings.len())
                .map_err(|status| status.code()),
        )
    };
    let refused = (Err(Code::PermissionDenied), Err(Code::PermissionDenied));
    assert_eq!(listed(OWNER, Role::Viewer, "channels/c1").await, (Ok(1), Ok(1)));
    assert_eq!(listed(STRANGER, Role::Viewer, "channels/c1").await, refused);
    assert_eq!(listed(OWNER, Role::Viewer, "channels/-").await, refused);
    assert_eq!(
        listed("accounts/admin", Role::Admin, "channels/-").await,
        (Ok(1), Ok(1))
    );
}
