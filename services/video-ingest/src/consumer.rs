//! What other services tell on the bus.

use std::sync::Arc;

use async_trait::async_trait;
use marquee_bus::{Delivery, Handler, HandlerError};
use marquee_proto::events::v1::{Event, EventChanged, EventState, Visibility, event_changed};
use marquee_proto::name::EventName;
use marquee_proto::time::from_proto;

use crate::domain::{Audience, EventCopy, Stage};
use crate::playback::Rules;

/// Keeps a copy of each event: who may watch the stream that carries it.
pub(crate) struct Events(pub(crate) Arc<Rules>);

#[async_trait]
impl Handler<EventChanged> for Events {
    async fn handle(&self, delivery: Delivery<EventChanged>) -> Result<(), HandlerError> {
        use event_changed::Change;
        let event = match delivery.event.change {
            Some(Change::Scheduled(change)) => change.event,
            Some(Change::Updated(change)) => change.event,
            Some(Change::Live(change)) => change.event,
            Some(Change::Ended(change)) => change.event,
            Some(Change::Cancelled(change)) => change.event,
            None => return Err(HandlerError::Poison("the message says of no change".into())),
        };
        let event = event.ok_or_else(|| HandlerError::Poison("the message has no event".into()))?;
        self.0.learn(&copy(&event)?).await.map_err(HandlerError::retry)
    }
}

fn copy(event: &Event) -> Result<EventCopy, HandlerError> {
    let name: EventName = event.name.parse().map_err(HandlerError::poison)?;
    let time = |time: Option<&prost_types::Timestamp>, what: &str| {
        time.and_then(from_proto)
            .ok_or_else(|| HandlerError::Poison(format!("the message has no {what}").into()))
    };
    Ok(EventCopy {
        channel: name.channel,
        live_stream: event.live_stream.clone(),
        audience: audience(event.visibility),
        stage: match event.state() {
            EventState::Scheduled => Stage::Scheduled,
            _ => Stage::Settled,
        },
        scheduled_start: time(event.scheduled_start_time.as_ref(), "scheduled_start_time")?,
        update_time: time(event.update_time.as_ref(), "update_time")?,
        name: event.name.clone(),
    })
}

fn audience(visibility: i32) -> Audience {
    match Visibility::try_from(visibility) {
        Ok(Visibility::Unspecified | Visibility::Public | Visibility::Unlisted) => Audience::Everybody,
        Ok(Visibility::Members) => Audience::Members,
        Ok(Visibility::PayPerView) => Audience::TicketHolders,
        Err(_) => Audience::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visibility_of_the_future_is_for_nobody() {
        assert_eq!(audience(77), Audience::Nobody);
        assert_eq!(audience(Visibility::Unlisted.into()), Audience::Everybody);
        assert!(audience(Visibility::PayPerView.into()) > audience(Visibility::Members.into()));
    }
}
