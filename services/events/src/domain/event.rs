//! Live events and their states.
//!
//! ```text
//!   scheduled ──stream started──► live ──stream ended──► ended
//!       └──────cancelled by the owner──► cancelled
//! ```

use jiff::{SignedDuration, Timestamp};
use marquee_documents::{Document, Index};
use serde::{Deserialize, Serialize};

use super::version::Version;

/// How long after its announced start an event that is still scheduled counts as overdue.
const OVERDUE_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// A live event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LiveEvent {
    /// Resource name, `channels/{channel}/events/{event}`.
    pub(crate) name: String,
    /// Resource name of its channel.
    pub(crate) channel: String,
    /// Resource name of the channel's owner.
    pub(crate) owner: String,
    #[serde(flatten)]
    pub(crate) details: Details,
    pub(crate) state: State,
    #[serde(with = "jiff::fmt::serde::timestamp::microsecond::optional")]
    pub(crate) start_time: Option<Timestamp>,
    #[serde(with = "jiff::fmt::serde::timestamp::microsecond::optional")]
    pub(crate) end_time: Option<Timestamp>,
    /// Resource name of the stream that carries or carried it; empty when none did.
    pub(crate) live_stream: String,
    /// Path of the live playlist; empty unless live.
    pub(crate) playback_path: String,
    /// Path of the recording's playlist; empty until it is ready.
    pub(crate) recording_path: String,
    #[serde(with = "jiff::fmt::serde::timestamp::microsecond::required")]
    pub(crate) create_time: Timestamp,
    pub(crate) version: Version,
}

/// What the owner may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Details {
    pub(crate) title: String,
    pub(crate) description: String,
    #[serde(with = "jiff::fmt::serde::timestamp::microsecond::required")]
    pub(crate) scheduled_start_time: Timestamp,
    #[serde(with = "jiff::fmt::serde::timestamp::microsecond::optional")]
    pub(crate) scheduled_end_time: Option<Timestamp>,
    pub(crate) genre: String,
    pub(crate) tags: Vec<String>,
    pub(crate) language: String,
    pub(crate) maturity_rating: String,
    pub(crate) visibility: Visibility,
    /// There when, and only when, it is pay per view.
    #[serde(default)]
    pub(crate) price: Option<Price>,
}

/// What a ticket costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Price {
    /// ISO 4217 code.
    pub(crate) currency: String,
    /// More than 0.
    pub(crate) minor_units: i64,
}

/// The states of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Scheduled,
    Live,
    Ended,
    Cancelled,
}

impl State {
    pub(crate) const ALL: &'static [Self] = &[Self::Scheduled, Self::Live, Self::Ended, Self::Cancelled];

    /// As it is stored and queried.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Live => "live",
            Self::Ended => "ended",
            Self::Cancelled => "cancelled",
        }
    }

    /// As it is written in filters.
    pub(crate) fn as_filter(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Live => "LIVE",
            Self::Ended => "ENDED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// Who finds an event, and who watches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Visibility {
    Public,
    Unlisted,
    /// Found by all, watched by those with a membership.
    Members,
    /// Found by all, watched by those with a ticket.
    PayPerView,
}

/// What happened to an event; what is published of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Scheduled,
    Updated,
    Live,
    Ended,
    Cancelled,
}

/// The event's state does not allow what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongState(pub(crate) State);

impl LiveEvent {
    /// A new event that is announced.
    pub(crate) fn scheduled(
        name: String,
        channel: String,
        owner: String,
        details: Details,
        now: Timestamp,
    ) -> Self {
        Self {
            name,
            channel,
            owner,
            details,
            state: State::Scheduled,
            start_time: None,
            end_time: None,
            live_stream: String::new(),
            playback_path: String::new(),
            recording_path: String::new(),
            create_time: now,
            version: Version::first(now),
        }
    }

    /// When it becomes overdue, unless it is live by then; `None` when it can't any more.
    pub(crate) fn overdue_at(&self) -> Option<Timestamp> {
        let at = self
            .details
            .scheduled_start_time
            .checked_add(OVERDUE_AFTER)
            .ok()?;
        (self.state == State::Scheduled).then_some(at)
    }

    /// True when it is scheduled and its start is over by more than a minute.
    pub(crate) fn is_overdue(&self, now: Timestamp) -> bool {
        self.overdue_at().is_some_and(|at| now > at)
    }

    /// Changes what the owner may change, while it is scheduled or live.
    pub(crate) fn update(&mut self, details: Details, now: Timestamp) -> Result<(), WrongState> {
        match self.state {
            State::Scheduled | State::Live => {
                self.details = details;
                self.version = self.version.next(now);
                Ok(())
            }
            State::Ended | State::Cancelled => Err(WrongState(self.state)),
        }
    }

    /// Calls it off.
    pub(crate) fn cancel(&mut self, now: Timestamp) -> Result<(), WrongState> {
        if self.state != State::Scheduled {
            return Err(WrongState(self.state));
        }
        self.state = State::Cancelled;
        self.version = self.version.next(now);
        Ok(())
    }

