//! The real service behind real gRPC on a free port, on the embedded bus, in a folder of its own.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use marquee_auth::{Claims, Role, Signer, StaticKeys, TokenSource, Verifier};
use marquee_bus::embedded::{Embedded, Options};
use marquee_bus::{EventBus, Polled};
use marquee_documents::Location;
use marquee_events::Config;
use marquee_proto::events::v1 as proto;
use marquee_proto::events::v1::channel_service_client::ChannelServiceClient;
use marquee_proto::events::v1::event_service_client::EventServiceClient;
use marquee_proto::name::AccountName;
use marquee_proto::time::to_proto;
use marquee_proto::topic::BusEvent;
use marquee_proto::video_ingest::v1 as video;
use marquee_server::{Limits, Listener, Platform, PublicAddresses};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Status};
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

/// What outlives a restart, and what replicas share.
#[derive(Clone)]
pub(crate) struct Home {
    folder: Arc<TempDir>,
    signer: Arc<Signer>,
    store: Location,
}

impl Home {
    pub(crate) fn new(folder: TempDir, store: Location) -> Self {
        Self {
            folder: Arc::new(folder),
            signer: Arc::new(Signer::generate()),
            store,
        }
    }
}

pub(crate) struct Fixture {
    pub(crate) home: Home,
    pub(crate) bus: Arc<Embedded>,
    channel: Channel,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Location::Sqlite(folder.path().join("events/events.sqlite"));
        Self::start_in(Home::new(folder, store)).await
    }

    /// Another replica on the same store and bus.
    #[cfg(feature = "mongodb")]
    pub(crate) async fn replica(&self) -> Self {
        Self::start_on(self.home.clone(), self.bus.clone()).await
    }

    pub(crate) async fn start_in(home: Home) -> Self {
        let bus = Embedded::open(&home.folder.path().join("bus"), Options::default()).unwrap();
        Self::start_on(home, bus).await
    }

    async fn start_on(home: Home, bus: Arc<Embedded>) -> Self {
        let verifier = Arc::new(Verifier::new(Arc::new(StaticKeys(vec![home.signer.jwk()]))));
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
        let mut config = Config::new("");
        config.store = home.store.clone();
        let service = marquee_events::build(config, platform).await.unwrap();
        let run = marquee_server::run(listener, vec![service], verifier, Limits::default(), stop.clone());
        let served = tokio::spawn(async { run.await.unwrap() });
        let channel = marquee_client::channel(format!("http://{address}").parse().unwrap());
        Self {
            home,
            bus,
            channel,
            stop,
            served,
        }
    }

    /// Tells the service to stop; streams end.
    pub(crate) fn shut_down(&self) {
        self.stop.cancel();
    }

    /// Stops in order and starts again on the same folder.
    pub(crate) async fn restart(self) -> Self {
        self.stop.cancel();
        self.served.await.unwrap();
        drop(self.bus);
        Self::start_in(self.home).await
    }

    pub(crate) fn channels(&self) -> ChannelServiceClient<Channel> {
        ChannelServiceClient::new(self.channel.clone())
    }

    pub(crate) fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel.clone())
    }

    /// A request of an account.
    pub(crate) fn of<T>(&self, account: &str, message: T) -> Request<T> {
        self.with_role(account, Role::Viewer, message)
    }

    pub(crate) fn of_admin<T>(&self, message: T) -> Request<T> {
        self.with_role("root", Role::Admin, message)
    }

    fn with_role<T>(&self, account: &str, role: Role, message: T) -> Request<T> {
        let name = AccountName::new(account).unwrap();
        let claims = Claims::account(&name, role, Timestamp::now(), Duration::from_secs(600));
        let mut request = Request::new(message);
        let token = format!("Bearer {}", self.home.signer.issue(&claims));
        request
            .metadata_mut()
            .insert("authorization", token.parse().unwrap());
        request
    }

    /// A channel of the account `creator`.
    pub(crate) async fn create_channel(&self, handle: &str) -> proto::Channel {
        let request = proto::CreateChannelRequest {
            channel: Some(channel(handle)),
            request_id: String::new(),
        };
        let created = self
            .channels()
            .create_channel(self.of("creator", request))
            .await
            .unwrap();
        created.into_inner().channel.unwrap()
    }

    pub(crate) async fn schedule(&self, channel: &proto::Channel, event: proto::Event) -> proto::Event {
        let request = create(channel, event);
        self.events()
            .create_event(self.of("creator", request))
            .await
            .unwrap()
            .into_inner()
            .event
            .unwrap()
    }

    pub(crate) async fn get(&self, name: &str) -> proto::Event {
        let request = proto::GetEventRequest {
            name: name.to_owned(),
        };
        self.events()
            .get_event(request)
            .await
            .unwrap()
            .into_inner()
            .event
            .unwrap()
    }

    /// The titles that a list has.
    pub(crate) async fn titles(&self, request: Request<proto::ListEventsRequest>) -> Vec<String> {
        let listed = self.events().list_events(request).await.unwrap().into_inner();
        listed.events.into_iter().map(|event| event.title).collect()
    }

    pub(crate) async fn publish<E: BusEvent>(&self, key: &str, event: &E) {
        self.bus
            .publish(vec![marquee_bus::event(key, event)])
            .await
            .unwrap();
    }

    /// Everything published on a topic until `enough` says so.
    pub(crate) async fn published<E: BusEvent>(&self, enough: impl Fn(&[E]) -> bool) -> Vec<E> {
        let group = format!("test.{}", uuid::Uuid::new_v4());
        let mut subscription = self.bus.subscribe(&group, &[E::TOPIC]).await.unwrap();
        let mut events = Vec::new();
        let mut seen = HashSet::new();
        let read = async {
            while !enough(&events) {
                if let Polled::Records(records) = subscription.poll(100).await.unwrap() {
                    for record in records {
                        // The relay publishes at least once; who consumes dedupes by the id.
                        if seen.insert(record.message.id) {
                            events.push(E::decode(record.message.value).unwrap());
                        }
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("published within patience");
        events
    }
}

/// Asks until the answer is there.
pub(crate) async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .expect("true within patience")
}

pub(crate) fn channel(handle: &str) -> proto::Channel {
    proto::Channel {
        handle: handle.to_owned(),
        display_name: format!("Channel {handle}"),
        ..proto::Channel::default()
    }
}

/// An event that starts so many seconds from now.
pub(crate) fn event(title: &str, seconds: i64) -> proto::Event {
    let start = Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    proto::Event {
        title: title.to_owned(),
        scheduled_start_time: Some(to_proto(start)),
        genre: "music".to_owned(),
        ..proto::Event::default()
    }
}

pub(crate) fn create(channel: &proto::Channel, event: proto::Event) -> proto::CreateEventRequest {
    proto::CreateEventRequest {
        parent: channel.name.clone(),
        event: Some(event),
        request_id: String::new(),
    }
}

fn live_stream(channel: &proto::Channel, id: &str) -> video::LiveStream {
    video::LiveStream {
        name: format!("{}/liveStreams/{id}", channel.name),
        start_time: Some(to_proto(Timestamp::now())),
        playback_path: format!("/hls/{id}/index.m3u8"),
        ..video::LiveStream::default()
    }
}

pub(crate) fn started(channel: &proto::Channel, id: &str) -> video::StreamChanged {
    let started = video::StreamStarted {
        live_stream: Some(live_stream(channel, id)),
    };
    video::StreamChanged {
        change: Some(video::stream_changed::Change::Started(started)),
    }
}

pub(crate) fn interrupted(channel: &proto::Channel, id: &str) -> video::StreamChanged {
    let interrupted = video::StreamInterrupted {
        live_stream: Some(live_stream(channel, id)),
        grace_until: None,
    };
    video::StreamChanged {
        change: Some(video::stream_changed::Change::Interrupted(interrupted)),
    }
}

pub(crate) fn ended(channel: &proto::Channel, id: &str) -> video::StreamChanged {
    let mut live_stream = live_stream(channel, id);
    live_stream.end_time = Some(to_proto(Timestamp::now()));
    let ended = video::StreamEnded {
        live_stream: Some(live_stream),
    };
    video::StreamChanged {
        change: Some(video::stream_changed::Change::Ended(ended)),
    }
}

pub(crate) fn recorded(channel: &proto::Channel, id: &str) -> video::RecordingChanged {
    let recording = video::Recording {
        name: format!("{}/recordings/{id}", channel.name),
        live_stream: format!("{}/liveStreams/{id}", channel.name),
        playback_path: format!("/recordings/{id}/index.m3u8"),
        ..video::Recording::default()
    };
    let ready = video::RecordingReady {
        recording: Some(recording),
    };
    video::RecordingChanged {
        change: Some(video::recording_changed::Change::Ready(ready)),
    }
}

/// The reason in the status.
pub(crate) fn reason(status: &Status) -> String {
    marquee_error::reason(status).unwrap_or_default()
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
