//! The service on free ports, with a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use marquee_auth::{Claims, Role, Signer, StaticKeys, TokenSource, Verifier};
use marquee_bus::EventBus as _;
use marquee_bus::embedded::{Embedded, Options};
use marquee_client::Peers;
use marquee_proto::topic;
use marquee_proto::video_ingest::v1::ban_service_client::BanServiceClient;
use marquee_proto::video_ingest::v1::forwarding_service_client::ForwardingServiceClient;
use marquee_proto::video_ingest::v1::live_stream_service_client::LiveStreamServiceClient;
use marquee_proto::video_ingest::v1::playback_service_client::PlaybackServiceClient;
use marquee_proto::video_ingest::v1::recording_service_client::RecordingServiceClient;
use marquee_proto::video_ingest::v1::stream_key_service_client::StreamKeyServiceClient;
use marquee_proto::video_ingest::v1::{CreateStreamKeyRequest, GetLiveStreamRequest, LiveStream};
use marquee_server::{Limits, Listener, Platform, PublicAddresses};
use marquee_testkit::wait_for;
use marquee_video_ingest::{Built, Config};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::hls::{Playlist, playlist};
use crate::subscribers::Subscribers;
use crate::{logs, peer};

pub(crate) const OWNER: &str = "accounts/owner";
pub(crate) const STRANGER: &str = "accounts/stranger";
/// How long anything may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A running service and what it runs on.
pub(crate) struct Stage {
    pub(crate) bus: Arc<Embedded>,
    pub(crate) clients: Clients,
    pub(crate) subscribers: Subscribers,
    pub(crate) folder: PathBuf,
    /// Where encoders connect over TLS.
    pub(crate) rtmps: Option<SocketAddr>,
    server: JoinHandle<Result<(), marquee_server::Error>>,
    shutdown: CancellationToken,
}

/// How to reach a service, also one in another process.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) http: SocketAddr,
    pub(crate) rtmp: SocketAddr,
    signer: Arc<Signer>,
    channel: Channel,
}

struct NoTokens;

#[async_trait::async_trait]
impl TokenSource for NoTokens {
    async fn token(&self) -> Result<String, marquee_auth::Error> {
        Ok("none".to_owned())
    }
}

/// The settings of most tests: short waits.
pub(crate) fn config(folder: &Path) -> Config {
    Config {
        reconnect_grace: Duration::from_millis(700),
        takeover_wait: Duration::from_millis(300),
        ..Config::new(folder.join("data"), "127.0.0.1:0".parse().unwrap())
    }
}

/// The key that tokens are signed with; in the folder, so that another process has the same.
pub(crate) fn signer(folder: &Path) -> Arc<Signer> {
    let path = folder.join("signer");
    let signer = std::fs::read(&path).map_or_else(
        |_| {
            let signer = Signer::generate();
            std::fs::write(&path, signer.to_pkcs8().unwrap()).unwrap();
            signer
        },
        |bytes| Signer::from_pkcs8(&bytes).unwrap(),
    );
    Arc::new(signer)
}

impl Stage {
    /// A service with short waits, in a new folder.
    pub(crate) async fn new() -> (Self, TempDir) {
        Self::tuned(|_| {}).await
    }

    /// A service in a new folder.
    pub(crate) async fn tuned(tune: impl FnOnce(&mut Config)) -> (Self, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        tune(&mut config);
        (Self::start(folder.path(), config).await, folder)
    }

    /// A service in a folder that may have been used before.
    pub(crate) async fn start(folder: &Path, config: Config) -> Self {
        logs::collect();
        std::fs::create_dir_all(&config.data).unwrap();
        let bus = Embedded::open(&config.data, Options::default()).unwrap();
        bus.declare(topic::ALL).await.unwrap();
        let signer = signer(folder);
        let verifier = Arc::new(Verifier::new(Arc::new(StaticKeys(vec![signer.jwk()]))));
        let shutdown = CancellationToken::new();
        let subscribers = Subscribers::default();
        let events = peer::serve(&subscribers, shutdown.clone()).await;
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let http = listener.local_addr();
        let platform = Platform {
            bus: bus.clone(),
            peers: Peers::all_at(events, Arc::new(NoTokens)),
            verifier: verifier.clone(),
            // Cancelled by `run` when its time has come.
            shutdown: CancellationToken::new(),
            public: PublicAddresses {
                http: format!("http://{http}"),
                rtmp: String::new(),
            },
        };
        let Built { service, rtmp, rtmps } = marquee_video_ingest::build(config, platform).await.unwrap();
        let running = marquee_server::run(
            listener,
            vec![service],
            verifier,
            Limits::default(),
            shutdown.clone(),
        );
        Self {
            bus,
            clients: Clients::new(folder, http, rtmp),
            subscribers,
            folder: folder.to_owned(),
            rtmps,
            server: tokio::spawn(running),
            shutdown,
        }
    }

