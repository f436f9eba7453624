//! Who waits for which event to change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream};
use jiff::Timestamp;
use marquee_proto::events::v1 as proto;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::App;
use crate::error::{Error, Result};
use crate::wire;

/// One slot per event that is watched, however many watch it. A slot only wakes; what there is to see is read from the
/// store, so that a slow watcher gets the latest state and holds nothing back.
#[derive(Default)]
pub(crate) struct Watchers {
    slots: Mutex<HashMap<String, watch::Sender<()>>>,
}

impl Watchers {
    /// Wakes whoever watches the event. Called after the change was committed.
    pub(crate) fn wake(&self, event: &str) {
        if let Some(slot) = self.slots.lock().get(event) {
            slot.send_replace(());
        }
    }

    fn watch(self: &Arc<Self>, event: &str) -> Watcher {
        let mut slots = self.slots.lock();
        let changed = match slots.get(event) {
            Some(slot) => slot.subscribe(),
            None => {
                let (slot, changed) = watch::channel(());
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
    changed: watch::Receiver<()>,
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
            // Marked as seen before it is read: a change after this wakes again.
            self.watcher.changed.borrow_and_update();
            let name = &self.watcher.event;
            let event = self
                .app
                .store
                .event(name)
                .await?
                .ok_or_else(|| Error::EventNotFound(name.clone()))?;
            let now = self.app.clock.now();
            let seen = (event.value.version.etag(), event.value.is_overdue(now));
            if self.seen.as_ref() != Some(&seen) {
                self.seen = Some(seen);
                return Ok(wire::event(&event.value, now));
            }
            let overdue = event.value.overdue_at().filter(|_| !event.value.is_overdue(now));
            tokio::select! {
                changed = self.watcher.changed.changed() => {
                    if changed.is_err() {
                        return Err(Error::ShuttingDown);
                    }
                }
                () = until(overdue, now) => {}
                () = self.app.shutdown.cancelled() => return Err(Error::ShuttingDown),
            }
        }
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
        watchers.wake("e");
        assert!(second.changed.has_changed().unwrap());
        drop(second);
        assert!(watchers.slots.lock().is_empty());
    }
}
