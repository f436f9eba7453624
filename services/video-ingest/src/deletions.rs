//! How a recording is deleted: from the store in one transaction, then its media, whatever is killed or away meanwhile.

use std::time::Duration;

use jiff::Timestamp;
use marquee_documents::{Query, Store, Transaction};
use marquee_objects::Objects;
use marquee_proto::name::LiveStreamName;
use marquee_proto::video_ingest::v1 as proto;
use marquee_proto::video_ingest::v1::recording_changed::Change;
use tokio::time::{sleep, timeout};

use crate::archive::Archive;
use crate::domain::{Deletion, Recording};
use crate::error::{Error, Result, chain};
use crate::media::MediaRoot;
use crate::uploads::{self, Uploads};
use crate::wire;

/// How long whoever deletes a recording waits for the object store; what is left then goes later.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tries to tell the store on a disk that was full a moment ago.
const TRIES: usize = 5;
/// Media that wait to be deleted, read at once.
const PAGE: usize = 100;

/// Deletes recordings and their media.
#[derive(Clone)]
pub(crate) struct Deletions {
    pub(crate) store: Store,
    pub(crate) media: MediaRoot,
    pub(crate) archive: Archive,
    pub(crate) objects: Option<Objects>,
    pub(crate) uploads: Option<Uploads>,
}

impl Deletions {
    /// Deletes a recording; its media are gone when this returns, or as soon as the object store answers.
    pub(crate) async fn delete(&self, recording: &Recording, reason: proto::DeletionReason) -> Result<()> {
        let stream = recording.live_stream();
        match self.forget(recording, reason).await {
            // The store is on the disk that the media have filled: they go first. Should the process be killed between the
            // two, `recover` does the rest.
            Err(Error::Store(marquee_documents::Error::Full { .. })) => {
                self.media.stream(&stream).bury().await?;
                let mut tries = TRIES;
                while let Err(error) = self.forget(recording, reason).await {
                    tries -= 1;
                    if tries == 0 {
                        return Err(error);
                    }
                    sleep(Duration::from_millis(50)).await;
                }
            }
            forgotten => forgotten?,
        }
        metrics::counter!("video_ingest_recordings_deleted_total", "reason" => reason.as_str_name())
            .increment(1);
        match timeout(PATIENCE, self.finish(&stream)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%stream, error = %chain(&error), "media of a deleted recording are left; trying again later");
            }
            Err(_) => tracing::warn!(%stream, "media of a deleted recording are left; trying again later"),
        }
        Ok(())
    }

    /// From the store; from now on nobody finds it.
    async fn forget(&self, recording: &Recording, reason: proto::DeletionReason) -> Result<()> {
        let deleted = proto::RecordingDeleted {
            recording: Some(wire::recording(recording)),
            reason: reason.into(),
        };
        let event = proto::RecordingChanged {
            change: Some(Change::Deleted(deleted)),
        };
        let name = recording.name();
        let transaction = Transaction::new()
            .delete::<Recording>(&name.recording, None)
            .put(&Deletion::of(&recording.live_stream(), Timestamp::now()))?
            .publish(marquee_bus::event(name, &event));
        self.store.commit(transaction).await?;
        Ok(())
    }

    /// Removes the media; then nothing of it has to be remembered.
    async fn finish(&self, stream: &LiveStreamName) -> Result<()> {
        if let Some(uploads) = &self.uploads {
            uploads.stop(stream).await;
        }
        self.archive.forget(stream);
        self.media.stream(stream).delete().await?;
        if let Some(objects) = &self.objects {
            objects.delete_all(&uploads::folder(stream)).await?;
        }
        let done = Transaction::new().delete::<Deletion>(&stream.live_stream, None);
        match self.store.commit(done).await {
            Ok(_) | Err(marquee_documents::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Goes on with what was left. One recording whose media cannot be deleted does not hold up the others.
    pub(crate) async fn go_on(&self) -> Result<()> {
        for stream in self.media.buried().await? {
            self.exhume(&stream).await?;
        }
        let mut query = Query::by("by_time").limit(PAGE);
        loop {
            let page = self.store.query::<Deletion>(query.clone()).await?;
            for deletion in &page.items {
                let stream = deletion.value.stream();
                if let Err(error) = self.finish(&stream).await {
                    tracing::debug!(%stream, error = %chain(&error), "media of a deleted recording are still left");
                }
            }
            match page.next_page_token {
                Some(token) => query = query.after(&token),
                None => return Ok(()),
            }
        }
    }

    /// A recording whose media went first, and then the process was killed.
    async fn exhume(&self, stream: &LiveStreamName) -> Result<()> {
        if let Some(stored) = self.store.get::<Recording>(&stream.live_stream).await? {
            self.forget(&stored.value, proto::DeletionReason::Unspecified)
                .await?;
        }
        self.media.stream(stream).delete().await
    }
}