    /// Its stream is on the air since `start`.
    pub(crate) fn go_live(
        &mut self,
        live_stream: &str,
        playback_path: &str,
        start: Timestamp,
        now: Timestamp,
    ) -> Result<(), WrongState> {
        if self.state != State::Scheduled {
            return Err(WrongState(self.state));
        }
        self.state = State::Live;
        self.start_time = Some(start);
        live_stream.clone_into(&mut self.live_stream);
        playback_path.clone_into(&mut self.playback_path);
        self.version = self.version.next(now);
        Ok(())
    }

    /// Its stream is over since `end`.
    pub(crate) fn end(&mut self, end: Timestamp, now: Timestamp) -> Result<(), WrongState> {
        if self.state != State::Live {
            return Err(WrongState(self.state));
        }
        self.state = State::Ended;
        self.end_time = Some(self.start_time.map_or(end, |start| end.max(start)));
        self.playback_path.clear();
        self.version = self.version.next(now);
        Ok(())
    }

    /// Its recording can be played from `path`, or, when that is empty, no more.
    pub(crate) fn set_recording(&mut self, path: &str, now: Timestamp) {
        path.clone_into(&mut self.recording_path);
        self.version = self.version.next(now);
    }
}

impl Document for LiveEvent {
    const COLLECTION: &'static str = "events";
    const INDEXES: &'static [Index] = &[
        Index {
            name: "by_start",
            fields: &["scheduled_start_time"],
            unique: false,
        },
        Index {
            name: "by_create_time",
            fields: &["create_time"],
            unique: false,
        },
        Index {
            name: "by_state",
            fields: &["state", "scheduled_start_time"],
            unique: false,
        },
        Index {
            name: "by_channel_start",
            fields: &["channel", "scheduled_start_time"],
            unique: false,
        },
        Index {
            name: "by_channel_create_time",
            fields: &["channel", "create_time"],
            unique: false,
        },
        Index {
            name: "by_channel_state",
            fields: &["channel", "state", "scheduled_start_time"],
            unique: false,
        },
        Index {
            name: "by_live_stream",
            fields: &["live_stream"],
            unique: false,
        },
    ];

    fn id(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// An event of channel `channels/c` that starts at `start`.
    pub(crate) fn sample(id: &str, start: i64) -> LiveEvent {
        let details = Details {
            title: format!("Event {id}"),
            description: String::new(),
            scheduled_start_time: at(start),
            scheduled_end_time: None,
            genre: "music".into(),
            tags: vec![],
            language: "en".into(),
            maturity_rating: String::new(),
            visibility: Visibility::Public,
            price: None,
        };
        LiveEvent::scheduled(
            format!("channels/c/events/{id}"),
            "channels/c".into(),
            "accounts/a".into(),
            details,
            at(0),
        )
    }

    fn in_state(state: State) -> LiveEvent {
        LiveEvent {
            state,
            ..sample("e", 100)
        }
    }

    #[test]
    fn a_stream_takes_an_event_through_live_to_ended() {
        let mut event = sample("e", 100);
        event
            .go_live("channels/c/liveStreams/s", "/hls/s.m3u8", at(90), at(91))
            .unwrap();
        assert_eq!((event.state, event.start_time), (State::Live, Some(at(90))));
        assert_eq!(event.playback_path, "/hls/s.m3u8");

        event.end(at(200), at(201)).unwrap();
        assert_eq!((event.state, event.end_time), (State::Ended, Some(at(200))));
        assert_eq!(
            event.playback_path, "",
            "the live playlist is shown only while live"
        );
        assert_eq!(event.live_stream, "channels/c/liveStreams/s");
    }

    #[test]
    fn only_a_scheduled_event_goes_live_or_is_cancelled() {
        for state in [State::Live, State::Ended, State::Cancelled] {
            assert_eq!(in_state(state).cancel(at(1)), Err(WrongState(state)));
            assert_eq!(
                in_state(state).go_live("s", "p", at(1), at(1)),
                Err(WrongState(state))
            );
        }
        assert_eq!(in_state(State::Scheduled).cancel(at(1)), Ok(()));
    }

    #[test]
    fn only_a_live_event_ends() {
        for state in [State::Scheduled, State::Ended, State::Cancelled] {
            assert_eq!(in_state(state).end(at(1), at(1)), Err(WrongState(state)));
        }
    }

    #[test]
    fn an_event_that_is_over_is_not_changed_any_more() {
        for state in [State::Ended, State::Cancelled] {
            let mut event = in_state(state);
            let details = event.details.clone();
            assert_eq!(event.update(details, at(1)), Err(WrongState(state)));
        }
    }

    #[test]
    fn it_is_overdue_a_minute_after_its_start_while_scheduled() {
        let event = sample("e", 100);
        assert!(!event.is_overdue(at(160)));
        assert!(event.is_overdue(at(161)));
        assert!(
            !LiveEvent {
                state: State::Live,
                ..event
            }
            .is_overdue(at(161))
        );
    }

    #[test]
    fn it_never_ends_before_it_started() {
        let mut event = sample("e", 100);
        event.go_live("s", "p", at(90), at(91)).unwrap();
        event.end(at(80), at(201)).unwrap();
        assert_eq!(event.end_time, Some(at(90)));
    }
}
