//! Resource names (AIP-122): `channels/{channel}/events/{event}` as types that cannot be built wrong.
//!
//! ```
//! use marquee_proto::name::{ChannelName, EventName};
//!
//! let event: EventName = "channels/c1/events/e1".parse().unwrap();
//! assert_eq!(event.channel(), ChannelName::new("c1").unwrap());
//! assert_eq!(event.event, "e1");
//! assert_eq!(event.to_string(), "channels/c1/events/e1");
//! assert!("channels/c1/event/e1".parse::<EventName>().is_err());
//! ```

use std::fmt;
use std::str::FromStr;

/// The text is not a resource name of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidName {
    /// The shape that was expected, for example `channels/{channel}`.
    pub expected: &'static str,
    /// What was there instead, cut after 100 characters.
    pub found: String,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a name of the form `{}` (ids are 1 to 64 characters of a-z, A-Z, 0-9, '-', '_'), found `{}`",
            self.expected, self.found
        )
    }
}

impl std::error::Error for InvalidName {}

/// True for one id segment of a name: 1 to 64 characters of `a-z A-Z 0-9 - _`, and not the wildcard `-`.
pub fn is_valid_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id != "-"
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A new id: a UUIDv7 without hyphens, so that ids sort by the time they were made.
pub fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

macro_rules! resource {
    ($(#[$doc:meta])* $name:ident, $pattern:literal, $($collection:literal => $field:ident),+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            $(#[doc = concat!("The id after `", $collection, "/`.")] pub $field: String,)+
        }

        impl $name {
            /// The shape of the name.
            pub const PATTERN: &'static str = $pattern;

            /// Builds a name from its ids.
            pub fn new($($field: impl Into<String>),+) -> Result<Self, InvalidName> {
                let name = Self { $($field: $field.into()),+ };
                if [$(&name.$field),+].into_iter().all(|id| is_valid_id(id)) {
                    Ok(name)
                } else {
                    Err(InvalidName { expected: $pattern, found: name.to_string().chars().take(100).collect() })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let segments = [$($collection, self.$field.as_str()),+];
                f.write_str(&segments.join("/"))
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let invalid = || InvalidName { expected: $pattern, found: text.chars().take(100).collect() };
                let mut segments = text.split('/');
                let name = Self {
                    $($field: match (segments.next(), segments.next()) {
                        (Some($collection), Some(id)) if is_valid_id(id) => id.to_owned(),
                        _ => return Err(invalid()),
                    },)+
                };
                if segments.next().is_some() { Err(invalid()) } else { Ok(name) }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidName;

            fn try_from(text: &str) -> Result<Self, InvalidName> {
                text.parse()
            }
        }
    };
}

resource!(
    /// A channel.
    ChannelName, "channels/{channel}", "channels" => channel
);
resource!(
    /// A live event of a channel.
    EventName, "channels/{channel}/events/{event}", "channels" => channel, "events" => event
);
resource!(
    /// A stream key of a channel.
    StreamKeyName, "channels/{channel}/streamKeys/{stream_key}", "channels" => channel, "streamKeys" => stream_key
);
resource!(
    /// Another server that a channel's streams are forwarded to.
    ForwardingTargetName, "channels/{channel}/forwardingTargets/{forwarding_target}",
    "channels" => channel, "forwardingTargets" => forwarding_target
);
resource!(
    /// One broadcast of a channel.
    LiveStreamName, "channels/{channel}/liveStreams/{live_stream}", "channels" => channel, "liveStreams" => live_stream
);
resource!(
    /// A recording of a channel.
    RecordingName, "channels/{channel}/recordings/{recording}", "channels" => channel, "recordings" => recording
);
resource!(
    /// One viewer of a broadcast.
    PlaybackSessionName, "channels/{channel}/liveStreams/{live_stream}/playbackSessions/{playback_session}",
    "channels" => channel, "liveStreams" => live_stream, "playbackSessions" => playback_session
);
resource!(
    /// An account.
    AccountName, "accounts/{account}", "accounts" => account
);
resource!(
    /// A plan.
    PlanName, "plans/{plan}", "plans" => plan
);
resource!(
    /// A membership of an account.
    MembershipName, "accounts/{account}/memberships/{membership}", "accounts" => account, "memberships" => membership
);
resource!(
    /// A payment of an account.
    PaymentName, "accounts/{account}/payments/{payment}", "accounts" => account, "payments" => payment
);
resource!(
    /// An account's place at a pay-per-view event.
    TicketName, "accounts/{account}/tickets/{ticket}", "accounts" => account, "tickets" => ticket
);
resource!(
    /// A channel that an account follows.
    FollowName, "accounts/{account}/follows/{channel}", "accounts" => account, "follows" => channel
);
resource!(
    /// A reminder of an account.
    ReminderName, "accounts/{account}/reminders/{reminder}", "accounts" => account, "reminders" => reminder
);
resource!(
    /// A notification in an account's inbox.
    NotificationName, "accounts/{account}/notifications/{notification}", "accounts" => account, "notifications" => notification
);

macro_rules! parent {
    ($child:ident.$method:ident -> $parent:ident($field:ident)) => {
        impl $child {
            /// The resource that this one belongs to.
            pub fn $method(&self) -> $parent {
                $parent {
                    $field: self.$field.clone(),
                }
            }
        }
    };
}

parent!(EventName.channel -> ChannelName(channel));
parent!(StreamKeyName.channel -> ChannelName(channel));
parent!(ForwardingTargetName.channel -> ChannelName(channel));
parent!(LiveStreamName.channel -> ChannelName(channel));
parent!(RecordingName.channel -> ChannelName(channel));
parent!(MembershipName.account -> AccountName(account));
parent!(PaymentName.account -> AccountName(account));
parent!(TicketName.account -> AccountName(account));
parent!(FollowName.account -> AccountName(account));
parent!(ReminderName.account -> AccountName(account));
parent!(NotificationName.account -> AccountName(account));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wildcard_and_foreign_characters_are_no_ids() {
        for id in ["", "-", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(!is_valid_id(id), "{id:?}");
        }
        assert!(is_valid_id(&new_id()));
    }

    #[test]
    fn a_name_with_a_missing_or_a_further_segment_is_refused() {
        for text in [
            "channels",
            "channels/c/events",
            "channels/c/events/e/x",
            "channel/c/events/e",
            "/channels/c/events/e",
        ] {
            let error = text.parse::<EventName>().unwrap_err();
            assert_eq!(error.expected, "channels/{channel}/events/{event}");
        }
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let ids: Vec<_> = (0..100).map(|_| new_id()).collect();
        assert!(ids.is_sorted());
    }
}
