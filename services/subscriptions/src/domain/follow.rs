//! Follows.

use jiff::Timestamp;
use marquee_proto::name::{ChannelName, FollowName};

/// An account follows a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Follow {
    pub(crate) name: FollowName,
    pub(crate) create_time: Timestamp,
}

impl Follow {
    /// The channel that is followed; its id is the follow's.
    pub(crate) fn channel(&self) -> ChannelName {
        ChannelName {
            channel: self.name.channel.clone(),
        }
    }
}
