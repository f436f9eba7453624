//! The real service behind real gRPC on a free port, on the embedded bus, in a folder of its own, beside an events service
//! that knows one channel and one event.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::Stream;
use jiff::{SignedDuration, Timestamp};
use marquee_analytics::domain::{Ledger, Rules};
use marquee_analytics::store::{Sqlite, Store};
use marquee_analytics::{Clock, Config, Location};
use marquee_auth::{Claims, Role, Signer, StaticKeys, TokenSource, Verifier};
use marquee_bus::embedded::{Embedded, Options};
use marquee_proto::analytics::v1 as proto;
use marquee_proto::analytics::v1::audience_service_client::AudienceServiceClient;
use marquee_proto::analytics::v1::beacon_service_client::BeaconServiceClient;
use marquee_proto::events::v1 as events;
use marquee_proto::events::v1::channel_service_server::{ChannelService, ChannelServiceServer};
use marquee_proto::events::v1::event_service_server::{EventService, EventServiceServer};
use marquee_proto::name::AccountName;
use marquee_proto::time::to_proto;
use marquee_server::{Limits, Listener, Platform, PublicAddresses};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// Nothing in here takes longer when it works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The event that there is, of a channel that `accounts/creator` owns.
pub(crate) const EVENT: &str = "channels/c/events/e";

/// An event of which the events service cannot tell now.
pub(crate) const AWAY: &str = "channels/c/events/away";

struct Tokens(Signer);

#[async_trait]
impl TokenSource for Tokens {
    async fn token(&self) -> Result<String, marquee_auth::Error> {
        let claims = Claims::service("analytics", Timestamp::now(), Duration::from_secs(600));
        Ok(self.0.issue(&claims))
    }
}

