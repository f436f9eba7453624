//! Who waits for which event to change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream};
use jiff::Timestamp;
use marquee_documents::{Change, Changes};
use marquee_proto::events::v1 as proto;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::App;
use crate::domain::event::LiveEvent;
use crate::error::{Error, Result};
use crate::wire;

/// One slot per event that is watched, however many watch it. It has the event as it was last committed, by whatever
/// process of the service, so that a watcher reads the store once; or nothing when it is to be read anew. A slow watcher
/// gets the latest state and holds nothing back.
#[derive(Default)]
pub(crate) struct Watchers {
    slots: Mutex<HashMap<String, watch::Sender<Option<Arc<LiveEvent>>>>>,
}

impl Watchers {
    /// Hands out what is committed, until the service stops.
    pub(crate) async fn follow(&self, mut changes: Changes<LiveEvent>, shutdown: &CancellationToken) {
        let wanted = |id: &str| self.slots.lock().contains_key(id);
        while let Some(Some(change)) = shutdown.run_until_cancelled(changes.next(wanted)).await {
            match change {
                Change::Written(event) => self.tell(&event.value.name, Some(event.value.clone())),
                Change::Deleted(event) => self.tell(&event, None),
                Change::Anew => {
                    for slot in self.slots.lock().values() {
                        slot.send_replace(None);
                    }
                }
            }
        }
    }

    fn tell(&self, event: &str, latest: Option<Arc<LiveEvent>>) {
        if let Some(slot) = self.slots.lock().get(event) {
            slot.send_replace(latest);
        }
    }

    fn watch(self: &Arc<Self>, event: &str) -> Watcher {
        let mut slots = self.slots.lock();
        let changed = match slots.get(event) {
            Some(slot) => slot.subscribe(),
            None => {
                let (slot, changed) = watch::channel(None);
                slots.insert(event.to_owned(), slot);
                changed
            }
        };
        Watcher {
            watchers: self.clone(),
            event: event.to_owned(),
            changed,
        }
    }
}

struct Watcher {
    watchers: Arc<Watchers>,
    event: String,
    changed: watch::Receiver<Option<Arc<LiveEvent>>>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut slots = self.watchers.slots.lock();
        // This one still counts.
        if slots
            .get(&self.event)
            .is_some_and(|slot| slot.receiver_count() <= 1)
        {
            slots.remove(&self.event);
        }
    }
}

/// What was sent last: the etag and whether it was overdue.
type Seen = (String, bool);

struct Watch {
    app: Arc<App>,
    watcher: Watcher,
    /// The event as far as it is known; `None` when it is to be read.
    event: Option<Arc<LiveEvent>>,
    seen: Option<Seen>,
    over: bool,
}

impl App {
    /// The event as it is, then after each change, until the caller leaves or the service stops.
    pub(crate) async fn watch_event(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<impl Stream<Item = Result<proto::Event>> + Send + 'static + use<>> {
        if self.store.event(name).await?.is_none() {
            return Err(Error::EventNotFound(name.to_owned()));
        }
        let watch = Watch {
            app: self.clone(),
            watcher: self.watchers.watch(name),
            event: None,
            seen: None,
            over: false,
        };
        Ok(stream::unfold(watch, |mut watch| async move {
            if watch.over {
                return None;
            }
            let item = watch.next().await;
            watch.over = item.is_err();
            Some((item, watch))
        }))
    }
}

impl Watch {
    async fn next(&mut self) -> Result<proto::Event> {
        loop {
            let event = self.latest().await?;
            let now = self.app.clock.now();
            let seen = (event.version.etag(), event.is_overdue(now));
            if self.seen.as_ref() != Some(&seen) {
                self.seen = Some(seen);
                return Ok(wire::event(&event, now));
            }
            let overdue = event.overdue_at().filter(|_| !event.is_overdue(now));
            tokio::select! {
                changed = self.watcher.changed.changed() => {
                    if changed.is_err() {
                        return Err(Error::ShuttingDown);
                    }
                    match &*self.watcher.changed.borrow_and_update() {
                        // What was read may be later than what was told.
                        Some(told) if !told.version.is_after(event.version) => {}
                        told => self.event = told.clone(),
                    }
                }
                () = until(overdue, now) => {}
                () = self.app.shutdown.cancelled() => return Err(Error::ShuttingDown),
            }
        }
    }

    async fn latest(&mut self) -> Result<Arc<LiveEvent>> {
        if let Some(event) = &self.event {
            return Ok(event.clone());
        }
        // Marked as seen before it is read: a change after this wakes again.
        self.watcher.changed.borrow_and_update();
        let name = &self.watcher.event;
        let read = self.app.store.event(name).await?;
        let read = read.ok_or_else(|| Error::EventNotFound(name.clone()))?;
        self.event = Some(read.value.clone());
        Ok(read.value)
    }
}

/// Waits until a little after `at`; for ever without one.
async fn until(at: Option<Timestamp>, now: Timestamp) {
    match at {
        Some(at) => {
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            tokio::time::sleep(wait + Duration::from_millis(1)).await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_a_slot_while_somebody_watches_it() {
        let watchers = Arc::new(Watchers::default());
        let first = watchers.watch("e");
        let second = watchers.watch("e");
        drop(first);
        watchers.tell("e", None);
        assert!(second.changed.has_changed().unwrap());
        drop(second);
        assert!(watchers.slots.lock().is_empty());
    }
}
