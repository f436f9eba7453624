//! What is kept of beacons: peaks of long ago, peaks that could not be stored at once, and not every session for ever.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use marquee_analytics::domain::Rules;
use marquee_bus::embedded::{Embedded, Options};
use marquee_bus::{EventBus as _, Polled, dead_letters};
use marquee_proto::analytics::v1 as proto;
use marquee_proto::analytics::v1::PlaybackState::{self, Ended, Playing, Starting};
use marquee_proto::time::to_proto;
use marquee_proto::topic::PLAYBACK;

use crate::fixture::{EVENT, Fixture, PATIENCE, beacon};

/// A beacon that was acknowledged so many seconds ago.
fn acknowledged(session: u128, sequence: i64, ago: i64, state: PlaybackState) -> proto::PlaybackReported {
    proto::PlaybackReported {
        beacon: Some(beacon(session, sequence, ago, state)),
        receive_time: Some(to_proto(Timestamp::now() - SignedDuration::from_secs(ago))),
        ..proto::PlaybackReported::default()
    }
}

async fn publish(bus: &Embedded, reports: Vec<proto::PlaybackReported>) {
    let outgoing = reports.into_iter().map(|report| {
        let viewer = report.beacon.as_ref().unwrap().viewer_id.clone();
        marquee_bus::event(viewer, &report)
    });
    bus.publish(outgoing.collect()).await.unwrap();
}

async fn until(mut enough: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !enough().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .expect("within patience");
}

