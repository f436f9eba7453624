//! What every store must do. [`store_suite`] owns the one list of cases: an adapter that names it runs them all.

mod accounts;
mod billing;
mod collections;

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
