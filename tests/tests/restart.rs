//! The whole process is killed in the middle of everything and started again: what was acknowledged is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use marquee_proto::analytics::v1::{Beacon, GetEventSummaryRequest, PlaybackState, SendBeaconsRequest};
use marquee_proto::events::v1::EventState;
use marquee_proto::notifications::v1::{
    GetUnreadCountRequest, ListNotificationsRequest, MarkReadRequest, NotificationKind,
};
use marquee_proto::subscriptions::v1::CreateFollowRequest;
use marquee_testkit::{Marquee, Person, ffmpeg, http, wait_for, wait_until};
use marquee_tests::{Api, until_state, uuid};

const SOON: Duration = Duration::from_secs(30);
const KILLS: usize = 3;

/// What clients were told is done.
#[derive(Default)]
struct Acknowledged {
    accounts: Vec<String>,
    events: Vec<String>,
    sessions: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_forgets_nothing_that_it_acknowledged() -> Result<()> {
    let mut marquee = Marquee::start(&["--reconnect-grace", "10", "--segment-duration", "1"]).await?;
    let result = story(&mut marquee).await;
    result.with_context(|| format!("the log of marquee:\n{}", marquee.log()))
}

async fn story(marquee: &mut Marquee) -> Result<()> {
    let api = Api::of(marquee).await?;
    let creator = api.register("nora@example.org", "Nora").await?;
    let channel = api.channel(&creator, "nightjazz", "Night Jazz").await?;
    let event = api.event(&creator, &channel, "Midnight Improvisation").await?;
    let key = api.stream_key(&creator, &channel).await?;
    let viewer = api.register("victor@example.org", "Victor").await?;
    let follow = CreateFollowRequest {
        parent: "accounts/me".into(),
        channel: channel.name.clone(),
    };
    api.follows().create_follow(viewer.request(follow)).await?;

    let publish_url = format!("{}/{key}", marquee.ready.rtmp);
    let mut changes = api.watch_event(&event.name).await?;
    let mut encoder = ffmpeg::publish(&publish_url, None)?;
    let live = tokio::time::timeout(SOON, until_state(&mut changes, EventState::Live)).await??;
    let playlist = format!("{}{}", marquee.ready.pages, live.playback_path).replace("index", "media");

    let mut acknowledged = Acknowledged::default();
    let mut listed = 0;
    for kill in 0..KILLS {
        let told =
            write_until_killed(marquee, &creator, &channel, &event.name, kill, &playlist, listed).await?;
        acknowledged.accounts.extend(told.accounts);
        acknowledged.events.extend(told.events);
        acknowledged.sessions.extend(told.sessions);
        let seen = newest(&playlist).await?;
        marquee.kill().await?;
        encoder.kill().await?;
        (encoder, listed) = go_on(marquee, &publish_url, &playlist, seen).await?;
    }

    let api = Api::of(marquee).await?;
    for email in &acknowledged.accounts {
        api.login(email)
            .await
            .with_context(|| format!("{email} was registered"))?;
    }
    for name in &acknowledged.events {
        api.get_event(name)
            .await
            .with_context(|| format!("{name} was scheduled"))?;
    }
    ensure!(
        api.get_event(&event.name).await?.state() == EventState::Live,
        "the event ended in between"
    );
    one_notification(&api, &viewer, &event.name).await?;
    views(&api, &creator, &event.name, acknowledged.sessions.len()).await?;

    // While the encoder is gone.
    let unread = mark_read(&api, &viewer).await?;
    encoder.kill().await?;
    let seen = newest(&playlist).await?;
    marquee.kill().await?;
    (encoder, listed) = go_on(marquee, &publish_url, &playlist, seen).await?;
    let api = Api::of(marquee).await?;
    ensure!(
        unread_count(&api, &viewer).await? == unread,
        "what was read is unread again"
    );

    // Between the end of the stream and its recording.
    encoder.stop().await?;
    marquee.kill().await?;
    marquee.restart().await?;
    let api = Api::of(marquee).await?;
    let recording = wait_for("the recording", SOON, async || {
        let path = api.get_event(&event.name).await.ok()?.recording_path;
        (!path.is_empty()).then(|| format!("{}{path}", marquee.ready.pages))
    })
    .await?;
    let text = http::get(&recording.replace("index", "media")).await?.body;
    ensure!(
        last_segment(&text) >= listed,
        "segments that were listed are not in the recording:\n{text}"
    );
    ensure!(
        text.matches("#EXT-X-DISCONTINUITY\n").count() == KILLS + 1,
        "one discontinuity a kill:\n{text}"
    );
    let seconds: f64 = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix("#EXTINF:")?
                .trim_end_matches(',')
                .parse::<f64>()
                .ok()
        })
        .sum();
    let decoded = ffmpeg::decode(&recording, None).await?;
    let expected = seconds * f64::from(ffmpeg::FRAME_RATE);
    ensure!(
        (decoded as f64 - expected).abs() <= 10.0,
        "{seconds} s are listed, {decoded} pictures decoded"
    );
    Ok(())
}

/// The newest segment that the live playlist lists.
async fn newest(playlist: &str) -> Result<u64> {
    Ok(last_segment(&http::get(playlist).await?.body))
}

