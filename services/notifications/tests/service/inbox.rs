use marquee_proto::events::v1::EventState;
use marquee_proto::notifications::v1 as proto;
use marquee_proto::subscriptions::v1 as subscriptions;
use tonic::Code;

use super::fixture::{Fixture, changed, event, eventually, fields, next, reason, then};

fn mark(names: Vec<String>, all: bool) -> proto::MarkReadRequest {
    proto::MarkReadRequest {
        parent: "accounts/me".into(),
        names,
        all,
    }
}

/// Puts so many notifications into the inbox of `viewer`.
async fn filled(count: usize) -> Fixture {
    let fixture = Fixture::start().await;
    fixture.follow(&["viewer"]).await;
    for n in 0..count {
        let event = event(&format!("e{n}"), 3_600);
        fixture.publish(&event.name, &changed(&event)).await;
        fixture.titles("viewer", n + 1).await;
    }
    fixture
}

#[tokio::test]
async fn an_inbox_is_listed_newest_first_in_pages() {
    let fixture = filled(3).await;
    let mut events = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = proto::ListNotificationsRequest {
            parent: "accounts/viewer".into(),
            page_size: 2,
            page_token,
            unread_only: true,
        };
        let request = fixture.of("viewer", request);
        let page = fixture
            .inbox()
            .list_notifications(request)
            .await
            .unwrap()
            .into_inner();
        events.extend(
            page.notifications
                .into_iter()
                .map(|notification| notification.event),
        );
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(
        events,
        [
            "channels/c/events/e2",
            "channels/c/events/e1",
            "channels/c/events/e0"
        ]
    );
}

#[tokio::test]
async fn what_is_marked_is_read_and_counted_once() {
    let fixture = filled(3).await;
    assert_eq!(fixture.unread("viewer").await, 3);
    let newest = fixture.list("viewer").await.remove(0);
    for _ in 0..2 {
        let names = vec![newest.name.clone(), newest.name.clone()];
        let marked = fixture
            .inbox()
            .mark_read(fixture.of("viewer", mark(names, false)))
            .await
            .unwrap();
        assert_eq!(marked.into_inner().unread_count, 2);
    }
    let list = fixture.list("viewer").await;
    assert_eq!(
        list.iter()
            .map(|notification| notification.read)
            .collect::<Vec<_>>(),
        [true, false, false]
    );

    let marked = fixture
        .inbox()
        .mark_read(fixture.of("viewer", mark(vec![], true)))
        .await
        .unwrap();
    assert_eq!(marked.into_inner().unread_count, 0);
    let unread = proto::ListNotificationsRequest {
        parent: "accounts/me".into(),
        unread_only: true,
        ..Default::default()
    };
    let unread = fixture
        .inbox()
        .list_notifications(fixture.of("viewer", unread))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(unread.notifications, []);
}

#[tokio::test]
async fn the_unread_count_is_exact_while_notifications_come_and_are_marked() {
    const EVENTS: usize = 60;
    let fixture = Fixture::start().await;
    fixture.follow(&["viewer"]).await;
    let inserting = async {
        for n in 0..EVENTS {
            let event = event(&format!("e{n}"), 3_600);
            fixture.publish(&event.name, &changed(&event)).await;
        }
        fixture.titles("viewer", EVENTS).await;
    };
    let marking = async {
        for _ in 0..20 {
            // Two at once mark the same.
            let names: Vec<_> = fixture
                .list("viewer")
                .await
                .into_iter()
                .take(3)
                .map(|n| n.name)
                .collect();
            if names.is_empty() {
                continue;
            }
            let (mut left, mut right) = (fixture.inbox(), fixture.inbox());
            let (one, two) = tokio::join!(
                left.mark_read(fixture.of("viewer", mark(names.clone(), false))),
                right.mark_read(fixture.of("viewer", mark(names, false))),
            );
            one.unwrap();
            two.unwrap();
        }
    };
    tokio::join!(inserting, marking);
    let unread = fixture
        .list("viewer")
        .await
        .iter()
        .filter(|notification| !notification.read)
        .count();
    assert_eq!(fixture.unread("viewer").await, i64::try_from(unread).unwrap());
}

#[tokio::test]
async fn an_inbox_is_its_accounts_alone() {
    let fixture = filled(1).await;
    let request = proto::GetUnreadCountRequest {
        parent: "accounts/viewer".into(),
    };
    let denied = fixture
        .inbox()
        .get_unread_count(fixture.of("other", request.clone()))
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let unknown = proto::GetUnreadCountRequest {
        parent: "accounts/nobody".into(),
    };
    let denied = fixture
        .inbox()
        .get_unread_count(fixture.of("other", unknown))
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied, "before existence");
    let anonymous = fixture.inbox().get_unread_count(request).await.unwrap_err();
    assert_eq!(anonymous.code(), Code::Unauthenticated);

    let theirs = fixture.list("viewer").await.remove(0).name;
    let refused = fixture
        .inbox()
        .mark_read(fixture.of("other", mark(vec![theirs], false)))
        .await
        .unwrap_err();
    assert_eq!(fields(&refused), ["names[0]"]);
}

