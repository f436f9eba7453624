//! What the service keeps, and the questions it asks of it.

use jiff::Timestamp;
use marquee_documents::{Collection, Document, Index, Location, Page, Query, Store as Documents, Stored};
use serde::{Deserialize, Serialize};

use crate::domain::attach::{EARLY, LONGEST};
use crate::domain::channel::{Channel, Handle};
use crate::domain::event::{LiveEvent, State};
use crate::domain::filter::Filter;
use crate::domain::list::{Order, OrderBy, Viewer};
use crate::error::Result;

/// How many events are read at once where some of them will not be listed.
const BATCH: usize = 200;
/// After so many events were looked at, a page is given out although it is not full (AIP-158 allows it), so that a
/// filter that holds for nothing costs a bounded time.
const MAX_SCANNED: usize = 5_000;

/// A recording that was ready before the stream it comes from was heard of: streams and recordings travel on
/// different topics, which keep no order among each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EarlyRecording {
    /// Resource name of the live stream.
    pub(crate) live_stream: String,
    pub(crate) playback_path: String,
}

impl Document for EarlyRecording {
    const COLLECTION: &'static str = "early_recordings";
    const INDEXES: &'static [Index] = &[];

    fn id(&self) -> &str {
        &self.live_stream
    }
}

/// The service's documents.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) documents: Documents,
}

/// What a list of events is asked for.
pub(crate) struct EventList<'a> {
    /// `None` for all channels.
    pub(crate) channel: Option<&'a str>,
    pub(crate) filter: &'a Filter,
    pub(crate) order: Order,
    pub(crate) viewer: &'a Viewer,
}

impl Store {
    pub(crate) async fn open(location: &Location) -> Result<Self> {
        let collections = [
            Collection::of::<Channel>(),
            Collection::of::<LiveEvent>(),
            Collection::of::<EarlyRecording>(),
        ];
        Ok(Self {
            documents: Documents::open(location, &collections).await?,
        })
    }

    pub(crate) async fn channel(&self, name: &str) -> Result<Option<Stored<Channel>>> {
        Ok(self.documents.get(name).await?)
    }

    pub(crate) async fn channel_by_handle(&self, handle: &Handle) -> Result<Option<Stored<Channel>>> {
        let query = Query::by("by_handle").equals(handle.as_str()).limit(1);
        Ok(self.documents.query(query).await?.items.into_iter().next())
    }

    /// Newest first.
    pub(crate) async fn channels(
        &self,
        owner: Option<&str>,
        size: usize,
        token: &str,
    ) -> Result<Page<Channel>> {
        let query = match owner {
            Some(owner) => Query::by("by_owner").equals(owner),
            None => Query::by("by_create_time"),
        };
        let query = query.descending().limit(size);
        let query = if token.is_empty() {
            query
        } else {
            query.after(token)
        };
        Ok(self.documents.query(query).await?)
    }

    pub(crate) async fn event(&self, name: &str) -> Result<Option<Stored<LiveEvent>>> {
        Ok(self.documents.get(name).await?)
    }

    pub(crate) async fn event_of_stream(&self, live_stream: &str) -> Result<Option<Stored<LiveEvent>>> {
        let query = Query::by("by_live_stream").equals(live_stream).limit(1);
        Ok(self.documents.query(query).await?.items.into_iter().next())
    }

    pub(crate) async fn early_recording(&self, live_stream: &str) -> Result<Option<Stored<EarlyRecording>>> {
        Ok(self.documents.get(live_stream).await?)
    }

    /// Of the scheduled events of a channel that a stream starting at `at` could carry, the one that `choose` prefers.
    /// It is given some at a time, with the best so far among them: a channel may have any number.
    pub(crate) async fn scheduled_around(
        &self,
        channel: &str,
        at: Timestamp,
        choose: impl Fn(Vec<Stored<LiveEvent>>) -> Option<Stored<LiveEvent>> + Send,
    ) -> Result<Option<Stored<LiveEvent>>> {
        let earliest = at.checked_sub(LONGEST).unwrap_or(Timestamp::MIN);
        let latest = at.checked_add(EARLY).unwrap_or(Timestamp::MAX);
        let mut best = None;
        let mut token: Option<String> = None;
        loop {
            let query = Query::by("by_channel_state")
                .equals(channel)
                .equals(State::Scheduled.as_str())
                .at_least(earliest.as_microsecond())
                .at_most(latest.as_microsecond())
                .limit(BATCH);
            let query = match &token {
                Some(token) => query.after(token),
                None => query,
            };
            let page = self.documents.query::<LiveEvent>(query).await?;
            best = choose(page.items.into_iter().chain(best).collect());
            token = page.next_page_token;
            if token.is_none() {
                return Ok(best);
            }
        }
    }