/// Starts again, publishes again, and waits until what the new encoder sends is listed.
async fn go_on(
    marquee: &mut Marquee,
    publish_url: &str,
    playlist: &str,
    seen: u64,
) -> Result<(ffmpeg::Encoder, u64)> {
    marquee.restart().await?;
    // Nobody publishes: nothing moves.
    let kept = newest(playlist).await?;
    ensure!(kept >= seen, "{seen} segments were listed, {kept} are left");
    let encoder = ffmpeg::publish(publish_url, None)?;
    wait_until("the same playlist to go on", SOON, async || {
        newest(playlist).await.is_ok_and(|newest| newest > kept)
    })
    .await?;
    Ok((encoder, kept))
}

/// Registers, schedules and watches as fast as it goes, until three new segments are listed; returns what was answered.
async fn write_until_killed(
    marquee: &Marquee,
    creator: &Person,
    channel: &marquee_proto::events::v1::Channel,
    event: &str,
    kill: usize,
    playlist: &str,
    listed: u64,
) -> Result<Acknowledged> {
    let enough = Arc::new(AtomicBool::new(false));
    let api = Api::of(marquee).await?;
    let writing = {
        let (enough, creator, channel, event) =
            (enough.clone(), creator.clone(), channel.clone(), event.to_owned());
        async move {
            let mut told = Acknowledged::default();
            for number in 0.. {
                let email = format!("viewer-{kill}-{number}@example.org");
                if number < 20 && api.register(&email, "Somebody").await.is_ok() {
                    told.accounts.push(email);
                }
                if let Ok(event) = api
                    .event(&creator, &channel, &format!("Session {kill}.{number}"))
                    .await
                {
                    told.events.push(event.name);
                }
                let session = uuid();
                if api
                    .beacons()
                    .send_beacons(beacons(&session, &event))
                    .await
                    .is_ok()
                {
                    told.sessions.push(session);
                }
                if enough.load(Ordering::Relaxed) {
                    break;
                }
            }
            told
        }
    };
    let watching = async {
        wait_until("three more segments", SOON, async || {
            http::get(playlist)
                .await
                .is_ok_and(|answer| last_segment(&answer.body) >= listed + 3)
        })
        .await?;
        enough.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let (told, watched) = tokio::join!(writing, watching);
    watched?;
    Ok(told)
}

fn beacons(session: &str, event: &str) -> SendBeaconsRequest {
    let beacon = |number: i64, state: PlaybackState| Beacon {
        session_id: session.to_owned(),
        sequence_number: number,
        event: event.to_owned(),
        viewer_id: session.to_owned(),
        time: Some(marquee_proto::time::to_proto(jiff::Timestamp::now())),
        state: state.into(),
        device: "tv".into(),
        platform: "test".into(),
        ..Beacon::default()
    };
    SendBeaconsRequest {
        beacons: vec![
            beacon(1, PlaybackState::Starting),
            beacon(2, PlaybackState::Playing),
        ],
    }
}

/// The follower was told once, however often the process was killed.
async fn one_notification(api: &Api, viewer: &Person, event: &str) -> Result<()> {
    let mut inbox = Vec::new();
    let mut page_token = String::new();
    loop {
        let list = ListNotificationsRequest {
            parent: "accounts/me".into(),
            page_size: 200,
            page_token,
            ..ListNotificationsRequest::default()
        };
        let page = api
            .inbox()
            .list_notifications(viewer.request(list))
            .await?
            .into_inner();
        inbox.extend(page.notifications);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let live = inbox
        .iter()
        .filter(|n| n.kind() == NotificationKind::EventLive && n.event == event)
        .count();
    ensure!(live == 1, "{live} notifications of the live event: {inbox:#?}");
    Ok(())
}

/// Marks all as read, and returns how many the server says are unread then.
async fn mark_read(api: &Api, viewer: &Person) -> Result<i64> {
    let mark = MarkReadRequest {
        parent: "accounts/me".into(),
        all: true,
        ..MarkReadRequest::default()
    };
    Ok(api
        .inbox()
        .mark_read(viewer.request(mark))
        .await?
        .into_inner()
        .unread_count)
}

async fn unread_count(api: &Api, viewer: &Person) -> Result<i64> {
    let get = GetUnreadCountRequest {
        parent: "accounts/me".into(),
    };
    Ok(api
        .inbox()
        .get_unread_count(viewer.request(get))
        .await?
        .into_inner()
        .unread_count)
}

/// Every acknowledged session is one view, and there is no other.
async fn views(api: &Api, creator: &Person, event: &str, sessions: usize) -> Result<()> {
    let sessions = i64::try_from(sessions)?;
    let mut counted = -1;
    let all = wait_until("all views", SOON, async || {
        let get = GetEventSummaryRequest {
            event: event.to_owned(),
        };
        if let Ok(answer) = api.audience().get_event_summary(creator.request(get)).await {
            counted = answer.into_inner().summary.unwrap_or_default().views;
        }
        counted == sessions
    });
    all.await
        .with_context(|| format!("{sessions} sessions were acknowledged, {counted} views counted"))
}

/// The number of the newest segment in a playlist, by its name, from 1.
fn last_segment(playlist: &str) -> u64 {
    let name = |line: &str| {
        line.strip_prefix("segment-")?
            .strip_suffix(".m4s")?
            .parse::<u64>()
            .ok()
    };
    playlist
        .lines()
        .filter_map(name)
        .next_back()
        .map_or(0, |last| last + 1)
}
