//! What has to be done by the clock: counting, telling the store who was seen, and learning what others decided.

use std::time::Duration;

use jiff::Timestamp;
use marquee_documents::{Query, Transaction, sortable_time};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Playback, Seen, bans};
use crate::domain::{PlaybackSession, Sighting};
use crate::error::{Error, Result, chain};

/// Viewers are counted this often.
const COUNT: Duration = Duration::from_secs(1);
/// What others decided is looked for every so many counts.
const LEARN: u64 = 2;
/// The store is told who was seen every so many counts.
const TELL: u64 = 10;
/// What nobody needs any more is forgotten every so many counts.
const PURGE: u64 = 60;
/// An account's right to watch is asked for again after this long.
const RECHECK: Duration = Duration::from_secs(5 * 60);
/// Rights asked for again in one round.
const RECHECKS: usize = 200;
/// Sightings in one transaction.
const BATCH: usize = 200;
/// Documents forgotten in one round.
const FORGOTTEN: usize = 500;
/// Clocks of replicas may be apart by this much.
const SKEW: Duration = Duration::from_secs(30);

/// Counts revocations in the store.
pub(super) const REVOCATIONS: &str = "playback.revocations";

/// What is known of the store's counters.
#[derive(Default)]
struct Known {
    bans: Option<i64>,
    revocations: Option<i64>,
    learned: Timestamp,
}

