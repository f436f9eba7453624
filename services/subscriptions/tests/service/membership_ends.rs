//! How memberships end, and what happens to charges that nobody heard of.

use std::sync::Arc;
use std::time::Duration;

use marquee_proto::subscriptions::v1::{MembershipChanged, MembershipState, membership_changed};
use tonic::Code;

use crate::bank::Bank;
use crate::fixture::{Fixture, refused, until};
use crate::memberships::{cancel, get, join, joined, memberships, order, payments};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_charge_that_nobody_heard_of_is_found_by_the_same_request_after_a_restart() {
    let bank = Bank::default();
    let fixture = Fixture::with({
        let bank = bank.clone();
        move |config| config.payment_provider = Some(Arc::new(bank.clone()))
    })
    .await;
    let ada = fixture.person("ada").await;
    let order = order("plans/basic", "card");
    bank.set_mute(true);
    assert_eq!(
        refused(join(&fixture, &ada, order.clone()).await).0,
        Code::Unavailable
    );
    assert_eq!(bank.charged(), 1);
    assert!(payments(&fixture, &ada).await.is_empty());

    let fixture = fixture.restart().await;
    bank.set_mute(false);
    let answer = join(&fixture, &ada, order).await.unwrap();
    assert_eq!(memberships(&fixture, &ada).await, [answer.membership.unwrap()]);
    assert_eq!(bank.charged(), 1);
}

#[tokio::test]
async fn a_charge_that_was_left_behind_is_recorded_without_anybody_asking() {
    let bank = Bank::default();
    let fixture = Fixture::with({
        let bank = bank.clone();
        move |config| {
            config.payment_provider = Some(Arc::new(bank.clone()));
            config.payment_patience = 10 * DAY;
        }
    })
    .await;
    let ada = fixture.person("ada").await;
    bank.set_mute(true);
    assert_eq!(
        refused(join(&fixture, &ada, order("plans/basic", "card")).await).0,
        Code::Unavailable
    );
    bank.set_mute(false);
    fixture.clock.advance(11 * DAY);
    until("the membership", async || {
        !memberships(&fixture, &ada).await.is_empty()
    })
    .await;
    assert_eq!(payments(&fixture, &ada).await.len(), 1);
    assert_eq!(bank.charged(), 1);
}

#[tokio::test]
async fn a_cancelled_membership_keeps_its_period() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let membership = joined(&fixture, &ada).await;
    let me = membership.name.replace(&ada.name, "accounts/me");
    let cancelled = cancel(&fixture, &ada, &me, &membership.etag).await.unwrap();
    assert_eq!(cancelled.state(), MembershipState::Cancelled);
    assert_eq!(cancelled.period_end_time, membership.period_end_time);
    assert_ne!(cancelled.etag, membership.etag);
    assert_eq!(
        cancel(&fixture, &ada, &membership.name, "").await.unwrap(),
        cancelled
    );
    let stale = cancel(&fixture, &ada, &membership.name, &membership.etag).await;
    assert_eq!(refused(stale), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
}

#[tokio::test]
async fn a_membership_expires_with_its_period_once_and_makes_room_for_the_next() {
    let fixture = Fixture::start().await;
    let ada = fixture.person("ada").await;
    let first = joined(&fixture, &ada).await;
    cancel(&fixture, &ada, &first.name, "").await.unwrap();
    fixture.clock.advance(32 * DAY);
    until("the expiry", async || {
        get(&fixture, &ada, &first.name).await.unwrap().state() == MembershipState::Expired
    })
    .await;
    let late = cancel(&fixture, &ada, &first.name, "").await;
    assert_eq!(
        refused(late),
        (Code::FailedPrecondition, "MEMBERSHIP_EXPIRED".to_owned())
    );
    let second = joined(&fixture, &ada).await;

    let mut published = fixture.published::<MembershipChanged>().await;
    let told: Vec<_> = published
        .first(4)
        .await
        .iter()
        .map(|(key, event)| {
            assert_eq!(*key, ada.name);
            let (what, membership) = match event.change.clone().unwrap() {
                membership_changed::Change::Started(event) => ("started", event.membership),
                membership_changed::Change::Cancelled(event) => ("cancelled", event.membership),
                membership_changed::Change::Expired(event) => ("expired", event.membership),
            };
            (what, membership.unwrap().name)
        })
        .collect();
    let name = first.name;
    assert_eq!(
        told,
        [
            ("started", name.clone()),
            ("cancelled", name.clone()),
            ("expired", name),
            ("started", second.name)
        ]
    );
}

#[tokio::test]
async fn a_membership_that_is_over_stands_in_nobodys_way_before_the_sweep_came_by() {
    let fixture = Fixture::with(|config| config.sweep_interval = 1_000 * DAY).await;
    let ada = fixture.person("ada").await;
    let first = joined(&fixture, &ada).await;
    fixture.clock.advance(32 * DAY);
    joined(&fixture, &ada).await;
    assert_eq!(
        get(&fixture, &ada, &first.name).await.unwrap().state(),
        MembershipState::Expired
    );
}
