//! Players that are sent the stream as it comes, over RTMP or HTTP-FLV: who may, how many, and for how long.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use marquee_proto::name::{ChannelName, LiveStreamName};
use metrics::{Gauge, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broadcast::Broadcast;
use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::playback::{Grant, PlayRequest, Playback, Visitor};
use crate::relay::Reader;

/// Whether a player may go on is asked this often: sessions end, and people are banned.
pub(crate) const RECHECK: Duration = Duration::from_secs(5);

/// What can be set of players that are sent the stream as it comes.
#[derive(Debug, Clone)]
pub struct PlayConfig {
    /// How many there may be at once, over all streams.
    pub max_players: usize,
    /// How long one that asks for a channel waits for it to go on the air.
    pub wait: Duration,
    /// How long one may take nothing of what it is sent.
    pub stall: Duration,
}

impl Default for PlayConfig {
    fn default() -> Self {
        Self {
            max_players: 1_000,
            wait: Duration::from_secs(5),
            stall: Duration::from_secs(10),
        }
    }
}

/// Lets players in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Plays {
    hub: Hub,
    playback: Playback,
    pub(crate) config: PlayConfig,
    places: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

/// What a player asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) channel: &'a str,
    /// One broadcast; none is whatever is on the air.
    pub(crate) stream: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
    pub(crate) visitor: Visitor<'a>,
    /// For the metrics.
    pub(crate) protocol: &'static str,
}

/// A player that was let in. Dropping it gives its place back.
pub(crate) struct Play {
    pub(crate) reader: Reader,
    stream: LiveStreamName,
    playback: Playback,
    token: Option<String>,
    address: IpAddr,
    player: String,
    grant: Grant,
    count: Gauge,
    _place: OwnedSemaphorePermit,
}

impl Plays {
    pub(crate) fn new(hub: Hub, playback: Playback, config: PlayConfig, shutdown: CancellationToken) -> Self {
        Self {
            places: Arc::new(Semaphore::new(config.max_players.min(Semaphore::MAX_PERMITS))),
            hub,
            playback,
            config,
            tasks: TaskTracker::new(),
            shutdown,
        }
    }

    /// Lets a player in, or says why not.
    pub(crate) async fn open(&self, wanted: &Wanted<'_>) -> Result<Play> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            metrics::counter!("video_ingest_players_refused_total", "reason" => "places").increment(1);
            Error::TooManyPlayers
        })?;
        let broadcast = self.broadcast(wanted).await?;
        let request = PlayRequest {
            stream: broadcast.name(),
            token: wanted.token,
            visitor: wanted.visitor,
        };
        let grant = self.playback.authorise(&request).await.inspect_err(|_| {
            metrics::counter!("video_ingest_players_refused_total", "reason" => "playback").increment(1);
        })?;
        let count = gauge!("video_ingest_players", "protocol" => wanted.protocol);
        count.increment(1.0);
        Ok(Play {
            reader: broadcast.relay().reader(),
            stream: broadcast.name().clone(),
            playback: self.playback.clone(),
            token: wanted.token.map(str::to_owned),
            address: wanted.visitor.address,
            player: wanted.visitor.cut(),
            grant,
            count,
            _place: place,
        })
    }

    /// The broadcast that is asked for; a channel's may be about to begin.
    async fn broadcast(&self, wanted: &Wanted<'_>) -> Result<Broadcast> {
        let missing = || {
            metrics::counter!("video_ingest_players_refused_total", "reason" => "not_live").increment(1);
            Error::not_found(
                "NOT_LIVE",
                format!("channels/{} (nothing is on the air)", wanted.channel),
            )
        };
        let channel = ChannelName::new(wanted.channel).map_err(|_| missing())?;
        match wanted.stream {
            Some(stream) => {
                let name = LiveStreamName::new(channel.channel, stream).map_err(|_| missing())?;
                self.hub.find(&name).ok_or_else(missing)
            }
            None => {
                if self.hub.current(&channel.channel).is_none() && !self.config.wait.is_zero() {
                    // Not for which: it may be a key in the wrong place.
                    tracing::debug!(protocol = wanted.protocol, "a player waits for its channel");
                }
                let coming = timeout(self.config.wait, self.hub.coming(&channel.channel));
                let coming = self.shutdown.run_until_cancelled(coming).await;
                coming.and_then(Result::ok).ok_or_else(missing)
            }
        }
    }
}

impl Play {
    /// The stream that is played.
    pub(crate) fn stream(&self) -> &LiveStreamName {
        &self.stream
    }

    /// Whether the player may go on. It counts as one that watches for as long as this is asked.
    pub(crate) async fn recheck(&mut self) -> Result<()> {
        let request = PlayRequest {
            stream: &self.stream,
            token: self.token.as_deref(),
            visitor: Visitor {
                address: self.address,
                player: &self.player,
            },
        };
        match self.playback.authorise(&request).await {
            Ok(grant) => {
                self.grant = grant;
                Ok(())
            }
            // Who cannot be judged now goes on.
            Err(Error::Store(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Counts what was sent.
    pub(crate) fn sent(&self, bytes: usize) {
        self.grant.sent(bytes as u64);
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        self.count.decrement(1.0);
    }
}
