//! The six services and what each is told.

use std::net::SocketAddr;
use std::path::Path;

use marquee_backends::Backend;

/// A service of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Accounts, plans, follows, payments, keys.
    Subscriptions,
    /// Channels and events.
    Events,
    /// Live video.
    VideoIngest,
    /// The inbox.
    Notifications,
    /// The index.
    Search,
    /// The audience.
    Analytics,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Subscriptions,
        Self::Events,
        Self::VideoIngest,
        Self::Notifications,
        Self::Search,
        Self::Analytics,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscriptions => "subscriptions",
            Self::Events => "events",
            Self::VideoIngest => "video-ingest",
            Self::Notifications => "notifications",
            Self::Search => "search",
            Self::Analytics => "analytics",
        }
    }

    /// The program that it is.
    pub fn program(self) -> &'static str {
        match self {
            Self::Subscriptions => "marquee-subscriptions",
            Self::Events => "marquee-events",
            Self::VideoIngest => "marquee-video-ingest",
            Self::Notifications => "marquee-notifications",
            Self::Search => "marquee-search",
            Self::Analytics => "marquee-analytics",
        }
    }

    /// The server that keeps its data.
    pub fn store(self) -> Backend {
        match self {
            Self::Subscriptions => Backend::Postgres,
            Self::Search => Backend::Elasticsearch,
            Self::Events | Self::VideoIngest | Self::Notifications | Self::Analytics => Backend::MongoDb,
        }
    }

    /// The services that it calls, beside subscriptions, whose keys check every token.
    fn calls(self) -> &'static [Self] {
        match self {
            Self::VideoIngest | Self::Analytics | Self::Subscriptions => &[Self::Events],
            Self::Notifications | Self::Events | Self::Search => &[],
        }
    }
}

/// What all services are told alike.
pub(crate) struct Shared<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) kafka: &'a str,
    pub(crate) public_rtmp_url: String,
    pub(crate) otlp: Option<&'a str>,
    pub(crate) address_of: &'a dyn Fn(Kind) -> SocketAddr,
}

/// The service's configuration, as environment variables (docs/CONFIG.md).
pub(crate) fn settings(
    kind: Kind,
    shared: &Shared<'_>,
    store: &str,
    rtmp: SocketAddr,
) -> Vec<(String, String)> {
    let address = |kind| format!("http://{}", (shared.address_of)(kind));
    let mut settings = vec![
        ("LISTEN", (shared.address_of)(kind).to_string()),
        ("KAFKA_BROKERS", shared.kafka.to_owned()),
        (
            "SERVICE_SECRET",
            format!("file:{}", shared.folder.join("service-secret").display()),
        ),
        // Only NGINX is in front of them.
        ("TRUSTED_PROXIES", "127.0.0.1/32".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ];
    if kind != Kind::Subscriptions {
        settings.push(("SUBSCRIPTIONS_URL", address(Kind::Subscriptions)));
    }
    for peer in kind.calls() {
        let variable = match peer {
            Kind::Events => "EVENTS_URL",
            Kind::VideoIngest => "VIDEO_INGEST_URL",
            Kind::Subscriptions => "SUBSCRIPTIONS_URL",
            Kind::Notifications => "NOTIFICATIONS_URL",
            Kind::Search => "SEARCH_URL",
            Kind::Analytics => "ANALYTICS_URL",
        };
        settings.push((variable, address(*peer)));
    }
    match kind.store() {
        Backend::MongoDb => settings.push(("MONGODB_URI", store.to_owned())),
        Backend::Postgres => settings.push(("POSTGRES_URL", store.to_owned())),
        _ => settings.push(("ELASTICSEARCH_URL", store.to_owned())),
    }
    if kind == Kind::VideoIngest {
        settings.push(("RTMP_LISTEN", rtmp.to_string()));
        settings.push(("PUBLIC_RTMP_URL", shared.public_rtmp_url.clone()));
        settings.push(("DATA", shared.folder.join("video-ingest").display().to_string()));
    }
    if let Some(endpoint) = shared.otlp {
        settings.push(("OTLP_ENDPOINT", endpoint.to_owned()));
    }
    settings
        .into_iter()
        .map(|(name, value)| (format!("MARQUEE_{name}"), value))
        .collect()
}
