//! Analytics: takes what players report, knows the audience now, and sums up what was watched.
//!
//! ```text
//!  players ─► BeaconService ─ publish, durable ─► bus: playback ─► Folder ─ fold ─► Store (SQLite, MongoDB)
//!                                                   by viewer        │      sessions, sums AND next offset: one transaction
//!                                                                    ▼                    ▲  │ partitions of other processes
//!  pages ◄─ AudienceService.WatchAudience ◄────────────────────── Board ◄─────────────────│──┴─ Follower
//!                                                                              GetEventSummary ─ owner? ─ Catalogue
//! ```
//!
//! The metrics are defined in `docs/ANALYTICS.md`; [`domain`] computes them and nothing else does.

mod app;
mod beacon;
mod config;
mod consumer;
pub mod domain;
mod error;
mod grpc;
pub mod store;

use std::sync::Arc;
use std::time::Duration;

use marquee_bus::Consumer;
use marquee_error::{ErrorExt as _, ErrorKind};
use marquee_proto::analytics::v1::audience_service_server::AudienceServiceServer;
use marquee_proto::analytics::v1::beacon_service_server::BeaconServiceServer;
use marquee_proto::events::v1::{ChannelChanged, EventChanged};
use marquee_proto::topic::PLAYBACK;
use marquee_server::{Face, Platform, Service};

pub use self::config::{Clock, Config, Location};
pub use self::error::Error;

use self::app::{Beacons, Board, Catalogue, Follower, Summaries, Sweeper};
use self::consumer::{Folder, Keeper};
use self::grpc::{AudienceGrpc, BeaconGrpc};
use self::store::{Sqlite, Store, Timed};

/// How long the bus is waited for at the start. Without it the fold declares the topic once it is there.
const DECLARED_WITHIN: Duration = Duration::from_secs(2);

/// Builds the service: opens its store and makes its face and its tasks. A server that is down is not waited for.
///
/// # Errors
/// When the file cannot be opened, the settings cannot be right, or the bus has the playback topic otherwise than declared.
pub async fn build(config: Config, platform: Platform) -> Result<Service, Error> {
    let on = config.store.name();
    let store = open(&config.store).await?;
    // Beacons may come before the fold has its first look at the bus.
    match tokio::time::timeout(DECLARED_WITHIN, platform.bus.declare(&[PLAYBACK])).await {
        Ok(Err(error)) if error.kind() == ErrorKind::Unavailable => {
            tracing::warn!(%error, "the bus is away, waiting for it in the background");
        }
        Ok(result) => result?,
        Err(_) => tracing::warn!("the bus does not answer, waiting for it in the background"),
    }
    let board = Arc::new(Board::new(store.clone(), config.clock.clone(), config.rules));
    let catalogue = Catalogue::new(store.clone(), platform.peers.clone());
    let summaries = Summaries::new(store.clone(), catalogue.clone(), config.clock.clone());
    let beacons = Beacons::new(platform.bus.clone(), catalogue.clone(), config.clock.clone());
    let sweeper = Sweeper::new(store.clone(), board.clone(), config.clock, config.sweep_every);
    let keeper = Arc::new(Keeper::new(store.clone()));
    let folder = Folder::new(platform.bus.clone(), store.clone(), board.clone());
    let trouble = folder.trouble();
    let follower = Follower::new(store.clone(), board.clone());
    let kept = Consumer::new(platform.bus.clone(), "analytics.catalogue")
        .on::<ChannelChanged>(keeper.clone())
        .on::<EventChanged>(keeper);

    let shutdown = platform.shutdown;
    let audience = AudienceGrpc::new(board.clone(), catalogue, summaries, shutdown.clone());
    let face = Face::new("analytics")
        .grpc(BeaconServiceServer::new(BeaconGrpc::new(
            beacons,
            shutdown.clone(),
        )))
        .grpc(AudienceServiceServer::new(audience))
        .ready(on, move || {
            let store = store.clone();
            Box::pin(async move { store.ready().await.map_err(|error| error.to_string()) })
        })
        .ready("fold", move || {
            let fold = trouble.check();
            Box::pin(async move { fold })
        });
    Ok(Service::new(face, shutdown.clone())
        .task("analytics fold", folder.run(shutdown.clone()))
        .task("analytics follower", follower.run(shutdown.clone()))
        .task("analytics catalogue", kept.run(shutdown.clone()))
        .task("analytics sweep", sweeper.run(shutdown.clone()))
        .task("analytics audience", board.expire(shutdown)))
}

async fn open(location: &Location) -> Result<Arc<dyn Store>, Error> {
    Ok(match location {
        Location::Sqlite(file) => Arc::new(Timed::new(Sqlite::open(file)?, "sqlite")),
        #[cfg(feature = "mongodb")]
        Location::MongoDb(settings) => Arc::new(Timed::new(store::MongoDb::open(settings).await?, "mongodb")),
    })
}
