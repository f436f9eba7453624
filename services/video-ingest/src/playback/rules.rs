//! Who may watch a stream: as its event says.

use std::time::Duration;

use jiff::Timestamp;
use marquee_documents::{Query, Store, Transaction, sortable_time};
use marquee_proto::name::LiveStreamName;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::domain::{Audience, EventCopy, LiveStream, Stage};
use crate::error::Result;

/// What another replica was told is known here after this long.
const FRESH: Duration = Duration::from_secs(2);
/// Streams whose rule is remembered.
const REMEMBERED: usize = 10_000;
/// Events of a channel that may take one stream, looked at.
const CANDIDATES: usize = 100;

/// Who may watch a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) audience: Audience,
    /// Resource name of the event that says so; empty when there is none.
    pub(crate) event: String,
}

/// Finds the rules of streams.
pub(crate) struct Rules {
    store: Store,
    known: Cache<LiveStreamName, (Rule, Instant)>,
}

impl Rules {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            known: Cache::new(REMEMBERED),
        }
    }

    /// The rule of a stream, at most two seconds old.
    pub(crate) async fn of(&self, stream: &LiveStreamName) -> Result<Rule> {
        if let Some((rule, at)) = self.known.get(stream)
            && at.elapsed() < FRESH
        {
            return Ok(rule);
        }
        let now = Instant::now();
        let rule = self.load(stream).await?;
        self.known.insert(stream.clone(), (rule.clone(), now));
        Ok(rule)
    }

    /// Takes what the events service tells, unless something newer was told before.
    pub(crate) async fn learn(&self, event: &EventCopy) -> Result<()> {
        let before = self.store.get::<EventCopy>(&event.name).await?;
        if before.is_some_and(|before| before.value.update_time >= event.update_time) {
            return Ok(());
        }
        self.store.commit(Transaction::new().put(event)?).await?;
        match event.live_stream.parse::<LiveStreamName>() {
            Ok(stream) => drop(self.known.remove(&stream)),
            // A scheduled event counts for whatever its channel has just begun.
            Err(_) => self.known.retain(|stream, _| stream.channel != event.channel),
        }
        Ok(())
    }

    /// What is known of one event.
    pub(crate) async fn event(&self, name: &str) -> Result<Option<EventCopy>> {
        let stored = self.store.get::<EventCopy>(name).await?;
        Ok(stored.map(|stored| (*stored.value).clone()))
    }

    async fn load(&self, stream: &LiveStreamName) -> Result<Rule> {
        let query = Query::by("by_live_stream").equals(stream.to_string()).limit(1);
        let found = self
            .store
            .query::<EventCopy>(query)
            .await?
            .items
            .into_iter()
            .next();
        if let Some(event) = found {
            return Ok(Rule {
                audience: event.value.audience,
                event: event.value.name.clone(),
            });
        }
        // Events has not told yet which event took the stream: until then it is as narrow as the narrowest that may.
        let begun = self.store.get::<LiveStream>(&stream.live_stream).await?;
        let start = begun.map_or_else(Timestamp::now, |stored| stored.value.start_time);
        let (earliest, latest) = EventCopy::window(start);
        let query = Query::by("by_channel_and_stage")
            .equals(stream.channel.as_str())
            .equals("scheduled")
            .at_least(sortable_time::text(earliest))
            .at_most(sortable_time::text(latest))
            .limit(CANDIDATES);
        let candidates = self.store.query::<EventCopy>(query).await?.items;
        let narrowest = candidates
            .into_iter()
            .filter(|event| event.value.stage == Stage::Scheduled)
            .max_by_key(|event| event.value.audience);
        Ok(narrowest.map_or_else(
            || Rule {
                audience: Audience::Everybody,
                event: String::new(),
            },
            |event| Rule {
                audience: event.value.audience,
                event: event.value.name.clone(),
            },
        ))
    }
}
