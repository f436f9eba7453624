//! A stream key as it is stored: without its secret.

use jiff::Timestamp;
use marquee_documents::{Document, Index};
use marquee_error::{Invalid, Violations};
use marquee_proto::name::{ChannelName, StreamKeyName};
use serde::{Deserialize, Serialize};

use super::{IngestLimits, Secret};

/// Longest display name, characters.
const DISPLAY_NAME_MAX: usize = 100;

/// One key of a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StreamKey {
    id: String,
    pub(crate) channel: String,
    pub(crate) display_name: String,
    secret_hash: String,
    pub(crate) hint: String,
    pub(crate) revoked: bool,
    /// Whether its streams are recorded; none for what the service is told.
    #[serde(default)]
    pub(crate) record: Option<bool>,
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) create_time: Timestamp,
    #[serde(with = "marquee_documents::sortable_time::option")]
    pub(crate) last_used_time: Option<Timestamp>,
    /// Beside the service's own.
    #[serde(default)]
    pub(crate) limits: IngestLimits,
}

impl StreamKey {
    /// A new key of `channel`, and its secret.
    pub(crate) fn create(
        channel: &ChannelName,
        display_name: &str,
        now: Timestamp,
    ) -> Result<(Self, Secret), Invalid> {
        let mut violations = Violations::default();
        Self::check(display_name, &mut violations);
        violations.finish()?;
        let secret = Secret::generate();
        let key = Self {
            id: marquee_proto::name::new_id(),
            channel: channel.channel.clone(),
            display_name: display_name.trim().to_owned(),
            secret_hash: secret.hash(),
            hint: secret.hint(),
            revoked: false,
            record: None,
            create_time: now,
            last_used_time: None,
            limits: IngestLimits::default(),
        };
        Ok((key, secret))
    }

    /// What is wrong with a display name.
    pub(crate) fn check(display_name: &str, violations: &mut Violations) {
        let display_name = display_name.trim();
        violations.check(
            display_name.chars().count() <= DISPLAY_NAME_MAX,
            "stream_key.display_name",
            || format!("must have at most {DISPLAY_NAME_MAX} characters"),
        );
        violations.check(
            !display_name.chars().any(char::is_control),
            "stream_key.display_name",
            || "must not have control characters".to_owned(),
        );
    }

    /// Gives it another secret; the old one is good for nothing from now on.
    pub(crate) fn rotate(&mut self) -> Secret {
        let secret = Secret::generate();
        self.secret_hash = secret.hash();
        self.hint = secret.hint();
        secret
    }

    /// Its resource name.
    pub(crate) fn name(&self) -> StreamKeyName {
        StreamKeyName {
            channel: self.channel.clone(),
            stream_key: self.id.clone(),
        }
    }
}

impl Document for StreamKey {
    const COLLECTION: &'static str = "stream_keys";
    const INDEXES: &'static [Index] = &[
        Index {
            name: "by_secret",
            fields: &["secret_hash"],
            unique: true,
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

    #[test]
    fn rotating_changes_secret_and_hint_only() {
        let channel = ChannelName::new("c").unwrap();
        let (mut key, first) = StreamKey::create(&channel, " studio ", Timestamp::UNIX_EPOCH).unwrap();
        let before = key.clone();
        let second = key.rotate();
        assert_ne!(first, second);
        assert_eq!(key.secret_hash, second.hash());
        assert_eq!((key.name(), key.display_name.as_str()), (before.name(), "studio"));
    }

    #[test]
    fn a_long_name_is_refused_with_its_field() {
        let channel = ChannelName::new("c").unwrap();
        let error = StreamKey::create(&channel, &"x".repeat(101), Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(error.0[0].field, "stream_key.display_name");
    }
}
