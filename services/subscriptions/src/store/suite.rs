//! What every store must do. [`store_suite`] owns the one list of cases: an adapter that names it runs them all.

use std::sync::Arc;

use bytes::Bytes;
use jiff::{Timestamp, ToSpan as _};
use marquee_bus::Outgoing;
use marquee_proto::name::{
    AccountName, ChannelName, EventName, FollowName, MembershipName, PaymentName, ReminderName, new_id,
};

use super::*;
use crate::domain::account::{DisplayName, Profile, ProfileChange, Role};
use crate::domain::membership::State;
use crate::domain::page::Cursor;
use crate::domain::payment::PaymentResult;
use crate::domain::plan;
use crate::domain::reminder::LeadTime;
use crate::domain::session::RefreshToken;
use crate::publish;

/// A place for one store: opening it again finds what was there.
pub(crate) trait Backend: Send + Sync {
    fn new() -> Self;
    fn open(&self) -> Arc<dyn Store>;
}

/// Emits a test per case. An adapter that needs a server passes `#[ignore = "needs ..."]` before its backend.
macro_rules! store_suite {
    ($(#[$attribute:meta])* $backend:ty) => {
        $crate::store::suite::store_suite!(@cases $(#[$attribute])* $backend:
            an_address_is_unique_without_regard_to_case,
            a_request_id_is_unique_per_rpc_and_caller,
            what_is_written_is_read_back_after_a_restart,
            an_update_of_what_was_changed_meanwhile_is_a_conflict,
            of_concurrent_updates_of_one_version_one_wins,
            a_change_and_its_message_are_there_together_or_not_at_all,
            messages_wait_in_the_order_of_their_commits_and_survive_a_restart,
            the_first_signing_key_stays,
            plans_are_seeded_once_and_listed_cheapest_first,
            a_refresh_token_rotates_once_however_many_try,
            an_ended_session_stays_ended,
            purging_takes_expired_sessions_and_old_replies_only,
            one_payment_of_an_account_is_pending_at_a_time,
            a_payment_is_settled_once,
            what_was_discarded_cannot_be_settled,
            a_declined_payment_makes_room_for_the_next,
            who_has_a_membership_cannot_begin_to_pay_for_another,
            memberships_are_due_when_their_period_is_over,
            pages_are_stable_while_rows_are_added,
            rows_of_one_moment_are_paged_without_loss,
            another_accounts_rows_are_not_listed,
            following_twice_is_one_follow,
            a_follow_that_was_made_again_is_not_deleted_for_the_old_one,
            the_same_reminder_is_set_once,
            reminders_of_one_event_are_limited,
            writers_at_the_same_time_all_get_through,
        );
    };
    (@cases $(#[$attribute:meta])* $backend:ty: $($case:ident,)+) => {
        $crate::store::suite::store_suite!(@each ($(#[$attribute])*) $backend: $($case,)+);
    };
    (@each $attributes:tt $backend:ty: $($case:ident,)+) => {
        $($crate::store::suite::store_suite!(@one $attributes $backend: $case);)+
    };
    (@one ($(#[$attribute:meta])*) $backend:ty: $case:ident) => {
        $(#[$attribute])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let backend = <$backend as $crate::store::suite::Backend>::new();
            $crate::store::suite::$case(&backend).await;
        }
    };
}
pub(crate) use store_suite;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).unwrap()
}

fn account(id: &str) -> Account {
    Account {
        name: AccountName::new(id).unwrap(),
        email: Email::parse(&format!("{id}@example.org")).unwrap(),
        profile: Profile {
            display_name: DisplayName::parse(id).unwrap(),
            country: None,
            birth_date: None,
            gender: None,
        },
        role: Role::Viewer,
        create_time: at(0),
        version: Version::FIRST,
    }
}

fn new(account: &Account) -> NewAccount {
    NewAccount {
        account: account.clone(),
        password_hash: "$argon2id$...".to_owned(),
        reply: None,
        events: vec![publish::account_created(account)],
    }
}

async fn registered(store: &dyn Store, id: &str) -> Account {
    let account = account(id);
    store.create_account(new(&account)).await.unwrap();
    account
}

fn reply(rpc: &'static str, caller: &str) -> Reply {
    Reply {
        key: RequestKey {
            rpc,
            caller: caller.to_owned(),
            request_id: "r1".to_owned(),
        },
        fingerprint: [7; 32],
        answer: Bytes::from_static(b"answer"),
        create_time: at(0),
    }
}

fn renamed(account: &Account, name: &str) -> Account {
    let change = ProfileChange {
        display_name: Some(DisplayName::parse(name).unwrap()),
        ..ProfileChange::default()
    };
    account.changed(change).unwrap()
}

fn session(token: &RefreshToken, account: &Account) -> Session {
    Session {
        family: token.family(),
        secret: token.secret(),
        account: account.name.clone(),
        create_time: at(0),
        expire_time: at(1_000),
        ended: false,
    }
}

fn intent(account: &Account, request_id: &str) -> Intent {
    let plan = plan::defaults().remove(0);
    Intent {
        id: new_id(),
        account: account.name.clone(),
        request_id: request_id.to_owned(),
        fingerprint: [1; 32],
        plan: plan.name,
        amount: plan.price,
        state: IntentState::Pending,
        create_time: at(0),
    }
}

async fn begun(store: &dyn Store, account: &Account, request_id: &str) -> Intent {
    match store.begin_payment(intent(account, request_id)).await.unwrap() {
        Begun::New(intent) => intent,
        other => panic!("{other:?}"),
    }
}

fn success(intent: &Intent, start: Timestamp) -> Settlement {
    let account = &intent.account.account;
    let name = MembershipName::new(account, new_id()).unwrap();
    let membership = Membership::start(name, &plan::defaults()[0], start);
    let payment = Payment {
        name: PaymentName::new(account, new_id()).unwrap(),
        membership: Some(membership.name.clone()),
        amount: intent.amount,
        result: PaymentResult::Succeeded {
            reference: "ref".to_owned(),
        },
        method: "card".to_owned(),
        create_time: start,
    };
    Settlement {
        intent: intent.id.clone(),
        state: IntentState::Succeeded {
            answer: Bytes::from_static(b"answer"),
        },
        events: vec![publish::membership(&membership), publish::payment(&payment)],
        payment,
        membership: Some(membership),
    }
}

fn failure(intent: &Intent) -> Settlement {
    let reason = "no money".to_owned();
    let payment = Payment {
        name: PaymentName::new(&intent.account.account, new_id()).unwrap(),
        membership: None,
        amount: intent.amount,
        result: PaymentResult::Failed {
            reason: reason.clone(),
        },
        method: "card".to_owned(),
        create_time: at(0),
    };
    Settlement {
        intent: intent.id.clone(),
        state: IntentState::Declined { reason },
        events: vec![publish::payment(&payment)],
        payment,
        membership: None,
    }
}

async fn joined(store: &dyn Store, account: &Account, start: Timestamp) -> Membership {
    let intent = begun(store, account, &new_id()).await;
    let settlement = success(&intent, start);
    store.settle_payment(settlement.clone()).await.unwrap();
    settlement.membership.unwrap()
}

fn follow(account: &Account, channel: &str, second: i64) -> Follow {
    let channel = ChannelName::new(channel).unwrap();
    Follow {
        name: FollowName::new(&account.name.account, channel.channel).unwrap(),
        create_time: at(second),
    }
}

fn reminder(account: &Account, event: &str, lead: u32) -> Reminder {
    Reminder {
        name: ReminderName::new(&account.name.account, new_id()).unwrap(),
        event: EventName::new("c", event).unwrap(),
        lead_time: LeadTime::from_seconds(lead),
        create_time: at(0),
    }
}

fn page(size: usize, after: Option<Cursor>) -> Page {
    Page { size, after }
}

/// Kinds of the messages that wait.
async fn waiting(store: &dyn Store) -> Vec<String> {
    let pending = store.outbox().pending(1_000).await.unwrap();
    pending
        .into_iter()
        .map(|(_, outgoing): (i64, Outgoing)| outgoing.message.event_type)
        .collect()
}

pub(crate) async fn an_address_is_unique_without_regard_to_case(backend: &impl Backend) {
    let store = backend.open();
    registered(&*store, "ada").await;
    let mut other = account("other");
    other.email = Email::parse("ADA@Example.ORG").unwrap();
    let refused = store.create_account(new(&other)).await;
    assert!(
        matches!(refused, Err(Error::AlreadyExists(Unique::Email))),
        "{refused:?}"
    );
    assert_eq!(store.account(&other.name).await.unwrap(), None);
    let found = store.credential(&other.email).await.unwrap().unwrap();
    assert_eq!(found.account, account("ada"));
}

pub(crate) async fn a_request_id_is_unique_per_rpc_and_caller(backend: &impl Backend) {
    let store = backend.open();
    let with = |id: &str, reply| NewAccount {
        reply: Some(reply),
        ..new(&account(id))
    };
    store
        .create_account(with("a", reply("Create", "x")))
        .await
        .unwrap();
    let refused = store.create_account(with("b", reply("Create", "x"))).await;
    assert!(
        matches!(refused, Err(Error::AlreadyExists(Unique::RequestId))),
        "{refused:?}"
    );
    store
        .create_account(with("c", reply("Create", "y")))
        .await
        .unwrap();
    store
        .create_account(with("d", reply("Other", "x")))
        .await
        .unwrap();
    let kept = reply("Create", "x");
    assert_eq!(store.reply(&kept.key).await.unwrap(), Some(kept));
}

pub(crate) async fn what_is_written_is_read_back_after_a_restart(backend: &impl Backend) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    store.seed_plans(plan::defaults()).await.unwrap();
    let membership = joined(&*store, &ada, at(5)).await;
    let follow = follow(&ada, "c", 6);
    store.create_follow(follow.clone(), vec![]).await.unwrap();
    let reminder = reminder(&ada, "e", 60);
    store.create_reminder(reminder.clone(), 10, vec![]).await.unwrap();
    drop(store);

    let store = backend.open();
    assert_eq!(store.account(&ada.name).await.unwrap(), Some(ada.clone()));
    assert_eq!(store.plans().await.unwrap(), plan::defaults());
    assert_eq!(
        store.membership(&membership.name).await.unwrap(),
        Some(membership.clone())
    );
    let payments = store.payments(&ada.name, page(10, None)).await.unwrap().rows;
    assert_eq!(payments[0].membership, Some(membership.name));
    assert_eq!(store.follow(&follow.name).await.unwrap(), Some(follow));
    assert_eq!(store.reminder(&reminder.name).await.unwrap(), Some(reminder));
}

pub(crate) async fn an_update_of_what_was_changed_meanwhile_is_a_conflict(backend: &impl Backend) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    let first = renamed(&ada, "first");
    store
        .update_account(first.clone(), ada.version, vec![])
        .await
        .unwrap();
    let second = store
        .update_account(renamed(&ada, "second"), ada.version, vec![])
        .await;
    assert!(matches!(second, Err(Error::Conflict)), "{second:?}");
    assert_eq!(store.account(&ada.name).await.unwrap(), Some(first));

    let read = joined(&*store, &ada, at(0)).await;
    let expired = read.expire(read.period_end).unwrap();
    store
        .update_membership(expired.clone(), read.version, vec![])
        .await
        .unwrap();
    let again = store.update_membership(expired, read.version, vec![]).await;
    assert!(matches!(again, Err(Error::Conflict)), "{again:?}");
}

pub(crate) async fn of_concurrent_updates_of_one_version_one_wins(backend: &impl Backend) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    let all = futures::future::join_all((0..20).map(|n| {
        let changed = renamed(&ada, &format!("name {n}"));
        let events = vec![publish::account_updated(&changed)];
        store.update_account(changed, ada.version, events)
    }))
    .await;
    assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1);
    assert_eq!(
        store.account(&ada.name).await.unwrap().unwrap().version,
        Version(2)
    );
    let updated = waiting(&*store)
        .await
        .into_iter()
        .filter(|kind| kind.ends_with("updated"));
    assert_eq!(updated.count(), 1);
}

pub(crate) async fn a_change_and_its_message_are_there_together_or_not_at_all(backend: &impl Backend) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    assert_eq!(waiting(&*store).await, ["marquee.subscriptions.account.created"]);
    assert!(store.create_account(new(&ada)).await.is_err());
    let changed = renamed(&ada, "new");
    let stale = store.update_account(
        changed.clone(),
        Version(9),
        vec![publish::account_updated(&changed)],
    );
    assert!(stale.await.is_err());
    assert_eq!(waiting(&*store).await.len(), 1);
    store
        .update_account(
            changed.clone(),
            ada.version,
            vec![publish::account_updated(&changed)],
        )
        .await
        .unwrap();
    assert_eq!(waiting(&*store).await.len(), 2);
}

pub(crate) async fn messages_wait_in_the_order_of_their_commits_and_survive_a_restart(
    backend: &impl Backend,
) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    let follow = follow(&ada, "c", 1);
    store
        .create_follow(follow.clone(), vec![publish::follow_created(&follow)])
        .await
        .unwrap();
    store
        .delete_follow(follow.clone(), vec![publish::follow_deleted(&follow)])
        .await
        .unwrap();
    drop(store);
    let store = backend.open();
    let kinds = waiting(&*store).await;
    assert_eq!(
        kinds,
        [
            "marquee.subscriptions.account.created",
            "marquee.subscriptions.follow.created",
            "marquee.subscriptions.follow.deleted"
        ]
    );
    let (first, _) = store.outbox().pending(1).await.unwrap().remove(0);
    store.outbox().published(first).await.unwrap();
    assert_eq!(waiting(&*store).await, kinds[1..]);
}

