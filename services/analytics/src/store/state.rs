//! A session as it lies in its row or document. Protobuf: fields may be added, and old rows still read.

use prost::Message;

use super::Error;
use crate::domain::progress::Mark;
use crate::domain::{Ending, Progress, Session, Spans, State};

#[derive(Clone, PartialEq, Message)]
struct StoredMark {
    #[prost(uint64, tag = "1")]
    sequence: u64,
    #[prost(sint64, tag = "2")]
    time_ms: i64,
    #[prost(uint32, tag = "3")]
    state: u32,
    #[prost(uint32, optional, tag = "4")]
    startup_ms: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredProgress {
    #[prost(sint64, tag = "1")]
    watched_ms: i64,
    #[prost(sint64, tag = "2")]
    playing_ms: i64,
    #[prost(sint64, tag = "3")]
    stalled_ms: i64,
    #[prost(sint64, optional, tag = "4")]
    requested_ms: Option<i64>,
    #[prost(bool, tag = "5")]
    started: bool,
    #[prost(sint64, optional, tag = "6")]
    startup_ms: Option<i64>,
    #[prost(uint32, tag = "7")]
    ending: u32,
    #[prost(message, optional, tag = "8")]
    last: Option<StoredMark>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredSession {
    #[prost(message, optional, tag = "1")]
    base: Option<StoredProgress>,
    #[prost(message, repeated, tag = "2")]
    window: Vec<StoredMark>,
    /// First, last, first, last, ...
    #[prost(uint64, repeated, tag = "3")]
    seen: Vec<u64>,
    #[prost(sint64, tag = "4")]
    first_received_ms: i64,
    #[prost(sint64, tag = "5")]
    last_received_ms: i64,
    #[prost(sint64, tag = "6")]
    since_ms: i64,
    #[prost(string, tag = "7")]
    device: String,
    #[prost(string, tag = "8")]
    country: String,
    #[prost(string, tag = "9")]
    platform: String,
    /// From, until, from, until, ...
    #[prost(sint64, repeated, tag = "10")]
    spans: Vec<i64>,
}

/// Writes a session.
pub(super) fn encode(session: &Session) -> Vec<u8> {
    let base = &session.base;
    StoredSession {
        base: Some(StoredProgress {
            watched_ms: base.watched_ms,
            playing_ms: base.playing_ms,
            stalled_ms: base.stalled_ms,
            requested_ms: base.requested_ms,
            started: base.started,
            startup_ms: base.startup_ms,
            ending: match base.ending {
                None => 0,
                Some(Ending::Ended) => 1,
                Some(Ending::Failed) => 2,
            },
            last: base.last.as_ref().map(mark),
        }),
        window: session.window.iter().map(mark).collect(),
        seen: session
            .seen
            .iter()
            .flat_map(|(first, last)| [*first, *last])
            .collect(),
        first_received_ms: session.first_received_ms,
        last_received_ms: session.last_received_ms,
        since_ms: session.since_ms,
        device: session.device.clone(),
        country: session.country.clone(),
        platform: session.platform.clone(),
        spans: session
            .spans
            .0
            .iter()
            .flat_map(|(from, until)| [*from, *until])
            .collect(),
    }
    .encode_to_vec()
}

/// Reads a session.
pub(super) fn decode(bytes: &[u8]) -> Result<Session, Error> {
    let damaged = || Error::Damaged("session");
    let stored = StoredSession::decode(bytes).map_err(|_| damaged())?;
    let base = stored.base.unwrap_or_default();
    Ok(Session {
        base: Progress {
            watched_ms: base.watched_ms,
            playing_ms: base.playing_ms,
            stalled_ms: base.stalled_ms,
            requested_ms: base.requested_ms,
            started: base.started,
            startup_ms: base.startup_ms,
            ending: match base.ending {
                0 => None,
                1 => Some(Ending::Ended),
                2 => Some(Ending::Failed),
                _ => return Err(damaged()),
            },
            last: base
                .last
                .as_ref()
                .map(|mark| unmark(mark).ok_or_else(damaged))
                .transpose()?,
        },
        window: stored
            .window
            .iter()
            .map(unmark)
            .collect::<Option<_>>()
            .ok_or_else(damaged)?,
        seen: stored
            .seen
            .chunks_exact(2)
            .filter_map(|pair| Some((*pair.first()?, *pair.last()?)))
            .collect(),
        first_received_ms: stored.first_received_ms,
        last_received_ms: stored.last_received_ms,
        since_ms: stored.since_ms,
        device: stored.device,
        country: stored.country,
        platform: stored.platform,
        spans: Spans(
            stored
                .spans
                .chunks_exact(2)
                .filter_map(|pair| Some((*pair.first()?, *pair.last()?)))
                .collect(),
        ),
    })
}

const STATES: [State; 6] = [
    State::Starting,
    State::Playing,
    State::Paused,
    State::Rebuffering,
    State::Ended,
    State::Failed,
];

fn mark(mark: &Mark) -> StoredMark {
    let place = STATES.iter().position(|state| *state == mark.state);
    StoredMark {
        sequence: mark.sequence,
        time_ms: mark.time_ms,
        state: place
            .and_then(|place| u32::try_from(place).ok())
            .unwrap_or_default(),
        startup_ms: mark.startup_ms,
    }
}

fn unmark(stored: &StoredMark) -> Option<Mark> {
    Some(Mark {
        sequence: stored.sequence,
        time_ms: stored.time_ms,
        state: *STATES.get(usize::try_from(stored.state).ok()?)?,
        startup_ms: stored.startup_ms,
    })
}
