//! Live video: encoders publish over RTMP, viewers watch over HLS.
//!
//! ```text
//!  encoder ──RTMP──► rtmp::Connection ──Input──► broadcast::Actor ──► media folder ──► http ──HLS──► player
//!                        │ key                       │ packager          journal
//!                        ▼                           ▼
//!                     app::Keys                   Ledger: state + outbox, one transaction ──► bus
//! ```
//!
//! A **live stream** is one broadcast of a channel across the reconnects of its encoder. When the encoder goes, a grace
//! period runs; when it comes back in time, the same playlist goes on after one discontinuity. A killed process finds
//! its streams in the store and goes on the same way.

mod app;
mod archive;
mod broadcast;
mod config;
mod consumer;
mod deletions;
mod domain;
mod error;
mod forwarding;
mod grpc;
mod http;
mod hub;
mod media;
mod playback;
mod plays;
mod policy_args;
mod publishers;
mod quota;
mod readiness;
mod relay;
mod relay_args;
mod retention;
mod rtmp;
mod storage_args;
mod uploads;
mod webhooks;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use marquee_bus::{Consumer, declare_when_reachable};
use marquee_documents::{Collection, Store};
use marquee_objects::Objects;
use marquee_proto::events::v1::EventChanged;
use marquee_proto::name::LiveStreamName;
use marquee_proto::topic;
use marquee_proto::video_ingest::v1::ban_service_server::BanServiceServer;
use marquee_proto::video_ingest::v1::forwarding_service_server::ForwardingServiceServer;
use marquee_proto::video_ingest::v1::live_stream_service_server::LiveStreamServiceServer;
use marquee_proto::video_ingest::v1::playback_service_server::PlaybackServiceServer;
use marquee_proto::video_ingest::v1::recording_service_server::RecordingServiceServer;
use marquee_proto::video_ingest::v1::stream_key_service_server::StreamKeyServiceServer;
use marquee_server::{Face, Platform, Service};
use tokio::net::TcpSocket;
use tokio::sync::{Semaphore, mpsc};

pub use config::{Certificate, Config, Rtmps, RtmpsArgs, Storage};
pub use domain::IngestLimits;
pub use error::{Error, Result};
pub use forwarding::{ForwardingConfig, TrustError};
pub use playback::PlaybackConfig;
pub use plays::PlayConfig;
pub use policy_args::PolicyArgs;
pub use quota::{Limits, Quota};
pub use relay::RelayConfig;
pub use relay_args::RelayArgs;
pub use rtmp::TlsError;
pub use storage_args::StorageArgs;
pub use webhooks::WebhookConfig;

use archive::Archive;
use deletions::Deletions;
use domain::{
    Ban, Deletion, EventCopy, ForwardingStatus, ForwardingTarget, LiveStream, PlaybackSession, Recording,
    Sighting, SigningKey, StreamKey,
};
use hub::Hub;
use media::MediaRoot;
use playback::{Bans, Entitlements, Playback, Rules, Tokens, Viewers};
use plays::Plays;
use publishers::Publishers;
use quota::Room;
use readiness::Readiness;
use retention::Retention;
use uploads::Uploads;
use webhooks::Webhooks;

/// Encoders that wait to be let in, in the kernel's queue.
const BACKLOG: u32 = 1_024;

/// A built service and the address that encoders connect to.
pub struct Built {
    /// To be served.
    pub service: Service,
    /// Where RTMP is listened for, with the port that was found when 0 was asked for.
    pub rtmp: SocketAddr,
    /// The same of RTMPS, where it is offered.
    pub rtmps: Option<SocketAddr>,
}

