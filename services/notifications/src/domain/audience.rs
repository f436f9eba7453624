//! Who wants to be told: this service's own copy of follows and reminders.

use jiff::{SignedDuration, Timestamp};
use marquee_documents::{Document, Index};
use serde::{Deserialize, Serialize};

/// An account follows a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Follow {
    /// Resource name, `accounts/{account}/follows/{channel}`.
    pub(crate) name: String,
    pub(crate) account: String,
    pub(crate) channel: String,
}

impl Document for Follow {
    const COLLECTION: &'static str = "follows";
    const INDEXES: &'static [Index] = &[Index {
        name: "by_channel",
        fields: &["channel", "name"],
        unique: false,
    }];

    fn id(&self) -> &str {
        &self.name
    }
}

/// An account wants to be reminded of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reminder {
    /// Resource name, `accounts/{account}/reminders/{reminder}`.
    pub(crate) name: String,
    pub(crate) account: String,
    pub(crate) event: String,
    /// How long before the event's start, in microseconds.
    pub(crate) lead_micros: i64,
    pub(crate) state: ReminderState,
    /// When it fires; `None` until the event is known.
    #[serde(with = "jiff::fmt::serde::timestamp::microsecond::optional")]
    pub(crate) due: Option<Timestamp>,
}

/// Whether a reminder is still to fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReminderState {
    /// Its event is not known yet.
    Waiting,
    /// It fires when it is due.
    Pending,
    /// It fired, or there is nothing to be reminded of any more.
    Done,
}

impl ReminderState {
    /// As it is stored and queried.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Pending => "pending",
            Self::Done => "done",
        }
    }
}

impl Reminder {
    /// When it fires for an event that starts at `start`.
    pub(crate) fn due_for(&self, start: Timestamp) -> Timestamp {
        start
            .checked_sub(SignedDuration::from_micros(self.lead_micros))
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Sets when it fires. True when that is a change, after which it fires (again).
    pub(crate) fn retime(&mut self, start: Timestamp) -> bool {
        let due = self.due_for(start);
        if self.due == Some(due) {
            return false;
        }
        self.due = Some(due);
        self.state = ReminderState::Pending;
        true
    }
}

impl Document for Reminder {
    const COLLECTION: &'static str = "reminders";
    const INDEXES: &'static [Index] = &[
        Index {
            name: "by_event",
            fields: &["event", "name"],
            unique: false,
        },
        Index {
            name: "by_due",
            fields: &["state", "due"],
            unique: false,
        },
    ];

    fn id(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_reminder_fires_its_lead_time_before_the_start_and_again_when_that_moves() {
        let mut reminder = Reminder {
            name: "accounts/a/reminders/r".into(),
            account: "accounts/a".into(),
            event: "channels/c/events/e".into(),
            lead_micros: 600_000_000,
            state: ReminderState::Waiting,
            due: None,
        };
        assert!(reminder.retime(at(10_000)));
        assert_eq!(
            (reminder.state, reminder.due),
            (ReminderState::Pending, Some(at(9_400)))
        );

        reminder.state = ReminderState::Done;
        assert!(
            !reminder.retime(at(10_000)),
            "the same start again is no reason to fire again"
        );
        assert!(reminder.retime(at(20_000)));
        assert_eq!(
            (reminder.state, reminder.due),
            (ReminderState::Pending, Some(at(19_400)))
        );
    }
}
