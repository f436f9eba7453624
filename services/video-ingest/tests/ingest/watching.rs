//! Who may watch.

use marquee_proto::events::v1::{EventScheduled, EventUpdated, Visibility, event_changed};
use marquee_proto::video_ingest::v1::*;
use marquee_testkit::wait_for;
use tonic::Code;

use crate::encoder::Encoder;
use crate::hls::get;
use crate::on_air::{OnAir, VIEWER, event, media, tell};
use crate::stage::{LIMIT, OWNER, Stage, reason};
use crate::story::Story;

#[tokio::test]
async fn everybody_watches_what_is_public_or_unlisted_without_asking() {
    for visibility in [Visibility::Public, Visibility::Unlisted] {
        let on_air = OnAir::new("open", visibility).await;
        on_air.becomes(&media(&on_air.stream.playback_path), 200).await;
        let session = on_air.ask(None, &on_air.stream.name).await.unwrap();
        assert_eq!(on_air.get(&session.playback_path).await.status, 200);
        assert!(!session.playback_session.unwrap().anonymous);
    }
}

#[tokio::test]
async fn members_watch_and_others_learn_what_they_lack() {
    let on_air = OnAir::new("members", Visibility::Members).await;
    let path = &on_air.stream.playback_path;
    let denied = on_air.get(path).await;
    assert_eq!(denied.status, 401, "{}", denied.text());
    assert!(denied.text().contains("PLAYBACK_TOKEN_MISSING"));
    assert_eq!(denied.header("cache-control"), "no-store");
    assert_eq!(
        on_air.get("/live/c/index.m3u8").await.status,
        401,
        "nor by the channel's path"
    );

    let nobody = on_air.ask(None, &on_air.stream.name).await.unwrap_err();
    assert_eq!(
        (nobody.code(), reason(&nobody).as_str()),
        (Code::Unauthenticated, "TOKEN_MISSING")
    );
    let stranger = on_air.ask(Some(VIEWER), &on_air.stream.name).await.unwrap_err();
    assert_eq!(
        (stranger.code(), reason(&stranger).as_str()),
        (Code::PermissionDenied, "MEMBERSHIP_REQUIRED")
    );

    on_air.stage.subscribers.joins(VIEWER);
    let session = on_air.open(VIEWER).await;
    let multivariant = on_air.becomes(&session.playback_path, 200).await;
    let playlist = on_air.becomes(&media(&session.playback_path), 200).await;
    for text in [multivariant.text(), playlist.text()] {
        assert!(
            !text.contains(&session.token),
            "a playlist never repeats the token"
        );
    }
    let segment = playlist
        .text()
        .lines()
        .find(|line| line.ends_with(".m4s"))
        .unwrap()
        .to_owned();
    let with_token = session.playback_path.replace("index.m3u8", &segment);
    assert_eq!(on_air.get(&with_token).await.status, 200);
    let without = path.replace("index.m3u8", &segment);
    assert_eq!(
        on_air.get(&without).await.status,
        401,
        "media are guarded as playlists are"
    );
    // The owner needs no membership.
    assert!(on_air.ask(Some(OWNER), &on_air.stream.name).await.is_ok());
}

#[tokio::test]
async fn a_ticket_is_for_its_event_and_the_event_leads_to_the_stream() {
    let on_air = OnAir::new("paid", Visibility::PayPerView).await;
    let name = "channels/c/events/paid";
    on_air.stage.subscribers.joins(VIEWER);
    let error = on_air.ask(Some(VIEWER), name).await.unwrap_err();
    assert_eq!(reason(&error), "TICKET_REQUIRED", "a membership is no ticket");
    on_air.stage.subscribers.buys(VIEWER, name);
    let session = on_air.ask(Some(VIEWER), name).await.unwrap();
    assert_eq!(on_air.becomes(&session.playback_path, 200).await.status, 200);
}

#[tokio::test]
async fn a_stream_is_as_narrow_as_its_channels_event_before_events_has_told_of_it() {
    let (stage, _folder) = Stage::new().await;
    let scheduled = event("members", Visibility::Members, "");
    let name = scheduled.name.clone();
    let change = event_changed::Change::Scheduled(EventScheduled {
        event: Some(scheduled),
        channel: None,
    });
    tell(&stage, change, &name).await;
    wait_for("the event", LIMIT, async || {
        let request = CreatePlaybackSessionRequest { parent: name.clone() };
        let error = stage
            .clients
            .playback()
            .create_playback_session(request)
            .await
            .unwrap_err();
        (reason(&error) == "NOT_LIVE").then_some(())
    })
    .await
    .unwrap();
    let (_, secret) = stage.clients.key("c").await;
    let mut story = Story::of_streams(&*stage.bus).await;
    let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
    encoder.send(9_000).await.unwrap();
    let stream = story.expect("started").await;
    assert_eq!(get(stage.clients.http, &stream.playback_path).await.status, 401);
}

