//! The bans that count now, in memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use marquee_documents::{Query, Store, sortable_time};
use parking_lot::RwLock;

use crate::domain::{Ban, Scope};
use crate::error::Result;

/// Counts changes of bans in the store, so that replicas notice them without reading them all.
pub(crate) const CHANGES: &str = "playback.bans";
/// Read at once.
const PAGE: usize = 1_000;
/// More than that are not looked at: each new viewer is compared with each.
const MOST: usize = 10_000;

/// Who is kept out.
#[derive(Default)]
pub(crate) struct Bans {
    active: RwLock<Arc<Vec<Ban>>>,
    /// Grows with each change, so that a viewer who was let in is compared again.
    generation: AtomicU64,
}

impl Bans {
    /// Grows with each change.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The ban that keeps somebody from `what`, if there is one.
    pub(crate) fn hit(
        &self,
        channel: &str,
        what: Scope,
        address: IpAddr,
        account: &str,
        now: Timestamp,
    ) -> Option<Ban> {
        let active = self.active.read().clone();
        active
            .iter()
            .find(|ban| ban.expire_time > now && ban.hits(channel, what, address, account))
            .cloned()
    }

    /// Reads those that count from the store.
    pub(crate) async fn load(&self, store: &Store, now: Timestamp) -> Result<()> {
        let mut bans = Vec::new();
        let mut query = Query::by("by_expiry").above(sortable_time::text(now)).limit(PAGE);
        loop {
            let page = store.query::<Ban>(query.clone()).await?;
            bans.extend(page.items.into_iter().map(|stored| (*stored.value).clone()));
            match page.next_page_token {
                Some(token) if bans.len() < MOST => query = query.after(&token),
                Some(_) => {
                    tracing::warn!(counted = MOST, "there are more bans than are looked at");
                    break;
                }
                None => break,
            }
        }
        *self.active.write() = Arc::new(bans);
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}
