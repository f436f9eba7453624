use std::collections::HashSet;
use std::time::Duration;

use marquee_proto::events::v1 as events;
use marquee_proto::events::v1::EventState;
use marquee_proto::notifications::v1::NotificationKind;
use marquee_proto::time::{from_proto, to_proto};

use super::fixture::{Fixture, changed, event, eventually, then};

const LEAD: Duration = Duration::from_secs(60);

#[tokio::test]
async fn followers_and_whoever_set_a_reminder_are_told_once_that_an_event_is_live() {
    let fixture = Fixture::start().await;
    let scheduled = event("e", 3_600);
    fixture.publish(&scheduled.name, &changed(&scheduled)).await;
    fixture.follow(&["follower", "both"]).await;
    fixture.remind("both", "r", &scheduled.name, LEAD).await;
    fixture.remind("reminded", "r1", &scheduled.name, LEAD).await;
    fixture.remind("reminded", "r2", &scheduled.name, 2 * LEAD).await;

    let live = then(&scheduled, EventState::Live);
    fixture.publish(&live.name, &changed(&live)).await;
    for account in ["follower", "both", "reminded"] {
        let live = eventually(async || {
            let mut list = fixture.list(account).await;
            list.retain(|told| told.kind() == NotificationKind::EventLive);
            (!list.is_empty()).then_some(list)
        })
        .await;
        assert_eq!(live.len(), 1, "{account}");
        let live = &live[0];
        assert_eq!(
            (live.title.as_str(), live.body.as_str()),
            ("Jazz is live", "Event e")
        );
        assert_eq!(
            (live.channel.as_str(), live.event.as_str()),
            ("channels/c", "channels/c/events/e")
        );
    }
    assert!(fixture.list("stranger").await.is_empty());
}

#[tokio::test]
async fn a_redelivered_start_makes_one_notification() {
    let fixture = Fixture::start().await;
    fixture.follow(&["viewer"]).await;
    let live = then(&event("e", 0), EventState::Live);
    fixture.publish(&live.name, &changed(&live)).await;
    fixture.publish(&live.name, &changed(&live)).await;
    // In the same partition behind it.
    let ended = then(&live, EventState::Ended);
    let recorded = events::Event {
        recording_path: "/r.m3u8".into(),
        ..then(&ended, EventState::Ended)
    };
    fixture.publish(&live.name, &changed(&ended)).await;
    fixture.publish(&live.name, &changed(&recorded)).await;
    let titles = fixture.titles("viewer", 2).await;
    assert_eq!(titles, ["A recording of Jazz is ready", "Jazz is live"]);
    assert_eq!(fixture.published(2).await.len(), 2);
}

#[tokio::test]
async fn who_does_not_follow_any_more_is_not_told() {
    let fixture = Fixture::start().await;
    fixture.follow(&["stays", "leaves"]).await;
    fixture.unfollow("leaves").await;
    let live = then(&event("e", 0), EventState::Live);
    fixture.publish(&live.name, &changed(&live)).await;
    fixture.titles("stays", 1).await;
    assert!(fixture.list("leaves").await.is_empty());
}

#[tokio::test]
async fn a_cancelled_or_moved_event_is_told_to_whoever_set_a_reminder() {
    let fixture = Fixture::start().await;
    let scheduled = event("e", 36_000);
    fixture.publish(&scheduled.name, &changed(&scheduled)).await;
    fixture.remind("reminded", "r", &scheduled.name, LEAD).await;
    fixture.follow(&["follower"]).await;

    let start =
        from_proto(&scheduled.scheduled_start_time.unwrap()).unwrap() + jiff::SignedDuration::from_hours(1);
    let mut moved = then(&scheduled, EventState::Scheduled);
    moved.scheduled_start_time = Some(to_proto(start));
    fixture.publish(&moved.name, &changed(&moved)).await;
    assert_eq!(fixture.titles("reminded", 1).await, ["Event e has a new time"]);

    let cancelled = then(&moved, EventState::Cancelled);
    fixture.publish(&cancelled.name, &changed(&cancelled)).await;
    assert_eq!(fixture.titles("reminded", 2).await[0], "Event e is cancelled");
    // That it was scheduled may have been told before the follow was known.
    let told = fixture.list("follower").await;
    assert!(
        told.iter()
            .all(|told| told.kind() == NotificationKind::EventScheduled),
        "{told:?}"
    );
}

#[tokio::test]
async fn followers_are_not_told_of_unlisted_events() {
    let fixture = Fixture::start().await;
    fixture.follow(&["viewer"]).await;
    let mut unlisted = event("hidden", 3_600);
    unlisted.set_visibility(events::Visibility::Unlisted);
    fixture.publish(&unlisted.name, &changed(&unlisted)).await;
    let live = then(&unlisted, EventState::Live);
    fixture.publish(&live.name, &changed(&live)).await;
    // Listed from here on: what is told next was behind it in the same partition.
    let mut listed = then(&live, EventState::Live);
    listed.set_visibility(events::Visibility::Public);
    listed.recording_path = "/r.m3u8".into();
    fixture.publish(&listed.name, &changed(&listed)).await;
    assert_eq!(
        fixture.titles("viewer", 1).await,
        ["A recording of Jazz is ready"]
    );
}

