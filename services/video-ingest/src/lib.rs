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
mod domain;
mod error;
mod grpc;
mod http;
mod hub;
mod media;
mod readiness;
mod rtmp;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use marquee_documents::{Collection, Store};
use marquee_proto::video_ingest::v1::live_stream_service_server::LiveStreamServiceServer;
use marquee_proto::video_ingest::v1::recording_service_server::RecordingServiceServer;
use marquee_proto::video_ingest::v1::stream_key_service_server::StreamKeyServiceServer;
use marquee_server::{Face, Platform, Service};
use tokio::net::TcpSocket;

pub use config::Config;
pub use error::{Error, Result};

use archive::Archive;
use domain::{LiveStream, Recording, StreamKey};
use hub::Hub;
use media::MediaRoot;
use readiness::Readiness;

/// Encoders that wait to be let in, in the kernel's queue.
const BACKLOG: u32 = 1_024;

/// A built service and the address that encoders connect to.
pub struct Built {
    /// To be served.
    pub service: Service,
    /// Where RTMP is listened for, with the port that was found when 0 was asked for.
    pub rtmp: SocketAddr,
}

/// Opens the store, goes on with the streams that were on the air when the process stopped, and listens for RTMP.
pub async fn build(config: Config, platform: Platform) -> Result<Built> {
    let config = Arc::new(config);
    // First, so that a port in use is said before anything is touched.
    let listen = |source| Error::Listen {
        address: config.rtmp,
        source,
    };
    let socket = reserve(config.rtmp).map_err(listen)?;
    let rtmp = socket.local_addr().map_err(listen)?;
    let media = MediaRoot::open(&config.data.join("media"))?;
    let collections = [
        Collection::of::<StreamKey>(),
        Collection::of::<LiveStream>(),
        Collection::of::<Recording>(),
    ];
    let store = Store::open(&config.store, &collections).await?;
    let archive = Archive::new(media.clone(), config.live_window);
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
    let socket = socket.listen(BACKLOG).map_err(listen)?;
    let keys = app::Keys {
        store: store.clone(),
        owners: owners.clone(),
        hub: hub.clone(),
        publish_url: publish_url(&platform.public.rtmp, rtmp),
    };
    let admission = rtmp::Admission {
        keys: keys.clone(),
        hub: hub.clone(),
    };
    let listener = rtmp::Listener::new(socket, config, admission);
    let streams = app::Streams {
        store: store.clone(),
        owners: owners.clone(),
        hub: hub.clone(),
    };
    let recordings = app::Recordings {
        store: store.clone(),
        owners,
        hub: hub.clone(),
        archive: archive.clone(),
    };

    let face = Face::new("video-ingest")
        .grpc(StreamKeyServiceServer::new(grpc::StreamKeys(keys)))
        .grpc(LiveStreamServiceServer::new(grpc::LiveStreams {
            app: streams,
            shutdown: platform.shutdown.clone(),
        }))
        .grpc(RecordingServiceServer::new(grpc::Recordings(recordings)))
        .http(http::router(hub.clone(), media, archive))
        .ready("storage", move || {
            let readiness = readiness.clone();
            async move { readiness.check().await }.boxed()
        });
    let shutdown = platform.shutdown.clone();
    let serve = async move {
        listener.serve(shutdown).await;
        // Every broadcast has flushed what it held.
        hub.drained().await;
        Ok::<(), Error>(())
    };
    let (outbox, bus) = (store.outbox(), platform.bus.clone());
    let relay = |stop| marquee_bus::outbox::relay(outbox, bus, stop);
    let service = Service::new(face, platform.shutdown.clone())
        .task("video-ingest rtmp", serve)
        .relay("video-ingest outbox", relay);
    Ok(Built { service, rtmp })
}

/// Takes the address; nobody can connect yet.
fn reserve(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // As listeners have it: connections of an earlier process that still fade away are in nobody's way.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// The encoder's "server": the configured public address, or the one that is listened on.
fn publish_url(public: &str, bound: SocketAddr) -> String {
    if public.is_empty() {
        format!("rtmp://{bound}/live")
    } else {
        format!("{}/live", public.trim_end_matches('/'))
    }
}
