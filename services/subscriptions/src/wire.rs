//! Domain values as the messages that clients and the bus see.

use marquee_proto::subscriptions::v1;
use marquee_proto::time::{duration_to_proto, to_proto};

use crate::domain::account::{Account, Gender};
use crate::domain::country::Country;
use crate::domain::follow::Follow;
use crate::domain::membership::{self, Membership};
use crate::domain::money::Money;
use crate::domain::payment::{Payment, PaymentResult};
use crate::domain::plan::{Period, Plan};
use crate::domain::reminder::Reminder;
use crate::domain::ticket::Ticket;

pub(crate) fn account(account: &Account) -> v1::Account {
    let profile = &account.profile;
    v1::Account {
        name: account.name.to_string(),
        email: account.email.as_str().to_owned(),
        display_name: profile.display_name.as_str().to_owned(),
        country: profile
            .country
            .as_ref()
            .map(Country::as_str)
            .unwrap_or_default()
            .to_owned(),
        birth_date: profile
            .birth_date
            .map(|date| date.to_string())
            .unwrap_or_default(),
        gender: profile
            .gender
            .as_ref()
            .map(Gender::as_str)
            .unwrap_or_default()
            .to_owned(),
        create_time: Some(to_proto(account.create_time)),
        etag: account.version.etag(),
    }
}

pub(crate) fn money(money: Money) -> v1::Money {
    v1::Money {
        currency: money.currency().code().to_owned(),
        minor_units: money.minor_units(),
    }
}

pub(crate) fn plan(plan: &Plan) -> v1::Plan {
    let period = match plan.period {
        Period::Month => v1::Period::Month,
        Period::Year => v1::Period::Year,
    };
    v1::Plan {
        name: plan.name.to_string(),
        display_name: plan.display_name.clone(),
        price: Some(money(plan.price)),
        period: period.into(),
        features: plan.features.clone(),
        tier: plan.tier,
    }
}

pub(crate) fn membership(membership: &Membership) -> v1::Membership {
    let state = match membership.state {
        membership::State::Active => v1::MembershipState::Active,
        membership::State::Cancelled => v1::MembershipState::Cancelled,
        membership::State::Expired => v1::MembershipState::Expired,
    };
    v1::Membership {
        name: membership.name.to_string(),
        plan: membership.plan.to_string(),
        state: state.into(),
        period_start_time: Some(to_proto(membership.period_start)),
        period_end_time: Some(to_proto(membership.period_end)),
        create_time: Some(to_proto(membership.create_time)),
        etag: membership.version.etag(),
    }
}

pub(crate) fn payment(payment: &Payment) -> v1::Payment {
    let (state, failure_reason) = match &payment.result {
        PaymentResult::Succeeded { .. } => (v1::PaymentState::Succeeded, String::new()),
        PaymentResult::Failed { reason } => (v1::PaymentState::Failed, reason.clone()),
    };
    v1::Payment {
        name: payment.name.to_string(),
        membership: payment
            .membership
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        amount: Some(money(payment.amount)),
        state: state.into(),
        method: payment.method.clone(),
        failure_reason,
        create_time: Some(to_proto(payment.create_time)),
    }
}

pub(crate) fn ticket(ticket: &Ticket) -> v1::Ticket {
    v1::Ticket {
        name: ticket.name.to_string(),
        event: ticket.event.to_string(),
        payment: ticket.payment.to_string(),
        create_time: Some(to_proto(ticket.create_time)),
    }
}

pub(crate) fn follow(follow: &Follow) -> v1::Follow {
    v1::Follow {
        name: follow.name.to_string(),
        channel: follow.channel().to_string(),
        create_time: Some(to_proto(follow.create_time)),
    }
}

pub(crate) fn reminder(reminder: &Reminder) -> v1::Reminder {
    v1::Reminder {
        name: reminder.name.to_string(),
        event: reminder.event.to_string(),
        lead_time: Some(duration_to_proto(reminder.lead_time.as_duration())),
        create_time: Some(to_proto(reminder.create_time)),
    }
}
