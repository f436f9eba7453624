//! Who watches and publishes, and who may not any more.

use marquee_auth::Role;
use marquee_proto::events::v1::Visibility;
use marquee_proto::video_ingest::v1::*;
use marquee_testkit::wait_for;
use tonic::Code;

use crate::encoder::Encoder;
use crate::on_air::{OnAir, VIEWER, media};
use crate::stage::{LIMIT, OWNER, STRANGER, Stage, fields, reason};

#[tokio::test]
async fn the_owner_sees_who_watches_and_nobody_else_does() {
    let on_air = OnAir::new("open", Visibility::Public).await;
    on_air.becomes(&media(&on_air.stream.playback_path), 200).await;
    let session = on_air.open(VIEWER).await;
    on_air.becomes(&media(&session.playback_path), 200).await;
    let listed = on_air.listed().await;
    assert_eq!(listed.watching, 2, "{listed:#?}");
    let signed_in = listed
        .playback_sessions
        .iter()
        .find(|session| !session.anonymous)
        .unwrap();
    let anonymous = listed
        .playback_sessions
        .iter()
        .find(|session| session.anonymous)
        .unwrap();
    assert_eq!(
        (signed_in.account.as_str(), anonymous.account.as_str()),
        (VIEWER, "")
    );
    assert!(signed_in.bytes > 0 && anonymous.bytes > 0);
    assert_eq!(anonymous.address, "", "where somebody is, only an admin is shown");
    let request = ListPlaybackSessionsRequest {
        parent: on_air.stream.name.clone(),
        page_size: 1,
        ..ListPlaybackSessionsRequest::default()
    };
    let clients = &on_air.stage.clients;
    let asked = clients.as_role("accounts/root", Role::Admin, request.clone());
    let page = clients
        .playback()
        .list_playback_sessions(asked)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(page.playback_sessions[0].address, "127.0.0.1");
    let next = ListPlaybackSessionsRequest {
        page_token: page.next_page_token,
        ..request.clone()
    };
    let rest = clients
        .playback()
        .list_playback_sessions(clients.by(OWNER, next))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (rest.playback_sessions.len(), rest.next_page_token.as_str()),
        (1, "")
    );
    let stranger = clients
        .playback()
        .list_playback_sessions(clients.by(STRANGER, request))
        .await
        .unwrap_err();
    assert_eq!(stranger.code(), Code::PermissionDenied);
    // They are in the figures, too, a second later.
    wait_for("the viewers", LIMIT, async || {
        let request = GetLiveStreamRequest {
            name: on_air.stream.name.clone(),
        };
        let stream = clients
            .streams()
            .get_live_stream(request)
            .await
            .unwrap()
            .into_inner();
        (stream.live_stream?.figures?.viewers == 2).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn whom_the_owner_bans_is_gone_at_once_and_stays_away() {
    let on_air = OnAir::new("open", Visibility::Public).await;
    let clients = &on_air.stage.clients;
    let session = on_air.open(VIEWER).await;
    on_air.becomes(&session.playback_path, 200).await;
    let ban = CreateBanRequest {
        parent: "channels/c".to_owned(),
        ban: Some(Ban {
            subject: Some(ban::Subject::PlaybackSession(
                session.playback_session.unwrap().name,
            )),
            ..Ban::default()
        }),
        ..CreateBanRequest::default()
    };
    let created = clients
        .bans()
        .create_ban(clients.by(OWNER, ban))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(created.ended, 1);
    let made = created.ban.unwrap();
    assert_eq!(made.subject, Some(ban::Subject::Account(VIEWER.to_owned())));
    assert_eq!(on_air.get(&session.playback_path).await.status, 403);
    let error = on_air.ask(Some(VIEWER), &on_air.stream.name).await.unwrap_err();
    assert_eq!(reason(&error), "BANNED");
    let list = ListBansRequest {
        parent: "channels/c".to_owned(),
        ..ListBansRequest::default()
    };
    let listed = clients
        .bans()
        .list_bans(clients.by(OWNER, list))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.bans, std::slice::from_ref(&made));
    let lift = DeleteBanRequest { name: made.name };
    clients.bans().delete_ban(clients.by(OWNER, lift)).await.unwrap();
    assert!(on_air.ask(Some(VIEWER), &on_air.stream.name).await.is_ok());
}

#[tokio::test]
async fn an_address_is_banned_from_watching_and_from_publishing() {
    let on_air = OnAir::new("open", Visibility::Public).await;
    let clients = &on_air.stage.clients;
    on_air.becomes(&on_air.stream.playback_path, 200).await;
    let ban = |scope: BanScope| CreateBanRequest {
        parent: "channels/c".to_owned(),
        ban: Some(Ban {
            subject: Some(ban::Subject::Address("127.0.0.0/8".to_owned())),
            scope: scope.into(),
            ..Ban::default()
        }),
        ttl: Some(prost_types::Duration {
            seconds: 60,
            nanos: 0,
        }),
    };
    let watch = clients.by(OWNER, ban(BanScope::Watch));
    assert_eq!(
        clients.bans().create_ban(watch).await.unwrap().into_inner().ended,
        1
    );
    let answer = on_air.get(&on_air.stream.playback_path).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let publish = clients.by(OWNER, ban(BanScope::Publish));
    assert_eq!(
        clients
            .bans()
            .create_ban(publish)
            .await
            .unwrap()
            .into_inner()
            .ended,
        1
    );
    let rejected = on_air.encoder.sent_away().await;
    assert!(rejected.description.contains("banned"), "{rejected:?}");
    let (_, secret) = clients.key("c").await;
    let again = Encoder::publish(clients.rtmp, &secret)
        .await
        .map(drop)
        .unwrap_err();
    assert!(again.description.contains("banned"), "{again:?}");
    let (_, elsewhere) = clients.key("d").await;
    assert!(
        Encoder::publish(clients.rtmp, &elsewhere).await.is_ok(),
        "another channel has bans of its own"
    );
}

#[tokio::test]
async fn wrong_bans_are_named_field_by_field_and_all_channels_are_for_admins() {
    let (stage, _folder) = Stage::new().await;
    let clients = &stage.clients;
    let wrong = CreateBanRequest {
        parent: "channels/c".to_owned(),
        ban: Some(Ban {
            subject: Some(ban::Subject::Address("somewhere".to_owned())),
            scope: 77,
            reason: "x".repeat(201),
            ..Ban::default()
        }),
        ttl: Some(prost_types::Duration {
            seconds: 400 * 86_400,
            nanos: 0,
        }),
    };
    let error = clients
        .bans()
        .create_ban(clients.by(OWNER, wrong))
        .await
        .unwrap_err();
    assert_eq!(fields(&error), ["ban.scope", "ban.reason", "ttl", "ban.address"]);
    let everywhere = CreateBanRequest {
        parent: "channels/-".to_owned(),
        ban: Some(Ban {
            subject: Some(ban::Subject::Account(VIEWER.to_owned())),
            ..Ban::default()
        }),
        ttl: None,
    };
    let error = clients
        .bans()
        .create_ban(clients.by(OWNER, everywhere.clone()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    let admin = clients.as_role("accounts/root", Role::Admin, everywhere);
    let made = clients
        .bans()
        .create_ban(admin)
        .await
        .unwrap()
        .into_inner()
        .ban
        .unwrap();
    assert!(made.name.starts_with("channels/-/bans/"));
    let lift = clients.as_role("accounts/root", Role::Admin, DeleteBanRequest { name: made.name });
    clients.bans().delete_ban(lift).await.unwrap();
}

#[tokio::test]
async fn the_encoder_is_shown_and_sent_away_by_its_owner() {
    let on_air = OnAir::new("open", Visibility::Public).await;
    let clients = &on_air.stage.clients;
    let name = "channels/c/liveStreams/-".to_owned();
    let request = clients.by(OWNER, GetPublisherRequest { name: name.clone() });
    let publisher = clients
        .streams()
        .get_publisher(request)
        .await
        .unwrap()
        .into_inner()
        .publisher
        .unwrap();
    assert_eq!(publisher.address, "127.0.0.1");
    assert!(publisher.stream_key.starts_with("channels/c/streamKeys/") && !publisher.encoder.is_empty());
    let disconnect = DisconnectPublisherRequest {
        name: name.clone(),
        reason: "  wrong camera ".to_owned(),
    };
    let stranger = clients.by(STRANGER, disconnect.clone());
    let error = clients
        .streams()
        .disconnect_publisher(stranger)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    let gone = clients
        .streams()
        .disconnect_publisher(clients.by(OWNER, disconnect.clone()))
        .await;
    assert_eq!(gone.unwrap().into_inner().publisher, Some(publisher));
    assert_eq!(on_air.encoder.sent_away().await.description, "wrong camera");
    let again = clients
        .streams()
        .disconnect_publisher(clients.by(OWNER, disconnect))
        .await
        .unwrap_err();
    assert_eq!(reason(&again), "NO_PUBLISHER");
}

#[tokio::test]
async fn statistics_begin_with_what_was_and_go_on_each_second_to_the_end() {
    let mut on_air = OnAir::new("open", Visibility::Public).await;
    let clients = on_air.stage.clients.clone();
    let request = WatchLiveStreamStatisticsRequest {
        name: on_air.stream.name.clone(),
    };
    let denied = clients
        .streams()
        .watch_live_stream_statistics(clients.by(STRANGER, request.clone()))
        .await;
    assert_eq!(denied.unwrap_err().code(), Code::PermissionDenied);
    let watched = clients
        .streams()
        .watch_live_stream_statistics(clients.by(OWNER, request))
        .await;
    let mut messages = watched.unwrap().into_inner();
    let mut samples = Vec::new();
    while samples.len() < 3 {
        on_air.encoder.send(1_000).await.unwrap();
        let message = messages.message().await.unwrap().unwrap();
        samples.extend(message.samples);
    }
    let times: Vec<i64> = samples
        .iter()
        .map(|sample| sample.time.as_ref().unwrap().seconds)
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(
        samples.iter().map(|sample| sample.frames).sum::<i32>() > 25,
        "{samples:#?}"
    );
    assert!(
        samples
            .iter()
            .any(|sample| sample.video_bitrate > 0 && sample.audio_bitrate > 0)
    );
    let stop = StopLiveStreamRequest {
        name: on_air.stream.name.clone(),
    };
    clients
        .streams()
        .stop_live_stream(clients.by(OWNER, stop))
        .await
        .unwrap();
    while messages.message().await.unwrap().is_some() {}
}
