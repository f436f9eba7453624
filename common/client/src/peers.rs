use std::net::SocketAddr;
use std::sync::Arc;

use http::Uri;
use marquee_auth::TokenSource;
use tonic::transport::Channel;

use crate::{Peer, channel};

/// Where the peers are. A service leaves out those that it does not call.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PeerArgs {
    /// Address of events
    #[arg(long, value_name = "URL")]
    pub events_url: Option<Uri>,
    /// Address of video-ingest
    #[arg(long, value_name = "URL")]
    pub video_ingest_url: Option<Uri>,
    /// Address of subscriptions
    #[arg(long, value_name = "URL")]
    pub subscriptions_url: Option<Uri>,
    /// Address of notifications
    #[arg(long, value_name = "URL")]
    pub notifications_url: Option<Uri>,
    /// Address of search
    #[arg(long, value_name = "URL")]
    pub search_url: Option<Uri>,
    /// Address of analytics
    #[arg(long, value_name = "URL")]
    pub analytics_url: Option<Uri>,
}

/// The services of the installation.
#[derive(Debug, Clone)]
pub struct Peers {
    events: Peer,
    video_ingest: Peer,
    subscriptions: Peer,
    notifications: Peer,
    search: Peer,
    analytics: Peer,
}

impl Peers {
    /// The services at their addresses, called with the tokens of `tokens`. Nothing is connected yet; must be called
    /// within a Tokio runtime.
    pub fn new(args: PeerArgs, tokens: Arc<dyn TokenSource>) -> Self {
        Self::from_channels(
            [
                args.events_url,
                args.video_ingest_url,
                args.subscriptions_url,
                args.notifications_url,
                args.search_url,
                args.analytics_url,
            ]
            .map(|address| address.map(channel)),
            &tokens,
        )
    }

    /// All services behind one address, over one connection: as `marquee up` and NGINX show them. Must be called within
    /// a Tokio runtime.
    pub fn all_at(address: SocketAddr, tokens: Arc<dyn TokenSource>) -> Self {
        let one = uri(address).map(channel);
        Self::from_channels(std::array::from_fn(|_| one.clone()), &tokens)
    }

    fn from_channels(channels: [Option<Channel>; 6], tokens: &Arc<dyn TokenSource>) -> Self {
        let peer = |name, channel| Peer::new(name, channel, Some(Arc::clone(tokens)));
        let [
            events,
            video_ingest,
            subscriptions,
            notifications,
            search,
            analytics,
        ] = channels;
        Self {
            events: peer("events", events),
            video_ingest: peer("video-ingest", video_ingest),
            subscriptions: peer("subscriptions", subscriptions),
            notifications: peer("notifications", notifications),
            search: peer("search", search),
            analytics: peer("analytics", analytics),
        }
    }

    /// Channels and events.
    pub fn events(&self) -> Peer {
        self.events.clone()
    }

    /// Stream keys, live streams, recordings.
    pub fn video_ingest(&self) -> Peer {
        self.video_ingest.clone()
    }

    /// Accounts, sessions, memberships, follows, reminders.
    pub fn subscriptions(&self) -> Peer {
        self.subscriptions.clone()
    }

    /// The inbox.
    pub fn notifications(&self) -> Peer {
        self.notifications.clone()
    }

    /// Search and suggestions.
    pub fn search(&self) -> Peer {
        self.search.clone()
    }

    /// Beacons and the audience.
    pub fn analytics(&self) -> Peer {
        self.analytics.clone()
    }
}

fn uri(address: SocketAddr) -> Option<Uri> {
    Uri::builder()
        .scheme("http")
        .authority(address.to_string())
        .path_and_query("/")
        .build()
        .ok()
}