#[tokio::test(flavor = "multi_thread")]
async fn beacons_that_are_folded_long_after_they_came_make_the_peak_that_there_was() {
    let folder = tempfile::tempdir().unwrap();
    {
        // Two hours ago 40 viewers, in most partitions; an hour ago 20, then 30 others, ten of whom stay while 5 more come.
        let bus = Embedded::open(&folder.path().join("bus"), Options::default()).unwrap();
        bus.declare(&[PLAYBACK]).await.unwrap();
        let visits = |sessions: std::ops::Range<u128>, from: i64, until: i64| {
            sessions.flat_map(move |n| {
                [
                    acknowledged(n, 1, from, Playing),
                    acknowledged(n, 2, until, Ended),
                ]
            })
        };
        let most = visits(500..540, 7_200, 7_190);
        let first = visits(100..120, 3_600, 3_590);
        let second = visits(200..220, 3_589, 3_580).chain(visits(300..310, 3_589, 3_575));
        let third = visits(400..405, 3_578, 3_570);
        publish(&bus, most.chain(first).chain(second).chain(third).collect()).await;
    }
    let fixture = Fixture::start_in(folder.path(), Rules::default()).await;
    let summary = fixture
        .summary_when(|summary| summary.views == 95 && summary.peak_concurrent_viewers > 0)
        .await;
    assert_eq!(summary.peak_concurrent_viewers, 40);
    let request = proto::GetAudienceRequest { event: EVENT.into() };
    let now = fixture.audiences().get_audience(request).await.unwrap();
    assert_eq!(now.into_inner().audience.unwrap().concurrent_viewers, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_stopped_while_it_catches_up_still_finds_the_peak_that_there_was() {
    let folder = tempfile::tempdir().unwrap();
    {
        let bus = Embedded::open(&folder.path().join("bus"), Options::default()).unwrap();
        bus.declare(&[PLAYBACK]).await.unwrap();
        // An hour ago 40 viewers met, in most partitions, and left.
        let visits = (500..540).flat_map(|n| {
            [
                acknowledged(n, 1, 3_600, Playing),
                acknowledged(n, 2, 3_590, Ended),
            ]
        });
        publish(&bus, visits.collect()).await;
    }
    let fixture = Fixture::start_in(folder.path(), Rules::default()).await;
    fixture.summary_when(|summary| summary.views == 40).await;
    fixture.stop().await;
    // As if it had been killed when half of the partitions were folded: the others are where they began, and no peak was
    // told yet.
    {
        let database = rusqlite::Connection::open(folder.path().join("analytics/analytics.sqlite")).unwrap();
        let unfold = "
            DELETE FROM event_peak;
            DELETE FROM event_viewer WHERE viewer IN (SELECT viewer FROM session WHERE partition % 2 = 1);
            DELETE FROM session WHERE partition % 2 = 1;
            DELETE FROM event_totals WHERE partition % 2 = 1;
            DELETE FROM partition_progress WHERE partition % 2 = 1;";
        database.execute_batch(unfold).unwrap();
        let left: i64 = database
            .query_row("SELECT count(*) FROM session", [], |row| row.get(0))
            .unwrap();
        assert!((1..40).contains(&left), "{left} of 40 in even partitions");
    }
    let fixture = Fixture::start_in(folder.path(), Rules::default()).await;
    let summary = fixture
        .summary_when(|summary| summary.views == 40 && summary.peak_concurrent_viewers > 0)
        .await;
    assert_eq!(summary.peak_concurrent_viewers, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_could_not_be_stored_at_once_makes_its_peak() {
    let fixture = Fixture::start().await;
    let database = fixture.database();
    let refuse =
        "CREATE TRIGGER full BEFORE UPDATE ON partition_progress BEGIN SELECT RAISE(ABORT, 'full'); END";
    database.execute_batch(refuse).unwrap();
    fixture.send(vec![beacon(1, 1, 0, Playing)]).await;
    // Seen, and not stored.
    until(async || {
        let request = proto::GetAudienceRequest { event: EVENT.into() };
        let audience = fixture.audiences().get_audience(request).await.unwrap();
        audience.into_inner().audience.unwrap().concurrent_viewers == 1
    })
    .await;
    assert_eq!(fixture.summary().await.views, 0);
    database.execute_batch("DROP TRIGGER full").unwrap();

    let summary = fixture.summary_when(|summary| summary.views == 1).await;
    assert_eq!(summary.peak_concurrent_viewers, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_store_refuses_goes_to_the_dead_letters_and_the_others_are_counted() {
    let fixture = Fixture::start().await;
    let refuse = "CREATE TRIGGER poison BEFORE INSERT ON session WHEN NEW.viewer = 'viewer-13'
                  BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    fixture.database().execute_batch(refuse).unwrap();
    // One key, so that they are in one partition and its batch.
    let reports = (10..16).map(|n| {
        let report = acknowledged(n, 1, 0, Playing);
        marquee_bus::event("all", &report)
    });
    fixture.bus.publish(reports.collect()).await.unwrap();

    let summary = fixture.summary_when(|summary| summary.views == 5).await;
    assert_eq!(summary.unique_viewers, 5);
    let dead = dead_letters(&PLAYBACK);
    let mut subscription = fixture.bus.subscribe("test", &[dead]).await.unwrap();
    let letter = loop {
        if let Polled::Records(mut records) = subscription.poll(10).await.unwrap() {
            break records.remove(0);
        }
    };
    drop(subscription);
    assert_eq!(letter.message.attribute("dead_letter_offset"), Some("3"));
    let reason = letter.message.attribute("dead_letter_reason").unwrap();
    assert!(reason.contains("not this one"), "{reason}");
    let buried: u64 = fixture.bus.end_offsets(&dead).await.unwrap().iter().sum();
    assert_eq!(buried, 1);
    let (ledger, produced) = fixture.ledger_of(6).await;
    assert_eq!((ledger.counted, ledger.malformed, produced), (5, 1, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_everything_shows_in_readiness_and_buries_nothing() {
    let fixture = Fixture::start().await;
    let database = fixture.database();
    let refuse = "CREATE TRIGGER full BEFORE INSERT ON partition_progress BEGIN SELECT RAISE(ABORT, 'broken'); END;
                  CREATE TRIGGER fuller BEFORE UPDATE ON partition_progress BEGIN SELECT RAISE(ABORT, 'broken'); END";
    database.execute_batch(refuse).unwrap();
    fixture.send(vec![beacon(1, 1, 0, Playing)]).await;
    until(async || {
        let (status, body) = fixture.readiness().await;
        status == 503 && body.contains("analytics/fold") && body.contains("broken")
    })
    .await;
    database
        .execute_batch("DROP TRIGGER full; DROP TRIGGER fuller")
        .unwrap();

    fixture.summary_when(|summary| summary.views == 1).await;
    until(async || fixture.readiness().await.0 == 200).await;
    let dead = dead_letters(&PLAYBACK);
    assert_eq!(
        fixture.bus.end_offsets(&dead).await.unwrap().iter().sum::<u64>(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_let_go_after_a_day_of_silence_and_what_it_counted_stays() {
    let fixture = Fixture::start().await;
    const DAY: i64 = 24 * 3_600;
    let old = [
        (1, DAY + 60, Starting),
        (2, DAY + 60, Playing),
        (3, DAY - 60, Starting),
    ]
    .map(|(session, ago, state)| acknowledged(session, 1, ago, state));
    publish(&fixture.bus, old.to_vec()).await;
    let kept = || -> i64 {
        let rows = "SELECT count(*) FROM session";
        fixture.database().query_row(rows, [], |row| row.get(0)).unwrap()
    };
    fixture.summary_when(|summary| summary.views == 3).await;
    until(async || kept() == 1).await;

    let summary = fixture.summary().await;
    assert_eq!((summary.views, summary.unique_viewers), (3, 3));
    assert_eq!(summary.exits_before_start, 2, "one swept, one silent for an hour");

    // The same beacon once more is the same view, as long as the session is kept.
    publish(
        &fixture.bus,
        vec![acknowledged(3, 1, 0, Starting), acknowledged(4, 1, 0, Playing)],
    )
    .await;
    assert_eq!(fixture.summary_when(|summary| summary.views >= 4).await.views, 4);
}
