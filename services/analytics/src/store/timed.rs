//! How long a store takes, by the OpenTelemetry semantic conventions.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use marquee_proto::name::{AccountName, ChannelName, EventName};
use tokio::time::Instant;

use super::{Changes, Error, Flush, Heard, Partition, Position, Store, Summary};
use crate::domain::{Ledger, Session, SessionKey};

/// A store whose operations are measured.
pub(crate) struct Timed<S> {
    store: S,
    /// `db.system.name`: `sqlite` or `mongodb`.
    system: &'static str,
}

impl<S: Store> Timed<S> {
    pub(crate) fn new(store: S, system: &'static str) -> Self {
        Self { store, system }
    }

    /// `collection` is the one that the operation is about; it may take others along.
    async fn time<T>(
        &self,
        operation: &'static str,
        collection: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let result = work.await;
        let seconds = begun.elapsed().as_secs_f64();
        metrics::histogram!(
            "db_client_operation_duration_seconds",
            "db_system_name" => self.system,
            "db_operation_name" => operation,
            "db_collection_name" => collection,
        )
        .record(seconds);
        result
    }
}

#[async_trait]
impl<S: Store> Store for Timed<S> {
    // Asked every few seconds by whoever probes: not what the store is used for.
    async fn ready(&self) -> Result<(), Error> {
        self.store.ready().await
    }

    async fn positions(&self) -> Result<HashMap<Partition, Position>, Error> {
        self.time("positions", "partition", self.store.positions()).await
    }

    async fn sessions(&self, keys: Vec<SessionKey>) -> Result<HashMap<SessionKey, Session>, Error> {
        self.time("sessions", "session", self.store.sessions(keys)).await
    }

    async fn flush(&self, partition: Partition, expected: u64, next: u64, flush: Flush) -> Result<(), Error> {
        let work = self.store.flush(partition, expected, next, flush);
        self.time("flush", "session", work).await
    }

    async fn restart(&self, partition: Partition, expected: u64) -> Result<(), Error> {
        let work = self.store.restart(partition, expected);
        self.time("restart", "partition", work).await
    }

    async fn ledger(&self) -> Result<(Ledger, u64), Error> {
        self.time("ledger", "partition", self.store.ledger()).await
    }

    async fn heard_since(&self, received_ms: i64, most: u32) -> Result<Vec<Heard>, Error> {
        let work = self.store.heard_since(received_ms, most);
        self.time("heard_since", "session", work).await
    }

    async fn changes(&self) -> Result<Option<Changes>, Error> {
        self.time("changes", "session", self.store.changes()).await
    }

    async fn sweep(&self, partitions: Vec<u32>, silent_before_ms: i64, most: u32) -> Result<usize, Error> {
        let work = self.store.sweep(partitions, silent_before_ms, most);
        self.time("sweep", "session", work).await
    }

    async fn summary(&self, event: &EventName, closed_before_ms: i64) -> Result<Summary, Error> {
        let work = self.store.summary(event, closed_before_ms);
        self.time("summary", "totals", work).await
    }

    async fn peak(&self, event: &EventName) -> Result<u64, Error> {
        self.time("peak", "totals", self.store.peak(event)).await
    }

    async fn raise_peaks(&self, peaks: BTreeMap<EventName, u64>) -> Result<(), Error> {
        self.time("raise_peaks", "totals", self.store.raise_peaks(peaks))
            .await
    }

    async fn put_channel(
        &self,
        channel: ChannelName,
        owner: AccountName,
        version_ns: i64,
    ) -> Result<(), Error> {
        let work = self.store.put_channel(channel, owner, version_ns);
        self.time("put_channel", "channel", work).await
    }

    async fn put_event(&self, event: EventName) -> Result<(), Error> {
        self.time("put_event", "event", self.store.put_event(event)).await
    }

    async fn channel_owner(&self, channel: &ChannelName) -> Result<Option<AccountName>, Error> {
        self.time("channel_owner", "channel", self.store.channel_owner(channel))
            .await
    }

    async fn has_event(&self, event: &EventName) -> Result<bool, Error> {
        self.time("has_event", "event", self.store.has_event(event)).await
    }
}
