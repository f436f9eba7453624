//! Work that reaches many accounts. It is stored with the change that caused it and done page by page, so that it takes
//! bounded memory, goes on after a crash, and small fan-outs do not wait for large ones.

use jiff::Timestamp;
use marquee_documents::{Document, Index};
use serde::{Deserialize, Serialize};

use super::notification::{Content, Kind};

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Audience {
    Nobody,
    /// The followers of the channel.
    Followers,
    /// The accounts with a reminder on the event.
    Reminded,
    /// Both; who is both is told once.
    FollowersAndReminded,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// The audience is told.
    Tell { audience: Audience, content: Content },
    /// The reminders of an event fire by its new start.
    Retime { event: String },
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    Followers,
    Reminders,
}

/// Which fan-outs come first, whenever they were stored: the announcements of a large channel take a while, and by then
/// what is live now would be over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", from = "u8")]
pub(crate) enum Urgency {
    /// Good for now only: that an event is live, called off or moved, and when reminders fire.
    #[default]
    Now,
    /// As good an hour later: that an event is scheduled, that a recording is ready.
    Later,
}

impl From<Urgency> for u8 {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Now => 0,
            Urgency::Later => 1,
        }
    }
}

impl From<u8> for Urgency {
    fn from(stored: u8) -> Self {
        match stored {
            0 => Self::Now,
            _ => Self::Later,
        }
    }
}

impl Task {
    const fn urgency(&self) -> Urgency {
        match self {
            Self::Retime { .. } => Urgency::Now,
            Self::Tell { content, .. } => match content.kind {
                Kind::EventScheduled | Kind::RecordingReady => Urgency::Later,
                Kind::EventLive
                | Kind::EventReminder
                | Kind::EventCancelled
                | Kind::EventRescheduled
                | Kind::PaymentFailed => Urgency::Now,
            },
        }
    }
}

/// A task with how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fanout {
    pub(crate) id: String,
    pub(crate) task: Task,
    #[serde(default)]
    pub(crate) urgency: Urgency,
    pub(crate) stage: Stage,
    /// Resource name of the last follow or reminder that was done; empty at the start of a stage.
    pub(crate) after: String,
    #[serde(with = "jiff::fmt::serde::timestamp::microsecond::required")]
    pub(crate) create_time: Timestamp,
    /// The trace of what caused it (W3C), which goes on with each page.
    #[serde(default)]
    pub(crate) traceparent: Option<String>,
}

impl Fanout {
    pub(crate) fn new(id: String, task: Task, now: Timestamp, traceparent: Option<String>) -> Self {
        let stage = match &task {
            Task::Tell {
                audience: Audience::Followers | Audience::FollowersAndReminded,
                ..
            } => Stage::Followers,
            Task::Tell {
                audience: Audience::Reminded | Audience::Nobody,
                ..
            }
            | Task::Retime { .. } => Stage::Reminders,
        };
        Self {
            id,
            urgency: task.urgency(),
            task,
            stage,
            after: String::new(),
            create_time: now,
            traceparent,
        }
    }

    /// Notes that a page was done, up to `last` (`None` when the page was empty) and whether more come. False when there
    /// is nothing left to do.
    pub(crate) fn advance(&mut self, last: Option<&str>, more: bool) -> bool {
        match (last, more) {
            (Some(last), true) => {
                last.clone_into(&mut self.after);
                true
            }
            _ => {
                let both = matches!(
                    self.task,
                    Task::Tell {
                        audience: Audience::FollowersAndReminded,
                        ..
                    }
                );
                let goes_on = both && self.stage == Stage::Followers;
                self.stage = Stage::Reminders;
                self.after.clear();
                goes_on
            }
        }
    }
}

impl Document for Fanout {
    const COLLECTION: &'static str = "fanouts";
    const INDEXES: &'static [Index] = &[Index {
        name: "by_urgency",
        fields: &["urgency", "create_time"],
        unique: false,
    }];

    fn id(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(audience: Audience) -> Fanout {
        let content = Content {
            kind: Kind::EventLive,
            occurrence: "e".into(),
            title: String::new(),
            body: String::new(),
            channel: "channels/c".into(),
            event: "channels/c/events/e".into(),
        };
        Fanout::new(
            "f".into(),
            Task::Tell { audience, content },
            Timestamp::UNIX_EPOCH,
            None,
        )
    }

    #[test]
    fn followers_come_first_and_then_reminders() {
        let mut fanout = tell(Audience::FollowersAndReminded);
        assert!(fanout.advance(Some("accounts/a/follows/c"), true));
        assert_eq!(
            (fanout.stage, fanout.after.as_str()),
            (Stage::Followers, "accounts/a/follows/c")
        );
        assert!(fanout.advance(Some("accounts/b/follows/c"), false));
        assert_eq!((fanout.stage, fanout.after.as_str()), (Stage::Reminders, ""));
        assert!(!fanout.advance(None, false));
    }

    #[test]
    fn an_audience_of_one_kind_has_one_stage() {
        assert!(!tell(Audience::Followers).advance(Some("accounts/a/follows/c"), false));
        assert_eq!(tell(Audience::Reminded).stage, Stage::Reminders);
    }
}
