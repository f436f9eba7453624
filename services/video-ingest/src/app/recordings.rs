//! Recordings: get, list, delete.

use marquee_auth::Principal;
use marquee_documents::{Query, Store};
use marquee_proto::name::RecordingName;
use marquee_proto::video_ingest::v1 as proto;

use super::{Owners, PageRequest, channel_or_all};
use crate::deletions::Deletions;
use crate::domain::Recording;
use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::wire;

/// Use cases of recordings.
#[derive(Clone)]
pub(crate) struct Recordings {
    pub(crate) store: Store,
    pub(crate) owners: Owners,
    pub(crate) hub: Hub,
    pub(crate) deletions: Deletions,
}

impl Recordings {
    /// One recording.
    pub(crate) async fn get(&self, name: &str) -> Result<Recording> {
        let name: RecordingName = name.parse().map_err(|error| Error::field("name", &error))?;
        let stored = self.store.get::<Recording>(&name.recording).await?;
        match stored {
            Some(stored) if stored.value.channel == name.channel => Ok((*stored.value).clone()),
            _ => Err(Error::not_found("RECORDING_NOT_FOUND", name)),
        }
    }

    /// Recordings, newest first.
    pub(crate) async fn list(
        &self,
        principal: &Principal,
        parent: &str,
        page: &PageRequest,
    ) -> Result<proto::ListRecordingsResponse> {
        let channel = channel_or_all(parent)?;
        self.owners.require_list(principal, channel.as_ref()).await?;
        let query = match channel {
            None => Query::by("by_start"),
            Some(channel) => Query::by("by_channel").equals(channel.channel.as_str()),
        };
        let page = self
            .store
            .query::<Recording>(page.apply(query.descending())?)
            .await?;
        Ok(proto::ListRecordingsResponse {
            recordings: page
                .items
                .iter()
                .map(|stored| wire::recording(&stored.value))
                .collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        })
    }

    /// Deletes a recording and its media.
    pub(crate) async fn delete(&self, principal: &Principal, name: &str) -> Result<()> {
        let parsed: RecordingName = name.parse().map_err(|error| Error::field("name", &error))?;
        self.owners.require(principal, &parsed.channel()).await?;
        let recording = self.get(name).await?;
        let stream = recording.live_stream();
        if self.hub.find(&stream).is_some() {
            return Err(Error::StillLive {
                name: name.to_owned(),
            });
        }
        self.deletions
            .delete(&recording, proto::DeletionReason::Requested)
            .await
    }
}