#[tokio::test]
async fn nobody_is_told_of_what_happened_days_ago() {
    let fixture = Fixture::start().await;
    fixture.follow(&["viewer"]).await;
    let live = then(&event("old", 0), EventState::Live);
    let mut message = marquee_bus::event(&live.name, &changed(&live));
    message.message.time = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(25);
    marquee_bus::EventBus::publish(&*fixture.bus, vec![message])
        .await
        .unwrap();
    let recorded = events::Event {
        recording_path: "/r.m3u8".into(),
        ..then(&live, EventState::Ended)
    };
    fixture.publish(&live.name, &changed(&recorded)).await;
    assert_eq!(
        fixture.titles("viewer", 1).await,
        ["A recording of Jazz is ready"]
    );
}

#[tokio::test]
async fn a_fan_out_that_is_killed_in_the_middle_tells_everybody_once() {
    const FOLLOWERS: usize = 200;
    // Many small pages, so that it is killed between two of them.
    let fixture = Fixture::start_with_page(2).await;
    let accounts: Vec<_> = (0..FOLLOWERS).map(|n| format!("viewer-{n:03}")).collect();
    let names: Vec<_> = accounts.iter().map(String::as_str).collect();
    fixture.follow(&names).await;
    let live = then(&event("e", 0), EventState::Live);
    fixture.publish(&live.name, &changed(&live)).await;
    // Followers are told by name: the first is told, the last is not yet.
    fixture.titles("viewer-010", 1).await;
    assert!(
        fixture.list("viewer-199").await.is_empty(),
        "killed in the middle"
    );

    let fixture = fixture.kill_and_restart().await;
    fixture.titles("viewer-199", 1).await;
    let published = fixture.published(FOLLOWERS).await;
    let told: HashSet<_> = published.iter().map(|notification| &notification.name).collect();
    assert_eq!(told.len(), FOLLOWERS);
    for account in &accounts {
        assert_eq!(
            (fixture.list(account).await.len(), fixture.unread(account).await),
            (1, 1),
            "{account}"
        );
    }
}

#[tokio::test]
async fn what_is_live_does_not_wait_for_many_large_announcements() {
    const FOLLOWERS: usize = 100;
    // Small pages, so that the announcements take far longer than it takes to hear that an event is live.
    let fixture = Fixture::start_with_page(2).await;
    let accounts: Vec<_> = (0..FOLLOWERS).map(|n| format!("viewer-{n:03}")).collect();
    let names: Vec<_> = accounts.iter().map(String::as_str).collect();
    fixture.follow(&names).await;
    for n in 0..20 {
        let scheduled = event(&format!("e{n}"), 3_600);
        fixture.publish(&scheduled.name, &changed(&scheduled)).await;
    }
    let live = then(&event("now", 0), EventState::Live);
    fixture.publish(&live.name, &changed(&live)).await;
    let told = fixture.titles("viewer-099", 1).await;
    assert_eq!(told.last().unwrap(), "Jazz is live", "{told:?}");
}

#[tokio::test]
async fn who_followed_before_the_start_is_told_although_the_follow_is_still_on_its_way() {
    const FOLLOWERS: usize = 1_000;
    let fixture = Fixture::start().await;
    fixture.follow(&["first"]).await;
    let names: Vec<_> = (0..FOLLOWERS).map(|n| format!("viewer-{n:04}")).collect();
    fixture.announce_follows(&names).await;
    let live = then(&event("e", 0), EventState::Live);
    fixture.publish(&live.name, &changed(&live)).await;
    fixture.titles("first", 1).await;
    assert_eq!(fixture.titles("viewer-0999", 1).await, ["Jazz is live"]);
}

#[tokio::test]
async fn who_follows_while_a_channel_is_live_is_not_told_that_it_went_live() {
    let fixture = Fixture::start().await;
    fixture.follow(&["first"]).await;
    let live = then(&event("e", -60), EventState::Live);
    fixture.publish(&live.name, &changed(&live)).await;
    fixture.titles("first", 1).await;
    fixture.follow(&["late"]).await;
    assert!(fixture.list("late").await.is_empty());
}

#[tokio::test]
#[ignore = "measures"]
async fn how_long_it_takes_to_tell_many_followers() {
    const FOLLOWERS: usize = 10_000;
    let fixture = Fixture::start().await;
    let accounts: Vec<_> = (0..FOLLOWERS).map(|n| format!("viewer-{n:05}")).collect();
    let names: Vec<_> = accounts.iter().map(String::as_str).collect();
    fixture.follow(&names).await;
    let live = then(&event("e", 0), EventState::Live);
    let published = std::time::Instant::now();
    fixture.publish(&live.name, &changed(&live)).await;
    fixture.titles("viewer-09999", 1).await;
    println!("{FOLLOWERS} followers told in {:?}", published.elapsed());
}