    /// Stops as on SIGTERM.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.server.await.unwrap().unwrap();
    }

    /// The folder of a stream's media.
    pub(crate) fn media(&self, stream: &LiveStream) -> PathBuf {
        let ids: Vec<&str> = stream.name.split('/').collect();
        self.folder.join("data/media").join(ids[1]).join(ids[3])
    }
}

impl Clients {
    /// Of a service whose folder this is.
    pub(crate) fn new(folder: &Path, http: SocketAddr, rtmp: SocketAddr) -> Self {
        Self {
            http,
            rtmp,
            signer: signer(folder),
            channel: Channel::from_shared(format!("http://{http}"))
                .unwrap()
                .connect_lazy(),
        }
    }

    pub(crate) fn keys(&self) -> StreamKeyServiceClient<Channel> {
        StreamKeyServiceClient::new(self.channel.clone())
    }

    pub(crate) fn streams(&self) -> LiveStreamServiceClient<Channel> {
        LiveStreamServiceClient::new(self.channel.clone())
    }

    pub(crate) fn playback(&self) -> PlaybackServiceClient<Channel> {
        PlaybackServiceClient::new(self.channel.clone())
    }

    pub(crate) fn forwarding(&self) -> ForwardingServiceClient<Channel> {
        ForwardingServiceClient::new(self.channel.clone())
    }

    pub(crate) fn bans(&self) -> BanServiceClient<Channel> {
        BanServiceClient::new(self.channel.clone())
    }

    pub(crate) fn recordings(&self) -> RecordingServiceClient<Channel> {
        RecordingServiceClient::new(self.channel.clone())
    }

    /// A request of the account.
    pub(crate) fn by<T>(&self, account: &str, message: T) -> Request<T> {
        self.as_role(account, Role::Viewer, message)
    }

    pub(crate) fn as_role<T>(&self, account: &str, role: Role, message: T) -> Request<T> {
        let lifetime = Duration::from_secs(600);
        let claims = Claims::account(&account.parse().unwrap(), role, Timestamp::now(), lifetime);
        let token = self.signer.issue(&claims);
        let mut request = Request::new(message);
        let header = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", header);
        request
    }

    /// A new key of a channel: its name and its secret.
    pub(crate) async fn key(&self, channel: &str) -> (String, String) {
        let request = CreateStreamKeyRequest {
            parent: format!("channels/{channel}"),
            ..CreateStreamKeyRequest::default()
        };
        let response = self
            .keys()
            .create_stream_key(self.by(OWNER, request))
            .await
            .unwrap()
            .into_inner();
        (response.stream_key.unwrap().name, response.secret)
    }

    /// Waits until so much media of a stream has arrived: what is on the wire when a stream is stopped is not part of it.
    pub(crate) async fn arrived(&self, stream: &LiveStream, millis: i64) {
        let ask = async || {
            let name = stream.name.clone();
            let found = self
                .streams()
                .get_live_stream(GetLiveStreamRequest { name })
                .await
                .ok()?;
            let duration = found.into_inner().live_stream?.figures?.media_duration?;
            let arrived = duration.seconds * 1_000 + i64::from(duration.nanos) / 1_000_000;
            (arrived >= millis).then_some(())
        };
        wait_for("all that was sent", LIMIT, ask).await.unwrap();
    }

    /// The stream's playlist once it is as wanted.
    pub(crate) async fn playlist_when(
        &self,
        stream: &LiveStream,
        wanted: impl Fn(&Playlist) -> bool,
    ) -> Playlist {
        let path = &stream.playback_path;
        let ask = async || {
            playlist(self.http, path)
                .await
                .filter(|playlist| wanted(playlist))
        };
        match wait_for("the playlist", LIMIT, ask).await {
            Ok(playlist) => playlist,
            Err(error) => panic!("{error}: {:?}", playlist(self.http, path).await),
        }
    }
}

/// The reason in a status' ErrorInfo.
pub(crate) fn reason(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    status
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default()
}

/// The fields that a status' BadRequest names.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let violations = status
        .get_details_bad_request()
        .map(|request| request.field_violations);
    violations
        .into_iter()
        .flatten()
        .map(|violation| violation.field)
        .collect()
}
