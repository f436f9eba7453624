//! What is known here of an event: who may watch the stream that carries it.

use jiff::{SignedDuration, Timestamp};
use marquee_documents::{Document, Index};
use serde::{Deserialize, Serialize};

/// How early before its announced start an event may take a stream, as the events service has it.
const EARLY: SignedDuration = SignedDuration::from_hours(2);
/// The longest that an event is announced for.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Who may watch. Later ones are narrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Audience {
    /// Everybody.
    Everybody,
    /// Accounts with a membership.
    Members,
    /// Accounts with a ticket.
    TicketHolders,
    /// A visibility that this version does not know: the owner alone, since it may be a narrower one.
    Nobody,
}

/// Where the event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// It waits for a stream.
    Scheduled,
    /// It has one, or had, or will never have.
    Settled,
}

/// An event, as the events service told last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventCopy {
    /// Resource name.
    pub(crate) name: String,
    /// The id of its channel.
    pub(crate) channel: String,
    /// Resource name of its stream; empty while it has none.
    pub(crate) live_stream: String,
    pub(crate) audience: Audience,
    pub(crate) stage: Stage,
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) scheduled_start: Timestamp,
    /// When the events service changed it last.
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) update_time: Timestamp,
}

impl EventCopy {
    /// Between which announced starts an event may take a stream that began at `start`.
    pub(crate) fn window(start: Timestamp) -> (Timestamp, Timestamp) {
        (
            start.saturating_sub(LONGEST).unwrap_or(Timestamp::UNIX_EPOCH),
            start.saturating_add(EARLY).unwrap_or(Timestamp::MAX),
        )
    }
}

impl Document for EventCopy {
    const COLLECTION: &'static str = "event_copies";
    const INDEXES: &'static [Index] = &[
        Index {
            name: "by_live_stream",
            fields: &["live_stream"],
            unique: false,
        },
        Index {
            name: "by_channel_and_stage",
            fields: &["channel", "stage", "scheduled_start"],
            unique: false,
        },
    ];

    fn id(&self) -> &str {
        &self.name
    }
}
