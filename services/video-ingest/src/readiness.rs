//! Whether streams can be taken: the store and the disk of the media must take writes.

use std::sync::Arc;
use std::time::Duration;

use marquee_documents::{Store, Transaction};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::media::MediaRoot;

/// A good answer holds for so long: each look is a write that reaches the disk, and anybody may ask.
const HOLDS: Duration = Duration::from_secs(4);

/// Checks the storage.
#[derive(Clone)]
pub(crate) struct Readiness {
    store: Store,
    /// What the store is on.
    on: &'static str,
    media: MediaRoot,
    good: Arc<Mutex<Option<Instant>>>,
}

impl Readiness {
    pub(crate) fn new(store: Store, on: &'static str, media: MediaRoot) -> Self {
        Self {
            store,
            on,
            media,
            good: Arc::default(),
        }
    }

    /// Says what is wrong.
    pub(crate) async fn check(&self) -> Result<(), String> {
        if self.good.lock().is_some_and(|at| at.elapsed() < HOLDS) {
            return Ok(());
        }
        // However much that is: with too little, recording pauses and streams go on.
        self.media.available().await.map_err(|error| error.to_string())?;
        let named = |error: String| format!("{}: {error}", self.on);
        self.store.ready().await.map_err(named)?;
        let write = Transaction::new().increment("readiness", 1);
        let written = self.store.commit(write).await;
        written.map_err(|error| named(error.to_string()))?;
        *self.good.lock() = Some(Instant::now());
        Ok(())
    }
}