pub(crate) struct Fixture {
    folder: PathBuf,
    _kept: Option<TempDir>,
    pub(crate) bus: Arc<Embedded>,
    signer: Vec<u8>,
    #[cfg_attr(not(feature = "mongodb"), allow(dead_code, reason = "a fleet needs a server"))]
    address: SocketAddr,
    channel: Channel,
    asked: Arc<AtomicUsize>,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        Self {
            _kept: Some(folder),
            ..Self::start_in(&path, Rules::default()).await
        }
    }

    pub(crate) async fn start_with(rules: Rules, clock: Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        Self {
            _kept: Some(folder),
            ..Self::start_at(&path, rules, clock).await
        }
    }

    pub(crate) async fn start_in(folder: &Path, rules: Rules) -> Self {
        Self::start_at(folder, rules, Clock::default()).await
    }

    async fn start_at(folder: &Path, rules: Rules, clock: Clock) -> Self {
        let bus = Embedded::open(&folder.join("bus"), Options::default()).unwrap();
        let store = Config::new(folder.join("analytics")).store;
        Self::start_on(folder, bus, store, rules, clock).await
    }

    /// Beside others on the same bus, where the store lets them.
    pub(crate) async fn start_on(
        folder: &Path,
        bus: Arc<Embedded>,
        store: Location,
        rules: Rules,
        clock: Clock,
    ) -> Self {
        let signer = Signer::generate();
        let pkcs8 = signer.to_pkcs8().unwrap();
        let verifier = Arc::new(Verifier::new(Arc::new(StaticKeys(vec![signer.jwk()]))));
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr();
        let stop = CancellationToken::new();
        let platform = Platform {
            bus: bus.clone(),
            peers: marquee_client::Peers::all_at(address, Arc::new(Tokens(signer))),
            verifier: verifier.clone(),
            shutdown: CancellationToken::new(),
            public: PublicAddresses {
                http: format!("http://{address}"),
                rtmp: String::new(),
            },
        };
        let sweep_every = match &store {
            Location::Sqlite(_) => Duration::from_millis(10),
            #[cfg(feature = "mongodb")]
            Location::MongoDb(_) => Duration::from_secs(60),
        };
        let config = Config {
            store,
            rules,
            clock,
            sweep_every,
        };
        let mut service = marquee_analytics::build(config, platform).await.unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let one = || OneEvent(asked.clone());
        service.face = service
            .face
            .grpc(EventServiceServer::new(one()))
            .grpc(ChannelServiceServer::new(one()));
        let run = marquee_server::run(listener, vec![service], verifier, Limits::default(), stop.clone());
        let served = tokio::spawn(async { run.await.unwrap() });
        let channel = marquee_client::channel(format!("http://{address}").parse().unwrap());
        Self {
            folder: folder.to_owned(),
            _kept: None,
            bus,
            signer: pkcs8,
            address,
            channel,
            asked,
            stop,
            served,
        }
    }

    /// How often the events service was asked for an event.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn shut_down(&self) {
        self.stop.cancel();
    }

    /// Stops in order, or drops everything where it stands, and starts again on the same folder.
    pub(crate) async fn restart(self, orderly: bool) -> Self {
        if orderly {
            self.stop.cancel();
        } else {
            self.served.abort();
        }
        drop(self.served.await);
        drop(self.bus);
        Self {
            _kept: self._kept,
            ..Self::start_in(&self.folder, Rules::default()).await
        }
    }

    /// Stops in order.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        drop(self.served.await);
    }

    pub(crate) fn beacons(&self) -> BeaconServiceClient<Channel> {
        BeaconServiceClient::new(self.channel.clone())
    }

    pub(crate) fn audiences(&self) -> AudienceServiceClient<Channel> {
        AudienceServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn send(&self, beacons: Vec<proto::Beacon>) -> proto::SendBeaconsResponse {
        self.beacons()
            .send_beacons(proto::SendBeaconsRequest { beacons })
            .await
            .unwrap()
            .into_inner()
    }

    /// A request of an account.
    pub(crate) fn of<T>(&self, account: &str, role: Role, message: T) -> Request<T> {
        let name = AccountName::new(account).unwrap();
        let claims = Claims::account(&name, role, Timestamp::now(), Duration::from_secs(600));
        let mut request = Request::new(message);
        let token = format!(
            "Bearer {}",
            Signer::from_pkcs8(&self.signer).unwrap().issue(&claims)
        );
        request
            .metadata_mut()
            .insert("authorization", token.parse().unwrap());
        request
    }

    pub(crate) async fn summary(&self) -> proto::EventSummary {
        let request = proto::GetEventSummaryRequest { event: EVENT.into() };
        let request = self.of("creator", Role::Viewer, request);
        self.audiences()
            .get_event_summary(request)
            .await
            .unwrap()
            .into_inner()
            .summary
            .unwrap()
    }

    /// The summary once `enough` is content with it.
    pub(crate) async fn summary_when(
        &self,
        enough: impl Fn(&proto::EventSummary) -> bool,
    ) -> proto::EventSummary {
        let asking = async {
            loop {
                let summary = self.summary().await;
                if enough(&summary) {
                    return summary;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking)
            .await
            .expect("summed up within patience")
    }

    /// The service's database, beside the service.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.join("analytics/analytics.sqlite")).unwrap()
    }

    /// What became of all messages, once there are so many.
    pub(crate) async fn ledger_of(self, messages: u64) -> (Ledger, u64) {
        let asking = async {
            let folded = || -> u64 {
                let sums = "SELECT coalesce(sum(earlier + next_offset - skipped), 0) FROM partition_progress";
                self.database()
                    .query_row(sums, [], |row| row.get::<_, i64>(0))
                    .unwrap()
                    .unsigned_abs()
            };
            while folded() < messages {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking)
            .await
            .expect("folded within patience");
        self.stop.cancel();
        drop(self.served.await);
        let store = Sqlite::open(&self.folder.join("analytics/analytics.sqlite")).unwrap();
        store.ledger().await.unwrap()
    }
}

#[cfg_attr(not(feature = "mongodb"), allow(dead_code, reason = "a fleet needs a server"))]
impl Fixture {
    /// Drops everything where it stands, as if it were killed.
    pub(crate) async fn kill(self) {
        self.served.abort();
        drop(self.served.await);
    }

    /// Status and body of `/readyz`.
    pub(crate) async fn readiness(&self) -> (u16, String) {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }

    /// How many watch now, and the most there were.
    pub(crate) async fn audience(&self) -> (i64, i64) {
        let request = proto::GetAudienceRequest { event: EVENT.into() };
        let answer = self.audiences().get_audience(request).await.unwrap();
        let audience = answer.into_inner().audience.unwrap();
        (audience.concurrent_viewers, audience.peak_concurrent_viewers)
    }

    pub(crate) async fn audience_when(&self, wanted: (i64, i64)) {
        let mut last = (0, 0);
        let asking = async {
            while last != wanted {
                last = self.audience().await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let told = tokio::time::timeout(PATIENCE, asking).await;
        assert!(told.is_ok(), "{wanted:?} within patience, not {last:?}");
    }
}

/// A beacon of a session, so many seconds before now.
pub(crate) fn beacon(session: u128, sequence: i64, ago: i64, state: proto::PlaybackState) -> proto::Beacon {
    proto::Beacon {
        session_id: uuid::Uuid::from_u128(session).to_string(),
        sequence_number: sequence,
        event: EVENT.into(),
        viewer_id: format!("viewer-{session}"),
        time: Some(to_proto(Timestamp::now() - SignedDuration::from_secs(ago))),
        state: state.into(),
        device: "tv".into(),
        ..proto::Beacon::default()
    }
}

struct OneEvent(Arc<AtomicUsize>);

type Events = Pin<Box<dyn Stream<Item = Result<events::WatchEventResponse, Status>> + Send>>;

#[tonic::async_trait]
impl EventService for OneEvent {
    async fn get_event(
        &self,
        request: Request<events::GetEventRequest>,
    ) -> Result<Response<events::GetEventResponse>, Status> {
        self.0.fetch_add(1, Ordering::Relaxed);
        match request.into_inner().name {
            name if name == AWAY => Err(Status::unavailable(name)),
            name if name == EVENT => {
                let event = events::Event {
                    name,
                    ..events::Event::default()
                };
                Ok(Response::new(events::GetEventResponse { event: Some(event) }))
            }
            name => Err(Status::not_found(name)),
        }
    }

    async fn create_event(
        &self,
        _: Request<events::CreateEventRequest>,
    ) -> Result<Response<events::CreateEventResponse>, Status> {
        Err(Status::unimplemented("create"))
    }

    async fn list_events(
        &self,
        _: Request<events::ListEventsRequest>,
    ) -> Result<Response<events::ListEventsResponse>, Status> {
        Err(Status::unimplemented("list"))
    }

    async fn update_event(
        &self,
        _: Request<events::UpdateEventRequest>,
    ) -> Result<Response<events::UpdateEventResponse>, Status> {
        Err(Status::unimplemented("update"))
    }

    async fn cancel_event(
        &self,
        _: Request<events::CancelEventRequest>,
    ) -> Result<Response<events::CancelEventResponse>, Status> {
        Err(Status::unimplemented("cancel"))
    }

    type WatchEventStream = Events;

    async fn watch_event(&self, _: Request<events::WatchEventRequest>) -> Result<Response<Events>, Status> {
        Err(Status::unimplemented("watch"))
    }
}

#[tonic::async_trait]
impl ChannelService for OneEvent {
    async fn get_channel(
        &self,
        request: Request<events::GetChannelRequest>,
    ) -> Result<Response<events::GetChannelResponse>, Status> {
        match request.into_inner().name {
            name if name == "channels/c" => {
                let owner = "accounts/creator".into();
                let channel = events::Channel {
                    name,
                    owner,
                    ..events::Channel::default()
                };
                Ok(Response::new(events::GetChannelResponse {
                    channel: Some(channel),
                }))
            }
            name => Err(Status::not_found(name)),
        }
    }

    async fn create_channel(
        &self,
        _: Request<events::CreateChannelRequest>,
    ) -> Result<Response<events::CreateChannelResponse>, Status> {
        Err(Status::unimplemented("create"))
    }

    async fn list_channels(
        &self,
        _: Request<events::ListChannelsRequest>,
    ) -> Result<Response<events::ListChannelsResponse>, Status> {
        Err(Status::unimplemented("list"))
    }

    async fn update_channel(
        &self,
        _: Request<events::UpdateChannelRequest>,
    ) -> Result<Response<events::UpdateChannelResponse>, Status> {
        Err(Status::unimplemented("update"))
    }
}
