//! Search: finds channels and live events, forgives typing mistakes, completes what somebody types.
//!
//! ```text
//!  bus: channel.*, event.* ─► Indexer ─ batch of documents + positions ─► Store (tantivy) ─► reader
//!                               │ one commit each ≤ 100 ms                                    ▲
//!                               └► offsets are committed after it            SearchService ───┘
//! ```
//!
//! The index is a copy: it owns nothing and can be thrown away. Its commits carry the bus positions, so that a killed
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

pub use self::config::Config;
pub use self::error::Error;

use self::app::Search;
use self::consumer::Indexer;
use self::grpc::SearchGrpc;
use self::store::{Store, Tantivy};

/// Builds the service: opens the index and makes its face and its tasks.
///
/// # Errors
/// When the folder cannot be used or belongs to another process, or the bus has the topics otherwise than declared.
pub async fn build(config: Config, platform: Platform) -> Result<Service, Error> {
    let folder = config.data.join("index");
    let opened = tokio::task::spawn_blocking(move || Tantivy::open(&folder)).await;
    let store: Arc<dyn Store> =
        Arc::new(opened.map_err(|stopped| store::Error::Other(stopped.to_string()))??);
    let search = Search::new(store.clone());
    let indexer = Indexer::new(platform.bus.clone(), store.clone(), config.commit_every);
    indexer.prepare().await?;

    let face = Face::new("search")
        .grpc(SearchServiceServer::new(SearchGrpc::new(search)))
        .ready("search index", move || {
            let store = store.clone();
            Box::pin(async move {
                store
                    .positions()
                    .await
                    .map(drop)
                    .map_err(|error| error.to_string())
            })
        });
    let shutdown = platform.shutdown.clone();
    Ok(Service::new(face, platform.shutdown).task("search indexer", indexer.run(shutdown)))
}
