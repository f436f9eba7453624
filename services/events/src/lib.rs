//! Channels and live events: what is broadcast, when, and in which state it is.
//!
//! ```text
//!  gRPC ──► grpc ──► app ──► documents (channels, events, outbox) ──relay──► bus: channel.*, event.*
//!                     ▲              └─changes─► watchers (WatchEvent)
//!  bus: stream.*, ────┘
//!  recording.*
//! ```
//!
//! An event is scheduled by its channel's owner and turned live and over by the stream that video-ingest tells of. A
//! stream without a scheduled event gets one, so that it is found and notified of all the same.

mod app;
mod config;
mod consumer;
mod domain;
mod error;
mod grpc;
mod store;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use marquee_bus::{Consumer, declare_when_reachable};
use marquee_proto::events::v1::channel_service_server::ChannelServiceServer;
use marquee_proto::events::v1::event_service_server::EventServiceServer;
use marquee_proto::topic;
use marquee_proto::video_ingest::v1::{RecordingChanged, StreamChanged};
use marquee_server::{Face, Platform, Service};
use tokio_util::sync::CancellationToken;

pub use config::{Clock, Config};
pub use error::{Error, EventState, Result};

use app::{App, Watchers};
use consumer::Streams;
use grpc::{Channels, Events};
use store::Store;

/// The service's name: in health checks, logs and consumer groups.
pub const NAME: &str = "events";

/// How long the bus is waited for at the start. Without it the relay declares the topics once it is there.
const DECLARED_WITHIN: Duration = Duration::from_secs(2);

/// Opens the store and makes the service, ready to be served; nothing runs yet.
///
/// # Errors
/// When the store can't be opened, or the bus has the topics otherwise than declared.
pub async fn build(config: Config, platform: Platform) -> Result<Service> {
    let topics = [topic::CHANNEL, topic::EVENT, topic::STREAM, topic::RECORDING];
    let declaring = declare_when_reachable(&*platform.bus, &topics);
    if let Ok(declared) = tokio::time::timeout(DECLARED_WITHIN, declaring).await {
        declared?;
    }
    let on = config.store.name();
    let store = Store::open(&config.store).await?;
    let documents = store.documents.clone();
    let outbox = documents.outbox();
    let changes = documents.changes();
    let app = Arc::new(App {
        store,
        clock: config.clock,
        watchers: Arc::new(Watchers::default()),
        shutdown: platform.shutdown.clone(),
    });

    let face = Face::new(NAME)
        .ready(on, move || {
            let documents = documents.clone();
            Box::pin(async move { documents.ready().await })
        })
        .grpc(ChannelServiceServer::new(Channels(app.clone())))
        .grpc(EventServiceServer::new(Events(app.clone())));

    let streams = Arc::new(Streams(app.clone()));
    let consumer = Consumer::new(platform.bus.clone(), "events.streams")
        .on::<StreamChanged>(streams.clone())
        .on::<RecordingChanged>(streams)
        .run(platform.shutdown.clone());
    let bus = platform.bus;
    let relay = |stop: CancellationToken| async move {
        let declaring = declare_when_reachable(&*bus, &topics);
        match stop.run_until_cancelled(declaring).await {
            Some(declared) => declared?,
            None => return Ok(()),
        }
        marquee_bus::outbox::relay(outbox, bus, stop).await
    };
    let shutdown = platform.shutdown.clone();
    let follow = async move {
        app.watchers.follow(changes, &shutdown).await;
        Ok::<_, Error>(())
    };
    let service = Service::new(face, platform.shutdown);
    Ok(service
        .relay("events.relay", relay)
        .task("events.changes", follow)
        .task("events.streams", consumer))
}
