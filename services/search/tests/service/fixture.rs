//! The real service behind real gRPC on a free port, on the embedded bus, in a folder of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use marquee_auth::{Signer, StaticKeys, TokenSource, Verifier};
use marquee_bus::EventBus;
use marquee_bus::embedded::{Embedded, Options};
use marquee_proto::events::v1 as proto;
use marquee_proto::search::v1::search_service_client::SearchServiceClient;
use marquee_proto::search::v1::{Result as Found, SearchRequest, SearchResponse, SuggestRequest};
use marquee_search::Config;
use marquee_server::{Limits, Listener, Platform, PublicAddresses};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

/// Nothing in here takes longer when it works.
const PATIENCE: Duration = Duration::from_secs(20);

struct NoTokens;

#[async_trait]
impl TokenSource for NoTokens {
    async fn token(&self) -> Result<String, marquee_auth::Error> {
        Err(marquee_auth::Error::TokenMissing)
    }
}

pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) bus: Arc<dyn EventBus>,
    address: std::net::SocketAddr,
    channel: Channel,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn start_with_commits_every(commit_every: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            commit_every,
            ..Config::new(folder.path().join("search"))
        };
        Self::start_as(folder, config).await
    }

    async fn start_in(folder: TempDir) -> Self {
        let config = Config::new(folder.path().join("search"));
        Self::start_as(folder, config).await
    }

    pub(crate) async fn start_as(folder: TempDir, config: Config) -> Self {
        let bus = Embedded::open(&folder.path().join("bus"), Options::default()).unwrap();
        Self::start_on(bus, folder, config).await
    }

    /// A process on a bus that others are on too.
    pub(crate) async fn start_on(bus: Arc<dyn EventBus>, folder: TempDir, config: Config) -> Self {
        let verifier = Arc::new(Verifier::new(Arc::new(StaticKeys(vec![
            Signer::generate().jwk(),
        ]))));
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr();
        let stop = CancellationToken::new();
        let platform = Platform {
            bus: bus.clone(),
            peers: marquee_client::Peers::all_at(address, Arc::new(NoTokens)),
            verifier: verifier.clone(),
            shutdown: CancellationToken::new(),
            public: PublicAddresses {
                http: format!("http://{address}"),
                rtmp: String::new(),
            },
        };
        let service = marquee_search::build(config, platform).await.unwrap();
        let run = marquee_server::run(listener, vec![service], verifier, Limits::default(), stop.clone());
        let served = tokio::spawn(async { run.await.unwrap() });
        let channel = marquee_client::channel(format!("http://{address}").parse().unwrap());
        Self {
            folder,
            bus,
            address,
            channel,
            stop,
            served,
        }
    }

    /// Stops in order, does something to the folder, and starts again.
    pub(crate) async fn restart_after(self, change: impl FnOnce(&std::path::Path)) -> Self {
        self.stop.cancel();
        self.served.await.unwrap();
        drop(self.bus);
        change(self.folder.path());
        Self::start_in(self.folder).await
    }

    /// Whether `/readyz` says so, and what it says.
    #[cfg(feature = "elasticsearch")]
    pub(crate) async fn readiness(&self) -> (bool, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer.starts_with("HTTP/1.1 200"), answer)
    }

    /// Stops in order.
    #[cfg(feature = "elasticsearch")]
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.served.await.unwrap();
    }

    /// Drops everything where it stands.
    #[cfg(feature = "elasticsearch")]
    pub(crate) async fn kill(self) {
        self.served.abort();
        drop(self.served.await);
    }

    /// Drops everything where it stands, and starts again.
    pub(crate) async fn crash(self) -> Self {
        self.served.abort();
        drop(self.served.await);
        drop(self.bus);
        Self::start_in(self.folder).await
    }

    pub(crate) fn client(&self) -> SearchServiceClient<Channel> {
        SearchServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn publish(&self, event: &proto::EventChanged) {
        let key = "channels/c/events/e";
        self.bus
            .publish(vec![marquee_bus::event(key, event)])
            .await
            .unwrap();
    }

    pub(crate) async fn ask(&self, request: SearchRequest) -> Result<SearchResponse, Status> {
        self.client()
            .search(request)
            .await
            .map(tonic::Response::into_inner)
    }

    pub(crate) async fn find(&self, query: &str) -> Vec<Found> {
        self.ask(SearchRequest {
            query: query.into(),
            ..SearchRequest::default()
        })
        .await
        .unwrap()
        .results
    }

    pub(crate) async fn suggest(&self, prefix: &str) -> Vec<String> {
        let request = SuggestRequest {
            prefix: prefix.into(),
            limit: 0,
        };
        let suggestions = self
            .client()
            .suggest(request)
            .await
            .unwrap()
            .into_inner()
            .suggestions;
        suggestions
            .into_iter()
            .map(|suggestion| suggestion.text)
            .collect()
    }

    /// Searches until `enough` is content with the results.
    pub(crate) async fn find_until(&self, query: &str, enough: impl Fn(&[Found]) -> bool) -> Vec<Found> {
        let asking = async {
            loop {
                let found = self.find(query).await;
                if enough(&found) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking)
            .await
            .expect("found within patience")
    }
}

pub(crate) fn channel(display_name: &str) -> proto::Channel {
    proto::Channel {
        name: "channels/c".into(),
        handle: "blue_room".into(),
        display_name: display_name.into(),
        owner: "accounts/creator".into(),
        update_time: Some(at(1)),
        ..proto::Channel::default()
    }
}

/// A public event of channel `c`, as it was at that second.
pub(crate) fn event(id: &str, title: &str, second: i64) -> proto::Event {
    proto::Event {
        name: format!("channels/c/events/{id}"),
        title: title.into(),
        state: proto::EventState::Scheduled.into(),
        visibility: proto::Visibility::Public.into(),
        genre: "music".into(),
        scheduled_start_time: Some(at(1_000)),
        update_time: Some(at(second)),
        ..proto::Event::default()
    }
}

pub(crate) fn scheduled(event: proto::Event) -> proto::EventChanged {
    let scheduled = proto::EventScheduled {
        event: Some(event),
        channel: Some(channel("Blue Room")),
    };
    proto::EventChanged {
        change: Some(proto::event_changed::Change::Scheduled(scheduled)),
    }
}

pub(crate) fn live(event: proto::Event) -> proto::EventChanged {
    let event = proto::Event {
        state: proto::EventState::Live.into(),
        ..event
    };
    let live = proto::EventLive {
        event: Some(event),
        channel: Some(channel("Blue Room")),
    };
    proto::EventChanged {
        change: Some(proto::event_changed::Change::Live(live)),
    }
}

pub(crate) fn updated(event: proto::Event) -> proto::EventChanged {
    let updated = proto::EventUpdated {
        event: Some(event),
        channel: Some(channel("Blue Room")),
    };
    proto::EventChanged {
        change: Some(proto::event_changed::Change::Updated(updated)),
    }
}

pub(crate) fn at(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

/// The fields that the status names as wrong.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    let bad = status.get_details_bad_request().unwrap();
    bad.field_violations
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}
