use marquee_bus::{EventBus as _, Message, Outgoing, Polled, dead_letters};
use marquee_proto::analytics::v1 as proto;
use marquee_proto::analytics::v1::PlaybackState::{Ended, Playing, Starting};
use marquee_proto::topic::PLAYBACK;
use tonic::Code;

use crate::fixture::{AWAY, EVENT, Fixture, beacon};

#[tokio::test(flavor = "multi_thread")]
async fn ill_formed_beacons_of_a_batch_are_named_and_the_others_are_taken() {
    let fixture = Fixture::start().await;
    let wrong = proto::Beacon {
        session_id: "x".into(),
        sequence_number: 0,
        ..beacon(2, 1, 0, Playing)
    };
    let answer = fixture
        .send(vec![beacon(1, 1, 0, Playing), wrong, beacon(3, 1, 0, Playing)])
        .await;
    assert_eq!(answer.accepted, 2);
    assert_eq!(answer.rejected.len(), 1);
    assert_eq!(answer.rejected[0].index, 1);
    assert_eq!(
        answer.rejected[0].reason,
        "session_id must be a UUID; sequence_number must be 1 or more"
    );
    fixture.summary_when(|summary| summary.views == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beacons_of_an_event_that_does_not_exist_are_rejected_and_leave_nothing() {
    let fixture = Fixture::start().await;
    let of = |event: String| proto::Beacon {
        event,
        ..beacon(1, 1, 0, Playing)
    };
    let mut beacons: Vec<_> = (0..100)
        .map(|n| of(format!("channels/c/events/none-{n}")))
        .collect();
    beacons.push(of(EVENT.into()));
    let answer = fixture.send(beacons.clone()).await;
    assert_eq!((answer.accepted, answer.rejected.len()), (1, 100));
    assert_eq!(answer.rejected[99].index, 99);
    assert_eq!(answer.rejected[0].reason, "event must be an event that exists");
    assert!(
        fixture.asked() <= 17,
        "{} questions for one request",
        fixture.asked()
    );

    let messages = beacons
        .into_iter()
        .map(|beacon| proto::StreamBeaconsRequest { beacon: Some(beacon) });
    let answer = fixture
        .beacons()
        .stream_beacons(futures::stream::iter(messages))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((answer.accepted, answer.rejected), (1, 100));
    let (_, produced) = fixture.ledger_of(2).await;
    assert_eq!(produced, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn beacons_are_taken_while_the_events_service_is_away() {
    let fixture = Fixture::start().await;
    let away = proto::Beacon {
        event: AWAY.into(),
        ..beacon(1, 1, 0, Playing)
    };
    assert_eq!(fixture.send(vec![away]).await.accepted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_more_than_five_hundred_is_refused() {
    let fixture = Fixture::start().await;
    let beacons = (1..=501).map(|n| beacon(1, n, 0, Playing)).collect();
    let status = fixture
        .beacons()
        .send_beacons(proto::SendBeaconsRequest { beacons })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_answered_with_what_was_taken_and_what_was_not() {
    let fixture = Fixture::start().await;
    let messages = (1..=1_000).map(|n| {
        let viewer_id = if n % 10 == 0 { String::new() } else { "v".into() };
        let beacon = proto::Beacon {
            viewer_id,
            ..beacon(1, n, 0, Playing)
        };
        proto::StreamBeaconsRequest { beacon: Some(beacon) }
    });
    let answer = fixture
        .beacons()
        .stream_beacons(futures::stream::iter(messages))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((answer.accepted, answer.rejected), (900, 100));
    let ends: u64 = fixture
        .bus
        .end_offsets(&PLAYBACK)
        .await
        .unwrap()
        .into_iter()
        .sum();
    assert_eq!(ends, 900, "on the bus by the time of the answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_sent_again_counts_once_and_everything_is_accounted_for() {
    let fixture = Fixture::start().await;
    let batch = vec![
        beacon(1, 1, 30, Starting),
        beacon(1, 2, 29, Playing),
        beacon(1, 3, 9, Ended),
    ];
    for _ in 0..3 {
        fixture.send(batch.clone()).await;
    }
    fixture.send(vec![beacon(2, 1, 0, Playing)]).await;
    let summary = fixture.summary_when(|summary| summary.views == 2).await;
    assert_eq!(summary.watched_time.unwrap().seconds, 21);
    let (ledger, produced) = fixture.ledger_of(10).await;
    assert_eq!((ledger.counted, ledger.duplicate, produced), (4, 6, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_read_goes_to_the_dead_letters_and_is_accounted_for() {
    let fixture = Fixture::start().await;
    let garbage = Message {
        key: "viewer-1".into(),
        value: vec![0xff].into(),
        ..Message::default()
    };
    fixture
        .bus
        .publish(vec![Outgoing {
            topic: PLAYBACK.name.into(),
            message: garbage,
        }])
        .await
        .unwrap();
    fixture.send(vec![beacon(1, 1, 0, Playing)]).await;
    fixture.summary_when(|summary| summary.views == 1).await;

    let mut subscription = fixture
        .bus
        .subscribe("test", &[dead_letters(&PLAYBACK)])
        .await
        .unwrap();
    let letter = loop {
        if let Polled::Records(mut records) = subscription.poll(10).await.unwrap() {
            break records.remove(0);
        }
    };
    assert_eq!(letter.message.attribute("dead_letter_offset"), Some("0"));
    drop(subscription);
    let (ledger, produced) = fixture.ledger_of(2).await;
    assert_eq!((ledger.counted, ledger.malformed, produced), (1, 1, 2));
}
