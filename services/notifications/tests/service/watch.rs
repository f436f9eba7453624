use std::collections::HashSet;
use std::time::Instant;

use marquee_proto::events::v1::EventState;
use tonic::Code;

use super::fixture::{Fixture, changed, event, fields, next, then};

#[tokio::test]
async fn a_watch_opens_with_a_cursor_and_then_sends_what_comes() {
    let fixture = Fixture::start().await;
    fixture.follow(&["viewer"]).await;
    let scheduled = event("e", 0);
    fixture.publish(&scheduled.name, &changed(&scheduled)).await;
    fixture.titles("viewer", 1).await;

    let mut watch = fixture.watch("viewer", "").await.unwrap();
    let opened = next(&mut watch).await;
    assert_eq!((opened.notification, opened.unread_count), (None, 1));
    assert!(!opened.cursor.is_empty());

    let live = then(&scheduled, EventState::Live);
    fixture.publish(&live.name, &changed(&live)).await;
    let told = next(&mut watch).await;
    assert_eq!(told.notification.unwrap().title, "Jazz is live");
    assert_eq!(told.unread_count, 2);
}

#[tokio::test]
async fn a_resumed_watch_sends_everything_after_the_cursor() {
    let fixture = Fixture::start().await;
    fixture.follow(&["viewer"]).await;
    let mut watch = fixture.watch("viewer", "").await.unwrap();
    let opened = next(&mut watch).await;
    for n in 0..3 {
        let event = event(&format!("e{n}"), 3_600);
        fixture.publish(&event.name, &changed(&event)).await;
        fixture.titles("viewer", n + 1).await;
    }
    let first = next(&mut watch).await;
    drop(watch);

    for (cursor, expected) in [
        (&first.cursor, ["e1", "e2"].as_slice()),
        (&opened.cursor, &["e0", "e1", "e2"]),
    ] {
        let mut resumed = fixture.watch("viewer", cursor).await.unwrap();
        assert_eq!(
            next(&mut resumed).await.cursor,
            *cursor,
            "opens where it was left"
        );
        for id in expected {
            let told = next(&mut resumed).await.notification.unwrap();
            assert_eq!(told.event, format!("channels/c/events/{id}"));
        }
    }
}

#[tokio::test]
async fn watches_that_come_and_go_lose_and_repeat_nothing_while_notifications_are_put_in() {
    const EVENTS: usize = 120;
    let fixture = Fixture::start().await;
    fixture.follow(&["viewer"]).await;
    let mut watch = fixture.watch("viewer", "").await.unwrap();
    let mut cursor = next(&mut watch).await.cursor;

    let inserting = async {
        for n in 0..EVENTS {
            let event = event(&format!("e{n}"), 3_600);
            fixture.publish(&event.name, &changed(&event)).await;
        }
    };
    let watching = async {
        let mut seen = Vec::new();
        while seen.len() < EVENTS {
            // Leaves after a few, also in the middle of what was sent already.
            for _ in 0..7 {
                if seen.len() == EVENTS {
                    break;
                }
                let message = next(&mut watch).await;
                cursor = message.cursor;
                seen.push(message.notification.unwrap().name);
            }
            watch = fixture.watch("viewer", &cursor).await.unwrap();
            assert_eq!(next(&mut watch).await.notification, None);
        }
        seen
    };
    let ((), seen) = tokio::join!(inserting, watching);
    let distinct: HashSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), EVENTS);
    let mut listed: Vec<_> = fixture
        .list("viewer")
        .await
        .into_iter()
        .map(|told| told.name)
        .collect();
    listed.reverse();
    assert_eq!(seen, listed, "in the order of the inbox");
}

#[tokio::test]
async fn a_cursor_is_good_after_a_restart() {
    let fixture = Fixture::start().await;
    fixture.follow(&["viewer"]).await;
    let mut watch = fixture.watch("viewer", "").await.unwrap();
    let opened = next(&mut watch).await;
    let fixture = fixture.kill_and_restart().await;
    let live = then(&event("e", 0), EventState::Live);
    fixture.publish(&live.name, &changed(&live)).await;
    fixture.titles("viewer", 1).await;
    let mut resumed = fixture.watch("viewer", &opened.cursor).await.unwrap();
    next(&mut resumed).await;
    assert_eq!(
        next(&mut resumed).await.notification.unwrap().title,
        "Jazz is live"
    );
}

#[tokio::test]
async fn an_ill_formed_or_foreign_cursor_is_refused() {
    let fixture = Fixture::start().await;
    fixture.follow(&["other"]).await;
    let mut watch = fixture.watch("other", "").await.unwrap();
    let foreign = next(&mut watch).await.cursor;
    for cursor in [foreign.as_str(), "7", "%%%", "AAAAAAAAAAAAAAAAAA"] {
        assert_eq!(
            fields(&fixture.watch("viewer", cursor).await.unwrap_err()),
            ["cursor"],
            "{cursor}"
        );
    }
}

#[tokio::test]
async fn every_open_watch_of_an_account_gets_the_notification() {
    let fixture = Fixture::start().await;
    fixture.follow(&["viewer", "other"]).await;
    let mut watches = Vec::new();
    for account in ["viewer", "viewer", "other"] {
        let mut watch = fixture.watch(account, "").await.unwrap();
        next(&mut watch).await;
        watches.push(watch);
    }
    let live = then(&event("e", 0), EventState::Live);
    fixture.publish(&live.name, &changed(&live)).await;
    for watch in &mut watches {
        assert_eq!(next(watch).await.notification.unwrap().title, "Jazz is live");
    }
}

#[tokio::test]
async fn a_watch_ends_with_a_reason_when_the_service_stops() {
    let fixture = Fixture::start().await;
    let mut watch = fixture.watch("viewer", "").await.unwrap();
    next(&mut watch).await;
    fixture.shut_down();
    assert_eq!(watch.message().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
#[ignore = "measures"]
async fn how_soon_a_watcher_is_told_among_hundreds_that_are_open() {
    const OPEN: usize = 900;
    const EVENTS: usize = 100;
    let fixture = Fixture::start().await;
    fixture.follow(&["viewer"]).await;
    let mut open = Vec::new();
    for n in 0..OPEN {
        let mut watch = fixture.watch(&format!("other-{n}"), "").await.unwrap();
        next(&mut watch).await;
        open.push(watch);
    }
    let mut watch = fixture.watch("viewer", "").await.unwrap();
    next(&mut watch).await;
    let mut took = Vec::new();
    for n in 0..EVENTS {
        let event = event(&format!("e{n}"), 3_600);
        let published = Instant::now();
        fixture.publish(&event.name, &changed(&event)).await;
        next(&mut watch).await;
        took.push(published.elapsed());
    }
    took.sort();
    println!(
        "{OPEN} watches open; published to told: p50 {:?}, p99 {:?}",
        took[EVENTS / 2],
        took[EVENTS * 99 / 100]
    );
}
