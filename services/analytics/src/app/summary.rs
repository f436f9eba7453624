//! An event's audience in sum, for who owns its channel.

use std::sync::Arc;

use marquee_auth::Principal;
use marquee_proto::name::EventName;

use super::Catalogue;
use crate::Error;
use crate::config::Clock;
use crate::domain::progress::CLOSED_AFTER_MS;
use crate::store::{Store, Summary};

/// Answers for summaries.
#[derive(Clone)]
pub(crate) struct Summaries {
    store: Arc<dyn Store>,
    catalogue: Catalogue,
    clock: Clock,
}

impl Summaries {
    pub(crate) fn new(store: Arc<dyn Store>, catalogue: Catalogue, clock: Clock) -> Self {
        Self {
            store,
            catalogue,
            clock,
        }
    }

    /// The summary, for the channel's owner or an admin; others are refused before they learn whether there is such an
    /// event.
    pub(crate) async fn summary(&self, caller: &Principal, event: &EventName) -> Result<Summary, Error> {
        if !caller.is_admin() {
            let owner = self.catalogue.owner(&event.channel()).await?;
            if owner.is_none() || owner.as_ref() != caller.account() {
                return Err(Error::NotTheOwner(event.clone()));
            }
        }
        self.catalogue.require_event(event).await?;
        let closed_before_ms = self.clock.now_ms().saturating_sub(CLOSED_AFTER_MS);
        Ok(self.store.summary(event, closed_before_ms).await?)
    }
}