#[tokio::test]
async fn wrong_requests_are_refused_with_the_field() {
    let fixture = filled(2).await;
    for (names, all, expected) in [
        (vec![], false, vec!["names"]),
        (
            vec!["accounts/viewer/notifications/x".to_owned()],
            true,
            vec!["names"],
        ),
        (
            vec!["x".to_owned(), "accounts/other/notifications/x".to_owned()],
            false,
            vec!["names[0]", "names[1]"],
        ),
        (
            vec!["accounts/me/notifications/x".to_owned(); 501],
            false,
            vec!["names"],
        ),
    ] {
        let wrong = fixture
            .inbox()
            .mark_read(fixture.of("viewer", mark(names, all)))
            .await
            .unwrap_err();
        assert_eq!(fields(&wrong), expected);
    }
    let unknown = vec!["accounts/me/notifications/none".to_owned()];
    let missing = fixture
        .inbox()
        .mark_read(fixture.of("viewer", mark(unknown, false)))
        .await
        .unwrap_err();
    assert_eq!(
        (missing.code(), reason(&missing).as_str()),
        (Code::NotFound, "NOTIFICATION_NOT_FOUND")
    );

    let list = |page_size, page_token: &str, unread_only| proto::ListNotificationsRequest {
        parent: "accounts/me".into(),
        page_size,
        page_token: page_token.to_owned(),
        unread_only,
    };
    let first = fixture
        .inbox()
        .list_notifications(fixture.of("viewer", list(1, "", false)))
        .await
        .unwrap();
    let token = first.into_inner().next_page_token;
    for (request, expected) in [
        (list(-1, "", false), "page_size"),
        (list(1, "made up", false), "page_token"),
        (list(1, &token, true), "page_token"),
    ] {
        let wrong = fixture
            .inbox()
            .list_notifications(fixture.of("viewer", request))
            .await
            .unwrap_err();
        assert_eq!(fields(&wrong), [expected]);
    }
}

#[tokio::test]
async fn everything_wrong_with_a_list_is_told_at_once() {
    let fixture = Fixture::start().await;
    for (parent, expected) in [
        ("accounts/me", ["page_size", "page_token"].as_slice()),
        ("people/viewer", &["parent", "page_size", "page_token"]),
    ] {
        let request = proto::ListNotificationsRequest {
            parent: parent.into(),
            page_size: -1,
            page_token: "made up".into(),
            unread_only: false,
        };
        let request = fixture.of("viewer", request);
        let wrong = fixture.inbox().list_notifications(request).await.unwrap_err();
        assert_eq!(fields(&wrong), expected, "{parent}");
    }
}

#[tokio::test]
async fn a_failed_payment_is_told_to_its_account_once() {
    let fixture = Fixture::start().await;
    let payment = subscriptions::Payment {
        name: "accounts/viewer/payments/p".into(),
        failure_reason: "The card was declined".into(),
        ..Default::default()
    };
    let failed = subscriptions::PaymentFailed {
        payment: Some(payment),
    };
    let change = Some(subscriptions::payment_changed::Change::Failed(failed));
    let message = subscriptions::PaymentChanged { change };
    fixture.publish("accounts/viewer", &message).await;
    fixture.publish("accounts/viewer", &message).await;
    let marker = subscriptions::Payment {
        name: "accounts/viewer/payments/q".into(),
        ..Default::default()
    };
    let failed = subscriptions::PaymentFailed {
        payment: Some(marker),
    };
    let change = Some(subscriptions::payment_changed::Change::Failed(failed));
    fixture
        .publish("accounts/viewer", &subscriptions::PaymentChanged { change })
        .await;

    fixture.titles("viewer", 2).await;
    let list = fixture.list("viewer").await;
    assert_eq!(list.len(), 2);
    assert_eq!(list[1].kind(), proto::NotificationKind::PaymentFailed);
    assert_eq!(list[1].body, "The card was declined");
}

#[tokio::test]
async fn notifications_are_forgotten_after_90_days_and_the_count_stays_exact() {
    const DAY: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
    let fixture = filled(3).await;
    let mut watch = fixture.watch("viewer", "").await.unwrap();
    let cursor = next(&mut watch).await.cursor;
    let oldest = fixture.list("viewer").await.remove(2);
    let marked = mark(vec![oldest.name], false);
    fixture
        .inbox()
        .mark_read(fixture.of("viewer", marked))
        .await
        .unwrap();

    fixture.home.ahead(60 * DAY);
    let newer = event("e3", 3_600);
    let mut message = marquee_bus::event(&newer.name, &changed(&newer));
    message.message.time = jiff::Timestamp::now() + jiff::Span::new().hours(60 * 24);
    marquee_bus::EventBus::publish(&*fixture.bus, vec![message])
        .await
        .unwrap();
    fixture.titles("viewer", 4).await;
    assert_eq!(fixture.unread("viewer").await, 3);

    fixture.home.ahead(91 * DAY);
    let left = eventually(async || {
        let left = fixture.list("viewer").await;
        (left.len() < 4).then_some(left)
    })
    .await;
    assert_eq!((left.len(), left[0].event.as_str()), (1, "channels/c/events/e3"));
    assert_eq!(fixture.unread("viewer").await, 1);
    let mut resumed = fixture.watch("viewer", &cursor).await.unwrap();
    next(&mut resumed).await;
    assert_eq!(next(&mut resumed).await.notification.unwrap().name, left[0].name);
}

#[tokio::test]
async fn an_inbox_is_there_after_a_crash() {
    let fixture = filled(2).await;
    let first = event("e0", 3_600);
    let before = fixture.list("viewer").await;
    let fixture = fixture.kill_and_restart().await;
    assert_eq!(fixture.list("viewer").await, before);
    assert_eq!(fixture.unread("viewer").await, 2);
    let live = then(&first, EventState::Live);
    fixture.publish(&live.name, &changed(&live)).await;
    assert_eq!(fixture.titles("viewer", 3).await[0], "Jazz is live");
}
