use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use marquee_analytics::Clock;
use marquee_analytics::domain::Rules;
use marquee_proto::analytics::v1 as proto;
use marquee_proto::analytics::v1::PlaybackState::{Ended, Paused, Playing, Starting};
use tonic::{Code, Streaming};

use crate::fixture::{EVENT, Fixture, PATIENCE, beacon};

async fn watch(fixture: &Fixture) -> Streaming<proto::WatchAudienceResponse> {
    let request = proto::WatchAudienceRequest { event: EVENT.into() };
    fixture
        .audiences()
        .watch_audience(request)
        .await
        .unwrap()
        .into_inner()
}

async fn next(audiences: &mut Streaming<proto::WatchAudienceResponse>) -> (i64, i64) {
    let message = tokio::time::timeout(PATIENCE, audiences.message())
        .await
        .expect("told within patience");
    let audience = message.unwrap().unwrap().audience.unwrap();
    (audience.concurrent_viewers, audience.peak_concurrent_viewers)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_the_audience_sees_a_viewer_come_pause_and_leave() {
    let fixture = Fixture::start().await;
    let mut audiences = watch(&fixture).await;
    assert_eq!(next(&mut audiences).await, (0, 0));
    fixture.send(vec![beacon(1, 1, 0, Starting)]).await;
    assert_eq!(next(&mut audiences).await, (1, 1));
    fixture.send(vec![beacon(1, 2, 0, Paused)]).await;
    assert_eq!(next(&mut audiences).await, (0, 1));
    fixture.send(vec![beacon(1, 3, 0, Playing)]).await;
    assert_eq!(next(&mut audiences).await, (1, 1));
    fixture.send(vec![beacon(1, 4, 0, Ended)]).await;
    assert_eq!(next(&mut audiences).await, (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_is_not_heard_of_any_more_is_gone() {
    let rules = Rules {
        gone_after: Duration::from_millis(400),
        ..Rules::default()
    };
    // Time stands still until it is told to go on.
    let (start, passed_ms) = (Timestamp::now(), Arc::new(AtomicI64::new(0)));
    let clock = Clock::new({
        let passed_ms = passed_ms.clone();
        move || start + SignedDuration::from_millis(passed_ms.load(Ordering::Relaxed))
    });
    let fixture = Fixture::start_with(rules, clock).await;
    let mut audiences = watch(&fixture).await;
    assert_eq!(next(&mut audiences).await, (0, 0));
    fixture.send(vec![beacon(1, 1, 0, Playing)]).await;
    assert_eq!(next(&mut audiences).await, (1, 1));
    passed_ms.store(400, Ordering::Relaxed);
    assert_eq!(next(&mut audiences).await, (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_peak_survives_a_restart_and_so_do_those_who_are_there() {
    let fixture = Fixture::start().await;
    let mut audiences = watch(&fixture).await;
    fixture
        .send((1..=3).map(|session| beacon(session, 1, 0, Playing)).collect())
        .await;
    while next(&mut audiences).await != (3, 3) {}
    fixture.send(vec![beacon(1, 2, 0, Ended)]).await;
    while next(&mut audiences).await != (2, 3) {}

    let fixture = fixture.restart(true).await;
    let mut audiences = watch(&fixture).await;
    while next(&mut audiences).await != (2, 3) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_in_a_moment_are_told_as_few() {
    let fixture = Fixture::start().await;
    let mut audiences = watch(&fixture).await;
    assert_eq!(next(&mut audiences).await, (0, 0));
    let started = std::time::Instant::now();
    let mut told = 0;
    let reading = async {
        while next(&mut audiences).await != (40, 40) {
            told += 1;
        }
    };
    let sending = async {
        for session in 1..=40 {
            fixture.send(vec![beacon(session, 1, 0, Playing)]).await;
        }
    };
    tokio::join!(reading, sending);
    let most = started.elapsed().as_millis() / 100 + 1;
    assert!(
        u128::try_from(told).unwrap() <= most,
        "{told} in {:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audience_now_is_answered_without_watching() {
    let fixture = Fixture::start().await;
    fixture.send(vec![beacon(1, 1, 0, Playing)]).await;
    fixture.summary_when(|summary| summary.views == 1).await;
    let request = proto::GetAudienceRequest { event: EVENT.into() };
    let audience = fixture
        .audiences()
        .get_audience(request)
        .await
        .unwrap()
        .into_inner()
        .audience
        .unwrap();
    assert_eq!(
        (audience.concurrent_viewers, audience.peak_concurrent_viewers),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audience_of_no_event_is_not_found_and_of_no_name_is_invalid() {
    let fixture = Fixture::start().await;
    let get = async |event: &str| {
        let request = proto::GetAudienceRequest { event: event.into() };
        fixture.audiences().get_audience(request).await.unwrap_err()
    };
    let missing = get("channels/c/events/other").await;
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(
        marquee_error::reason(&missing).as_deref(),
        Some("EVENT_NOT_FOUND")
    );
    assert_eq!(get("events/e").await.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_told_that_the_server_shuts_down() {
    let fixture = Fixture::start().await;
    let mut audiences = watch(&fixture).await;
    assert_eq!(next(&mut audiences).await, (0, 0));
    fixture.shut_down();
    let end = tokio::time::timeout(PATIENCE, audiences.message())
        .await
        .expect("ends within patience")
        .unwrap_err();
    assert_eq!(
        (end.code(), marquee_error::reason(&end).as_deref()),
        (Code::Unavailable, Some("SHUTTING_DOWN"))
    );
}
