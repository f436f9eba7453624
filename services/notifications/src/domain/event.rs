//! What this service remembers of events, and what there is to tell when one changes.

use jiff::{SignedDuration, Timestamp};
use marquee_documents::{Document, Index};
use serde::{Deserialize, Serialize};

use super::fanout::{Audience, Task};
use super::notification::{Content, Kind};

/// How long after its announced start somebody is still reminded of an event that has not started.
const REMIND_UNTIL: SignedDuration = SignedDuration::from_hours(1);

/// A copy of an event: what notifications say of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Resource name, `channels/{channel}/events/{event}`.
    pub(crate) name: String,
    pub(crate) channel: String,
    pub(crate) channel_title: String,
    pub(crate) title: String,
    #[serde(with = "jiff::fmt::serde::timestamp::microsecond::required")]
    pub(crate) start: Timestamp,
    pub(crate) state: State,
    /// When it was told to be on the air; `None` unless it was.
    #[serde(default, with = "jiff::fmt::serde::timestamp::microsecond::optional")]
    pub(crate) live_since: Option<Timestamp>,
    /// False when only who has its name shall find it.
    pub(crate) listed: bool,
    pub(crate) has_recording: bool,
    /// Grows with every change: what is not newer was seen before.
    #[serde(with = "jiff::fmt::serde::timestamp::microsecond::required")]
    pub(crate) update_time: Timestamp,
}

/// The state of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Scheduled,
    Live,
    Ended,
    Cancelled,
}

impl State {
    /// As it is stored and queried.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Live => "live",
            Self::Ended => "ended",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Document for Event {
    const COLLECTION: &'static str = "events";
    const INDEXES: &'static [Index] = &[Index {
        name: "by_channel_state",
        fields: &["channel", "state"],
        unique: false,
    }];

    fn id(&self) -> &str {
        &self.name
    }
}

/// What becomes of a reminder that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    /// It is told.
    Tell(Content),
    /// There is nothing to be reminded of any more.
    Drop,
}

impl Event {
    /// What there is to do because the event is now this and was `before`. Unlisted events are told of only to those who
    /// set a reminder: they have the name.
    pub(crate) fn changes_since(&self, before: Option<&Self>) -> Vec<Task> {
        let mut tasks = Vec::new();
        let state_before = before.map(|event| event.state);
        let retimed = before.is_none_or(|event| event.start != self.start);
        if retimed {
            tasks.push(Task::Retime {
                event: self.name.clone(),
            });
        }
        let followers = if self.listed {
            Audience::Followers
        } else {
            Audience::Nobody
        };
        let everybody = if self.listed {
            Audience::FollowersAndReminded
        } else {
            Audience::Reminded
        };
        let mut tell = |audience, content| {
            if audience != Audience::Nobody {
                tasks.push(Task::Tell { audience, content });
            }
        };
        let who = &self.channel_title;
        match self.state {
            State::Scheduled => {
                let announced = before.is_some_and(|event| event.listed);
                if !announced {
                    let body = format!("{} on {}", self.title, day(self.start));
                    tell(
                        followers,
                        self.content(
                            Kind::EventScheduled,
                            self.name.clone(),
                            format!("{who} scheduled an event"),
                            body,
                        ),
                    );
                }
                if retimed && before.is_some() {
                    let occurrence = format!("{} {}", self.name, self.start.as_microsecond());
                    let body = format!("{who} starts it on {}", day(self.start));
                    let title = format!("{} has a new time", self.title);
                    tell(
                        Audience::Reminded,
                        self.content(Kind::EventRescheduled, occurrence, title, body),
                    );
                }
            }
            State::Live if state_before != Some(State::Live) && state_before != Some(State::Ended) => {
                tell(everybody, self.is_live());
            }
            State::Cancelled if state_before != Some(State::Cancelled) => {
                let title = format!("{} is cancelled", self.title);
                let body = format!("{who} called it off");
                tell(
                    Audience::Reminded,
                    self.content(Kind::EventCancelled, self.name.clone(), title, body),
                );
            }
            State::Live | State::Ended | State::Cancelled => {}
        }
        if self.has_recording && !before.is_some_and(|event| event.has_recording) {
            let title = format!("A recording of {who} is ready");
            tell(
                followers,
                self.content(Kind::RecordingReady, self.name.clone(), title, self.title.clone()),
            );
        }
        tasks
    }

