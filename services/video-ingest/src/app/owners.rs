//! Who owns a channel: the events service knows.

use marquee_auth::Principal;
use marquee_client::Peers;
use marquee_proto::events::v1::channel_service_client::ChannelServiceClient;
use marquee_proto::events::v1::{Channel, GetChannelRequest};
use marquee_proto::name::ChannelName;
use tonic::Code;

use crate::error::{Error, Result};

/// Asks the events service.
#[derive(Clone)]
pub(crate) struct Owners {
    peers: Peers,
}

impl Owners {
    pub(crate) fn new(peers: Peers) -> Self {
        Self { peers }
    }

    /// Whether there is such a channel.
    pub(crate) async fn exists(&self, name: &ChannelName) -> Result<bool> {
        match self.channel(name).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn channel(&self, name: &ChannelName) -> Result<Channel> {
        let request = GetChannelRequest {
            name: name.to_string(),
        };
        let answer = ChannelServiceClient::new(self.peers.events())
            .get_channel(request)
            .await;
        match answer {
            Ok(response) => Ok(response.into_inner().channel.unwrap_or_default()),
            Err(status) if status.code() == Code::NotFound => {
                Err(Error::not_found("CHANNEL_NOT_FOUND", name))
            }
            Err(status) => Err(Error::Peer(status.message().to_owned())),
        }
    }

    /// Passes the channel's owner, admins and services; the channel must exist.
    pub(crate) async fn require(&self, principal: &Principal, name: &ChannelName) -> Result<()> {
        let channel = self.channel(name).await?;
        let is_owner = principal
            .account()
            .is_some_and(|account| account.to_string() == channel.owner);
        if is_owner || principal.is_admin() {
            Ok(())
        } else {
            Err(Error::NotYours {
                channel: name.to_string(),
            })
        }
    }

    /// Passes whoever may list what a channel has, unlisted broadcasts among it; of all channels, admins and services.
    pub(crate) async fn require_list(&self, principal: &Principal, name: Option<&ChannelName>) -> Result<()> {
        match name {
            Some(name) => self.require(principal, name).await,
            None if principal.is_admin() => Ok(()),
            None => Err(Error::NotYours {
                channel: "channels/-".to_owned(),
            }),
        }
    }
}