pub(crate) async fn the_first_signing_key_stays(backend: &impl Backend) {
    let key = |kid: &str| SigningKey {
        kid: kid.to_owned(),
        pkcs8: kid.as_bytes().to_vec(),
        create_time: at(0),
    };
    let store = backend.open();
    let kids = |keys: Vec<SigningKey>| keys.into_iter().map(|key| key.kid).collect::<Vec<_>>();
    assert_eq!(
        kids(store.signing_keys_or(key("first")).await.unwrap()),
        ["first"]
    );
    drop(store);
    let store = backend.open();
    assert_eq!(
        kids(store.signing_keys_or(key("second")).await.unwrap()),
        ["first"]
    );
}

pub(crate) async fn plans_are_seeded_once_and_listed_cheapest_first(backend: &impl Backend) {
    let store = backend.open();
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

pub(crate) async fn a_refresh_token_rotates_once_however_many_try(backend: &impl Backend) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    let token = RefreshToken::first();
    store.start_session(session(&token, &ada)).await.unwrap();
    let all = futures::future::join_all((0..10).map(|_| {
        let next = token.next();
        store.rotate_session(token.family(), token.secret(), next.secret(), at(1))
    }))
    .await;
    let count =
        |wanted: fn(&Rotation) -> bool| all.iter().filter(|one| wanted(one.as_ref().unwrap())).count();
    assert_eq!(count(|one| matches!(one, Rotation::Rotated(_))), 1);
    assert_eq!(count(|one| matches!(one, Rotation::Reused(_))), 1);
    assert_eq!(count(|one| matches!(one, Rotation::Unknown)), 8);
}