    /// One page of a list and the token of the next.
    pub(crate) async fn events(
        &self,
        list: &EventList<'_>,
        size: usize,
        token: Option<String>,
    ) -> Result<(Vec<Stored<LiveEvent>>, Option<String>)> {
        let listed =
            |event: &Stored<LiveEvent>| list.viewer.lists(&event.value) && list.filter.holds(&event.value);
        let mut events: Vec<Stored<LiveEvent>> = Vec::new();
        let mut token = token;
        let mut scanned = 0;
        let mut limit = size;
        loop {
            let missing = size - events.len();
            let mut page = self.batch(list, limit, token.as_deref()).await?;
            // More than are missing: read again up to the last one that fits, whose token the page ends with.
            let last = page
                .items
                .iter()
                .enumerate()
                .filter(|(_, event)| listed(event))
                .nth(missing - 1);
            if let Some((position, _)) = last
                && position + 1 < page.items.len()
            {
                page = self.batch(list, position + 1, token.as_deref()).await?;
            }
            scanned += page.items.len();
            events.extend(page.items.into_iter().filter(listed));
            token = page.next_page_token;
            if token.is_none() || events.len() >= size || scanned >= MAX_SCANNED {
                return Ok((events, token));
            }
            limit = BATCH;
            // A batch is read on this thread and never waits: without this a page would keep everybody else from it for
            // all that it looks at.
            tokio::task::yield_now().await;
        }
    }

    async fn batch(
        &self,
        list: &EventList<'_>,
        limit: usize,
        token: Option<&str>,
    ) -> Result<Page<LiveEvent>> {
        let query = list.query().limit(limit);
        let query = match token {
            Some(token) => query.after(token),
            None => query,
        };
        Ok(self.documents.query(query).await?)
    }
}

impl EventList<'_> {
    /// The index that has the order, narrowed by as much of the filter as it can be.
    fn query(&self) -> Query {
        let by_start = self.order.by == OrderBy::ScheduledStartTime;
        let state = self.filter.state().filter(|_| by_start);
        let mut query = match (self.channel, state) {
            (Some(channel), Some(state)) => Query::by("by_channel_state")
                .equals(channel)
                .equals(state.as_str()),
            (Some(channel), None) if by_start => Query::by("by_channel_start").equals(channel),
            (Some(channel), None) => Query::by("by_channel_create_time").equals(channel),
            (None, Some(state)) => Query::by("by_state").equals(state.as_str()),
            (None, None) if by_start => Query::by("by_start"),
            (None, None) => Query::by("by_create_time"),
        };
        if by_start {
            query = match self.filter.lower() {
                Some((at, true)) => query.at_least(at.as_microsecond()),
                Some((at, false)) => query.above(at.as_microsecond()),
                None => query,
            };
            query = match self.filter.upper() {
                Some((at, true)) => query.at_most(at.as_microsecond()),
                Some((at, false)) => query.below(at.as_microsecond()),
                None => query,
            };
        }
        if self.order.descending {
            query.descending()
        } else {
            query
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use marquee_documents::Transaction;

    use super::*;
    use crate::domain::event::tests::sample;

    #[tokio::test]
    async fn others_get_their_turn_while_a_page_looks_at_many_events() {
        const EVENTS: usize = 10 * BATCH;
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Location::Sqlite(folder.path().join("events.db")))
            .await
            .unwrap();
        for chunk in (0..EVENTS).collect::<Vec<_>>().chunks(500) {
            let transaction = chunk.iter().try_fold(Transaction::new(), |transaction, n| {
                transaction.insert(&sample(&format!("e{n}"), 1_000))
            });
            store.documents.commit(transaction.unwrap()).await.unwrap();
        }
        let turns = Arc::new(AtomicUsize::new(0));
        let other = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move {
                loop {
                    turns.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            }
        });
        let list = EventList {
            channel: None,
            filter: &Filter::parse("genre = \"none\"").unwrap(),
            order: Order::parse("create_time").unwrap(),
            viewer: &Viewer::Admin,
        };
        let before = turns.load(Ordering::Relaxed);
        let (events, _) = store.events(&list, 50, None).await.unwrap();
        assert!(events.is_empty());
        assert!(turns.load(Ordering::Relaxed) >= before + 9);
        other.abort();
    }
}
