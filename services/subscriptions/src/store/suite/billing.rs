//! Plans, payments and memberships.

use jiff::ToSpan as _;

use marquee_proto::name::TicketName;

use super::*;
use crate::domain::ticket::Ticket;

pub(crate) async fn plans_are_seeded_once_and_listed_cheapest_first(backend: &impl Backend) {
    let store = backend.open().await;
    let mut plans = plan::defaults();
    plans.reverse();
    store.seed_plans(plans).await.unwrap();
    assert_eq!(store.plans().await.unwrap(), plan::defaults());
    let mut other = plan::defaults();
    other.truncate(1);
    other[0].display_name = "Cheap".to_owned();
    store.seed_plans(other).await.unwrap();
    assert_eq!(store.plans().await.unwrap(), plan::defaults());
    let basic = &plan::defaults()[0];
    assert_eq!(store.plan(&basic.name).await.unwrap().as_ref(), Some(basic));
}

pub(crate) async fn one_payment_of_an_account_is_pending_at_a_time(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let first = begun(&*store, &ada, "r1").await;
    assert_eq!(
        store.begin_payment(intent(&ada, "r1")).await.unwrap(),
        Begun::Existing(first.clone())
    );
    assert_eq!(
        store.begin_payment(intent(&ada, "r2")).await.unwrap(),
        Begun::Blocked(first.clone())
    );
    assert_eq!(
        store.stale_payments(at(1), 10).await.unwrap(),
        std::slice::from_ref(&first)
    );
    assert_eq!(store.stale_payments(at(0), 10).await.unwrap(), []);
    store.discard_payment(&first.id).await.unwrap();
    begun(&*store, &ada, "r2").await;
    let grace = registered(&*store, "grace").await;
    begun(&*store, &grace, "r1").await;
}

pub(crate) async fn a_payment_is_settled_once(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let intent = begun(&*store, &ada, "r1").await;
    let before = waiting(&*store).await.len();
    let all = futures::future::join_all((0..5).map(|_| store.settle_payment(success(&intent, at(1))))).await;
    let state = IntentState::Succeeded {
        answer: Bytes::from_static(b"answer"),
    };
    assert!(
        all.iter().all(|one| one.as_ref().unwrap().state == state),
        "{all:?}"
    );
    assert_eq!(
        store
            .memberships(&ada.name, page(10, None))
            .await
            .unwrap()
            .rows
            .len(),
        1
    );
    assert_eq!(
        store
            .payments(&ada.name, page(10, None))
            .await
            .unwrap()
            .rows
            .len(),
        1
    );
    assert_eq!(waiting(&*store).await.len(), before + 2);
}

pub(crate) async fn what_was_discarded_cannot_be_settled(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let intent = begun(&*store, &ada, "r1").await;
    store.discard_payment(&intent.id).await.unwrap();
    let late = store.settle_payment(success(&intent, at(1))).await;
    assert!(matches!(late, Err(Error::NotFound)), "{late:?}");
    assert!(
        store
            .memberships(&ada.name, page(10, None))
            .await
            .unwrap()
            .rows
            .is_empty()
    );
}

pub(crate) async fn a_declined_payment_makes_room_for_the_next(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let intent = begun(&*store, &ada, "r1").await;
    let settled = store.settle_payment(failure(&intent)).await.unwrap();
    assert_eq!(
        settled.state,
        IntentState::Declined {
            reason: "no money".to_owned()
        }
    );
    // A settled intent is not forgotten.
    store.discard_payment(&intent.id).await.unwrap();
    assert_eq!(
        store.begin_payment(intent.clone()).await.unwrap(),
        Begun::Existing(settled)
    );
    begun(&*store, &ada, "r2").await;
}

pub(crate) async fn who_has_a_membership_cannot_begin_to_pay_for_another(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let membership = joined(&*store, &ada, at(0)).await;
    assert_eq!(
        store.begin_payment(intent(&ada, "r2")).await.unwrap(),
        Begun::Member(membership.clone())
    );
    let expired = membership.expire(membership.period_end).unwrap();
    store
        .update_membership(expired, membership.version, vec![])
        .await
        .unwrap();
    begun(&*store, &ada, "r2").await;
}

pub(crate) async fn memberships_are_due_when_their_period_is_over(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    let grace = registered(&*store, "grace").await;
    let early = joined(&*store, &ada, at(0)).await;
    let late = joined(&*store, &grace, at(60)).await;
    let just_before = early.period_end - 1.microsecond();
    assert_eq!(store.due_memberships(just_before, 10).await.unwrap(), []);
    assert_eq!(
        store.due_memberships(early.period_end, 10).await.unwrap(),
        std::slice::from_ref(&early)
    );
    let both = store.due_memberships(late.period_end, 10).await.unwrap();
    assert_eq!(both, [early.clone(), late.clone()]);
    let expired = early.expire(late.period_end).unwrap();
    assert_eq!(expired.state, State::Expired);
    store
        .update_membership(expired, early.version, vec![])
        .await
        .unwrap();
    assert_eq!(store.due_memberships(late.period_end, 10).await.unwrap(), [late]);
}

pub(crate) async fn an_account_has_one_ticket_for_an_event(backend: &impl Backend) {
    let store = backend.open().await;
    let ada = registered(&*store, "ada").await;
    // A membership is no obstacle.
    joined(&*store, &ada, at(0)).await;
    let event = EventName::new("c", "e").unwrap();
    let wanted = |request_id: &str| Intent {
        purchase: Purchase::Ticket(event.clone()),
        ..intent(&ada, request_id)
    };
    let Begun::New(begun) = store.begin_payment(wanted("t1")).await.unwrap() else {
        panic!("nothing stands against it")
    };
    let Begun::Existing(again) = store.begin_payment(wanted("t1")).await.unwrap() else {
        panic!("the same request is found again")
    };
    assert_eq!(again, begun);
    let paid = success(&begun, at(1));
    let ticket = Ticket {
        name: TicketName::new(&ada.name.account, new_id()).unwrap(),
        event: event.clone(),
        payment: paid.payment.name.clone(),
        create_time: at(1),
    };
    let settlement = Settlement {
        membership: None,
        ticket: Some(ticket.clone()),
        ..paid
    };
    store.settle_payment(settlement).await.unwrap();
    assert_eq!(
        store.ticket(&ada.name, &event).await.unwrap().as_ref(),
        Some(&ticket)
    );
    assert_eq!(
        store.begin_payment(wanted("t2")).await.unwrap(),
        Begun::Ticket(ticket.clone())
    );
    let rows = store.tickets(&ada.name, page(10, None)).await.unwrap().rows;
    assert_eq!(rows, [ticket]);
    let other = EventName::new("c", "other").unwrap();
    assert_eq!(store.ticket(&ada.name, &other).await.unwrap(), None);
}
