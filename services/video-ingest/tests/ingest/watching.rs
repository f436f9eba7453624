//! Who may watch, who watches, and who may not any more.

use marquee_auth::Role;
use marquee_bus::EventBus as _;
use marquee_proto::events::v1::{
    Event, EventChanged, EventLive, EventScheduled, EventState, EventUpdated, Visibility, event_changed,
};
use marquee_proto::time::to_proto;
use marquee_proto::video_ingest::v1::*;
use marquee_testkit::wait_for;
use tonic::{Code, Request, Status};

use crate::encoder::Encoder;
use crate::hls::{Answer, get};
use crate::stage::{LIMIT, OWNER, STRANGER, Stage, fields, reason};
use crate::story::Story;

const VIEWER: &str = "accounts/viewer";

/// A channel on the air, whose event has this visibility.
pub(crate) struct OnAir {
    pub(crate) stage: Stage,
    _folder: tempfile::TempDir,
    pub(crate) stream: LiveStream,
    pub(crate) encoder: Encoder,
}

fn event(id: &str, visibility: Visibility, stream: &str) -> Event {
    let now = jiff::Timestamp::now();
    Event {
        name: format!("channels/c/events/{id}"),
        visibility: visibility.into(),
        state: if stream.is_empty() {
            EventState::Scheduled
        } else {
            EventState::Live
        }
        .into(),
        live_stream: stream.to_owned(),
        scheduled_start_time: Some(to_proto(now)),
        update_time: Some(to_proto(now)),
        ..Event::default()
    }
}

async fn tell(stage: &Stage, change: event_changed::Change, name: &str) {
    let message = marquee_bus::event(name, &EventChanged { change: Some(change) });
    stage.bus.publish(vec![message]).await.unwrap();
}

impl OnAir {
    /// The event is scheduled before the stream begins, and takes it.
    pub(crate) async fn new(id: &str, visibility: Visibility) -> Self {
        Self::tuned(id, visibility, |_| {}).await
    }

    async fn tuned(
        id: &str,
        visibility: Visibility,
        tune: impl FnOnce(&mut marquee_video_ingest::Config),
    ) -> Self {
        let (stage, folder) = Stage::tuned(tune).await;
        let scheduled = event(id, visibility, "");
        let name = scheduled.name.clone();
        let change = event_changed::Change::Scheduled(EventScheduled {
            event: Some(scheduled),
            channel: None,
        });
        tell(&stage, change, &name).await;
        let (_, secret) = stage.clients.key("c").await;
        let mut story = Story::of_streams(&*stage.bus).await;
        let mut encoder = Encoder::publish(stage.clients.rtmp, &secret).await.unwrap();
        encoder.send(9_000).await.unwrap();
        let stream = story.expect("started").await;
        let live = event(id, visibility, &stream.name);
        let change = event_changed::Change::Live(EventLive {
            event: Some(live),
            channel: None,
        });
        tell(&stage, change, &name).await;
        let on_air = Self {
            stage,
            _folder: folder,
            stream,
            encoder,
        };
        // It is known once the event leads to the stream.
        wait_for("the event", LIMIT, async || {
            let asked = on_air.ask(None, &name).await;
            (!matches!(&asked, Err(status) if status.code() == Code::NotFound)).then_some(())
        })
        .await
        .unwrap();
        on_air
    }

    /// Asks for a session.
    async fn ask(&self, by: Option<&str>, parent: &str) -> Result<CreatePlaybackSessionResponse, Status> {
        let request = CreatePlaybackSessionRequest {
            parent: parent.to_owned(),
        };
        let request = match by {
            Some(account) => self.stage.clients.by(account, request),
            None => Request::new(request),
        };
        let answer = self
            .stage
            .clients
            .playback()
            .create_playback_session(request)
            .await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn open(&self, by: &str) -> CreatePlaybackSessionResponse {
        self.ask(Some(by), &self.stream.name).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        get(self.stage.clients.http, path).await
    }

    async fn listed(&self) -> ListPlaybackSessionsResponse {
        let request = ListPlaybackSessionsRequest {
            parent: self.stream.name.clone(),
            ..ListPlaybackSessionsRequest::default()
        };
        let request = self.stage.clients.by(OWNER, request);
        let answer = self
            .stage
            .clients
            .playback()
            .list_playback_sessions(request)
            .await;
        answer.unwrap().into_inner()
    }

    /// The answer's status and reason once it has this status.
    async fn becomes(&self, path: &str, status: u16) -> Answer {
        wait_for("the answer", LIMIT, async || {
            let answer = self.get(path).await;
            (answer.status == status).then_some(answer)
        })
        .await
        .unwrap()
    }
}

fn media(path: &str) -> String {
    path.replace("index.m3u8", "media.m3u8")
}

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
    assert_eq!(listed.bans, [made.clone()]);
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
