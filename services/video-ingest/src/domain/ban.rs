//! Somebody who is kept out of a channel, or of all.

use std::net::IpAddr;

use jiff::Timestamp;
use marquee_config::Network;
use marquee_documents::{Document, Index};
use serde::{Deserialize, Serialize};

/// The channel of a ban that is for all of them.
pub(crate) const EVERY_CHANNEL: &str = "-";

/// What a ban keeps its subject from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    All,
    Watch,
    Publish,
}

impl Scope {
    pub(crate) fn covers(self, what: Self) -> bool {
        self == Self::All || self == what
    }
}

/// One ban.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ban {
    pub(crate) id: String,
    /// Id of the channel, or [`EVERY_CHANNEL`].
    pub(crate) channel: String,
    /// Resource name; empty when an address is banned.
    pub(crate) account: String,
    /// An address or a network; empty when an account is banned.
    pub(crate) address: String,
    /// The owner named a session and is not shown the address behind it.
    pub(crate) address_hidden: bool,
    pub(crate) scope: Scope,
    pub(crate) reason: String,
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) create_time: Timestamp,
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) expire_time: Timestamp,
}

impl Ban {
    pub(crate) fn name(&self) -> String {
        format!("channels/{}/bans/{}", self.channel, self.id)
    }

    /// Whether it keeps somebody at `address`, signed in as `account` (empty: nobody), from `what` on `channel`.
    pub(crate) fn hits(&self, channel: &str, what: Scope, address: IpAddr, account: &str) -> bool {
        let there = self.channel == EVERY_CHANNEL || self.channel == channel;
        let them = if self.account.is_empty() {
            self.address
                .parse::<Network>()
                .is_ok_and(|network| network.contains(address))
        } else {
            self.account == account
        };
        there && self.scope.covers(what) && them
    }
}

impl Document for Ban {
    const COLLECTION: &'static str = "bans";
    const INDEXES: &'static [Index] = &[
        Index {
            name: "by_expiry",
            fields: &["expire_time"],
            unique: false,
        },
        Index {
            name: "by_channel",
            fields: &["channel", "create_time"],
            unique: false,
        },
    ];

    fn id(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(channel: &str, account: &str, address: &str, scope: Scope) -> Ban {
        Ban {
            id: "b".to_owned(),
            channel: channel.to_owned(),
            account: account.to_owned(),
            address: address.to_owned(),
            address_hidden: false,
            scope,
            reason: String::new(),
            create_time: Timestamp::UNIX_EPOCH,
            expire_time: Timestamp::MAX,
        }
    }

    #[test]
    fn a_ban_hits_its_subject_on_its_channel_for_what_it_is_for() {
        let near: IpAddr = "192.0.2.7".parse().unwrap();
        let far: IpAddr = "198.51.100.1".parse().unwrap();
        let network = ban("c", "", "192.0.2.0/24", Scope::Watch);
        assert!(network.hits("c", Scope::Watch, near, ""));
        assert!(!network.hits("c", Scope::Watch, far, ""));
        assert!(!network.hits("d", Scope::Watch, near, ""));
        assert!(!network.hits("c", Scope::Publish, near, ""));
        let account = ban(EVERY_CHANNEL, "accounts/a", "", Scope::All);
        assert!(account.hits("d", Scope::Watch, far, "accounts/a"));
        assert!(!account.hits("d", Scope::Watch, far, ""), "nobody is signed in");
    }
}