impl Playback {
    /// Runs until the service stops.
    pub(crate) async fn keep(self, shutdown: CancellationToken) {
        let mut ticks = interval(COUNT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = Known::default();
        let mut round = 0_u64;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.cancelled() => break,
            }
            let now = Timestamp::now();
            self.viewers.sweep(now, self.idle());
            let due = |every: u64| round.is_multiple_of(every);
            let mut result = Ok(());
            if due(LEARN) {
                result = result.and(self.learn(&mut known, now).await);
            }
            if due(TELL) {
                result = result.and(self.tell().await);
                result = result.and(self.recheck(now).await);
            }
            if due(PURGE) {
                result = result.and(self.purge(now).await);
            }
            if let Err(error) = result {
                tracing::warn!(error = %chain(&error), "sessions are not in step with the store");
            }
            round += 1;
        }
        // The next start goes on with who was watching.
        if let Err(error) = self.tell().await {
            tracing::warn!(error = %chain(&error), "who watched last is not stored");
        }
    }

    fn idle(&self) -> i64 {
        i64::try_from(self.config.idle.as_millis()).unwrap_or(i64::MAX)
    }

    async fn learn(&self, known: &mut Known, now: Timestamp) -> Result<()> {
        let bans = self.store.counter(bans::CHANGES).await?;
        if known.bans != Some(bans) {
            self.bans.load(&self.store, now).await?;
            known.bans = Some(bans);
        }
        let revocations = self.store.counter(REVOCATIONS).await?;
        if known.revocations != Some(revocations) {
            let since = known.learned.saturating_sub(SKEW).unwrap_or_default();
            let mut query = Query::by("by_revocation")
                .at_least(sortable_time::text(since))
                .limit(FORGOTTEN);
            loop {
                let page = self.store.query::<PlaybackSession>(query.clone()).await?;
                for stored in &page.items {
                    self.end_here(&stored.value.id);
                }
                match page.next_page_token {
                    Some(token) => query = query.after(&token),
                    None => break,
                }
            }
            known.revocations = Some(revocations);
            known.learned = now;
        }
        Ok(())
    }

    /// Ends what is watched here in a session. Returns how many that were: 0 or 1.
    pub(crate) fn end_here(&self, session: &str) -> usize {
        let found = self.viewers.select(|seen| seen.session.id == session);
        found.iter().for_each(|seen| seen.end());
        found.len()
    }

    async fn tell(&self) -> Result<()> {
        let seen = self.viewers.select(|seen| !seen.anonymous && seen.tell());
        for batch in seen.chunks(BATCH) {
            let transaction = batch.iter().try_fold(Transaction::new(), |transaction, seen| {
                transaction.put(&sighting(seen))
            })?;
            self.store.commit(transaction).await?;
        }
        Ok(())
    }

    /// Asks again for accounts whose membership may have ended meanwhile.
    async fn recheck(&self, now: Timestamp) -> Result<()> {
        let every = i64::try_from(RECHECK.as_millis()).unwrap_or(i64::MAX);
        let due = self
            .viewers
            .select(|seen| !seen.session.account.is_empty() && !seen.is_ended() && seen.is_due(now, every));
        for seen in due.iter().take(RECHECKS) {
            let Ok(account) = seen.session.account.parse() else {
                continue;
            };
            // Who cannot be judged now goes on.
            if let Err(Error::NotEntitled { .. }) =
                self.entitlements.require(&account, &seen.session.event).await
            {
                tracing::info!(session = %seen.session.name(), "the session ends, since its account may not watch any more");
                self.revoke(&seen.session.id).await?;
            }
        }
        Ok(())
    }

    /// Ends a session for good, here and on every replica.
    pub(crate) async fn revoke(&self, id: &str) -> Result<()> {
        self.end_here(id);
        let Some(stored) = self.store.get::<PlaybackSession>(id).await? else {
            return Ok(());
        };
        if stored.value.revoke_time.is_some() {
            return Ok(());
        }
        let session = PlaybackSession {
            revoke_time: Some(Timestamp::now()),
            ..(*stored.value).clone()
        };
        let transaction = Transaction::new()
            .replace(&session, &stored.etag)?
            .increment(REVOCATIONS, 1);
        match self.store.commit(transaction).await {
            // Nothing but a revocation changes a session.
            Ok(_) | Err(marquee_documents::Error::Conflict | marquee_documents::Error::NotFound { .. }) => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn purge(&self, now: Timestamp) -> Result<()> {
        let query = Query::by("by_expiry")
            .below(sortable_time::text(now.saturating_sub(SKEW).unwrap_or(now)))
            .limit(FORGOTTEN);
        let over = self.store.query::<PlaybackSession>(query).await?.items;
        for batch in over.chunks(BATCH) {
            let transaction = batch.iter().fold(Transaction::new(), |transaction, stored| {
                transaction.delete::<PlaybackSession>(&stored.value.id, None)
            });
            self.forget(transaction).await?;
        }
        let before = now.saturating_sub(self.config.session_lifetime).unwrap_or(now);
        let query = Query::by("by_time")
            .below(sortable_time::text(before))
            .limit(FORGOTTEN);
        let over = self.store.query::<Sighting>(query).await?.items;
        for batch in over.chunks(BATCH) {
            let transaction = batch.iter().fold(Transaction::new(), |transaction, stored| {
                transaction.delete::<Sighting>(&stored.value.id, None)
            });
            self.forget(transaction).await?;
        }
        let query = Query::by("by_expiry")
            .below(sortable_time::text(now))
            .limit(FORGOTTEN);
        let over = self.store.query::<crate::domain::Ban>(query).await?.items;
        for batch in over.chunks(BATCH) {
            let transaction = batch.iter().fold(Transaction::new(), |transaction, stored| {
                transaction.delete::<crate::domain::Ban>(&stored.value.id, None)
            });
            self.forget(transaction).await?;
        }
        Ok(())
    }

    /// Another replica may have been faster.
    async fn forget(&self, transaction: Transaction) -> Result<()> {
        match self.store.commit(transaction).await {
            Ok(_) | Err(marquee_documents::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

pub(crate) fn sighting(seen: &Seen) -> Sighting {
    Sighting {
        id: seen.session.id.clone(),
        stream: seen.session.stream().to_string(),
        account: seen.session.account.clone(),
        last_seen_time: seen.last_seen(),
        bytes: seen.bytes(),
    }
}
