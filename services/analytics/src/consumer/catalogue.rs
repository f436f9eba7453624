//! Keeps who owns a channel and which events there are.

use std::sync::Arc;

use async_trait::async_trait;
use marquee_bus::{Delivery, Handler, HandlerError};
use marquee_proto::events::v1::{ChannelChanged, EventChanged, channel_changed, event_changed};
use marquee_proto::time::from_proto;

use crate::store::Store;

/// Copies what the events service tells.
pub(crate) struct Keeper {
    store: Arc<dyn Store>,
}

impl Keeper {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Handler<ChannelChanged> for Keeper {
    async fn handle(&self, delivery: Delivery<ChannelChanged>) -> Result<(), HandlerError> {
        let channel = match delivery.event.change {
            Some(channel_changed::Change::Created(change)) => change.channel,
            Some(channel_changed::Change::Updated(change)) => change.channel,
            None => None,
        };
        let channel = channel.ok_or_else(|| HandlerError::poison("no channel in it"))?;
        let name = channel.name.parse().map_err(HandlerError::poison)?;
        let owner = channel.owner.parse().map_err(HandlerError::poison)?;
        let changed = channel
            .update_time
            .as_ref()
            .and_then(from_proto)
            .unwrap_or(delivery.time);
        let version_ns = i64::try_from(changed.as_nanosecond()).unwrap_or(i64::MAX);
        Ok(self.store.put_channel(name, owner, version_ns).await?)
    }
}

#[async_trait]
impl Handler<EventChanged> for Keeper {
    async fn handle(&self, delivery: Delivery<EventChanged>) -> Result<(), HandlerError> {
        let event = match delivery.event.change {
            Some(event_changed::Change::Scheduled(change)) => change.event,
            Some(event_changed::Change::Updated(change)) => change.event,
            Some(event_changed::Change::Live(change)) => change.event,
            Some(event_changed::Change::Ended(change)) => change.event,
            Some(event_changed::Change::Cancelled(change)) => change.event,
            None => None,
        };
        let event = event.ok_or_else(|| HandlerError::poison("no event in it"))?;
        let name = event.name.parse().map_err(HandlerError::poison)?;
        if self.store.has_event(&name).await? {
            return Ok(());
        }
        Ok(self.store.put_event(name).await?)
    }
}
