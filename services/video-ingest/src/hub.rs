//! The broadcasts that run in this process, one per channel at most.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use marquee_documents::{Query, Store, Stored};
use marquee_proto::name::{ChannelName, LiveStreamName, new_id};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broadcast::{Actor, Broadcast, Command, Encoder, Entry, Ledger};
use crate::config::Config;
use crate::domain::{LiveStream, RecordingStorage, State};
use crate::error::{Error, Result, chain};
use crate::media::MediaRoot;

/// How often a join is tried again because the broadcast ended just then.
const JOIN_TRIES: usize = 3;
/// Streams that were on the air when the process died, read at once.
const RECOVER_PAGE: usize = 500;

/// Finds and starts broadcasts.
#[derive(Clone)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    config: Arc<Config>,
    media: MediaRoot,
    ledger: Ledger,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    next_encoder: AtomicU64,
    broadcasts: Mutex<HashMap<String, Broadcast>>,
    /// Rings when a broadcast begins.
    begun: Notify,
}

/// An encoder's place in a broadcast.
pub(crate) struct Link {
    /// The broadcast it publishes to.
    pub(crate) broadcast: Broadcast,
    /// Names it in commands.
    pub(crate) encoder: u64,
    /// Completes with a reason when the encoder has to go; with an error when the broadcast is over.
    pub(crate) dismissed: oneshot::Receiver<String>,
}

