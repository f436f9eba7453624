//! A viewer's session: what was granted, and apart from it what is seen of it.

use jiff::Timestamp;
use marquee_documents::{Document, Index};
use marquee_proto::name::{LiveStreamName, PlaybackSessionName};
use serde::{Deserialize, Serialize};

use super::Audience;

/// What a token stands for. Only ending it changes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlaybackSession {
    pub(crate) id: String,
    pub(crate) channel: String,
    /// Id of the live stream.
    pub(crate) stream: String,
    /// Resource name; empty for somebody who is not signed in.
    pub(crate) account: String,
    /// Resource name of the event that it was opened for; empty when there is none.
    pub(crate) event: String,
    /// Whom it was opened among: a stream that becomes narrower later does not take it.
    pub(crate) audience: Audience,
    pub(crate) address: String,
    pub(crate) user_agent: String,
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) create_time: Timestamp,
    /// The end for good.
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) expire_time: Timestamp,
    /// When somebody ended it.
    #[serde(with = "marquee_documents::sortable_time::option")]
    pub(crate) revoke_time: Option<Timestamp>,
}

impl PlaybackSession {
    pub(crate) fn stream(&self) -> LiveStreamName {
        LiveStreamName {
            channel: self.channel.clone(),
            live_stream: self.stream.clone(),
        }
    }

    pub(crate) fn name(&self) -> PlaybackSessionName {
        PlaybackSessionName {
            channel: self.channel.clone(),
            live_stream: self.stream.clone(),
            playback_session: self.id.clone(),
        }
    }

    /// Over, by the clock or by somebody.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.revoke_time.is_some() || self.expire_time <= now
    }
}

impl Document for PlaybackSession {
    const COLLECTION: &'static str = "playback_sessions";
    const INDEXES: &'static [Index] = &[
        Index {
            name: "by_expiry",
            fields: &["expire_time"],
            unique: false,
        },
        Index {
            name: "by_revocation",
            fields: &["revoke_time"],
            unique: false,
        },
    ];

    fn id(&self) -> &str {
        &self.id
    }
}

/// When a session was used last; written by whichever replica saw it, so that all know who watches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sighting {
    /// The session's id.
    pub(crate) id: String,
    /// Resource name of the stream.
    pub(crate) stream: String,
    /// Resource name, or empty.
    pub(crate) account: String,
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) last_seen_time: Timestamp,
    pub(crate) bytes: u64,
}

impl Document for Sighting {
    const COLLECTION: &'static str = "playback_sightings";
    const INDEXES: &'static [Index] = &[
        Index {
            name: "by_stream",
            fields: &["stream", "last_seen_time"],
            unique: false,
        },
        Index {
            name: "by_account",
            fields: &["account", "last_seen_time"],
            unique: false,
        },
        Index {
            name: "by_time",
            fields: &["last_seen_time"],
            unique: false,
        },
    ];

    fn id(&self) -> &str {
        &self.id
    }
}