/// Opens the store, goes on with the streams that were on the air when the process stopped, and listens for RTMP.
pub async fn build(config: Config, platform: Platform) -> Result<Built> {
    let config = Arc::new(config);
    // First, so that a port in use or a certificate that cannot be used is said before anything is touched.
    let (socket, rtmp) = reserve(config.rtmp)?;
    let over_tls = match &config.rtmps {
        Some(rtmps) => Some((
            reserve(rtmps.listen)?,
            rtmp::Tls::open(rtmps.certificate.clone())?,
        )),
        None => None,
    };
    let rtmps = over_tls.as_ref().map(|((_, address), _)| *address);
    let trust = forwarding::Trust::of(config.forwarding.certificates.as_deref())?;
    let storage = config.storage.clone();
    let (media, announced) = media(&config)?;
    let objects = match &storage.objects {
        Some(location) => Some(Objects::open(location).await?),
        None => None,
    };
    let collections = [
        Collection::of::<StreamKey>(),
        Collection::of::<LiveStream>(),
        Collection::of::<Recording>(),
        Collection::of::<Deletion>(),
        Collection::of::<EventCopy>(),
        Collection::of::<PlaybackSession>(),
        Collection::of::<Sighting>(),
        Collection::of::<SigningKey>(),
        Collection::of::<Ban>(),
        Collection::of::<ForwardingTarget>(),
        Collection::of::<ForwardingStatus>(),
    ];
    let store = Store::open(&config.store, &collections).await?;
    let archive = Archive::new(media.clone(), objects.clone(), config.listed_window());
    let uploads = objects
        .clone()
        .map(|objects| Uploads::new(objects, media.clone(), store.clone(), platform.shutdown.clone()));
    let deletions = Deletions {
        store: store.clone(),
        media: media.clone(),
        archive: archive.clone(),
        objects,
        uploads: uploads.clone(),
    };
    let readiness = Readiness::new(store.clone(), config.store.name(), media.clone());
    let owners = app::Owners::new(platform.peers.clone());
    let hub = Hub::new(
        config.clone(),
        media.clone(),
        store.clone(),
        platform.shutdown.clone(),
    );
    let recovered = hub.recover(&store).await?;
    if recovered > 0 {
        tracing::info!(
            streams = recovered,
            "streams wait for their encoders to come back"
        );
    }

    // From now on encoders are let in; until now they were refused and went elsewhere.
    let playback = playback(&config, &store, &platform);
    let publishers = Publishers::default();
    let keys = app::Keys {
        store: store.clone(),
        owners: owners.clone(),
        hub: hub.clone(),
        publishers: publishers.clone(),
        limits: config.ingest_limits,
        publish_url: publish_url(&platform.public.rtmp, rtmp),
    };
    let plays = Plays::new(
        hub.clone(),
        playback.clone(),
        config.plays.clone(),
        platform.shutdown.clone(),
    );
    let admission = rtmp::Admission {
        keys: keys.clone(),
        owners: owners.clone(),
        hub: hub.clone(),
        bans: playback.bans.clone(),
        publishers: publishers.clone(),
        webhooks: playback.webhooks.clone(),
        record: storage.record,
        plays: plays.clone(),
    };
    let places = Arc::new(Semaphore::new(config.max_connections));
    let mut listeners = Vec::new();
    let plain = Some((socket, rtmp, None));
    let over_tls = over_tls.map(|((socket, address), tls)| (socket, address, Some(tls)));
    for (socket, address, tls) in plain.into_iter().chain(over_tls) {
        let socket = socket
            .listen(BACKLOG)
            .map_err(|source| Error::Listen { address, source })?;
        let (config, admission, places) = (config.clone(), admission.clone(), places.clone());
        listeners.push(rtmp::Listener::new(socket, tls, config, admission, places));
    }
    let streams = app::Streams {
        store: store.clone(),
        owners: owners.clone(),
        hub: hub.clone(),
        publishers: publishers.clone(),
        viewers: playback.viewers.clone(),
    };
    let sessions = app::Sessions::new(playback.clone(), owners.clone(), hub.clone());
    let bans = app::BanList {
        sessions: sessions.clone(),
        owners: owners.clone(),
        publishers: publishers.clone(),
    };
    let keeper = forwarding::Keeper::new(
        store.clone(),
        hub.clone(),
        publishers.clone(),
        config.forwarding.clone(),
        trust,
    );
    let forwarding = app::Forwarding {
        store: store.clone(),
        owners: owners.clone(),
        keeper: keeper.clone(),
    };
    let retention = Retention {
        store: store.clone(),
        media,
        archive: archive.clone(),
        deletions: deletions.clone(),
        hub: hub.clone(),
        linger: config.kept_window(),
        storage,
        began: tokio::time::Instant::now(),
    };
    let recordings = app::Recordings {
        store: store.clone(),
        owners,
        hub: hub.clone(),
        deletions,
    };

    let face = Face::new("video-ingest")
        .grpc(StreamKeyServiceServer::new(grpc::StreamKeys(keys)))
        .grpc(LiveStreamServiceServer::new(grpc::LiveStreams {
            app: streams,
            shutdown: platform.shutdown.clone(),
        }))
        .grpc(RecordingServiceServer::new(grpc::Recordings(recordings)))
        .grpc(PlaybackServiceServer::new(grpc::Playback(sessions)))
        .grpc(BanServiceServer::new(grpc::Bans(bans)))
        .grpc(ForwardingServiceServer::new(grpc::Forwarding(forwarding)))
        .http(http::guarded(
            http::router(hub.clone(), archive).merge(http::flv(plays.clone())),
            playback.clone(),
            hub.clone(),
        ))
        .ready("storage", move || {
            let readiness = readiness.clone();
            async move { readiness.check().await }.boxed()
        });
    let shutdown = platform.shutdown.clone();
    let serve = async move {
        let serving = listeners
            .into_iter()
            .map(|listener| listener.serve(shutdown.clone()));
        futures::future::join_all(serving).await;
        plays.tasks.close();
        plays.tasks.wait().await;
        // Every broadcast has flushed what it held.
        hub.drained().await;
        Ok::<(), Error>(())
    };
    let (outbox, bus) = (store.outbox(), platform.bus.clone());
    let relay = |stop| marquee_bus::outbox::relay(outbox, bus, stop);
    let events = {
        let (bus, stop) = (platform.bus.clone(), platform.shutdown.clone());
        let handler = Arc::new(consumer::Events(playback.rules.clone()));
        async move {
            let declaring = declare_when_reachable(&*bus, &[topic::EVENT]);
            match stop.run_until_cancelled(declaring).await {
                Some(declared) => declared?,
                None => return Ok(()),
            }
            let consumer = Consumer::new(bus.clone(), "video-ingest.events").on::<EventChanged>(handler);
            Ok::<(), Error>(consumer.run(stop).await?)
        }
    };
    let retention = retention.run(platform.shutdown.clone());
    let stopped = platform.shutdown.clone();
    let uploading = async move {
        match uploads.zip(announced) {
            Some((uploads, announced)) => uploads.run(announced).await,
            None => {
                stopped.cancelled().await;
                Ok(())
            }
        }
    };
    let calling = done(playback.webhooks.clone().run(platform.shutdown.clone()));
    let sending = done(keeper.run(platform.shutdown.clone()));
    let keeping = done(playback.keep(platform.shutdown.clone()));
    let service = Service::new(face, platform.shutdown.clone())
        .task("video-ingest rtmp", serve)
        .task("video-ingest retention", retention)
        .task("video-ingest uploads", uploading)
        .relay("video-ingest outbox", relay)
        .task("video-ingest events", events)
        .task("video-ingest viewers", keeping)
        .task("video-ingest forwarding", sending)
        .task("video-ingest webhooks", calling);
    Ok(Built { service, rtmp, rtmps })
}

