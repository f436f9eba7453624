//! Storing a batch, whatever the store says to it.
//!
//! ```text
//!   the batch ── stored
//!       ├─ store away ─► waited for, without end
//!       └─ refused a few times ─► does the store take anything?
//!                                   ├─ no ─► it is the store: an error in the log, not ready, and on
//!                                   └─ yes ─► the messages one by one; one that is refused goes to the dead letters
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use marquee_bus::{Record, Retries, TopicPartition};
use marquee_error::{ErrorExt as _, ErrorKind};
use marquee_proto::name::EventName;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Folder, GROUP, place, wait};
use crate::domain::{Ledger, Received, fold};
use crate::store::{self, Flush};

/// So many times in a row the store refuses a batch until it is not believed to change its mind.
const REFUSALS: u32 = 3;

/// What keeps the fold from going on although the store answers; for readiness.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    /// # Errors
    /// What the store says.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.0.lock().clone().map_or(Ok(()), Err)
    }

    fn set(&self, error: &store::Error) {
        *self.0.lock() = Some(error.to_string());
    }

    fn clear(&self) {
        *self.0.lock() = None;
    }
}

/// A message of a batch, with what it reports; `None` when it is among the dead letters.
pub(super) struct Item<'a> {
    pub(super) record: &'a Record,
    pub(super) received: Option<Received>,
}

/// Messages of one partition, in order, of which the store has none.
pub(super) struct Batch<'a> {
    pub(super) partition: TopicPartition,
    /// Where the store has the partition.
    pub(super) expected: u64,
    pub(super) items: Vec<Item<'a>>,
}

/// Why messages were not stored.
enum Refusal {
    /// Somebody else folds the partition, which is there now.
    Elsewhere { found: u64 },
    /// The store refuses them again and again.
    Lasting(store::Error),
}

/// Whether the same may work in a moment. A full disk may be, too, but only when somebody does something about it.
fn passes(error: &store::Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Aborted)
}

impl Folder {
    /// Folds and stores a batch, however long that takes. Returns where the partition is then: behind the batch, unless
    /// somebody else folds it.
    pub(super) async fn store(&self, mut batch: Batch<'_>) -> u64 {
        let mut expected = batch.expected;
        // What the board has seen it does not tell a second time: this belongs to the batch until that is stored.
        let mut seen = None;
        let mut failures = 0;
        loop {
            match self
                .attempt(&batch.partition, expected, &batch.items, &mut seen)
                .await
            {
                Ok(next) => return next,
                Err(Refusal::Elsewhere { found }) => return found,
                Err(Refusal::Lasting(error)) => {
                    if self.blames_the_messages(&batch.partition, expected, &error).await {
                        break;
                    }
                    wait(&mut failures).await;
                }
            }
        }
        for item in &mut batch.items {
            let mut failures = 0;
            loop {
                // The board has seen them all; what it said of them together is noted below.
                let mut told = seen.is_some().then(BTreeMap::new);
                let one = std::slice::from_ref(&*item);
                match self.attempt(&batch.partition, expected, one, &mut told).await {
                    Ok(next) => {
                        expected = next;
                        break;
                    }
                    Err(Refusal::Elsewhere { found }) => return found,
                    Err(Refusal::Lasting(error)) => {
                        let to_blame = self.blames_the_messages(&batch.partition, expected, &error).await;
                        if to_blame && item.received.take().is_some() {
                            self.bury(item.record, &format!("the store refuses it: {error}"))
                                .await;
                        } else {
                            wait(&mut failures).await;
                        }
                    }
                }
            }
        }
        if let Some(peaks) = seen
            && let Err(error) = self.store.raise_peaks(peaks).await
        {
            tracing::error!(%error, "the most viewers at once of a batch are lost");
        }
        expected
    }

    /// Whether the store takes anything else than what it refused: then it is not the store.
    async fn blames_the_messages(
        &self,
        partition: &TopicPartition,
        expected: u64,
        refusal: &store::Error,
    ) -> bool {
        let nothing = self
            .store
            .flush(place(partition), expected, expected, Flush::default());
        match nothing.await {
            Ok(()) => {
                self.trouble.clear();
                tracing::error!(
                    partition = partition.partition,
                    error = %refusal,
                    "the store refuses messages of a batch: they are stored one by one"
                );
                true
            }
            Err(error) => {
                if !passes(&error) {
                    self.trouble.set(refusal);
                    tracing::error!(
                        partition = partition.partition,
                        error = %refusal,
                        "the store takes nothing: what players report waits on the bus"
                    );
                }
                false
            }
        }
    }

    /// Folds and stores these messages; returns the offset behind them.
    async fn attempt(
        &self,
        partition: &TopicPartition,
        expected: u64,
        items: &[Item<'_>],
        seen: &mut Option<BTreeMap<EventName, u64>>,
    ) -> Result<u64, Refusal> {
        let Some(next) = items.last().map(|item| item.record.offset + 1) else {
            return Ok(expected);
        };
        let (mut failures, mut refusals) = (0, 0);
        loop {
            let Err(error) = self.fold(partition, expected, next, items, seen).await else {
                self.trouble.clear();
                return Ok(next);
            };
            match error {
                store::Error::Conflict { expected, found } => {
                    tracing::warn!(
                        partition = partition.partition,
                        expected,
                        found,
                        "the batch was folded elsewhere"
                    );
                    return Err(Refusal::Elsewhere { found });
                }
                // Swept just now: the beacon that broke the silence begins another view.
                store::Error::Stale => tracing::debug!("sessions changed meanwhile, folding again"),
                error => {
                    refusals = if passes(&error) { 0 } else { refusals + 1 };
                    if refusals >= REFUSALS {
                        return Err(Refusal::Lasting(error));
                    }
                    tracing::warn!(%error, "cannot store what players reported, trying again");
                    wait(&mut failures).await;
                }
            }
        }
    }

    async fn fold(
        &self,
        partition: &TopicPartition,
        expected: u64,
        next: u64,
        items: &[Item<'_>],
        seen: &mut Option<BTreeMap<EventName, u64>>,
    ) -> Result<(), store::Error> {
        let batch = || items.iter().filter_map(|item| item.received.as_ref());
        let mut keys: Vec<_> = batch().map(|received| received.report.key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut known = self.store.sessions(keys).await?;
        let there: BTreeSet<_> = known.keys().cloned().collect();
        let folded = fold(self.board.rules(), |key| known.remove(key), batch());
        let peaks = seen.get_or_insert_with(|| self.board.see(&folded)).clone();
        let events: Vec<_> = folded.totals.keys().cloned().collect();
        let messages = items.len() as u64;
        let flush = Flush {
            sessions: folded.sessions,
            known: there,
            totals: folded.totals,
            peaks: peaks.clone(),
            ledger: folded.ledger
                + Ledger {
                    malformed: messages - batch().count() as u64,
                    ..Ledger::default()
                },
            skipped: (next - expected).saturating_sub(messages),
            received_ms: batch().map(|received| received.at_ms).max(),
        };
        self.store.flush(place(partition), expected, next, flush).await?;
        self.board.publish(&events, &peaks);
        Ok(())
    }

    /// Publishes a message that cannot be read, or stored, among the dead letters.
    pub(super) async fn bury(&self, record: &Record, reason: &str) {
        let (retries, never) = (Retries::default(), CancellationToken::new());
        marquee_bus::bury(&*self.bus, record, GROUP, reason, &retries, &never).await;
    }
}