pub(crate) async fn an_ended_session_stays_ended(backend: &impl Backend) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    let token = RefreshToken::first();
    store.start_session(session(&token, &ada)).await.unwrap();
    store.end_session(token.family(), at(1)).await.unwrap();
    drop(store);
    let store = backend.open();
    let rotation = store
        .rotate_session(token.family(), token.secret(), token.next().secret(), at(2))
        .await;
    assert_eq!(rotation.unwrap(), Rotation::Unknown);
}

pub(crate) async fn purging_takes_expired_sessions_and_old_replies_only(backend: &impl Backend) {
    let store = backend.open();
    let ada = account("ada");
    let mut with_reply = new(&ada);
    with_reply.reply = Some(reply("Create", "x"));
    store.create_account(with_reply).await.unwrap();
    let token = RefreshToken::first();
    store.start_session(session(&token, &ada)).await.unwrap();
    assert_eq!(store.purge(at(1_000), at(0), 10).await.unwrap(), 0);
    assert_eq!(store.purge(at(1_001), at(1), 10).await.unwrap(), 2);
    assert_eq!(store.reply(&reply("Create", "x").key).await.unwrap(), None);
    let rotation = store
        .rotate_session(token.family(), token.secret(), token.next().secret(), at(2))
        .await;
    assert_eq!(rotation.unwrap(), Rotation::Unknown);
}

