//! An outbox that several processes share: one of them at a time relays, as long as it holds the lease.
//!
//! **The lease** is good for [`LEASE`] by the store's clock. Its holder counts from before it asked, and stops a little
//! sooner, so that it has stopped before anybody else may begin. It looks at the lease again after it has read. One that
//! stands still in the middle of publishing and comes back after its lease may publish once more what another one has
//! published since: a second delivery, which consumers know by its id. The first ones stay in order, since whoever
//! begins, begins with the oldest.
//!
//! **What is read** is in the order of commits of each key; that is up to the store. A row may be committed before others
//! that were read already (of another key), so that exactly the rows that were published are forgotten, and the places
//! that the relay sees are numbers of our own.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Outbox;
use crate::{Error, Outgoing};

/// How long a lease is good for.
pub const LEASE: Duration = Duration::from_secs(5);
/// So much earlier its holder stops, for clocks that do not run at the same speed.
const MARGIN: Duration = Duration::from_millis(500);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(1);
/// How often others ask for it.
const ASK: Duration = Duration::from_millis(500);
/// How often its holder looks for what other processes have committed.
const LOOK: Duration = Duration::from_millis(50);

/// What the store does for it.
#[async_trait]
pub trait Rows: Send + Sync + 'static {
    /// What a row is known by.
    type Id: Clone + Eq + Hash + Send + Sync;

    /// Takes the lease, or renews it, if it is free, over, or this holder's, for so long from now by the store's clock;
    /// false when somebody else has it.
    async fn take(&self, holder: &str, lease: Duration) -> Result<bool, Error>;

    /// The oldest rows, so many at most. Rows that were forgotten a moment ago may still be among them.
    async fn read(&self, limit: usize) -> Result<Vec<(Self::Id, Outgoing)>, Error>;

    /// Deletes these rows. A deletion that is lost is a message that is published twice.
    async fn forget(&self, ids: &[Self::Id]) -> Result<(), Error>;

    /// Gives the lease back, if it is this holder's.
    async fn release(&self, holder: &str) -> Result<(), Error>;

    /// How many rows there are, about.
    async fn depth(&self) -> Result<u64, Error>;

    /// Whose outbox it is.
    fn name(&self) -> &str;
}

/// The outbox, as one process sees it.
pub struct Leased<R: Rows> {
    rows: R,
    /// Counts the commits of this process that added messages.
    commits: watch::Sender<u64>,
    /// Names this process, or rather this one life of it.
    holder: String,
    state: Mutex<State<R::Id>>,
}

struct State<Id> {
    /// Until when the lease is ours, if it is.
    until: Option<Instant>,
    /// When to ask again after it was refused.
    ask: Instant,
    /// The commits that had been counted before the last look.
    seen: u64,
    /// The last place that was given out.
    place: i64,
    /// What was given out last and is not published yet, in order.
    given: VecDeque<(i64, Id)>,
    /// What was forgotten, until it is seen no more.
    forgotten: HashSet<Id>,
}

impl<Id> State<Id> {
    fn holds(&self) -> bool {
        self.until.is_some_and(|until| until > Instant::now())
    }
}

impl<R: Rows> Leased<R> {
    /// `commits` counts the commits of this process that add messages: each one wakes the relay.
    pub fn new(rows: R, commits: watch::Sender<u64>) -> Self {
        Self {
            rows,
            commits,
            holder: uuid::Uuid::new_v4().simple().to_string(),
            state: Mutex::new(State {
                until: None,
                ask: Instant::now(),
                seen: 0,
                place: 0,
                given: VecDeque::new(),
                forgotten: HashSet::new(),
            }),
        }
    }

    /// Messages were committed by this process.
    pub fn wake(&self) {
        self.commits.send_modify(|commits| *commits += 1);
    }

    /// Whether this process is the one that relays.
    async fn held(&self) -> Result<bool, Error> {
        let (holds, ask) = {
            let state = self.state.lock();
            (
                state.holds(),
                state.until.is_some() || state.ask <= Instant::now(),
            )
        };
        if holds || !ask {
            return Ok(holds);
        }
        self.take().await
    }

    async fn take(&self) -> Result<bool, Error> {
        let begun = Instant::now();
        let taken = self.rows.take(&self.holder, LEASE).await?;
        let mut state = self.state.lock();
        if taken && !state.holds() {
            tracing::info!(store = self.rows.name(), "relaying the outbox");
        }
        state.until = taken.then(|| begun + LEASE - MARGIN);
        state.ask = begun + ASK;
        Ok(taken)
    }
}

#[async_trait]
impl<R: Rows> Outbox for Leased<R> {
    async fn pending(&self, limit: usize) -> Result<Vec<(i64, Outgoing)>, Error> {
        let seen = *self.commits.borrow();
        self.state.lock().seen = seen;
        let held = self.held().await?;
        let hidden = self.state.lock().forgotten.len();
        let found = if held {
            self.rows.read(limit + hidden).await?
        } else {
            Vec::new()
        };
        let mut state = self.state.lock();
        state.given.clear();
        if !state.holds() {
            // Reading took so long that somebody else may have begun.
            return Ok(Vec::new());
        }
        // They are the oldest, so that those which are not among what was found are gone for good.
        let forgotten = std::mem::take(&mut state.forgotten);
        let mut pending = Vec::with_capacity(found.len());
        for (id, outgoing) in found {
            if forgotten.contains(&id) {
                state.forgotten.insert(id);
            } else if pending.len() < limit {
                state.place += 1;
                let place = state.place;
                state.given.push_back((place, id));
                pending.push((place, outgoing));
            }
        }
        Ok(pending)
    }

    async fn published(&self, up_to: i64) -> Result<(), Error> {
        let ids: Vec<R::Id> = {
            let state = self.state.lock();
            let published = state.given.iter().take_while(|(place, _)| *place <= up_to);
            published.map(|(_, id)| id.clone()).collect()
        };
        if ids.is_empty() {
            return Ok(());
        }
        self.rows.forget(&ids).await?;
        let mut state = self.state.lock();
        state.given.retain(|(place, _)| *place > up_to);
        state.forgotten.extend(ids);
        Ok(())
    }

    async fn wait(&self) {
        let (seen, holds) = {
            let state = self.state.lock();
            (state.seen, state.holds())
        };
        if !holds {
            sleep(ASK).await;
            return;
        }
        let mut commits = self.commits.subscribe();
        drop(timeout(LOOK, commits.wait_for(|commits| *commits != seen)).await);
    }

    async fn hold(&self) {
        loop {
            sleep(RENEW).await;
            let held = self.state.lock().until.is_some();
            if held && let Err(error) = self.take().await {
                tracing::warn!(store = self.rows.name(), %error, "cannot renew the lease of the outbox");
            }
        }
    }

    async fn release(&self) {
        {
            let mut state = self.state.lock();
            if state.until.take().is_none() {
                return;
            }
            // It was not refused: whoever begins again may ask at once.
            state.ask = Instant::now();
        }
        if let Err(error) = self.rows.release(&self.holder).await {
            tracing::warn!(
                store = self.rows.name(),
                %error,
                "cannot give the lease of the outbox back: it runs out"
            );
        }
    }

    async fn depth(&self) -> Result<u64, Error> {
        self.rows.depth().await
    }

    fn name(&self) -> &str {
        self.rows.name()
    }
}

#[cfg(test)]
mod tests;
