//! What analytics has to know of channels and events: who owns them, and whether they exist. Kept from the bus; what is
//! too new for that is asked of the events service.

use std::sync::Arc;

use marquee_client::Peers;
use marquee_proto::events::v1::channel_service_client::ChannelServiceClient;
use marquee_proto::events::v1::event_service_client::EventServiceClient;
use marquee_proto::events::v1::{GetChannelRequest, GetEventRequest};
use marquee_proto::name::{AccountName, ChannelName, EventName};
use tonic::{Code, Status};

use crate::Error;
use crate::store::Store;

/// Knows channels and events.
#[derive(Clone)]
pub(crate) struct Catalogue {
    store: Arc<dyn Store>,
    peers: Peers,
}

impl Catalogue {
    pub(crate) fn new(store: Arc<dyn Store>, peers: Peers) -> Self {
        Self { store, peers }
    }

    /// Fails when there is no such event.
    pub(crate) async fn require_event(&self, event: &EventName) -> Result<(), Error> {
        if self.store.has_event(event).await? {
            return Ok(());
        }
        let mut events = EventServiceClient::new(self.peers.events());
        match events
            .get_event(GetEventRequest {
                name: event.to_string(),
            })
            .await
        {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::NotFound => Err(Error::EventNotFound(event.clone())),
            Err(status) => Err(unavailable(&status)),
        }
    }

    /// The channel's owner; `None` when there is no such channel.
    pub(crate) async fn owner(&self, channel: &ChannelName) -> Result<Option<AccountName>, Error> {
        if let Some(owner) = self.store.channel_owner(channel).await? {
            return Ok(Some(owner));
        }
        let mut channels = ChannelServiceClient::new(self.peers.events());
        match channels
            .get_channel(GetChannelRequest {
                name: channel.to_string(),
            })
            .await
        {
            Ok(found) => Ok(found
                .into_inner()
                .channel
                .and_then(|channel| channel.owner.parse().ok())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(unavailable(&status)),
        }
    }
}

fn unavailable(status: &Status) -> Error {
    Error::EventsUnavailable(format!("{:?}: {}", status.code(), status.message()))
}
