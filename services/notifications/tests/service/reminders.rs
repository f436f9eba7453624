use std::time::Duration;

use jiff::SignedDuration;
use marquee_proto::events::v1::EventState;
use marquee_proto::notifications::v1::NotificationKind;
use marquee_proto::time::{from_proto, to_proto};

use super::fixture::{Fixture, changed, event, eventually, next, then};

const TEN_MINUTES: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_reminder_fires_its_lead_time_before_the_start() {
    let fixture = Fixture::start().await;
    let mut soon = event("e", 600);
    // Due in half a second.
    let start = from_proto(&soon.scheduled_start_time.unwrap()).unwrap() + SignedDuration::from_millis(500);
    soon.scheduled_start_time = Some(to_proto(start));
    fixture.publish(&soon.name, &changed(&soon)).await;
    let mut watch = fixture.watch("viewer", "").await.unwrap();
    next(&mut watch).await;
    fixture.remind("viewer", "r", &soon.name, TEN_MINUTES).await;
    let told = next(&mut watch).await.notification.unwrap();
    assert_eq!(told.kind(), NotificationKind::EventReminder);
    assert_eq!(
        (told.title.as_str(), told.body.as_str()),
        ("Event e starts soon", "Jazz starts in 10 minutes")
    );
    assert!(jiff::Timestamp::now() >= start - SignedDuration::from_mins(10));
}

#[tokio::test]
async fn a_reminder_that_is_heard_of_before_its_event_fires() {
    let fixture = Fixture::start().await;
    fixture
        .remind("viewer", "r", "channels/c/events/e", TEN_MINUTES)
        .await;
    let soon = event("e", 300);
    fixture.publish(&soon.name, &changed(&soon)).await;
    assert_eq!(fixture.titles("viewer", 1).await, ["Event e starts soon"]);
}

#[tokio::test]
async fn a_reminder_moves_with_its_event() {
    let fixture = Fixture::start().await;
    let later = event("e", 36_000);
    fixture.publish(&later.name, &changed(&later)).await;
    fixture.remind("viewer", "r", &later.name, TEN_MINUTES).await;
    assert!(fixture.list("viewer").await.is_empty());

    let mut sooner = then(&later, EventState::Scheduled);
    sooner.scheduled_start_time = event("e", 300).scheduled_start_time;
    fixture.publish(&sooner.name, &changed(&sooner)).await;
    let mut titles = fixture.titles("viewer", 2).await;
    titles.sort();
    assert_eq!(titles, ["Event e has a new time", "Event e starts soon"]);
}

#[tokio::test]
async fn a_reminder_missed_while_the_service_was_down_fires_once_when_it_is_back() {
    let fixture = Fixture::start().await;
    let scheduled = event("e", 3_600);
    fixture.publish(&scheduled.name, &changed(&scheduled)).await;
    fixture.remind("viewer", "r", &scheduled.name, TEN_MINUTES).await;
    let home = fixture.stop().await;

    home.ahead(SignedDuration::from_mins(61));
    let fixture = Fixture::start_in(home, 500).await;
    assert_eq!(fixture.titles("viewer", 1).await, ["Event e starts soon"]);

    let fixture = fixture.kill_and_restart().await;
    // Fires after whatever was pending at the start.
    fixture.remind("other", "r", &scheduled.name, TEN_MINUTES).await;
    fixture.titles("other", 1).await;
    assert_eq!(fixture.list("viewer").await.len(), 1);
}

#[tokio::test]
async fn a_reminder_that_is_too_late_or_pointless_is_dropped() {
    let fixture = Fixture::start().await;
    let late = event("late", 3_600);
    let over = event("over", 4_200);
    let off = event("off", 4_200);
    let good = event("good", 4_200);
    for (event, id) in [(&late, "a"), (&over, "b"), (&off, "c"), (&good, "d")] {
        fixture.publish(&event.name, &changed(event)).await;
        fixture.remind("viewer", id, &event.name, TEN_MINUTES).await;
    }
    let live = then(&over, EventState::Live);
    let ended = then(&live, EventState::Ended);
    let cancelled = then(&off, EventState::Cancelled);
    for event in [&live, &ended, &cancelled] {
        fixture.publish(&event.name, &changed(event)).await;
    }
    let before = fixture.titles("viewer", 2).await;
    let home = fixture.stop().await;

    // An hour and a moment after the start of the one, 51 minutes after the others'.
    home.ahead(SignedDuration::from_secs(2 * 3_600 + 60));
    let fixture = Fixture::start_in(home, 500).await;
    let told = fixture.titles("viewer", before.len() + 1).await;
    assert_eq!(told[0], "Event good starts soon");
    assert_eq!(told.len(), before.len() + 1);
}

#[tokio::test]
async fn two_reminders_of_one_event_are_told_each() {
    let fixture = Fixture::start().await;
    let soon = event("e", 300);
    fixture.publish(&soon.name, &changed(&soon)).await;
    fixture.remind("viewer", "r1", &soon.name, TEN_MINUTES).await;
    fixture.remind("viewer", "r2", &soon.name, 2 * TEN_MINUTES).await;
    eventually(async || (fixture.list("viewer").await.len() == 2).then_some(())).await;
}

#[tokio::test]
#[ignore = "measures"]
async fn how_long_it_takes_to_remind_many_of_one_event() {
    const REMINDED: usize = 2_000;
    let fixture = Fixture::start().await;
    let scheduled = event("e", 3_600);
    fixture.publish(&scheduled.name, &changed(&scheduled)).await;
    for n in 0..REMINDED {
        fixture
            .announce_reminder(&format!("viewer-{n:04}"), "r", &scheduled.name, TEN_MINUTES)
            .await;
    }
    fixture.remind("last", "r", &scheduled.name, TEN_MINUTES).await;
    let home = fixture.stop().await;
    home.ahead(SignedDuration::from_mins(51));
    let started = std::time::Instant::now();
    let fixture = Fixture::start_in(home, 500).await;
    fixture.published(REMINDED + 1).await;
    println!("{REMINDED} reminded in {:?}", started.elapsed());
}
