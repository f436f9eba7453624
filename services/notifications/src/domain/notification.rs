//! Notifications, their identity, and the inbox that counts them.

use jiff::Timestamp;
use marquee_documents::{Document, Index};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Why there is a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    EventLive,
    EventReminder,
    EventScheduled,
    EventCancelled,
    RecordingReady,
    PaymentFailed,
    EventRescheduled,
}

impl Kind {
    /// Part of the identity of a notification: never changed.
    const fn as_str(self) -> &'static str {
        match self {
            Self::EventLive => "event_live",
            Self::EventReminder => "event_reminder",
            Self::EventScheduled => "event_scheduled",
            Self::EventCancelled => "event_cancelled",
            Self::RecordingReady => "recording_ready",
            Self::PaymentFailed => "payment_failed",
            Self::EventRescheduled => "event_rescheduled",
        }
    }
}

/// What is told, the same for everybody who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) kind: Kind,
    /// What tells this occurrence from others of its kind: an event's name, with its new start when it is rescheduled.
    /// An account is told of one occurrence once.
    pub(crate) occurrence: String,
    pub(crate) title: String,
    pub(crate) body: String,
    /// Resource name of the channel; empty when it is about none.
    pub(crate) channel: String,
    /// Resource name of the event; empty when it is about none.
    pub(crate) event: String,
}

/// The name of the notification that tells `account` of an occurrence: always the same, so that telling twice makes one.
pub(crate) fn name(account: &str, kind: Kind, occurrence: &str) -> String {
    let mut hash = Sha256::new();
    for part in [kind.as_str(), occurrence, account] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let id = u128::from_be_bytes(std::array::from_fn(|n| digest[n]));
    format!("{account}/notifications/{id:032x}")
}

/// The account of the notification with this name.
pub(crate) fn account_of(name: &str) -> &str {
    name.split_once("/notifications/")
        .map_or(name, |(account, _)| account)
}

/// A notification as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notification {
    /// Resource name, `accounts/{account}/notifications/{notification}`.
    pub(crate) name: String,
    /// Resource name of the account.
    pub(crate) account: String,
    /// Its place in the account's inbox, given from 1 without gaps in the order of the commits; the oldest go in time.
    pub(crate) sequence: u64,
    pub(crate) kind: Kind,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) channel: String,
    pub(crate) event: String,
    pub(crate) read: bool,
    /// How many were unread when it came, itself included; open streams are handed it with this. `None` when it was
    /// read, or came from the version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unread: Option<u64>,
    #[serde(with = "jiff::fmt::serde::timestamp::microsecond::required")]
    pub(crate) create_time: Timestamp,
}

impl Document for Notification {
    const COLLECTION: &'static str = "notifications";
    const INDEXES: &'static [Index] = &[
        Index {
            name: "by_account",
            fields: &["account", "sequence"],
            unique: true,
        },
        Index {
            name: "by_read",
            fields: &["account", "read", "sequence"],
            unique: false,
        },
        Index {
            name: "by_create_time",
            fields: &["create_time"],
            unique: false,
        },
    ];

    fn id(&self) -> &str {
        &self.name
    }
}

/// An account's inbox. It changes in the same transaction as the notifications in it, so that its count is exact and
/// sequences are given in the order of the commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inbox {
    /// Resource name of the account.
    pub(crate) account: String,
    /// Sequence of the newest notification; 0 when there was none.
    pub(crate) last_sequence: u64,
    pub(crate) unread: u64,
}

impl Inbox {
    pub(crate) fn empty(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            last_sequence: 0,
            unread: 0,
        }
    }

    /// Puts one in.
    pub(crate) fn deliver(&mut self, content: &Content, now: Timestamp) -> Notification {
        self.last_sequence += 1;
        self.unread += 1;
        Notification {
            name: name(&self.account, content.kind, &content.occurrence),
            account: self.account.clone(),
            sequence: self.last_sequence,
            kind: content.kind,
            title: content.title.clone(),
            body: content.body.clone(),
            channel: content.channel.clone(),
            event: content.event.clone(),
            read: false,
            unread: Some(self.unread),
            create_time: now,
        }
    }

    /// Notes that `count` unread ones were read.
    pub(crate) fn mark_read(&mut self, count: u64) {
        self.unread = self.unread.saturating_sub(count);
    }
}

impl Document for Inbox {
    const COLLECTION: &'static str = "inboxes";
    const INDEXES: &'static [Index] = &[Index {
        name: "by_account",
        fields: &["account"],
        unique: true,
    }];

    fn id(&self) -> &str {
        &self.account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_occurrence_has_one_notification_per_account_and_kind() {
        let one = name("accounts/a", Kind::EventLive, "channels/c/events/e");
        assert_eq!(one, name("accounts/a", Kind::EventLive, "channels/c/events/e"));
        assert_ne!(one, name("accounts/b", Kind::EventLive, "channels/c/events/e"));
        assert_ne!(
            one,
            name("accounts/a", Kind::EventScheduled, "channels/c/events/e")
        );
        assert_ne!(one, name("accounts/a", Kind::EventLive, "channels/c/events/f"));
        assert_eq!(account_of(&one), "accounts/a");
        assert!(one.parse::<marquee_proto::name::NotificationName>().is_ok());
    }

    #[test]
    fn an_inbox_counts_what_is_delivered_and_read() {
        let content = Content {
            kind: Kind::EventLive,
            occurrence: "channels/c/events/e".into(),
            title: "t".into(),
            body: "b".into(),
            channel: "channels/c".into(),
            event: "channels/c/events/e".into(),
        };
        let mut inbox = Inbox::empty("accounts/a");
        let first = inbox.deliver(&content, Timestamp::UNIX_EPOCH);
        let second = inbox.deliver(&content, Timestamp::UNIX_EPOCH);
        assert_eq!((first.sequence, second.sequence), (1, 2));
        assert_eq!((first.unread, second.unread), (Some(1), Some(2)));
        inbox.mark_read(1);
        assert_eq!((inbox.last_sequence, inbox.unread), (2, 1));
    }
}
