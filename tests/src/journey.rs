//! The story that the whole product tells.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use marquee_proto::analytics::v1::{
    Beacon, GetEventSummaryRequest, PlaybackState, SendBeaconsRequest, StreamBeaconsRequest,
    WatchAudienceRequest, WatchAudienceResponse,
};
use marquee_proto::events::v1::EventState;
use marquee_proto::notifications::v1::{
    Notification, NotificationKind, WatchNotificationsRequest, WatchNotificationsResponse,
};
use marquee_proto::search::v1::{SearchRequest, SuggestRequest};
use marquee_proto::subscriptions::v1::{
    CreateFollowRequest, CreateMembershipRequest, CreateReminderRequest, MembershipState, PaymentState,
};
use marquee_testkit::{Ready, browser, ffmpeg, http, wait_for, wait_until};
use serde_json::json;
use tonic::Streaming;

use crate::{Api, until_state, uuid};

const SOON: Duration = Duration::from_secs(20);

/// The whole story, from the creator's registration to the recording and the figures, as clients see it at that place.
/// The encoder's grace period must be a few seconds.
///
/// # Errors
/// The first thing that is not as it should be.
pub async fn story(place: &Ready) -> Result<()> {
    let api = Api::at(place).await?;
    // Others may tell their story at the same place.
    let tag = &uuid()[..8];

    // 1. A creator with a channel, an event and a key.
    let creator = api.register(&format!("nora-{tag}@example.org"), "Nora").await?;
    let channel = api
        .channel(&creator, &format!("nightjazz{tag}"), "Night Jazz")
        .await?;
    let event = api.event(&creator, &channel, "Midnight Improvisation").await?;
    let key = api.stream_key(&creator, &channel).await?;
    ensure!(event.state() == EventState::Scheduled);

    // 2. A viewer who subscribes, follows, is reminded, and finds the event.
    let viewer = api
        .register(&format!("victor-{tag}@example.org"), "Victor")
        .await?;
    let join = CreateMembershipRequest {
        parent: "accounts/me".into(),
        plan: "plans/basic".into(),
        payment_token: "test-card-ok".into(),
        request_id: uuid(),
    };
    let joined = api
        .memberships()
        .create_membership(viewer.request(join))
        .await?
        .into_inner();
    ensure!(joined.membership.context("no membership")?.state() == MembershipState::Active);
    ensure!(joined.payment.context("no payment")?.state() == PaymentState::Succeeded);
    let follow = CreateFollowRequest {
        parent: "accounts/me".into(),
        channel: channel.name.clone(),
    };
    api.follows().create_follow(viewer.request(follow)).await?;
    let remind = CreateReminderRequest {
        parent: "accounts/me".into(),
        event: event.name.clone(),
        lead_time: None,
    };
    api.reminders().create_reminder(viewer.request(remind)).await?;
    wait_until("a misspelt search finds the event", SOON, async || {
        found(&api, "midnigt improvization")
            .await
            .is_ok_and(|results| results.contains(&event.name))
    })
    .await?;
    let suggest = SuggestRequest {
        prefix: "midn".into(),
        limit: 0,
    };
    let suggestions = api.search().suggest(suggest).await?.into_inner().suggestions;
    ensure!(
        suggestions
            .iter()
            .any(|suggestion| suggestion.text == "Midnight Improvisation"),
        "{suggestions:?}"
    );

    // 3. An inbox stream that stays open.
    let watch = WatchNotificationsRequest {
        parent: "accounts/me".into(),
        cursor: String::new(),
    };
    let mut inbox = api
        .inbox()
        .watch_notifications(viewer.request(watch))
        .await?
        .into_inner();
    let opened = inbox.message().await?.context("the inbox closed")?;
    ensure!(opened.notification.is_none() && !opened.cursor.is_empty());
    let mut changes = api.watch_event(&event.name).await?;

    // 4. On the air: the event turns live by itself, and everybody knows.
    let publish_url = format!("{}/{key}", place.rtmp);
    let encoder = ffmpeg::publish(&publish_url, None)?;
    let live = tokio::time::timeout(SOON, until_state(&mut changes, EventState::Live)).await??;
    let notification = notification_of(&mut inbox, NotificationKind::EventLive).await?;
    ensure!(notification.event == event.name, "{notification:?}");
    wait_until("search shows the event as live", SOON, async || {
        state_in_search(&api, &event.name).await.as_deref() == Some("live")
    })
    .await?;

    // 5. It plays: in ffmpeg, in hls.js, and on the page.
    let playlist = format!("{}{}", place.pages, live.playback_path);
    playable(&playlist).await?;
    let decoded = ffmpeg::decode(&playlist, Some(4)).await?;
    ensure!(
        decoded >= 4 * u64::from(ffmpeg::FRAME_RATE) - 5,
        "ffmpeg decoded {decoded} frames of 4 s"
    );
    let in_hls_js = browser::run("hls.mjs", &[&playlist, "3"]).await?;
    ensure!(
        in_hls_js["frames"].as_u64() >= Some(60) && in_hls_js["fatalErrors"] == json!([]),
        "hls.js: {in_hls_js}"
    );
    let page = format!("{}/watch/{}", place.pages, event.name);
    let on_page = browser::run("watch.mjs", &[&page, "3"]).await?;
    ensure!(
        on_page["frames"].as_u64() >= Some(60) && on_page["fatalErrors"] == json!([]),
        "the page: {on_page}"
    );
    ensure!(
        on_page["title"] == "Midnight Improvisation · Marquee",
        "the page: {on_page}"
    );
    ensure!(
        on_page["state"] == "live" && on_page["audience"] == 1,
        "the page: {on_page}"
    );

    // 6. The audience: the page has left; one viewer comes and goes.
    let watch = WatchAudienceRequest {
        event: event.name.clone(),
    };
    let mut audience = api.audience().watch_audience(watch).await?.into_inner();
    until_viewers(&mut audience, 0).await?;
    let before = summary(&api, &creator, &event.name).await?;
    let session = uuid();
    let beacon = |number: i64, state: PlaybackState| Beacon {
        session_id: session.clone(),
        sequence_number: number,
        event: event.name.clone(),
        viewer_id: format!("victor-tv-{tag}"),
        time: Some(marquee_proto::time::to_proto(jiff::Timestamp::now())),
        state: state.into(),
        position_ms: 0,
        startup_ms: if number == 2 { 400 } else { 0 },
        device: "tv".into(),
        country: "NL".into(),
        platform: "test".into(),
    };
    let began = Instant::now();
    let first = [
        beacon(1, PlaybackState::Starting),
        beacon(2, PlaybackState::Playing),
    ];
    let first = first.map(|beacon| StreamBeaconsRequest { beacon: Some(beacon) });
    let taken = api
        .beacons()
        .stream_beacons(viewer.request(tokio_stream::iter(first)))
        .await?
        .into_inner();
    ensure!((taken.accepted, taken.rejected) == (2, 0));
    until_viewers(&mut audience, 1).await?;
    // Two seconds of watching: this is what is measured, not a wait for something to happen.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let last = SendBeaconsRequest {
        beacons: vec![beacon(3, PlaybackState::Ended)],
    };
    let watched = began.elapsed();
    ensure!(api.beacons().send_beacons(last).await?.into_inner().accepted == 1);
    until_viewers(&mut audience, 0).await?;

    // 7. The encoder dies and comes back; the same playlist goes on.
    encoder.kill().await?;
    wait_until("the stream is interrupted", SOON, async || {
        stream_state(&api, &live.live_stream).await == 2
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before_reconnect = media_playlist(&playlist).await?;
    let encoder = ffmpeg::publish(&publish_url, None)?;
    let after = wait_for("the playlist to go on", SOON, async || {
        let text = media_playlist(&playlist).await.ok()?;
        (media_sequence(&text) + segments(&text)
            > media_sequence(&before_reconnect) + segments(&before_reconnect) + 1)
            .then_some(text)
    })
    .await?;
    ensure!(
        media_sequence(&after) >= media_sequence(&before_reconnect),
        "the media sequence went back:\n{after}"
    );
    ensure!(
        after.matches("#EXT-X-DISCONTINUITY\n").count() == 1,
        "one discontinuity is expected:\n{after}"
    );
    ensure!(
        api.get_event(&event.name).await?.state() == EventState::Live,
        "the event ended in between"
    );
    let (_, said) = encoder.stop().await?;
    ensure!(!said.contains("Error"), "ffmpeg said: {said}");
    let ended = tokio::time::timeout(SOON, until_state(&mut changes, EventState::Ended)).await??;
    ensure!(ended.end_time.is_some());
    let last_playlist = media_playlist(&playlist).await?;
    ensure!(
        last_playlist.contains("#EXT-X-ENDLIST"),
        "no ENDLIST:\n{last_playlist}"
    );
    let recorded = wait_for("the recording", SOON, async || {
        let path = api.get_event(&event.name).await.ok()?.recording_path;
        (!path.is_empty()).then(|| format!("{}{path}", place.pages))
    })
    .await?;
    recording_is_whole(&recorded).await?;

    // 8. Analytics equals what was sent.
    let counted = wait_for("analytics to count the view", SOON, async || {
        let summary = summary(&api, &creator, &event.name).await.ok()?;
        (summary.views == before.views + 1).then_some(summary)
    })
    .await?;
    ensure!(counted.unique_viewers == before.unique_viewers + 1, "{counted:?}");
    ensure!(counted.peak_concurrent_viewers >= 1, "{counted:?}");
    let seconds = |duration: Option<prost_types::Duration>| {
        duration.map_or(0.0, |duration| {
            duration.seconds as f64 + f64::from(duration.nanos) / 1e9
        })
    };
    let difference = seconds(counted.watched_time) - seconds(before.watched_time);
    let sent = watched.as_secs_f64();
    ensure!(
        (difference - sent).abs() < 0.5,
        "watched {sent} s, counted {difference} s"
    );
    Ok(())
}

async fn found(api: &Api, query: &str) -> Result<Vec<String>> {
    let search = SearchRequest {
        query: query.to_owned(),
        ..SearchRequest::default()
    };
    let results = api.search().search(search).await?.into_inner().results;
    Ok(results.into_iter().map(|result| result.name).collect())
}

async fn state_in_search(api: &Api, event: &str) -> Option<String> {
    let search = SearchRequest {
        query: "midnight".to_owned(),
        ..SearchRequest::default()
    };
    let results = api.search().search(search).await.ok()?.into_inner().results;
    results
        .into_iter()
        .find(|result| result.name == event)
        .map(|result| result.state)
}

/// The next notification of a kind: the reminder is due at once, and may come before it.
async fn notification_of(
    inbox: &mut Streaming<WatchNotificationsResponse>,
    kind: NotificationKind,
) -> Result<Notification> {
    loop {
        let next = tokio::time::timeout(SOON, inbox.message())
            .await
            .with_context(|| format!("no {kind:?} came"))??;
        let next = next
            .context("the inbox closed")?
            .notification
            .context("a message without a notification")?;
        if next.kind() == kind {
            return Ok(next);
        }
    }
}

async fn until_viewers(audience: &mut Streaming<WatchAudienceResponse>, viewers: i64) -> Result<()> {
    let wait = async {
        while let Some(message) = audience.message().await? {
            if message.audience.context("no audience")?.concurrent_viewers == viewers {
                return Ok(());
            }
        }
        anyhow::bail!("the audience stream closed")
    };
    tokio::time::timeout(Duration::from_secs(40), wait)
        .await
        .with_context(|| format!("never {viewers} viewers"))?
}

async fn summary(
    api: &Api,
    creator: &marquee_testkit::Person,
    event: &str,
) -> Result<marquee_proto::analytics::v1::EventSummary> {
    let get = GetEventSummaryRequest {
        event: event.to_owned(),
    };
    let answer = api
        .audience()
        .get_event_summary(creator.request(get))
        .await?
        .into_inner();
    answer.summary.context("no summary")
}

async fn stream_state(api: &Api, name: &str) -> i32 {
    let get = marquee_proto::video_ingest::v1::GetLiveStreamRequest {
        name: name.to_owned(),
    };
    let answer = api.live_streams().get_live_stream(get).await;
    answer.map_or(0, |answer| {
        answer.into_inner().live_stream.unwrap_or_default().state
    })
}

async fn playable(playlist: &str) -> Result<()> {
    wait_until("the playlist", SOON, async || {
        media_playlist(playlist)
            .await
            .is_ok_and(|text| segments(&text) > 0)
    })
    .await
}

/// The media playlist beside a multivariant one.
async fn media_playlist(multivariant: &str) -> Result<String> {
    let answer = http::get(&multivariant.replace("index.m3u8", "media.m3u8")).await?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
    Ok(answer.body)
}

fn media_sequence(playlist: &str) -> u64 {
    let tag = playlist
        .lines()
        .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
    tag.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn segments(playlist: &str) -> u64 {
    playlist
        .lines()
        .filter(|line| line.starts_with("segment-"))
        .count() as u64
}

/// Every picture of both connections is there, in order, and all of it decodes.
async fn recording_is_whole(url: &str) -> Result<()> {
    let text = media_playlist(url).await?;
    ensure!(
        text.contains("#EXT-X-PLAYLIST-TYPE:VOD") && text.contains("#EXT-X-ENDLIST"),
        "no recording:\n{text}"
    );
    ensure!(
        media_sequence(&text) == 0,
        "the recording does not begin with the first segment:\n{text}"
    );
    let listed: f64 = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix("#EXTINF:")?
                .trim_end_matches(',')
                .parse::<f64>()
                .ok()
        })
        .sum();
    let decoded = ffmpeg::decode(url, None).await?;
    let expected = listed * f64::from(ffmpeg::FRAME_RATE);
    ensure!(
        (decoded as f64 - expected).abs() <= 5.0,
        "{listed} s are listed, {decoded} pictures were decoded"
    );
    Ok(())
}
