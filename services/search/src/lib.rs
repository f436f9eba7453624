//! Search: finds channels and live events, forgives typing mistakes, completes what somebody types.
//!
//! ```text
//!  bus: channel.*, event.* ─► Indexer ─ batch of documents + positions ─► Store (tantivy or Elasticsearch)
//!                               │ one each ≤ 100 ms                          ▲
//!                               └► offsets are committed after it            └─── SearchService
//! ```
//!
//! The index is a copy: it owns nothing and can be thrown away. It also keeps the bus positions, so that a killed
//! process goes on exactly where the index is; an index that is damaged or of another version starts empty, and the
//! bus fills it from the earliest record on.

mod app;
mod config;
mod consumer;
pub mod domain;
mod error;
mod grpc;
pub mod store;

use std::sync::Arc;

use marquee_proto::search::v1::search_service_server::SearchServiceServer;
use marquee_server::{Face, Platform, Service};

pub use self::config::{Config, Location};
pub use self::error::Error;

use self::app::Search;
use self::consumer::Indexer;
use self::grpc::SearchGrpc;
use self::store::{Measured, Store, Tantivy};

/// Builds the service: opens the index and makes its face and its tasks. A server that is down is waited for by the tasks
/// and named by readiness.
///
/// # Errors
/// When the folder cannot be used or belongs to another process, an address is no address, or the bus has the topics
/// otherwise than declared.
pub async fn build(config: Config, platform: Platform) -> Result<Service, Error> {
    let store = open(config.store).await?;
    let search = Search::new(store.clone());
    let mut indexer = Indexer::new(platform.bus.clone(), store.clone(), config.commit_every);
    indexer.prepare().await?;

    let name = match store.system() {
        "tantivy" => "search index",
        server => server,
    };
    let face = Face::new("search")
        .grpc(SearchServiceServer::new(SearchGrpc::new(search)))
        .ready(name, move || {
            let store = store.clone();
            Box::pin(async move { store.ready().await.map_err(|error| error.to_string()) })
        });
    let shutdown = platform.shutdown.clone();
    Ok(Service::new(face, platform.shutdown).task("search indexer", indexer.run(shutdown)))
}

/// Has the index built anew from the bus' earliest record on. Searches are answered from the present one until the new one
/// is full. On a server the running processes notice within a second; an embedded index must not be in use, and is built
/// when its process starts.
///
/// # Errors
/// When the index is not there, or in use by another process.
pub async fn rebuild(location: Location) -> Result<(), Error> {
    Ok(open(location).await?.rebuild().await?)
}

async fn open(location: Location) -> Result<Arc<dyn Store>, Error> {
    let store: Arc<dyn Store> = match location {
        Location::Tantivy(folder) => {
            let opened = tokio::task::spawn_blocking(move || Tantivy::open(&folder)).await;
            Arc::new(opened.map_err(|stopped| store::Error::Other(stopped.to_string()))??)
        }
        #[cfg(feature = "elasticsearch")]
        Location::Elasticsearch(settings) => Arc::new(store::Elasticsearch::open(&settings)?),
    };
    Ok(Arc::new(Measured(store)))
}
