use marquee_proto::events::v1 as proto;
use marquee_proto::events::v1::EventState;
use marquee_proto::events::v1::event_changed::Change;
use tonic::Code;

use super::fixture::{Fixture, create, event, fields, reason, started};

pub(crate) fn update(event: proto::Event, paths: &[&str]) -> proto::UpdateEventRequest {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    proto::UpdateEventRequest {
        event: Some(event),
        update_mask: Some(prost_types::FieldMask { paths }),
    }
}

fn cancel(event: &proto::Event) -> proto::CancelEventRequest {
    proto::CancelEventRequest {
        name: event.name.clone(),
        etag: String::new(),
    }
}

#[tokio::test]
async fn a_scheduled_event_can_be_read_and_is_published_with_its_channel() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let scheduled = fixture.schedule(&channel, event("Late night", 3_600)).await;
    assert_eq!(scheduled.state(), EventState::Scheduled);
    assert_eq!(scheduled.visibility(), proto::Visibility::Public);
    assert_eq!(fixture.get(&scheduled.name).await, scheduled);

    let published = fixture
        .published::<proto::EventChanged>(|events| !events.is_empty())
        .await;
    let Some(Change::Scheduled(change)) = &published[0].change else {
        panic!("{published:?}")
    };
    assert_eq!(
        (change.event.as_ref(), change.channel.as_ref()),
        (Some(&scheduled), Some(&channel))
    );
}

#[tokio::test]
async fn everything_wrong_with_an_event_is_told_at_once() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let wrong = proto::Event {
        visibility: 9,
        genre: "g".repeat(41),
        ..Default::default()
    };
    let request = proto::CreateEventRequest {
        parent: "jazz".into(),
        request_id: "seven".into(),
        ..create(&channel, wrong)
    };
    let refused = fixture
        .events()
        .create_event(fixture.of("creator", request))
        .await
        .unwrap_err();
    assert_eq!(
        fields(&refused),
        [
            "request_id",
            "parent",
            "event.title",
            "event.scheduled_start_time",
            "event.genre",
            "event.visibility"
        ]
    );
}

#[tokio::test]
async fn strangers_do_not_learn_which_events_a_channel_has() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let unknown = proto::Event {
        name: format!("{}/events/none", channel.name),
        ..event("x", 60)
    };
    let request = update(unknown.clone(), &["title"]);
    let denied = fixture
        .events()
        .update_event(fixture.of("other", request.clone()))
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let denied = fixture
        .events()
        .cancel_event(fixture.of("other", cancel(&unknown)))
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let denied = fixture
        .events()
        .create_event(fixture.of("other", create(&channel, event("x", 60))))
        .await;
    assert_eq!(denied.unwrap_err().code(), Code::PermissionDenied);

    let missing = fixture
        .events()
        .update_event(fixture.of("creator", request))
        .await
        .unwrap_err();
    assert_eq!(
        (missing.code(), reason(&missing).as_str()),
        (Code::NotFound, "EVENT_NOT_FOUND")
    );
}

#[tokio::test]
async fn an_update_with_a_stale_etag_is_refused_and_changes_nothing() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let mut read = fixture.schedule(&channel, event("First", 3_600)).await;
    read.title = "Second".into();
    let changed = fixture
        .events()
        .update_event(fixture.of("creator", update(read.clone(), &["title"])))
        .await;
    let changed = changed.unwrap().into_inner().event.unwrap();
    assert_eq!(
        (changed.title.as_str(), changed.genre.as_str()),
        ("Second", "music")
    );

    read.title = "Third".into();
    let stale = fixture
        .events()
        .update_event(fixture.of("creator", update(read.clone(), &["title"])))
        .await;
    assert_eq!(reason(&stale.unwrap_err()), "ETAG_MISMATCH");
    assert_eq!(fixture.get(&read.name).await, changed);
}

#[tokio::test]
async fn output_only_fields_can_not_be_changed() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let scheduled = fixture.schedule(&channel, event("First", 3_600)).await;
    let request = fixture.of("creator", update(scheduled, &["state"]));
    assert_eq!(
        fields(&fixture.events().update_event(request).await.unwrap_err()),
        ["update_mask"]
    );
}