#[tokio::test]
async fn who_watched_while_it_was_public_needs_a_membership_when_it_is_for_members() {
    let on_air = OnAir::new("e", Visibility::Public).await;
    let open = on_air.ask(None, &on_air.stream.name).await.unwrap();
    on_air.becomes(&open.playback_path, 200).await;
    let narrowed = event("e", Visibility::Members, &on_air.stream.name);
    let change = event_changed::Change::Updated(EventUpdated {
        event: Some(narrowed),
        channel: None,
    });
    tell(&on_air.stage, change, "channels/c/events/e").await;
    on_air.becomes(&on_air.stream.playback_path, 401).await;
    on_air.becomes(&open.playback_path, 401).await;
}

#[tokio::test]
async fn bad_tokens_are_refused_with_their_reason() {
    let on_air = OnAir::new("members", Visibility::Members).await;
    on_air.stage.subscribers.joins(VIEWER);
    let good = on_air.open(VIEWER).await;
    on_air.becomes(&good.playback_path, 200).await;
    let tampered = {
        let mut token = good.token.clone().into_bytes();
        token[30] = if token[30] == b'A' { b'B' } else { b'A' };
        String::from_utf8(token).unwrap()
    };
    let (_, secret) = on_air.stage.clients.key("d").await;
    let mut story = Story::of_streams(&*on_air.stage.bus).await;
    let mut other = Encoder::publish(on_air.stage.clients.rtmp, &secret)
        .await
        .unwrap();
    other.send(3_000).await.unwrap();
    let elsewhere = loop {
        let stream = story.expect("started").await;
        if stream.name.starts_with("channels/d/") {
            break stream;
        }
    };
    let revoked = on_air.open(VIEWER).await;
    on_air.becomes(&revoked.playback_path, 200).await;
    let name = revoked.playback_session.unwrap().name;
    let request = RevokePlaybackSessionRequest { name };
    let request = on_air.stage.clients.by(VIEWER, request);
    on_air
        .stage
        .clients
        .playback()
        .revoke_playback_session(request)
        .await
        .unwrap();
    let path = &on_air.stream.playback_path;
    for (what, path, status, reason) in [
        ("none", path.clone(), 401, "PLAYBACK_TOKEN_MISSING"),
        (
            "nonsense",
            format!("/play/nonsense{path}"),
            401,
            "PLAYBACK_TOKEN_INVALID",
        ),
        (
            "tampered",
            format!("/play/{tampered}{path}"),
            401,
            "PLAYBACK_TOKEN_INVALID",
        ),
        (
            "another stream",
            format!("/play/{}{}", good.token, elsewhere.playback_path),
            401,
            "PLAYBACK_TOKEN_INVALID",
        ),
        (
            "revoked",
            revoked.playback_path.clone(),
            403,
            "PLAYBACK_SESSION_ENDED",
        ),
    ] {
        let answer = on_air.get(&path).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert!(answer.text().contains(reason), "{what}: {}", answer.text());
    }
    assert_eq!(
        on_air.get(&good.playback_path).await.status,
        200,
        "the others do not mind"
    );
}

#[tokio::test]
async fn a_token_that_waited_too_long_begins_nothing_and_a_session_goes_on() {
    let on_air = OnAir::tuned("members", Visibility::Members, |config| {
        config.playback.token_lifetime = std::time::Duration::ZERO;
    })
    .await;
    on_air.stage.subscribers.joins(VIEWER);
    let used = on_air.open(VIEWER).await;
    on_air.becomes(&used.playback_path, 200).await;
    let unused = on_air.open(VIEWER).await;
    // The clocks' leeway is five seconds.
    let late = wait_for("the token's end", LIMIT, async || {
        // Playback that goes on keeps its session.
        assert_eq!(on_air.get(&used.playback_path).await.status, 200);
        let at = unused.token_expire_time.as_ref()?.seconds + 5;
        (jiff::Timestamp::now().as_second() > at).then_some(())
    });
    late.await.unwrap();
    let answer = on_air.get(&unused.playback_path).await;
    assert_eq!(answer.status, 401);
    assert!(
        answer.text().contains("PLAYBACK_TOKEN_EXPIRED"),
        "{}",
        answer.text()
    );
    assert_eq!(on_air.get(&used.playback_path).await.status, 200);
}

#[tokio::test]
async fn an_account_watches_on_so_many_devices_at_a_time() {
    let on_air = OnAir::tuned("members", Visibility::Members, |config| {
        config.playback.sessions_per_account = 2;
    })
    .await;
    on_air.stage.subscribers.joins(VIEWER);
    let first = on_air.open(VIEWER).await;
    on_air.open(VIEWER).await;
    let error = on_air.ask(Some(VIEWER), &on_air.stream.name).await.unwrap_err();
    assert_eq!(
        (error.code(), reason(&error).as_str()),
        (Code::ResourceExhausted, "TOO_MANY_SESSIONS")
    );
    let name = first.playback_session.unwrap().name;
    let request = on_air
        .stage
        .clients
        .by(VIEWER, RevokePlaybackSessionRequest { name });
    on_air
        .stage
        .clients
        .playback()
        .revoke_playback_session(request)
        .await
        .unwrap();
    assert!(
        on_air.ask(Some(VIEWER), &on_air.stream.name).await.is_ok(),
        "there is room again"
    );
}