pub(crate) async fn one_payment_of_an_account_is_pending_at_a_time(backend: &impl Backend) {
    let store = backend.open();
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
    assert_eq!(store.stale_payments(at(1), 10).await.unwrap(), [first.clone()]);
    assert_eq!(store.stale_payments(at(0), 10).await.unwrap(), []);
    store.discard_payment(&first.id).await.unwrap();
    begun(&*store, &ada, "r2").await;
    let grace = registered(&*store, "grace").await;
    begun(&*store, &grace, "r1").await;
}

pub(crate) async fn a_payment_is_settled_once(backend: &impl Backend) {
    let store = backend.open();
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
    let store = backend.open();
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
    let store = backend.open();
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
    let store = backend.open();
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
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    let grace = registered(&*store, "grace").await;
    let early = joined(&*store, &ada, at(0)).await;
    let late = joined(&*store, &grace, at(60)).await;
    let just_before = early.period_end - 1.microsecond();
    assert_eq!(store.due_memberships(just_before, 10).await.unwrap(), []);
    assert_eq!(
        store.due_memberships(early.period_end, 10).await.unwrap(),
        [early.clone()]
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

pub(crate) async fn pages_are_stable_while_rows_are_added(backend: &impl Backend) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    for n in 0..5 {
        store
            .create_follow(follow(&ada, &format!("c{n}"), n), vec![])
            .await
            .unwrap();
    }
    let channels = |rows: &[Follow]| {
        rows.iter()
            .map(|follow| follow.name.channel.clone())
            .collect::<Vec<_>>()
    };
    let first = store.follows(&ada.name, page(2, None)).await.unwrap();
    assert_eq!(channels(&first.rows), ["c4", "c3"]);
    store
        .create_follow(follow(&ada, "newer", 100), vec![])
        .await
        .unwrap();
    store.delete_follow(first.rows[1].clone(), vec![]).await.unwrap();
    let second = store.follows(&ada.name, page(2, first.next)).await.unwrap();
    assert_eq!(channels(&second.rows), ["c2", "c1"]);
    let last = store.follows(&ada.name, page(2, second.next)).await.unwrap();
    assert_eq!(channels(&last.rows), ["c0"]);
    assert_eq!(last.next, None);
}

pub(crate) async fn rows_of_one_moment_are_paged_without_loss(backend: &impl Backend) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    for n in 0..7 {
        let reminder = reminder(&ada, &format!("e{n}"), 60);
        store.create_reminder(reminder, 10, vec![]).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let rows = store.reminders(&ada.name, page(3, after)).await.unwrap();
        seen.extend(rows.rows.into_iter().map(|reminder| reminder.event.event));
        after = rows.next;
        if after.is_none() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, ["e0", "e1", "e2", "e3", "e4", "e5", "e6"]);
}