    /// Takes over from what is known of it when it went live, or notes that it does now.
    pub(crate) fn note_live(&mut self, before: Option<&Self>) {
        let now_live = (self.state == State::Live).then_some(self.update_time);
        self.live_since = before.and_then(|event| event.live_since).or(now_live);
    }

    /// True for somebody who asked to be told at `asked`: it has gone live since then and still is.
    pub(crate) fn went_live_after(&self, asked: Timestamp) -> bool {
        self.state == State::Live && self.live_since.is_some_and(|since| since > asked)
    }

    /// That it is live.
    pub(crate) fn is_live(&self) -> Content {
        let title = format!("{} is live", self.channel_title);
        self.content(Kind::EventLive, self.name.clone(), title, self.title.clone())
    }

    fn content(&self, kind: Kind, occurrence: String, title: String, body: String) -> Content {
        Content {
            kind,
            occurrence,
            title,
            body,
            channel: self.channel.clone(),
            event: self.name.clone(),
        }
    }

    /// What becomes of a reminder of this event that is due at `now`.
    pub(crate) fn remind(&self, reminder: &str, now: Timestamp) -> Due {
        let too_late = now.duration_since(self.start) >= REMIND_UNTIL;
        // Who set a reminder is told that the event is live as well; to be told after that that it starts soon is noise.
        if self.state != State::Scheduled || too_late {
            return Due::Drop;
        }
        let body = match self.start.duration_since(now).as_secs() {
            left if left < 0 => format!("{} should have started", self.channel_title),
            left => format!("{} starts {}", self.channel_title, in_words(left)),
        };
        let occurrence = format!("{reminder} {}", self.start.as_microsecond());
        let title = format!("{} starts soon", self.title);
        Due::Tell(self.content(Kind::EventReminder, occurrence, title, body))
    }
}

