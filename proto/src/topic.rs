//! Topics, declared once: what travels on each, how it is keyed, and how long it is kept.

use std::time::Duration;

use prost::Message;

use crate::{analytics, events, notifications, subscriptions, video_ingest};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A topic of the bus, `marquee.<service>.<aggregate>.v1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// The service that owns it and alone publishes on it; the `ce_source`.
    pub source: &'static str,
    /// Partitions; the key's hash chooses one.
    pub partitions: u32,
    /// How long messages are kept.
    pub retention: Duration,
}

/// A protobuf event that travels on one topic.
pub trait BusEvent: Message + Default + 'static {
    /// The topic.
    const TOPIC: Topic;

    /// The CloudEvents type, for example `marquee.events.event.live`. None when the event has no content, which only
    /// an ill-formed message does.
    fn event_type(&self) -> Option<&'static str>;
}

macro_rules! topics {
    ($(
        $(#[$doc:meta])* $constant:ident: $message:path, $source:literal / $aggregate:literal,
        partitions $partitions:literal, days $days:literal,
        $change:ident { $($variant:ident => $suffix:literal),+ }
    )+) => {
        $(
            $(#[$doc])*
            pub const $constant: Topic = Topic {
                name: concat!("marquee.", $source, ".", $aggregate, ".v1"),
                source: $source,
                partitions: $partitions,
                retention: DAY.saturating_mul($days),
            };

            impl BusEvent for $message {
                const TOPIC: Topic = $constant;

                fn event_type(&self) -> Option<&'static str> {
                    use $change::Change;
                    self.change.as_ref().map(|change| match change {
                        $(Change::$variant(_) => concat!("marquee.", $source, ".", $aggregate, ".", $suffix),)+
                    })
                }
            }
        )+

        /// Every topic there is.
        pub const ALL: &[Topic] = &[$($constant,)+ PLAYBACK];
    };
}

use events::v1::{channel_changed, event_changed};
use notifications::v1::notification_changed;
use subscriptions::v1::{
    account_changed, follow_changed, membership_changed, payment_changed, reminder_changed,
};
use video_ingest::v1::{recording_changed, stream_changed};

topics! {
    /// Broadcasts; the key is the live stream's name.
    STREAM: video_ingest::v1::StreamChanged, "video-ingest" / "stream", partitions 6, days 7,
    stream_changed { Started => "started", Interrupted => "interrupted", Resumed => "resumed", Ended => "ended" }

    /// Recordings; the key is the recording's name.
    RECORDING: video_ingest::v1::RecordingChanged, "video-ingest" / "recording", partitions 6, days 7,
    recording_changed { Ready => "ready", Deleted => "deleted" }

    /// Channels; the key is the channel's name. Kept for ever: the search index is built anew from it.
    CHANNEL: events::v1::ChannelChanged, "events" / "channel", partitions 6, days 36_500,
    channel_changed { Created => "created", Updated => "updated" }

    /// Live events; the key is the event's name. Kept for ever, as channels are.
    EVENT: events::v1::EventChanged, "events" / "event", partitions 6, days 36_500,
    event_changed { Scheduled => "scheduled", Updated => "updated", Live => "live", Ended => "ended", Cancelled => "cancelled" }

    /// Accounts; the key is the account's name.
    ACCOUNT: subscriptions::v1::AccountChanged, "subscriptions" / "account", partitions 6, days 30,
    account_changed { Created => "created", Updated => "updated" }

    /// Memberships; the key is the account's name.
    MEMBERSHIP: subscriptions::v1::MembershipChanged, "subscriptions" / "membership", partitions 6, days 30,
    membership_changed { Started => "started", Cancelled => "cancelled", Expired => "expired" }

    /// Follows; the key is the follow's name.
    FOLLOW: subscriptions::v1::FollowChanged, "subscriptions" / "follow", partitions 6, days 30,
    follow_changed { Created => "created", Deleted => "deleted" }

    /// Reminders; the key is the reminder's name.
    REMINDER: subscriptions::v1::ReminderChanged, "subscriptions" / "reminder", partitions 6, days 30,
    reminder_changed { Created => "created", Deleted => "deleted" }

    /// Payments; the key is the account's name.
    PAYMENT: subscriptions::v1::PaymentChanged, "subscriptions" / "payment", partitions 6, days 30,
    payment_changed { Succeeded => "succeeded", Failed => "failed" }

    /// Notifications; the key is the account's name.
    NOTIFICATION: notifications::v1::NotificationChanged, "notifications" / "notification", partitions 6, days 7,
    notification_changed { Created => "created" }
}

/// Playback beacons; the key is the viewer's id. Its volume is a thousand times the rest.
pub const PLAYBACK: Topic = Topic {
    name: "marquee.analytics.playback.v1",
    source: "analytics",
    partitions: 12,
    retention: DAY.saturating_mul(3),
};

impl BusEvent for analytics::v1::PlaybackReported {
    const TOPIC: Topic = PLAYBACK;

    fn event_type(&self) -> Option<&'static str> {
        self.beacon
            .as_ref()
            .map(|_| "marquee.analytics.playback.reported")
    }
}
