//! How long a store takes, by what is asked of it.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use super::{Batch, Error, Followed, Page, Positions, Store, Suggestion};
use crate::domain::{Cursor, Prefix, Query};

/// A store whose calls are measured as `db_client_operation_duration_seconds`.
pub(crate) struct Measured(pub(crate) Arc<dyn Store>);

impl Measured {
    async fn measure<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let done = call.await;
        metrics::histogram!(
            "db_client_operation_duration_seconds",
            "db_system_name" => self.0.system(),
            "db_operation_name" => operation,
            "db_collection_name" => "search",
        )
        .record(began.elapsed().as_secs_f64());
        done
    }
}

#[async_trait]
impl Store for Measured {
    fn system(&self) -> &'static str {
        self.0.system()
    }

    async fn apply(&self, batch: Batch) -> Result<(), Error> {
        self.measure("apply", self.0.apply(batch)).await
    }

    async fn positions(&self) -> Result<Positions, Error> {
        self.measure("positions", self.0.positions()).await
    }

    async fn clear(&self) -> Result<(), Error> {
        self.measure("clear", self.0.clear()).await
    }

    async fn rebuild(&self) -> Result<(), Error> {
        self.measure("rebuild", self.0.rebuild()).await
    }

    async fn follow(&self) -> Result<Followed, Error> {
        self.measure("follow", self.0.follow()).await
    }

    async fn promote(&self) -> Result<(), Error> {
        self.measure("promote", self.0.promote()).await
    }

    async fn ready(&self) -> Result<(), Error> {
        self.measure("ready", self.0.ready()).await
    }

    async fn search(&self, query: &Query, after: Option<Cursor>, limit: usize) -> Result<Page, Error> {
        self.measure("search", self.0.search(query, after, limit)).await
    }

    async fn suggest(&self, prefix: &Prefix, limit: usize) -> Result<Vec<Suggestion>, Error> {
        self.measure("suggest", self.0.suggest(prefix, limit)).await
    }
}
