//! Another RTMP server that a channel's streams are forwarded to.

use std::fmt;

use jiff::Timestamp;
use marquee_documents::{Document, Index};
use marquee_proto::name::ForwardingTargetName;
use serde::{Deserialize, Serialize};

/// Longest address, bytes.
const URL_MAX: usize = 2_000;
/// A shorter key is hidden altogether: its last characters would be too much of it.
const HINTED: usize = 12;

/// One target of a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ForwardingTarget {
    pub(crate) id: String,
    pub(crate) channel: String,
    pub(crate) display_name: String,
    pub(crate) url: TargetUrl,
    /// Resource name of the key whose streams are forwarded; empty: all of them.
    pub(crate) stream_key: String,
    pub(crate) disabled: bool,
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) create_time: Timestamp,
}

impl ForwardingTarget {
    pub(crate) fn name(&self) -> ForwardingTargetName {
        ForwardingTargetName {
            channel: self.channel.clone(),
            forwarding_target: self.id.clone(),
        }
    }

    /// Whether what is published with this key goes there.
    pub(crate) fn takes(&self, stream_key: &str) -> bool {
        !self.disabled && (self.stream_key.is_empty() || self.stream_key == stream_key)
    }
}

impl Document for ForwardingTarget {
    const COLLECTION: &'static str = "forwarding_targets";
    const INDEXES: &'static [Index] = &[Index {
        name: "by_channel",
        fields: &["channel", "create_time"],
        unique: false,
    }];

    fn id(&self) -> &str {
        &self.id
    }
}

/// `rtmp[s]://host[:port]/app/key`. The key is needed as it is, so that it is stored; it is shown to nobody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TargetUrl(String);

impl TargetUrl {
    /// Checks an address.
    ///
    /// # Errors
    /// What is wrong with it, for the person who wrote it; never the address itself.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("is required, for example `rtmp://live.example.org/app/key`".to_owned());
        }
        if text.len() > URL_MAX {
            return Err(format!("must have at most {URL_MAX} bytes"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("must not have spaces or control characters".to_owned());
        }
        let url: marquee_rtmp::Url = text
            .parse()
            .map_err(|error| format!("must be `rtmp://host/app/key` or `rtmps://`: {error}"))?;
        if url.name.is_empty() {
            return Err("must end in the key of the other server, after the application".to_owned());
        }
        if url.name.expose().ends_with("/***") || url.name.expose().contains("***") {
            return Err("has `***` where its key should be".to_owned());
        }
        let authority = text.split("://").nth(1).and_then(|rest| rest.split('/').next());
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err("must have no user name; put what the other server asks for into the key".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// Its parts.
    ///
    /// # Errors
    /// None for what [`TargetUrl::new`] has let through.
    pub(crate) fn parts(&self) -> marquee_rtmp::Result<marquee_rtmp::Url> {
        self.0.parse()
    }

    /// What may be shown: all but the key, of which a long one's last four characters tell it from others.
    pub(crate) fn shown(&self) -> String {
        let Ok(url) = self.parts() else {
            return "***".to_owned();
        };
        let scheme = if url.tls { "rtmps" } else { "rtmp" };
        let host = if url.host.contains(':') {
            format!("[{}]", url.host)
        } else {
            url.host.clone()
        };
        let app = url.app.split('?').next().unwrap_or_default();
        let key = url.name.expose();
        let skip = key.chars().count().saturating_sub(4);
        let hint: String = match key.chars().count() {
            0..HINTED => String::new(),
            _ => key.chars().skip(skip).collect(),
        };
        format!("{scheme}://{host}:{}/{app}/***{hint}", url.port)
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// What is done for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ForwardingState {
    Idle,
    Connecting,
    Live,
    Retrying,
}

impl ForwardingState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Retrying => "retrying",
        }
    }
}

/// How far it has come, written by the replica that has the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ForwardingStatus {
    /// The target's.
    pub(crate) id: String,
    pub(crate) state: ForwardingState,
    pub(crate) reason: String,
    pub(crate) failures: u32,
    /// Resource name.
    pub(crate) live_stream: String,
    #[serde(with = "marquee_documents::sortable_time")]
    pub(crate) time: Timestamp,
}

impl Document for ForwardingStatus {
    const COLLECTION: &'static str = "forwarding_statuses";
    const INDEXES: &'static [Index] = &[];

    fn id(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_shown_nowhere() {
        for (url, shown) in [
            ("rtmp://a.example/app/short", "rtmp://a.example:1935/app/***"),
            (
                "rtmps://a.example/app/a-long-secret-key",
                "rtmps://a.example:443/app/***-key",
            ),
            (
                "rtmp://[2001:4860::1]:1936/app/k",
                "rtmp://[2001:4860::1]:1936/app/***",
            ),
            ("rtmp://a.example/app?s=secret/k", "rtmp://a.example:1935/app/***"),
        ] {
            let url = TargetUrl::new(url).unwrap();
            assert_eq!(
                (url.shown().as_str(), format!("{url:?}").as_str()),
                (shown, shown)
            );
        }
    }

    #[test]
    fn what_cannot_be_published_to_is_refused_without_repeating_it() {
        for url in [
            "",
            "rtmp://",
            "http://a.example/app/secret",
            "rtmp://a.example/app",
            "rtmp://a.example/app/",
            "rtmp://user:secret@a.example/app/key",
            "rtmp://a.example/app/sec ret",
            "rtmp://a.example:1935/app/***-key",
        ] {
            let error = TargetUrl::new(url).unwrap_err();
            assert!(
                !error.contains("secret") && !error.contains("sec ret"),
                "{url}: {error}"
            );
        }
    }
}