/// The folder of the media; with an object store, who hears of what is recorded.
fn media(config: &Config) -> Result<(MediaRoot, Option<mpsc::Receiver<LiveStreamName>>)> {
    let (path, room) = (config.data.join("media"), Room::new(&config.storage.quota));
    if config.storage.objects.is_none() {
        return Ok((MediaRoot::open(&path, room, config.kept_window())?, None));
    }
    let (media, announced) = MediaRoot::uploading(&path, room, config.kept_window())?;
    Ok((media, Some(announced)))
}

/// What decides about playback.
fn playback(config: &Config, store: &Store, platform: &Platform) -> Playback {
    Playback {
        store: store.clone(),
        config: Arc::new(config.playback.clone()),
        rules: Arc::new(Rules::new(store.clone())),
        bans: Arc::new(Bans::default()),
        viewers: Arc::new(Viewers::new(config.playback.max_viewers)),
        tokens: Arc::new(Tokens::new(store.clone())),
        entitlements: Entitlements::new(platform.peers.clone()),
        webhooks: Webhooks::new(config.webhooks.clone()),
    }
}

/// A task that only ends with the service.
async fn done(task: impl Future<Output = ()>) -> Result<()> {
    task.await;
    Ok(())
}

/// Takes the address, with a free port for port 0; nobody can connect yet.
fn reserve(address: SocketAddr) -> Result<(TcpSocket, SocketAddr)> {
    let take = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // As listeners have it: connections of an earlier process that still fade away are in nobody's way.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let bound = socket.local_addr()?;
        Ok((socket, bound))
    };
    take().map_err(|source| Error::Listen { address, source })
}

/// The encoder's "server": the configured public address, or the one that is listened on.
fn publish_url(public: &str, bound: SocketAddr) -> String {
    if public.is_empty() {
        format!("rtmp://{bound}/live")
    } else {
        format!("{}/live", public.trim_end_matches('/'))
    }
}
