//! What every store must do. [`store_suite`] owns the one list of cases: an adapter that names it runs them all.

mod accounts;
mod billing;
mod collections;
mod killed;
mod order;
mod provider;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use marquee_bus::Outgoing;
use marquee_proto::name::{
    AccountName, ChannelName, EventName, FollowName, MembershipName, PaymentName, ReminderName, new_id,
};

pub(crate) use accounts::*;
pub(crate) use billing::*;
pub(crate) use collections::*;
pub(crate) use killed::*;
pub(crate) use order::*;
pub(crate) use provider::*;

use super::*;
use crate::domain::account::{DisplayName, Profile, ProfileChange, Role};
use crate::domain::attempts::LoginLimit;
use crate::domain::membership::State;
use crate::domain::page::Cursor;
use crate::domain::payment::{PaymentResult, Purchase};
use crate::domain::plan;
use crate::domain::reminder::LeadTime;
use crate::domain::session::RefreshToken;
use crate::payment::test_provider::Books;
use crate::publish;

/// How often one may sign in, in this suite.
pub(crate) const LOGIN_LIMIT: LoginLimit = LoginLimit {
    burst: 3,
    refill: Duration::from_secs(30),
    addresses: 1_000,
};

/// A place for one store: opening it again finds what was there.
pub(crate) trait Backend: Send + Sync {
    type Store: Store + Books;

    fn new() -> impl Future<Output = Self> + Send;
    /// The store, prepared.
    fn open(&self) -> impl Future<Output = Arc<Self::Store>> + Send;
    /// How another process finds the place.
    fn place(&self) -> String;
    fn open_place(place: &str) -> impl Future<Output = Arc<Self::Store>> + Send;

    /// The store as it is after its process has ended and another one has started.
    fn reopen(&self, store: Arc<Self::Store>) -> impl Future<Output = Arc<Self::Store>> + Send {
        async move {
            store.outbox().release().await;
            drop(store);
            self.open().await
        }
    }
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
            an_account_has_one_ticket_for_an_event,
            memberships_are_due_when_their_period_is_over,
            pages_are_stable_while_rows_are_added,
            rows_of_one_moment_are_paged_without_loss,
            another_accounts_rows_are_not_listed,
            following_twice_is_one_follow,
            a_follow_that_was_made_again_is_not_deleted_for_the_old_one,
            the_same_reminder_is_set_once,
            reminders_of_one_event_are_limited,
            writers_at_the_same_time_all_get_through,
            of_two_registrations_at_once_with_one_address_one_is_refused,
            of_two_registrations_at_once_with_one_request_id_one_is_refused,
            different_changes_at_the_same_time_are_all_made,
            attempts_to_sign_in_run_out_and_come_back,
            attempts_at_the_same_time_are_no_more_than_there_are,
            of_payments_begun_at_once_one_is_pending,
            reminders_set_at_once_are_no_more_than_are_allowed,
            the_same_reminder_at_once_is_set_once,
            a_list_that_is_read_while_others_write_shows_each_old_row_once,
            messages_of_a_key_wait_in_the_order_of_its_versions,
            messages_that_are_added_while_others_are_published_are_not_forgotten,
            the_outbox_wakes_at_a_commit,
            a_process_that_is_killed_leaves_state_and_message_both_or_neither,
            a_charge_goes_the_same_way_however_often_it_is_asked_for,
            the_retry_card_works_the_second_time,
            a_cancelled_charge_is_never_made,
            cancelling_too_late_says_how_it_went,
            an_unknown_card_leaves_no_trace,
            of_charging_and_cancelling_at_once_one_is_heeded,
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
            let backend = <$backend as $crate::store::suite::Backend>::new().await;
            $crate::store::suite::$case(&backend).await;
        }
    };
}
pub(crate) use store_suite;

/// True in the process that a case starts to kill it: the place is not its own.
pub(crate) fn is_another_process() -> bool {
    std::env::var(killed::PLACE).is_ok()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).unwrap()
}

pub(crate) fn account(id: &str) -> Account {
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

pub(crate) fn new(account: &Account) -> NewAccount {
    NewAccount {
        account: account.clone(),
        password_hash: "$argon2id$...".to_owned(),
        reply: None,
        events: vec![publish::account_created(account)],
    }
}

pub(crate) async fn registered(store: &dyn Store, id: &str) -> Account {
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
        purchase: Purchase::Plan(plan.name),
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
        ticket: None,
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
        ticket: None,
    }
}

async fn joined(store: &dyn Store, account: &Account, start: Timestamp) -> Membership {
    let intent = begun(store, account, &new_id()).await;
    let settlement = success(&intent, start);
    store.settle_payment(settlement.clone()).await.unwrap();
    settlement.membership.unwrap()
}

pub(crate) fn follow(account: &Account, channel: &str, second: i64) -> Follow {
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
