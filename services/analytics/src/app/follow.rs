//! Follows the sessions that other processes fold, so that each of them can tell the whole audience.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use marquee_proto::name::EventName;
use tokio_util::sync::CancellationToken;

use super::Board;
use crate::Error;
use crate::store::{self, Heard, Store};

/// The wait before the store is followed again that broke off.
const RETRY: Duration = Duration::from_secs(1);

/// Sessions of the last seconds that are read at most when the store is followed (again).
const READ: u32 = 500_000;

/// Events whose last peak is remembered, so that it is not stored again and again.
const PEAKS: usize = 10_000;

/// Follows the store.
pub(crate) struct Follower {
    store: Arc<dyn Store>,
    board: Arc<Board>,
}

impl Follower {
    pub(crate) fn new(store: Arc<dyn Store>, board: Arc<Board>) -> Self {
        Self { store, board }
    }

    /// Follows until the token is cancelled.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let work = async {
            loop {
                match self.follow().await {
                    // Nobody else writes there.
                    Ok(()) => std::future::pending().await,
                    Err(error) => {
                        tracing::warn!(%error, "cannot follow the audience of other processes, trying again")
                    }
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        shutdown.run_until_cancelled(work).await;
        Ok(())
    }

    async fn follow(&self) -> Result<(), store::Error> {
        // First the changes, then what was there before: nothing lies between.
        let Some(mut changes) = self.store.changes().await? else {
            return Ok(());
        };
        let since_ms = self.board.since(self.board.now_ms());
        let mut told = HashMap::new();
        self.take(&self.store.heard_since(since_ms, READ).await?, &mut told)
            .await?;
        while let Some(heard) = changes.next().await {
            self.take(&heard?, &mut told).await?;
        }
        Err(store::Error::Unavailable("the changes ended".to_owned()))
    }

    async fn take(&self, heard: &[Heard], told: &mut HashMap<EventName, u64>) -> Result<(), store::Error> {
        let (events, peaks) = self.board.hear(heard);
        let higher: BTreeMap<_, _> = peaks
            .iter()
            .filter(|(event, peak)| told.get(*event).is_none_or(|told| told < *peak))
            .map(|(event, peak)| (event.clone(), *peak))
            .collect();
        self.board.publish(&events, &peaks);
        if !higher.is_empty() {
            self.store.raise_peaks(higher.clone()).await?;
            if told.len() > PEAKS {
                told.clear();
            }
            told.extend(higher);
        }
        Ok(())
    }
}
