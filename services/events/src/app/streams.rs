//! What happens to events when a stream starts or ends, and when its recording is ready.

use jiff::Timestamp;
use marquee_documents::{Error as StoreError, Stored, Transaction};
use marquee_proto::name::LiveStreamName;

use super::{ATTEMPTS, App};
use crate::domain::attach;
use crate::domain::channel::Channel;
use crate::domain::event::{Change, Details, LiveEvent, State, Visibility};
use crate::error::{Error, Result};
use crate::store::EarlyRecording;

/// A broadcast that video-ingest tells of.
pub(crate) struct Stream {
    pub(crate) name: LiveStreamName,
    pub(crate) playback_path: String,
    pub(crate) start: Timestamp,
}

impl App {
    /// The scheduled event that fits goes live, or one that is made for the stream. Nothing happens when an event has
    /// the stream already: the message came again.
    pub(crate) async fn stream_started(&self, stream: &Stream) -> Result<()> {
        let Some(channel) = self.known_channel(&stream.name).await? else {
            return Ok(());
        };
        let name = stream.name.to_string();
        self.attach(&channel, stream, &name).await?;
        // Its recording may have been heard of first.
        self.take_early_recording(&channel, &name).await
    }

    async fn attach(&self, channel: &Channel, stream: &Stream, name: &str) -> Result<()> {
        for _ in 0..ATTEMPTS {
            if self.store.event_of_stream(name).await?.is_some() {
                return Ok(());
            }
            let nearest =
                |some| attach::nearest(some, stream.start, |event: &Stored<LiveEvent>| &*event.value);
            let scheduled = self
                .store
                .scheduled_around(&channel.name, stream.start, nearest)
                .await?;
            let taken = match scheduled {
                Some(scheduled) => {
                    let mut event = (*scheduled.value).clone();
                    if event
                        .go_live(name, &stream.playback_path, stream.start, self.clock.now())
                        .is_err()
                    {
                        continue;
                    }
                    self.commit(&event, &scheduled.etag, Change::Live, channel).await
                }
                None => self.go_live_unscheduled(channel, stream, name).await,
            };
            match taken {
                // Another stream of the channel took the event, or this message is handled twice at once.
                Err(Error::Store(StoreError::Conflict | StoreError::AlreadyExists { .. })) => {}
                done => return done,
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// An unscheduled broadcast is watched, found and notified of like any other, so it gets an event. The event has the
    /// stream's id: however often it is told, there is one.
    async fn go_live_unscheduled(&self, channel: &Channel, stream: &Stream, name: &str) -> Result<()> {
        let now = self.clock.now();
        let details = Details {
            title: format!("{} live", channel.profile.display_name),
            description: String::new(),
            scheduled_start_time: stream.start,
            scheduled_end_time: None,
            genre: String::new(),
            tags: channel.profile.tags.clone(),
            language: channel.profile.language.clone(),
            maturity_rating: String::new(),
            visibility: Visibility::Public,
            price: None,
        };
        let mut event = LiveEvent::scheduled(
            format!("{}/events/{}", channel.name, stream.name.live_stream),
            channel.name.clone(),
            channel.owner.clone(),
            details,
            now,
        );
        if event
            .go_live(name, &stream.playback_path, stream.start, now)
            .is_err()
        {
            return Ok(());
        }
        let transaction =
            Transaction::new()
                .insert(&event)?
                .publish(self.changed(Change::Live, &event, channel));
        self.store.documents.commit(transaction).await?;
        Ok(())
    }

    /// The stream's event ends. video-ingest waited for the encoder to come back before it told of it.
    pub(crate) async fn stream_ended(&self, live_stream: &LiveStreamName, end: Timestamp) -> Result<()> {
        let name = live_stream.to_string();
        let Some(event) = self.store.event_of_stream(&name).await? else {
            tracing::info!(live_stream = %name, "a stream ended that no event has");
            return Ok(());
        };
        let channel = self.channel(&event.value.channel).await?.value;
        self.change(&event.value.name, &channel, "", |event| {
            if event.state != State::Live {
                return Ok(None);
            }
            Ok(event.end(end, self.clock.now()).is_ok().then_some(Change::Ended))
        })
        .await?;
        Ok(())
    }

    /// The stream's recording can be played from `playback_path`.
    pub(crate) async fn recording_ready(
        &self,
        live_stream: &LiveStreamName,
        playback_path: &str,
    ) -> Result<()> {
        let Some(channel) = self.known_channel(live_stream).await? else {
            return Ok(());
        };
        let name = live_stream.to_string();
        if self.set_recording(&channel, &name, playback_path).await? {
            return Ok(());
        }
        // Kept until the stream is heard of. Both write first and read then, so that one of them sees the other.
        let early = EarlyRecording {
            live_stream: name.clone(),
            playback_path: playback_path.to_owned(),
        };
        self.store
            .documents
            .commit(Transaction::new().put(&early)?)
            .await?;
        self.take_early_recording(&channel, &name).await
    }

    /// The stream's recording was deleted.
    pub(crate) async fn recording_deleted(&self, live_stream: &LiveStreamName) -> Result<()> {
        let Some(channel) = self.known_channel(live_stream).await? else {
            return Ok(());
        };
        let name = live_stream.to_string();
        if !self.set_recording(&channel, &name, "").await? {
            self.forget_early_recording(&name).await?;
        }
        Ok(())
    }

    async fn take_early_recording(&self, channel: &Channel, live_stream: &str) -> Result<()> {
        let Some(early) = self.store.early_recording(live_stream).await? else {
            return Ok(());
        };
        if self
            .set_recording(channel, live_stream, &early.value.playback_path)
            .await?
        {
            self.forget_early_recording(live_stream).await?;
        }
        Ok(())
    }

    async fn forget_early_recording(&self, live_stream: &str) -> Result<()> {
        let transaction = Transaction::new().delete::<EarlyRecording>(live_stream, None);
        match self.store.documents.commit(transaction).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// False when no event has the stream.
    async fn set_recording(&self, channel: &Channel, live_stream: &str, path: &str) -> Result<bool> {
        let Some(event) = self.store.event_of_stream(live_stream).await? else {
            return Ok(false);
        };
        self.change(&event.value.name, channel, "", |event| {
            if event.recording_path == path {
                return Ok(None);
            }
            event.set_recording(path, self.clock.now());
            Ok(Some(Change::Updated))
        })
        .await?;
        Ok(true)
    }

    /// The stream's channel. A stream can't be of a channel that was never created, for its key could not be: what is
    /// told of one is logged and dropped.
    async fn known_channel(&self, live_stream: &LiveStreamName) -> Result<Option<std::sync::Arc<Channel>>> {
        let channel = self.store.channel(&live_stream.channel().to_string()).await?;
        if channel.is_none() {
            tracing::warn!(%live_stream, "a stream of a channel that does not exist was dropped");
        }
        Ok(channel.map(|channel| channel.value))
    }
}
