//! What the bus is told about each change. The messages go into the outbox in the transaction of the change.

use marquee_bus::{Outgoing, event};
use marquee_proto::subscriptions::v1::{
    AccountChanged, AccountCreated, AccountUpdated, FollowChanged, FollowCreated, FollowDeleted,
    MembershipCancelled, MembershipChanged, MembershipExpired, MembershipStarted, PaymentChanged,
    PaymentFailed, PaymentSucceeded, ReminderChanged, ReminderCreated, ReminderDeleted, account_changed,
    follow_changed, membership_changed, payment_changed, reminder_changed,
};

use crate::domain::account::Account;
use crate::domain::follow::Follow;
use crate::domain::membership::{Membership, State};
use crate::domain::payment::{Payment, PaymentResult};
use crate::domain::reminder::Reminder;
use crate::wire;

pub(crate) fn account_created(account: &Account) -> Outgoing {
    let created = AccountCreated {
        account: Some(wire::account(account)),
    };
    let change = Some(account_changed::Change::Created(created));
    event(&account.name, &AccountChanged { change })
}

pub(crate) fn account_updated(account: &Account) -> Outgoing {
    let updated = AccountUpdated {
        account: Some(wire::account(account)),
    };
    let change = Some(account_changed::Change::Updated(updated));
    event(&account.name, &AccountChanged { change })
}

/// That the membership came into its state.
pub(crate) fn membership(membership: &Membership) -> Outgoing {
    use membership_changed::Change;
    let message = Some(wire::membership(membership));
    let change = Some(match membership.state {
        State::Active => Change::Started(MembershipStarted { membership: message }),
        State::Cancelled => Change::Cancelled(MembershipCancelled { membership: message }),
        State::Expired => Change::Expired(MembershipExpired { membership: message }),
    });
    event(membership.name.account(), &MembershipChanged { change })
}

/// How the payment went.
pub(crate) fn payment(payment: &Payment) -> Outgoing {
    use payment_changed::Change;
    let message = Some(wire::payment(payment));
    let change = Some(match payment.result {
        PaymentResult::Succeeded { .. } => Change::Succeeded(PaymentSucceeded { payment: message }),
        PaymentResult::Failed { .. } => Change::Failed(PaymentFailed { payment: message }),
    });
    event(payment.name.account(), &PaymentChanged { change })
}

pub(crate) fn follow_created(follow: &Follow) -> Outgoing {
    let created = FollowCreated {
        follow: Some(wire::follow(follow)),
    };
    let change = Some(follow_changed::Change::Created(created));
    event(&follow.name, &FollowChanged { change })
}

pub(crate) fn follow_deleted(follow: &Follow) -> Outgoing {
    let deleted = FollowDeleted {
        follow: Some(wire::follow(follow)),
    };
    let change = Some(follow_changed::Change::Deleted(deleted));
    event(&follow.name, &FollowChanged { change })
}

pub(crate) fn reminder_created(reminder: &Reminder) -> Outgoing {
    let created = ReminderCreated {
        reminder: Some(wire::reminder(reminder)),
    };
    let change = Some(reminder_changed::Change::Created(created));
    event(&reminder.name, &ReminderChanged { change })
}

pub(crate) fn reminder_deleted(reminder: &Reminder) -> Outgoing {
    let deleted = ReminderDeleted {
        reminder: Some(wire::reminder(reminder)),
    };
    let change = Some(reminder_changed::Change::Deleted(deleted));
    event(&reminder.name, &ReminderChanged { change })
}