pub(crate) async fn another_accounts_rows_are_not_listed(backend: &impl Backend) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    let grace = registered(&*store, "grace").await;
    joined(&*store, &ada, at(0)).await;
    store.create_follow(follow(&ada, "c", 0), vec![]).await.unwrap();
    store
        .create_reminder(reminder(&ada, "e", 0), 10, vec![])
        .await
        .unwrap();
    assert!(
        store
            .follows(&grace.name, page(10, None))
            .await
            .unwrap()
            .rows
            .is_empty()
    );
    assert!(
        store
            .reminders(&grace.name, page(10, None))
            .await
            .unwrap()
            .rows
            .is_empty()
    );
    assert!(
        store
            .memberships(&grace.name, page(10, None))
            .await
            .unwrap()
            .rows
            .is_empty()
    );
    assert!(
        store
            .payments(&grace.name, page(10, None))
            .await
            .unwrap()
            .rows
            .is_empty()
    );
}

pub(crate) async fn following_twice_is_one_follow(backend: &impl Backend) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    let all = futures::future::join_all((0..10).map(|n| {
        let follow = follow(&ada, "c", n);
        let events = vec![publish::follow_created(&follow)];
        store.create_follow(follow, events)
    }))
    .await;
    let new = all.iter().filter(|one| matches!(one, Ok(Added::New(_))));
    assert_eq!(new.count(), 1);
    assert_eq!(waiting(&*store).await.len(), 2, "the account and one follow");
}