#[tokio::test]
async fn a_cancelled_event_is_over() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let scheduled = fixture.schedule(&channel, event("Late night", 3_600)).await;
    let cancelled = fixture
        .events()
        .cancel_event(fixture.of("creator", cancel(&scheduled)))
        .await
        .unwrap();
    assert_eq!(
        cancelled.into_inner().event.unwrap().state(),
        EventState::Cancelled
    );

    let again = fixture
        .events()
        .cancel_event(fixture.of("creator", cancel(&scheduled)))
        .await
        .unwrap_err();
    assert_eq!(
        (again.code(), reason(&again).as_str()),
        (Code::FailedPrecondition, "EVENT_NOT_SCHEDULED")
    );
    let change = proto::Event {
        name: scheduled.name,
        title: "x".into(),
        ..Default::default()
    };
    let late = fixture
        .events()
        .update_event(fixture.of("creator", update(change, &["title"])))
        .await
        .unwrap_err();
    assert_eq!(
        (late.code(), reason(&late).as_str()),
        (Code::FailedPrecondition, "EVENT_OVER")
    );
}

#[tokio::test]
async fn a_replayed_request_schedules_one_event() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let request = proto::CreateEventRequest {
        request_id: "0d9b6a3e-94a8-4a4c-8a0b-5a3f8f1b2c3d".into(),
        ..create(&channel, event("Once", 60))
    };
    let (mut left, mut right) = (fixture.events(), fixture.events());
    let (one, two) = tokio::join!(
        left.create_event(fixture.of("creator", request.clone())),
        right.create_event(fixture.of("creator", request)),
    );
    assert_eq!(one.unwrap().into_inner(), two.unwrap().into_inner());
    assert_eq!(
        fixture
            .titles(tonic::Request::new(proto::ListEventsRequest::default()))
            .await,
        ["Once"]
    );
}

#[tokio::test]
async fn an_event_long_due_is_overdue() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let late = fixture.schedule(&channel, event("Late", -61)).await;
    let due = fixture.schedule(&channel, event("Due", -1)).await;
    assert!(fixture.get(&late.name).await.overdue);
    assert!(!fixture.get(&due.name).await.overdue);
}

#[tokio::test]
async fn a_watcher_sees_the_event_as_it_is_and_after_each_change() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let scheduled = fixture.schedule(&channel, event("First", 3_600)).await;
    let request = proto::WatchEventRequest {
        name: scheduled.name.clone(),
    };
    let mut watch = fixture.events().watch_event(request).await.unwrap().into_inner();
    assert_eq!(
        watch.message().await.unwrap().unwrap().event,
        Some(scheduled.clone())
    );

    let change = proto::Event {
        title: "Second".into(),
        ..scheduled.clone()
    };
    fixture
        .events()
        .update_event(fixture.of("creator", update(change, &["title"])))
        .await
        .unwrap();
    assert_eq!(
        watch.message().await.unwrap().unwrap().event.unwrap().title,
        "Second"
    );

    fixture.publish("s1", &started(&channel, "s1")).await;
    assert_eq!(
        watch.message().await.unwrap().unwrap().event.unwrap().state(),
        EventState::Live
    );
}

#[tokio::test]
async fn a_watch_ends_with_a_reason_when_the_service_stops() {
    let fixture = Fixture::start().await;
    let channel = fixture.create_channel("jazz").await;
    let scheduled = fixture.schedule(&channel, event("First", 3_600)).await;
    let request = proto::WatchEventRequest { name: scheduled.name };
    let mut watch = fixture.events().watch_event(request).await.unwrap().into_inner();
    watch.message().await.unwrap();
    fixture.shut_down();
    assert_eq!(watch.message().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn an_unknown_event_is_not_found_and_can_not_be_watched() {
    let fixture = Fixture::start().await;
    let name = "channels/c/events/none".to_owned();
    let missing = fixture
        .events()
        .get_event(proto::GetEventRequest { name: name.clone() })
        .await
        .unwrap_err();
    assert_eq!(
        (missing.code(), reason(&missing).as_str()),
        (Code::NotFound, "EVENT_NOT_FOUND")
    );
    let missing = fixture
        .events()
        .watch_event(proto::WatchEventRequest { name })
        .await
        .unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let ill_formed = proto::GetEventRequest {
        name: "events/none".into(),
    };
    assert_eq!(
        fields(&fixture.events().get_event(ill_formed).await.unwrap_err()),
        ["name"]
    );
}

#[tokio::test]
async fn everything_wrong_with_an_update_is_told_at_once() {
    let fixture = Fixture::start().await;
    let request = proto::UpdateEventRequest {
        event: Some(proto::Event {
            name: "people/jazz".into(),
            visibility: 77,
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["state".into(), "title".into(), "visibility".into()],
        }),
    };
    let request = fixture.of("creator", request);
    let wrong = fixture.events().update_event(request).await.unwrap_err();
    assert_eq!(
        fields(&wrong),
        ["event.name", "update_mask", "event.title", "event.visibility"]
    );
}