impl Hub {
    pub(crate) fn new(
        config: Arc<Config>,
        media: MediaRoot,
        store: Store,
        shutdown: CancellationToken,
    ) -> Self {
        let stored = match config.storage.objects {
            Some(_) => RecordingStorage::Uploading,
            None => RecordingStorage::Disk,
        };
        let shared = Shared {
            config,
            media,
            ledger: Ledger::new(store, stored),
            shutdown,
            tasks: TaskTracker::new(),
            next_encoder: AtomicU64::new(1),
            broadcasts: Mutex::default(),
            begun: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// How many requests may wait for what is not there yet.
    pub(crate) fn max_waiting(&self) -> usize {
        self.shared.config.max_waiting
    }

    /// The running broadcast of a channel.
    pub(crate) fn current(&self, channel: &str) -> Option<Broadcast> {
        self.shared.broadcasts.lock().get(channel).cloned()
    }

    /// The running broadcast of a channel, once there is one.
    pub(crate) async fn coming(&self, channel: &str) -> Broadcast {
        loop {
            let mut begun = std::pin::pin!(self.shared.begun.notified());
            // From now on, so that what begins between the look and the wait is not missed.
            begun.as_mut().enable();
            if let Some(broadcast) = self.current(channel) {
                return broadcast;
            }
            begun.await;
        }
    }

    /// Completes when a broadcast begins.
    pub(crate) fn begun(&self) -> &Notify {
        &self.shared.begun
    }

    /// Those that run.
    pub(crate) fn running(&self) -> Vec<Broadcast> {
        self.shared.broadcasts.lock().values().cloned().collect()
    }

    /// A broadcast by its name, if it runs.
    pub(crate) fn find(&self, name: &LiveStreamName) -> Option<Broadcast> {
        self.current(&name.channel)
            .filter(|broadcast| broadcast.name() == name)
    }

    /// Lets an encoder publish to a channel, or says why not.
    pub(crate) async fn join(&self, channel: &ChannelName, key: &str, record: bool) -> Result<Link, String> {
        for _ in 0..JOIN_TRIES {
            let broadcast = self
                .current(&channel.channel)
                .unwrap_or_else(|| self.start(channel));
            let encoder = self.shared.next_encoder.fetch_add(1, Ordering::Relaxed);
            let (dismiss, dismissed) = oneshot::channel();
            let (reply, answer) = oneshot::channel();
            let asked = Encoder {
                id: encoder,
                key: key.to_owned(),
                record,
                dismiss,
            };
            if broadcast
                .send(Command::Join {
                    encoder: asked,
                    reply,
                })
                .await
                .is_err()
            {
                self.forget(&broadcast);
                continue;
            }
            match answer.await {
                Ok(Ok(())) => {
                    return Ok(Link {
                        broadcast,
                        encoder,
                        dismissed,
                    });
                }
                Ok(Err(reason)) => return Err(reason),
                Err(_) => self.forget(&broadcast),
            }
        }
        Err("the server is stopping; try again".to_owned())
    }

    /// Sends away whoever publishes with a key.
    pub(crate) async fn dismiss(&self, channel: &str, key: &str, reason: &str) {
        if let Some(broadcast) = self.current(channel) {
            let command = Command::Dismiss {
                key: key.to_owned(),
                reason: reason.to_owned(),
            };
            // It ended by itself: nobody publishes.
            let _ = broadcast.send(command).await;
        }
    }

    /// Goes on with the broadcasts that ran when the process stopped last: each waits for its encoder. Returns how many.
    pub(crate) async fn recover(&self, store: &Store) -> Result<usize> {
        let mut stored = Vec::new();
        for state in [State::Live, State::Interrupted] {
            let mut query = Query::by("by_state").equals(state.as_str()).limit(RECOVER_PAGE);
            loop {
                let page = store.query::<LiveStream>(query.clone()).await?;
                stored.extend(page.items);
                match page.next_page_token {
                    Some(token) => query = query.after(&token),
                    None => break,
                }
            }
        }
        // Of several streams of one channel only the newest can go on.
        stored.sort_by_key(|stored| std::cmp::Reverse(stored.value.start_time));
        let mut recovered = 0;
        for stored in stored {
            recovered += usize::from(self.take_up(stored).await?);
        }
        Ok(recovered)
    }

    /// True when the broadcast goes on.
    async fn take_up(&self, stored: Stored<LiveStream>) -> Result<bool> {
        let name = stored.value.name();
        let entry = Entry::from(stored);
        let (broadcast, mut actor) = self.actor(&name);
        if self.current(&name.channel).is_some() {
            actor.give_up(entry).await;
            return Ok(false);
        }
        match actor.recover(entry.clone()).await {
            Ok(true) => {
                self.spawn(broadcast, actor);
                Ok(true)
            }
            Ok(false) => Ok(false),
            // One broken journal is no reason not to serve the other streams.
            Err(error @ Error::Hls(_)) => {
                tracing::error!(stream = %name, error = %chain(&error), "the stream ends, since its journal cannot be read");
                let (_, mut actor) = self.actor(&name);
                actor.give_up(entry).await;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until every broadcast has put away what it holds.
    pub(crate) async fn drained(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn start(&self, channel: &ChannelName) -> Broadcast {
        let name = LiveStreamName {
            channel: channel.channel.clone(),
            live_stream: new_id(),
        };
        let (broadcast, actor) = self.actor(&name);
        self.spawn(broadcast, actor)
    }

    fn actor(&self, name: &LiveStreamName) -> (Broadcast, Actor) {
        let shared = &self.shared;
        let (broadcast, seen, commands) =
            Broadcast::new(name.clone(), shared.media.stream(name), &shared.config);
        let actor = Actor::new(
            seen,
            commands,
            shared.config.clone(),
            shared.ledger.clone(),
            shared.shutdown.clone(),
        );
        (broadcast, actor)
    }

    /// Runs it, unless another one for the same channel was faster.
    fn spawn(&self, broadcast: Broadcast, actor: Actor) -> Broadcast {
        use std::collections::hash_map::Entry;

        let channel = broadcast.name().channel.clone();
        match self.shared.broadcasts.lock().entry(channel) {
            Entry::Occupied(running) => return running.get().clone(),
            Entry::Vacant(place) => place.insert(broadcast.clone()),
        };
        self.shared.begun.notify_waiters();
        let hub = self.clone();
        let ended = broadcast.clone();
        self.shared.tasks.spawn(async move {
            actor.run().await;
            ended.relay().end();
            hub.forget(&ended);
        });
        broadcast
    }

    fn forget(&self, broadcast: &Broadcast) {
        let mut broadcasts = self.shared.broadcasts.lock();
        if broadcasts
            .get(&broadcast.name().channel)
            .is_some_and(|current| current.name() == broadcast.name())
        {
            broadcasts.remove(&broadcast.name().channel);
        }
    }
}