/// For example `2026-01-31 18:00 UTC`.
fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn in_words(seconds: i64) -> String {
    let counted = |count: i64, unit: &str| format!("in {count} {unit}{}", if count == 1 { "" } else { "s" });
    match seconds {
        ..60 => "in less than a minute".to_owned(),
        60..5_400 => counted((seconds + 30) / 60, "minute"),
        5_400..172_800 => counted((seconds + 1_800) / 3_600, "hour"),
        _ => counted((seconds + 43_200) / 86_400, "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn event(state: State) -> Event {
        Event {
            name: "channels/c/events/e".into(),
            channel: "channels/c".into(),
            channel_title: "Jazz".into(),
            title: "Late night".into(),
            start: at(10_000),
            state,
            live_since: (state == State::Live).then(|| at(9_000)),
            listed: true,
            has_recording: false,
            update_time: at(1),
        }
    }

    fn told(after: &Event, before: Option<&Event>) -> Vec<(Kind, Audience)> {
        let told = after
            .changes_since(before)
            .into_iter()
            .filter_map(|task| match task {
                Task::Tell { audience, content } => Some((content.kind, audience)),
                Task::Retime { .. } => None,
            });
        told.collect()
    }

    #[test]
    fn followers_are_told_that_an_event_is_scheduled() {
        assert_eq!(
            told(&event(State::Scheduled), None),
            [(Kind::EventScheduled, Audience::Followers)]
        );
    }

    #[test]
    fn followers_and_whoever_set_a_reminder_are_told_that_an_event_is_live() {
        let expected = [(Kind::EventLive, Audience::FollowersAndReminded)];
        assert_eq!(
            told(&event(State::Live), Some(&event(State::Scheduled))),
            expected
        );
        assert_eq!(
            told(&event(State::Live), None),
            expected,
            "of an unscheduled one too"
        );
    }

    #[test]
    fn an_event_is_news_to_who_asked_before_it_went_live_while_it_is() {
        assert!(event(State::Live).went_live_after(at(8_999)));
        assert!(!event(State::Live).went_live_after(at(9_000)));
        let ended = Event {
            state: State::Ended,
            ..event(State::Live)
        };
        assert!(!ended.went_live_after(at(8_999)));
    }

    #[test]
    fn an_event_is_live_since_it_was_first_told_to_be() {
        let mut live = event(State::Live);
        live.note_live(Some(&event(State::Scheduled)));
        assert_eq!(live.live_since, Some(at(1)));
        let mut renamed = Event {
            update_time: at(2),
            ..live.clone()
        };
        renamed.note_live(Some(&live));
        assert_eq!(renamed.live_since, Some(at(1)));
    }

    #[test]
    fn a_change_of_a_live_event_is_not_told_as_its_start() {
        assert_eq!(told(&event(State::Live), Some(&event(State::Live))), []);
    }

    #[test]
    fn whoever_set_a_reminder_is_told_that_the_event_is_cancelled_or_moved() {
        let before = event(State::Scheduled);
        assert_eq!(
            told(&event(State::Cancelled), Some(&before)),
            [(Kind::EventCancelled, Audience::Reminded)]
        );
        let moved = Event {
            start: at(20_000),
            ..before.clone()
        };
        assert_eq!(
            told(&moved, Some(&before)),
            [(Kind::EventRescheduled, Audience::Reminded)]
        );
        assert_eq!(
            moved.changes_since(Some(&before))[0],
            Task::Retime {
                event: moved.name.clone()
            }
        );
    }

    #[test]
    fn a_recording_is_told_of_when_it_becomes_ready() {
        let before = event(State::Ended);
        let after = Event {
            has_recording: true,
            ..before.clone()
        };
        assert_eq!(
            told(&after, Some(&before)),
            [(Kind::RecordingReady, Audience::Followers)]
        );
        assert_eq!(told(&after, Some(&after)), []);
    }

    #[test]
    fn followers_are_not_told_of_unlisted_events_until_they_are_listed() {
        let unlisted = |state| Event {
            listed: false,
            ..event(state)
        };
        assert_eq!(told(&unlisted(State::Scheduled), None), []);
        assert_eq!(
            told(&unlisted(State::Live), Some(&unlisted(State::Scheduled))),
            [(Kind::EventLive, Audience::Reminded)]
        );
        assert_eq!(
            told(&event(State::Scheduled), Some(&unlisted(State::Scheduled))),
            [(Kind::EventScheduled, Audience::Followers)]
        );
    }

    #[test]
    fn a_late_reminder_is_told_up_to_an_hour_after_the_start() {
        let scheduled = event(State::Scheduled);
        assert!(matches!(scheduled.remind("r", at(10_000 + 3_599)), Due::Tell(_)));
        assert_eq!(scheduled.remind("r", at(10_000 + 3_600)), Due::Drop);
    }

    #[test]
    fn nobody_is_reminded_of_what_has_started_or_will_not() {
        for state in [State::Live, State::Ended, State::Cancelled] {
            assert_eq!(event(state).remind("r", at(9_000)), Due::Drop, "{state:?}");
        }
    }

    #[test]
    fn a_reminder_says_how_long_it_is_until_the_start() {
        for (now, body) in [
            (10_000 - 86_400, "Jazz starts in 24 hours"),
            (10_000 - 3_600, "Jazz starts in 60 minutes"),
            (10_000 - 600, "Jazz starts in 10 minutes"),
            (10_000 - 60, "Jazz starts in 1 minute"),
            (10_000 - 5, "Jazz starts in less than a minute"),
            (10_005, "Jazz should have started"),
        ] {
            let Due::Tell(content) = event(State::Scheduled).remind("r", at(now)) else {
                panic!("{now}")
            };
            assert_eq!(content.body, body);
        }
    }
}
