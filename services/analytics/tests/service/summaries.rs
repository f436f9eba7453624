use marquee_auth::Role;
use marquee_bus::EventBus as _;
use marquee_proto::analytics::v1 as proto;
use marquee_proto::analytics::v1::PlaybackState::{Ended, Failed, Paused, Playing, Rebuffering, Starting};
use marquee_proto::events::v1 as events;
use tonic::Code;

use crate::fixture::{EVENT, Fixture, beacon};

fn seconds(duration: Option<prost_types::Duration>) -> f64 {
    let duration = duration.unwrap();
    duration.seconds as f64 + f64::from(duration.nanos) / 1e9
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_equals_what_was_sent() {
    let fixture = Fixture::start().await;
    // One view: 2 s of startup, 60 s of video, 10 s of stall, 30 s of pause.
    let mut view = vec![
        beacon(1, 1, 110, Starting),
        beacon(1, 2, 108, Playing),
        beacon(1, 3, 78, Rebuffering),
        beacon(1, 4, 68, Playing),
        beacon(1, 5, 58, Paused),
        beacon(1, 6, 28, Playing),
        beacon(1, 7, 8, Ended),
    ];
    let now = view[0].time.unwrap();
    for (beacon, at) in view.iter_mut().zip([0, 2, 32, 42, 52, 82, 102]) {
        beacon.time = Some(prost_types::Timestamp {
            seconds: now.seconds + at,
            ..now
        });
    }
    // The same viewer again, who leaves before the first frame; another who gets an error.
    let left = [beacon(2, 1, 5, Starting), beacon(2, 2, 1, Ended)].map(|beacon| proto::Beacon {
        viewer_id: "viewer-1".into(),
        time: Some(now),
        ..beacon
    });
    let failed = [beacon(3, 1, 5, Starting), beacon(3, 2, 1, Failed)].map(|beacon| proto::Beacon {
        time: Some(now),
        ..beacon
    });
    fixture.send(view).await;
    fixture.send([left, failed].concat()).await;

    let summary = fixture
        .summary_when(|summary| summary.exits_before_start + summary.start_failures == 2)
        .await;
    assert_eq!((summary.views, summary.unique_viewers), (3, 2));
    assert_eq!(
        (seconds(summary.watched_time), seconds(summary.playing_time)),
        (72.0, 60.0)
    );
    assert_eq!(seconds(summary.average_view_duration), 20.0);
    assert!((summary.rebuffer_ratio - 10.0 / 72.0).abs() < 1e-9);
    assert_eq!((summary.start_failures, summary.exits_before_start), (1, 1));
    assert_eq!(summary.peak_concurrent_viewers, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_is_for_the_owner_and_admins_and_nobody_else() {
    let fixture = Fixture::start().await;
    let get = async |account: &str, role, event: &str| {
        let request = fixture.of(
            account,
            role,
            proto::GetEventSummaryRequest { event: event.into() },
        );
        fixture
            .audiences()
            .get_event_summary(request)
            .await
            .map(drop)
            .map_err(|status| status.code())
    };
    assert_eq!(get("creator", Role::Viewer, EVENT).await, Ok(()));
    assert_eq!(get("root", Role::Admin, EVENT).await, Ok(()));
    assert_eq!(
        get("stranger", Role::Viewer, EVENT).await,
        Err(Code::PermissionDenied)
    );
    // Strangers do not learn what there is.
    assert_eq!(
        get("stranger", Role::Viewer, "channels/c/events/none").await,
        Err(Code::PermissionDenied)
    );
    assert_eq!(
        get("stranger", Role::Viewer, "channels/none/events/e").await,
        Err(Code::PermissionDenied)
    );
    assert_eq!(
        get("creator", Role::Viewer, "channels/c/events/none").await,
        Err(Code::NotFound)
    );
    assert_eq!(
        get("root", Role::Admin, "channels/none/events/e").await,
        Err(Code::NotFound)
    );

    let anonymous = proto::GetEventSummaryRequest { event: EVENT.into() };
    let status = fixture
        .audiences()
        .get_event_summary(anonymous)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_and_events_that_the_bus_told_of_need_no_events_service() {
    let fixture = Fixture::start().await;
    let channel = events::Channel {
        name: "channels/told".into(),
        owner: "accounts/teller".into(),
        ..events::Channel::default()
    };
    let event = events::Event {
        name: "channels/told/events/e".into(),
        ..events::Event::default()
    };
    let created = events::ChannelCreated {
        channel: Some(channel.clone()),
    };
    let created = events::ChannelChanged {
        change: Some(events::channel_changed::Change::Created(created)),
    };
    let scheduled = events::EventScheduled {
        event: Some(event),
        channel: Some(channel),
    };
    let scheduled = events::EventChanged {
        change: Some(events::event_changed::Change::Scheduled(scheduled)),
    };
    fixture
        .bus
        .declare(&[marquee_proto::topic::CHANNEL, marquee_proto::topic::EVENT])
        .await
        .unwrap();
    fixture
        .bus
        .publish(vec![
            marquee_bus::event("channels/told", &created),
            marquee_bus::event("channels/told/events/e", &scheduled),
        ])
        .await
        .unwrap();

    let asking = async {
        loop {
            let request = proto::GetEventSummaryRequest {
                event: "channels/told/events/e".into(),
            };
            let request = fixture.of("teller", Role::Viewer, request);
            if fixture.audiences().get_event_summary(request).await.is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(crate::fixture::PATIENCE, asking)
        .await
        .expect("known within patience");
}
