//! What a server session tells its caller, and what the caller may answer.

use std::fmt;
use std::time::Duration;

use crate::{Media, StreamKey};

/// Something happened on the connection.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// `connect`: accept or reject it.
    ConnectRequested(ConnectRequest),
    /// `publish`: accept or reject it. Media that is fed before that is dropped, so decide before feeding on.
    PublishRequested(PublishRequest),
    /// `play`: accept or reject it.
    PlayRequested(PlayRequest),
    /// Of an accepted publish.
    Audio(Media),
    /// Of an accepted publish.
    Video(Media),
    /// Of an accepted publish: `onMetaData`, cue points, captions.
    Data(Media),
    /// The encoder said that it is done (`FCUnpublish`, `closeStream` or `deleteStream`), once per publish.
    PublishFinished {
        /// NetStream id.
        stream: u32,
    },
    /// The player left the stream (`closeStream` or `deleteStream`).
    PlayFinished {
        /// NetStream id.
        stream: u32,
    },
    /// The player pauses, or goes on; it was told that this is so.
    PlayPaused {
        /// NetStream id.
        stream: u32,
        /// False when it goes on.
        paused: bool,
    },
    /// The peer answered a ping.
    Pong {
        /// Since the ping was put into the output.
        round_trip: Duration,
    },
}

/// Names one request that waits for accept or reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(crate) u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `connect` (RTMP 7.2.1.1). Nothing in it is secret.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectRequest {
    /// For the answer.
    pub request: RequestId,
    /// First path segment of the application.
    pub app: String,
    /// Address as the client knows it: scheme, authority without credentials, application. Empty if there was none.
    pub tc_url: String,
    /// What the client calls itself.
    pub flash_version: String,
    /// 0 is AMF0, 3 is AMF3.
    pub object_encoding: f64,
    /// Codecs of Enhanced RTMP that the client names in its list and maps, as FourCCs ("*" is any).
    pub four_cc: Vec<String>,
    /// What else it can do, flags of [`caps_ex`](crate::caps_ex).
    pub caps_ex: Option<u32>,
}

/// `publish` (RTMP 7.2.2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishRequest {
    /// For the answer.
    pub request: RequestId,
    /// NetStream id that the media will carry.
    pub stream: u32,
    /// First path segment of the application.
    pub app: String,
    /// The stream key, wherever the encoder put it: `?key=` of the name, the name, `?key=` of the application or the rest
    /// of its path.
    pub key: StreamKey,
    /// The publishing name as it came, query included.
    pub name: StreamKey,
    /// How the client wants it kept. Only live is what everybody means.
    pub kind: PublishKind,
}

/// How a publisher wants its stream kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublishKind {
    /// Not at all.
    Live,
    /// As a new recording.
    Record,
    /// At the end of the last recording.
    Append,
}

/// `play` (RTMP 7.2.2.1).
#[derive(Debug, Clone, PartialEq)]
pub struct PlayRequest {
    /// For the answer.
    pub request: RequestId,
    /// NetStream id to send media on.
    pub stream: u32,
    /// First path segment of the application.
    pub app: String,
    /// Name of the stream, query included. It may hold a playback token, so it is kept from logs like a key.
    pub name: StreamKey,
    /// The whole path after the application, query included, wherever the client cut it: `a/b?c` whether the application was
    /// `live` and the name `a/b?c`, or these were `live/a` and `b?c`.
    pub path: StreamKey,
    /// Seconds to start at; -2 (live or recorded, the default), -1 (live only) or a position.
    pub start: f64,
    /// Seconds to play; -1 (the default) is to the end.
    pub duration: f64,
}

/// Why a request is refused, in words that the encoder shows to whoever sits there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// A status code of the NetConnection or NetStream object.
    pub code: String,
    /// One sentence for people. Must not hold the key.
    pub description: String,
}

impl Rejection {
    /// Any code.
    pub fn new(code: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            description: description.into(),
        }
    }

    /// The name is in use or not known: `NetStream.Publish.BadName`.
    pub fn bad_name(description: impl Into<String>) -> Self {
        Self::new("NetStream.Publish.BadName", description)
    }

    /// The key is wrong or revoked: `NetStream.Publish.Denied`.
    pub fn denied(description: impl Into<String>) -> Self {
        Self::new("NetStream.Publish.Denied", description)
    }

    /// Publishing cannot go on: `NetStream.Publish.Failed`.
    pub fn failed(description: impl Into<String>) -> Self {
        Self::new("NetStream.Publish.Failed", description)
    }

    /// Nothing plays under that name: `NetStream.Play.StreamNotFound`.
    pub fn stream_not_found(description: impl Into<String>) -> Self {
        Self::new("NetStream.Play.StreamNotFound", description)
    }

    /// No such application: `NetConnection.Connect.InvalidApp`.
    pub fn invalid_app(description: impl Into<String>) -> Self {
        Self::new("NetConnection.Connect.InvalidApp", description)
    }

    /// The server takes no more: `NetConnection.Connect.Rejected`.
    pub fn rejected(description: impl Into<String>) -> Self {
        Self::new("NetConnection.Connect.Rejected", description)
    }
}