pub(crate) async fn a_follow_that_was_made_again_is_not_deleted_for_the_old_one(backend: &impl Backend) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    let old = follow(&ada, "c", 0);
    let again = follow(&ada, "c", 1);
    store.create_follow(old.clone(), vec![]).await.unwrap();
    store.delete_follow(old.clone(), vec![]).await.unwrap();
    store.create_follow(again.clone(), vec![]).await.unwrap();
    let late = store.delete_follow(old, vec![]).await;
    assert!(matches!(late, Err(Error::NotFound)), "{late:?}");
    assert_eq!(store.follow(&again.name).await.unwrap(), Some(again));
}

pub(crate) async fn the_same_reminder_is_set_once(backend: &impl Backend) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    let first = reminder(&ada, "e", 60);
    let set = store
        .create_reminder(first.clone(), 10, vec![publish::reminder_created(&first)])
        .await;
    assert_eq!(set.unwrap(), Added::New(first.clone()));
    let same = reminder(&ada, "e", 60);
    let set = store
        .create_reminder(same.clone(), 10, vec![publish::reminder_created(&same)])
        .await;
    assert_eq!(set.unwrap(), Added::Existing(first.clone()));
    assert_eq!(store.same_reminder(&same).await.unwrap(), Some(first.clone()));
    assert_eq!(waiting(&*store).await.len(), 2, "the account and one reminder");
    store.delete_reminder(&first.name, vec![]).await.unwrap();
    let late = store.delete_reminder(&first.name, vec![]).await;
    assert!(matches!(late, Err(Error::NotFound)), "{late:?}");
}

pub(crate) async fn reminders_of_one_event_are_limited(backend: &impl Backend) {
    let store = backend.open();
    let ada = registered(&*store, "ada").await;
    for lead in 0..3 {
        store
            .create_reminder(reminder(&ada, "e", lead), 3, vec![])
            .await
            .unwrap();
    }
    let one_more = store.create_reminder(reminder(&ada, "e", 3), 3, vec![]).await;
    assert_eq!(one_more.unwrap(), Added::TooMany);
    let other = store.create_reminder(reminder(&ada, "other", 3), 3, vec![]).await;
    assert!(matches!(other, Ok(Added::New(_))), "{other:?}");
}

pub(crate) async fn writers_at_the_same_time_all_get_through(backend: &impl Backend) {
    let store = backend.open();
    let names: Vec<String> = (0..200).map(|n| format!("user{n}")).collect();
    let accounts: Vec<Account> = names.iter().map(|name| account(name)).collect();
    let all =
        futures::future::join_all(accounts.iter().map(|account| store.create_account(new(account)))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(waiting(&*store).await.len(), 200);
    drop(store);
    let store = backend.open();
    for account in accounts {
        assert_eq!(store.account(&account.name).await.unwrap(), Some(account));
    }
}
