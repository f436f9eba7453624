//! One broadcast of a channel while it runs: a task that owns its packager, its media and its state.
//!
//! ```text
//!  rtmp connection ─ Join, Media, Leave ─►┌─────────┐─► media folder: segments, journal
//!  grpc            ─ Stop, Kick ─────────►│  Actor  │─► store: state and bus event in one transaction
//!  timers: takeover, grace, figures ─────►└─────────┘─► watch: LiveStream (grpc); Window: playlist, media (http)
//! ```
//!
//! What happens when a stream starts, is interrupted, resumes and ends stands in `actor/states.rs`; what is stored and
//! published then, in `ledger.rs`.

mod actor;
mod counts;
mod figures;
mod ledger;
mod playlists;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use marquee_hls::{Expected, Frame, MediaConfig, MultivariantPlaylist};
use marquee_proto::name::LiveStreamName;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use actor::Actor;
pub(crate) use ledger::{Entry, Ledger};
pub(crate) use playlists::Playlists;
pub(crate) use window::{MEDIA_PLAYLIST, Media, Missing, Name, Text, Window};

use crate::config::Config;
use crate::domain::{LiveStream, Sample};
use crate::media::StreamFolder;
use crate::relay::{Ring, Tag};

/// Batches of media that may wait for the actor; an encoder that is faster is held back by TCP.
const QUEUE: usize = 32;

/// What an encoder sends, in the packager's terms.
#[derive(Debug)]
pub(crate) enum Input {
    /// What its metadata announces.
    Expected(Expected),
    /// A sequence header.
    Config(MediaConfig),
    /// A frame.
    Frame(Frame),
}

/// One connected encoder, as the broadcast sees it.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// Unique in this process.
    pub(crate) id: u64,
    /// The stream key that it showed.
    pub(crate) key: String,
    /// Whether a stream that begins with it is recorded.
    pub(crate) record: bool,
    /// Tells the connection to go away, and why. Dropped without a word when the broadcast is over.
    pub(crate) dismiss: oneshot::Sender<String>,
}

/// Asked of the actor.
#[derive(Debug)]
pub(crate) enum Command {
    /// An encoder wants to publish. The answer is a reason to refuse it.
    Join {
        encoder: Encoder,
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// What it sent since the last time.
    Media {
        encoder: u64,
        batch: Vec<Input>,
        /// The same as it came, for the relay.
        tags: Vec<Tag>,
    },
    /// It is gone.
    Leave { encoder: u64 },
    /// Whoever publishes with this key has to go.
    Dismiss { key: String, reason: String },
    /// End the stream at once. The answer is the stream, ended; none if it never started.
    Stop {
        reply: oneshot::Sender<Option<LiveStream>>,
    },
}

/// A handle to a running broadcast.
#[derive(Debug, Clone)]
pub(crate) struct Broadcast {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

/// What readers see of a broadcast.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: LiveStreamName,
    pub(crate) folder: StreamFolder,
    /// None until the first media.
    pub(crate) stream: watch::Sender<Option<LiveStream>>,
    /// The last minute, a second each; oldest first.
    pub(crate) samples: Mutex<VecDeque<Sample>>,
    /// What the encoder sends, as it is.
    pub(crate) source: Window,
    /// The same, tag by tag.
    pub(crate) relay: Arc<Ring>,
}

impl Broadcast {
    /// A handle, and what the actor is made of.
    pub(crate) fn new(
        name: LiveStreamName,
        folder: StreamFolder,
        config: &Config,
    ) -> (Self, Arc<Shared>, mpsc::Receiver<Command>) {
        let (commands, queue) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            name,
            folder,
            stream: watch::Sender::new(None),
            samples: Mutex::default(),
            source: Window::new(config.listed_window(), config.memory_window),
            relay: Arc::new(Ring::new(config.relay.clone())),
        });
        (
            Self {
                commands,
                shared: shared.clone(),
            },
            shared,
            queue,
        )
    }

    /// The live stream's name.
    pub(crate) fn name(&self) -> &LiveStreamName {
        &self.shared.name
    }

    /// The stream as it is now.
    pub(crate) fn stream(&self) -> Option<LiveStream> {
        self.shared.stream.borrow().clone()
    }

    /// Follows the stream's state and figures.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<LiveStream>> {
        self.shared.stream.subscribe()
    }

    /// What the encoder sends, tag by tag.
    pub(crate) fn relay(&self) -> &Arc<Ring> {
        &self.shared.relay
    }

    /// The live window of a rendition; the source has no name.
    pub(crate) fn window(&self, rendition: &str) -> Option<&Window> {
        rendition.is_empty().then_some(&self.shared.source)
    }

    /// The multivariant playlist, for a reader to whom the renditions are in `folder` (empty, or with its slash); none while
    /// there is nothing to play.
    pub(crate) fn multivariant(&self, folder: &str) -> Option<String> {
        let source = self.shared.source.variant(format!("{folder}{MEDIA_PLAYLIST}"))?;
        let playlist = MultivariantPlaylist {
            variants: vec![source],
        };
        Some(playlist.render())
    }

    /// The seconds of the last minute that were over after `since`; all of them without it. Oldest first.
    pub(crate) fn samples(&self, since: Option<Timestamp>) -> Vec<Sample> {
        let samples = self.shared.samples.lock();
        let is_new = |sample: &&Sample| since.is_none_or(|since| sample.time > since);
        samples.iter().filter(is_new).cloned().collect()
    }

    /// Asks the actor. An error means that the broadcast is over.
    pub(crate) async fn send(&self, command: Command) -> Result<(), Command> {
        self.commands.send(command).await.map_err(|error| error.0)
    }
}
