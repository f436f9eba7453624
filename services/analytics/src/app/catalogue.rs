//! What analytics has to know of channels and events: who owns them, and whether they exist. Kept from the bus; what is
//! too new for that is asked of the events service.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use marquee_client::Peers;
use marquee_proto::events::v1::channel_service_client::ChannelServiceClient;
use marquee_proto::events::v1::event_service_client::EventServiceClient;
use marquee_proto::events::v1::{GetChannelRequest, GetEventRequest};
use marquee_proto::name::{AccountName, ChannelName, EventName};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use super::known::Known;
use crate::Error;
use crate::store::Store;

/// Events that one request may make the events service be asked for. A player watches one at a time.
const ASKED: usize = 16;

/// How long beacons wait for the events service.
const PATIENCE: Duration = Duration::from_secs(1);

/// Knows channels and events.
#[derive(Clone)]
pub(crate) struct Catalogue {
    store: Arc<dyn Store>,
    peers: Peers,
    known: Arc<Mutex<Known>>,
}

impl Catalogue {
    pub(crate) fn new(store: Arc<dyn Store>, peers: Peers) -> Self {
        Self {
            store,
            peers,
            known: Arc::default(),
        }
    }

    /// Which of these events there are none of, as far as that can be told soon: when the events service does not answer,
    /// they are believed. Where one request has very many unknown names, the rest of them counts as missing.
    pub(crate) async fn missing(&self, events: BTreeSet<EventName>) -> Result<BTreeSet<EventName>, Error> {
        let mut missing = BTreeSet::new();
        let mut left = ASKED;
        for event in events {
            let known = self.known.lock().get(&event, Instant::now());
            let exists = match known {
                Some(exists) => exists,
                None if self.store.has_event(&event).await? => true,
                None if left == 0 => false,
                None => {
                    left -= 1;
                    match timeout(PATIENCE, self.require_event(&event)).await {
                        Ok(Err(Error::EventNotFound(_))) => {
                            self.known.lock().put(event.clone(), false, Instant::now());
                            false
                        }
                        Ok(Ok(())) => {
                            self.known.lock().put(event.clone(), true, Instant::now());
                            true
                        }
                        Ok(Err(error)) => {
                            tracing::debug!(%error, %event, "the event is believed to exist");
                            return Ok(missing);
                        }
                        Err(_) => return Ok(missing),
                    }
                }
            };
            if !exists {
                missing.insert(event);
            }
        }
        Ok(missing)
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
