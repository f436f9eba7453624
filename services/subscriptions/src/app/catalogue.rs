//! What the events service knows about channels and events.

use marquee_client::Peers;
use marquee_proto::events::v1::channel_service_client::ChannelServiceClient;
use marquee_proto::events::v1::event_service_client::EventServiceClient;
use marquee_proto::events::v1::{Event, EventState, GetChannelRequest, GetEventRequest, Visibility};
use marquee_proto::name::{ChannelName, EventName};
use tonic::{Code, Status};

use crate::error::{Error, Resource};

/// Asks the events service.
pub(super) struct Catalogue {
    peers: Peers,
}

impl Catalogue {
    pub(super) fn new(peers: Peers) -> Self {
        Self { peers }
    }

    /// Fails unless there is such a channel.
    pub(super) async fn require_channel(&self, channel: &ChannelName) -> Result<(), Error> {
        self.owner(channel).await.map(drop)
    }

    /// The resource name of a channel's owner.
    pub(super) async fn owner(&self, channel: &ChannelName) -> Result<String, Error> {
        let request = GetChannelRequest {
            name: channel.to_string(),
        };
        let answer = ChannelServiceClient::new(self.peers.events())
            .get_channel(request)
            .await;
        match answer {
            Ok(answer) => Ok(answer.into_inner().channel.unwrap_or_default().owner),
            Err(status) if status.code() == Code::NotFound => {
                Err(Error::not_found(Resource::Channel, channel))
            }
            Err(status) => Err(failed(status)),
        }
    }

    /// An event as it is now.
    pub(super) async fn event(&self, name: &EventName) -> Result<Event, Error> {
        let request = GetEventRequest {
            name: name.to_string(),
        };
        let answer = EventServiceClient::new(self.peers.events())
            .get_event(request)
            .await;
        match answer {
            Ok(answer) => Ok(answer.into_inner().event.unwrap_or_default()),
            Err(status) if status.code() == Code::NotFound => Err(Error::not_found(Resource::Event, name)),
            Err(status) => Err(failed(status)),
        }
    }

    /// Fails unless there is such an event, everybody who knows its name may see it, and it is still to come.
    pub(super) async fn require_scheduled(&self, name: &EventName) -> Result<(), Error> {
        judge(&self.event(name).await?, name)
    }
}

/// A visibility that this version does not know may be a narrower one: such an event is nobody's to be reminded of.
fn judge(event: &Event, name: &EventName) -> Result<(), Error> {
    match Visibility::try_from(event.visibility) {
        Ok(Visibility::Public | Visibility::Unlisted | Visibility::Members | Visibility::PayPerView) => {}
        Ok(Visibility::Unspecified) | Err(_) => return Err(Error::not_found(Resource::Event, name)),
    }
    match EventState::try_from(event.state) {
        Ok(EventState::Scheduled) => Ok(()),
        _ => Err(Error::EventNotScheduled(name.clone())),
    }
}

/// Whatever else the events service says is not the client's fault.
fn failed(status: Status) -> Error {
    tracing::warn!(code = ?status.code(), message = status.message(), "the events service does not answer");
    Error::PeerUnavailable {
        service: "events",
        source: Box::new(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(visibility: i32, state: EventState) -> Event {
        Event {
            visibility,
            state: state.into(),
            ..Event::default()
        }
    }

    #[test]
    fn an_event_that_may_be_private_is_as_good_as_none() {
        let name = EventName::new("c", "e").unwrap();
        let private = judge(&event(99, EventState::Scheduled), &name);
        assert!(matches!(
            private,
            Err(Error::NotFound {
                kind: Resource::Event,
                ..
            })
        ));
    }

    #[test]
    fn only_a_scheduled_event_can_be_waited_for() {
        let name = EventName::new("c", "e").unwrap();
        for visibility in [
            Visibility::Public,
            Visibility::Unlisted,
            Visibility::Members,
            Visibility::PayPerView,
        ] {
            assert!(judge(&event(visibility.into(), EventState::Scheduled), &name).is_ok());
            for state in [
                EventState::Live,
                EventState::Ended,
                EventState::Cancelled,
                EventState::Unspecified,
            ] {
                let judged = judge(&event(visibility.into(), state), &name);
                assert!(matches!(judged, Err(Error::EventNotScheduled(_))), "{state:?}");
            }
        }
    }
}
