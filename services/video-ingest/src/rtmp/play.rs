//! What a player is sent over RTMP.
//!
//! A play name is public: `rtmp://host/live/{channel}` is what the channel has on the air, `rtmp://host/live/{channel}/{stream}`
//! one broadcast; `?token=` opens what is not for everybody.

use std::net::IpAddr;
use std::time::Duration;

use marquee_rtmp::ServerSession;
use marquee_rtmp::server::{PlayRequest, Rejection};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::error::{Error, Result};
use crate::playback::Visitor;
use crate::plays::{Play, Plays, RECHECK, Wanted};
use crate::relay::{Tag, TagKind, Taken};

/// Bytes that are put into the output at once; a single tag may be longer. The next are taken when these are sent.
const BATCH: usize = 64 << 10;

/// What a connection plays.
pub(super) struct Player {
    /// NetStream id.
    pub(super) stream: u32,
    play: Play,
    tags: Vec<Tag>,
    paused: bool,
    rechecks: Interval,
}

/// Something to do for a player.
pub(super) enum Next {
    /// It is sent more.
    Media(Taken),
    /// See whether it may go on.
    Recheck,
}

impl Player {
    /// Finds what is asked for, and lets the player in.
    pub(super) async fn open(
        plays: &Plays,
        request: &PlayRequest,
        address: IpAddr,
        player: &str,
    ) -> Result<Self> {
        let path = request.path.expose();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (channel, stream) = match path.split_once('/') {
            Some((channel, stream)) => (channel, Some(stream)),
            None => (path, None),
        };
        let token = query.split('&').find_map(|pair| pair.strip_prefix("token="));
        let wanted = Wanted {
            channel,
            stream,
            token: token.filter(|token| !token.is_empty()),
            visitor: Visitor { address, player },
            protocol: "rtmp",
        };
        let play = plays.open(&wanted).await?;
        let mut rechecks = interval(RECHECK);
        rechecks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        rechecks.reset();
        Ok(Self {
            stream: request.stream,
            play,
            tags: Vec::new(),
            paused: false,
            rechecks,
        })
    }

    /// The stream's name.
    pub(super) fn name(&self) -> String {
        self.play.stream().to_string()
    }

    /// One that pauses is sent nothing, and goes on with a keyframe.
    pub(super) fn pause(&mut self, paused: bool) {
        if self.paused && !paused {
            self.play.reader.skip();
        }
        self.paused = paused;
    }

    /// Puts what was taken into the output. What does not fit is left out up to the next keyframe.
    pub(super) fn send(&mut self, session: &mut ServerSession) -> marquee_rtmp::Result<()> {
        let before = session.output().len();
        for tag in self.tags.drain(..) {
            let sent = match tag.kind {
                TagKind::Audio => session.send_audio(self.stream, tag.timestamp, &tag.payload),
                TagKind::Video => session.send_video(self.stream, tag.timestamp, &tag.payload),
                TagKind::Script => session.send_data(self.stream, tag.timestamp, &tag.payload),
            };
            match sent {
                Err(marquee_rtmp::Error::OutputFull { .. }) => {
                    self.play.reader.skip();
                    break;
                }
                sent => sent?,
            }
        }
        self.play.sent(session.output().len() - before);
        Ok(())
    }

    /// Whether the player may go on; asked when [`Next::Recheck`] is due.
    pub(super) async fn recheck(&mut self) -> Result<(), Rejection> {
        self.play.recheck().await.map_err(|error| rejection(&error))
    }
}

/// Pending without a player.
pub(super) async fn next(player: &mut Option<Player>) -> Next {
    let Some(player) = player else {
        return std::future::pending().await;
    };
    let Player {
        play,
        tags,
        paused,
        rechecks,
        ..
    } = player;
    tokio::select! {
        taken = play.reader.take(BATCH, tags), if !*paused => Next::Media(taken),
        _ = rechecks.tick() => Next::Recheck,
    }
}

/// What the player shows.
pub(super) fn rejection(error: &Error) -> Rejection {
    match error {
        Error::NotFound { .. } => Rejection::stream_not_found(
            "nothing is on the air under this name; play rtmp://<host>/live/<channel>",
        ),
        Error::Store(_) | Error::Peer(_) => {
            tracing::error!(%error, "a player cannot be judged");
            Rejection::new("NetStream.Play.Failed", "the server cannot tell now; try again")
        }
        error => Rejection::new("NetStream.Play.Failed", error.to_string()),
    }
}

/// A player that does not take what is in the output within this time is too slow for anything.
pub(super) const WHOLE_OUTPUT: Duration = Duration::from_secs(30);
