//! What other services tell on the bus.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use marquee_bus::{Delivery, Handler, HandlerError};
use marquee_proto::events::v1::{
    Channel, Event as WireEvent, EventChanged, EventState, Visibility, event_changed,
};
use marquee_proto::name::{ChannelName, EventName, FollowName, InvalidName, PaymentName, ReminderName};
use marquee_proto::subscriptions::v1::{
    FollowChanged, Payment, PaymentChanged, ReminderChanged, follow_changed, payment_changed,
    reminder_changed,
};
use marquee_proto::time::{duration_from_proto, from_proto};

use crate::app::{App, EventChange, FollowChange, ReminderChange};
use crate::config::micros;
use crate::domain::audience::{Follow, Reminder, ReminderState};
use crate::domain::event::{Event, State};
use crate::domain::notification::{Content, Kind};

/// Keeps the copies of follows and reminders.
pub(crate) struct Audience(pub(crate) Arc<App>);

/// Turns what happens into notifications.
pub(crate) struct Triggers(pub(crate) Arc<App>);

#[async_trait]
impl Handler<FollowChanged> for Audience {
    async fn handle(&self, delivery: Delivery<FollowChanged>) -> Result<(), HandlerError> {
        use follow_changed::Change;
        let change = match delivery.event.change {
            Some(Change::Created(created)) => {
                let follow = present(created.follow, "follow")?;
                let name: FollowName = name(&follow.name)?;
                FollowChange::Created {
                    time: since(follow.create_time.as_ref(), delivery.time),
                    follow: Follow {
                        account: name.account().to_string(),
                        channel: self::name::<ChannelName>(&follow.channel)?.to_string(),
                        name: follow.name,
                    },
                }
            }
            Some(Change::Deleted(deleted)) => FollowChange::Deleted(present(deleted.follow, "follow")?.name),
            None => return Err(poison("the message says of no change")),
        };
        Ok(self.0.follow(change).await?)
    }
}

#[async_trait]
impl Handler<ReminderChanged> for Audience {
    async fn handle(&self, delivery: Delivery<ReminderChanged>) -> Result<(), HandlerError> {
        use reminder_changed::Change;
        let change = match delivery.event.change {
            Some(Change::Created(created)) => {
                let reminder = present(created.reminder, "reminder")?;
                let name: ReminderName = name(&reminder.name)?;
                let lead = reminder
                    .lead_time
                    .as_ref()
                    .map_or(Some(Default::default()), duration_from_proto);
                let lead = lead.ok_or_else(|| poison("the lead time is ill formed"))?;
                ReminderChange::Created {
                    time: since(reminder.create_time.as_ref(), delivery.time),
                    reminder: Reminder {
                        account: name.account().to_string(),
                        event: self::name::<EventName>(&reminder.event)?.to_string(),
                        name: reminder.name,
                        lead_micros: i64::try_from(lead.as_micros())
                            .map_err(|_| poison("the lead time is too long"))?,
                        state: ReminderState::Waiting,
                        due: None,
                    },
                }
            }
            Some(Change::Deleted(deleted)) => {
                ReminderChange::Deleted(present(deleted.reminder, "reminder")?.name)
            }
            None => return Err(poison("the message says of no change")),
        };
        Ok(self.0.reminder(change).await?)
    }
}

#[async_trait]
impl Handler<EventChanged> for Triggers {
    async fn handle(&self, delivery: Delivery<EventChanged>) -> Result<(), HandlerError> {
        use event_changed::Change;
        let (event, channel) = match delivery.event.change {
            Some(Change::Scheduled(change)) => (change.event, change.channel),
            Some(Change::Updated(change)) => (change.event, change.channel),
            Some(Change::Live(change)) => (change.event, change.channel),
            Some(Change::Ended(change)) => (change.event, change.channel),
            Some(Change::Cancelled(change)) => (change.event, change.channel),
            None => return Err(poison("the message says of no change")),
        };
        let event = decode_event(&present(event, "event")?, &present(channel, "channel")?)?;
        Ok(self
            .0
            .event(EventChange {
                event,
                message: delivery.id,
                time: delivery.time,
            })
            .await?)
    }
}

fn decode_event(event: &WireEvent, channel: &Channel) -> Result<Event, HandlerError> {
    let name: EventName = name(&event.name)?;
    let time = |time: Option<&prost_types::Timestamp>, field: &str| {
        let time = time.and_then(from_proto).map(micros);
        time.ok_or_else(|| poison(format!("the event's {field} is missing or ill formed")))
    };
    let state = match event.state() {
        EventState::Scheduled => State::Scheduled,
        EventState::Live => State::Live,
        EventState::Ended => State::Ended,
        EventState::Cancelled => State::Cancelled,
        EventState::Unspecified => return Err(poison("the event has no state")),
    };
    Ok(Event {
        channel: name.channel().to_string(),
        name: name.to_string(),
        channel_title: channel.display_name.clone(),
        title: event.title.clone(),
        start: time(event.scheduled_start_time.as_ref(), "scheduled_start_time")?,
        state,
        live_since: None,
        listed: matches!(
            event.visibility(),
            Visibility::Public | Visibility::Members | Visibility::PayPerView
        ),
        has_recording: !event.recording_path.is_empty(),
        update_time: time(event.update_time.as_ref(), "update_time")?,
    })
}

#[async_trait]
impl Handler<PaymentChanged> for Triggers {
    async fn handle(&self, delivery: Delivery<PaymentChanged>) -> Result<(), HandlerError> {
        use payment_changed::Change;
        match delivery.event.change {
            Some(Change::Failed(failed)) => {
                let payment = present(failed.payment, "payment")?;
                let account = name::<PaymentName>(&payment.name)?.account().to_string();
                Ok(self.0.tell(&account, &failure(payment), delivery.time).await?)
            }
            Some(Change::Succeeded(_)) => Ok(()),
            None => Err(poison("the message says of no change")),
        }
    }
}

fn failure(payment: Payment) -> Content {
    let body = match payment.failure_reason.as_str() {
        "" => "Check your means of payment".to_owned(),
        reason => reason.to_owned(),
    };
    Content {
        kind: Kind::PaymentFailed,
        occurrence: payment.name,
        title: "A payment failed".to_owned(),
        body,
        channel: String::new(),
        event: String::new(),
    }
}

/// The time that the message tells, or else when it was sent.
fn since(told: Option<&prost_types::Timestamp>, sent: Timestamp) -> Timestamp {
    micros(told.and_then(from_proto).unwrap_or(sent))
}

fn poison(reason: impl Display) -> HandlerError {
    HandlerError::Poison(reason.to_string().into())
}

fn present<T>(field: Option<T>, name: &str) -> Result<T, HandlerError> {
    field.ok_or_else(|| poison(format!("the message has no {name}")))
}

fn name<N: FromStr<Err = InvalidName>>(text: &str) -> Result<N, HandlerError> {
    text.parse()
        .map_err(|error: InvalidName| HandlerError::Poison(Box::new(error)))
}
