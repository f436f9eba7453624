//! Live streams: get, list, watch, stop.

use std::sync::Arc;

use marquee_auth::Principal;
use marquee_documents::{Query, Store};
use marquee_proto::name::{ChannelName, LiveStreamName};
use marquee_proto::video_ingest::v1 as proto;
use marquee_proto::video_ingest::v1::LiveStreamState;
use tokio::sync::{oneshot, watch};

use super::{Owners, PageRequest, channel_or_all};
use crate::broadcast::{Broadcast, Command};
use crate::domain::{LiveStream, State};
use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::playback::Viewers;
use crate::publishers::{Publisher, Publishers};
use crate::wire;

/// Use cases of live streams.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) store: Store,
    pub(crate) owners: Owners,
    pub(crate) hub: Hub,
    pub(crate) publishers: Publishers,
    pub(crate) viewers: Arc<Viewers>,
}

/// Longest reason that an owner gives an encoder, characters.
const REASON_MAX: usize = 200;

/// A stream to be followed.
pub(crate) enum Followed {
    /// It runs: the receiver has every change.
    Running(watch::Receiver<Option<LiveStream>>),
    /// It is over and does not change any more.
    Over(Box<LiveStream>),
}

/// Which stream is meant: by its id, or the channel's current one.
enum Which {
    Named(LiveStreamName),
    Current(ChannelName),
}

impl Streams {
    /// A stream as it is now.
    pub(crate) async fn get(&self, name: &str) -> Result<LiveStream> {
        match self.follow(name).await? {
            Followed::Over(stream) => Ok(*stream),
            Followed::Running(receiver) => {
                let now = receiver.borrow().clone();
                now.ok_or_else(|| Error::not_found("LIVE_STREAM_NOT_FOUND", name))
            }
        }
    }

    /// A stream and what becomes of it.
    pub(crate) async fn follow(&self, name: &str) -> Result<Followed> {
        let which = parse(name)?;
        if let Some(broadcast) = self.running(&which) {
            return Ok(Followed::Running(broadcast.watch()));
        }
        if let Which::Named(name) = &which
            && let Some(stored) = self.store.get::<LiveStream>(&name.live_stream).await?
            && stored.value.channel == name.channel
        {
            return Ok(Followed::Over(Box::new((*stored.value).clone())));
        }
        Err(Error::not_found("LIVE_STREAM_NOT_FOUND", name))
    }

    /// Streams, newest first.
    pub(crate) async fn list(
        &self,
        principal: &Principal,
        parent: &str,
        state: LiveStreamState,
        page: &PageRequest,
    ) -> Result<proto::ListLiveStreamsResponse> {
        let state = match state {
            LiveStreamState::Unspecified => None,
            LiveStreamState::Live => Some(State::Live),
            LiveStreamState::Interrupted => Some(State::Interrupted),
            LiveStreamState::Ended => Some(State::Ended),
        };
        let channel = channel_or_all(parent)?;
        self.owners.require_list(principal, channel.as_ref()).await?;
        let query = match (channel, state) {
            (None, None) => Query::by("by_start"),
            (None, Some(state)) => Query::by("by_state").equals(state.as_str()),
            (Some(channel), None) => Query::by("by_channel").equals(channel.channel.as_str()),
            (Some(channel), Some(state)) => Query::by("by_channel_and_state")
                .equals(channel.channel.as_str())
                .equals(state.as_str()),
        };
        let page = self
            .store
            .query::<LiveStream>(page.apply(query.descending())?)
            .await?;
        let live_streams = page.items.iter().map(|stored| {
            // Figures are only in the running broadcast.
            let running = self
                .hub
                .find(&stored.value.name())
                .and_then(|broadcast| broadcast.stream());
            let stream = running.as_ref().unwrap_or(&stored.value);
            wire::watched(stream, self.watching(stream))
        });
        Ok(proto::ListLiveStreamsResponse {
            live_streams: live_streams.collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        })
    }

    /// Ends a stream at once. One that is over stays as it is.
    pub(crate) async fn stop(&self, principal: &Principal, name: &str) -> Result<LiveStream> {
        let which = self.own(principal, name).await?;
        if let Some(broadcast) = self.running(&which) {
            let (reply, answer) = oneshot::channel();
            if broadcast.send(Command::Stop { reply }).await.is_ok()
                && let Ok(Some(stream)) = answer.await
            {
                return Ok(stream);
            }
        }
        self.get(name).await
    }

    /// How many watch a stream here.
    pub(crate) fn watching(&self, stream: &LiveStream) -> u32 {
        self.viewers.watching(&stream.name())
    }

    /// A running stream whose statistics the caller may see.
    pub(crate) async fn measured(&self, principal: &Principal, name: &str) -> Result<Broadcast> {
        let which = self.own(principal, name).await?;
        self.running(&which)
            .ok_or_else(|| Error::not_found("LIVE_STREAM_NOT_FOUND", name))
    }

    /// Who publishes a stream.
    pub(crate) async fn publisher(&self, principal: &Principal, name: &str) -> Result<Publisher> {
        let which = self.own(principal, name).await?;
        let running = self.running(&which);
        running
            .and_then(|broadcast| self.publishers.of(broadcast.name()))
            .ok_or_else(|| Error::NoPublisher {
                name: name.to_owned(),
            })
    }

    /// Sends the encoder away; the stream waits for the next one.
    pub(crate) async fn disconnect(
        &self,
        principal: &Principal,
        name: &str,
        reason: &str,
    ) -> Result<Publisher> {
        let reason = reason.trim();
        let which = self.own(principal, name).await?;
        if reason.chars().count() > REASON_MAX || reason.chars().any(char::is_control) {
            let wrong = format!("must have at most {REASON_MAX} characters, on one line");
            return Err(marquee_error::invalid("reason", wrong).into());
        }
        let reason = if reason.is_empty() {
            "the channel's owner disconnected the encoder"
        } else {
            reason
        };
        let none = || Error::NoPublisher {
            name: name.to_owned(),
        };
        let broadcast = self.running(&which).ok_or_else(none)?;
        let publishes = |publisher: &Publisher| publisher.stream == *broadcast.name();
        let gone = self.publishers.send_away(publishes, reason);
        gone.into_iter().next_back().ok_or_else(none)
    }

    async fn own(&self, principal: &Principal, name: &str) -> Result<Which> {
        let which = parse(name)?;
        let channel = match &which {
            Which::Named(name) => name.channel(),
            Which::Current(channel) => channel.clone(),
        };
        self.owners.require(principal, &channel).await?;
        Ok(which)
    }

    fn running(&self, which: &Which) -> Option<Broadcast> {
        let broadcast = match which {
            Which::Named(name) => self.hub.find(name),
            Which::Current(channel) => self.hub.current(&channel.channel),
        };
        broadcast.filter(|broadcast| broadcast.stream().is_some())
    }
}

fn parse(name: &str) -> Result<Which> {
    if let Some(channel) = name.strip_suffix("/liveStreams/-") {
        return channel
            .parse()
            .map(Which::Current)
            .map_err(|error| Error::field("name", &error));
    }
    name.parse()
        .map(Which::Named)
        .map_err(|error| Error::field("name", &error))
}
