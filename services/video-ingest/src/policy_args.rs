//! Options of who may watch and publish, for the programs that serve video.

use std::time::Duration;

use http::Uri;
use marquee_config::Secret;

use crate::{Config, IngestLimits, PlaybackConfig, WebhookConfig};

/// Who may watch and publish.
#[derive(Debug, Clone, clap::Args)]
pub struct PolicyArgs {
    /// Seconds that a playback token may wait for its first request, or a player between two
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    pub playback_token_lifetime: u64,
    /// Seconds that a playback session may last however much it is used
    #[arg(long, value_name = "SECONDS", default_value_t = 43_200, value_parser = clap::value_parser!(u64).range(60..=604_800))]
    pub playback_session_lifetime: u64,
    /// Playback sessions that an account may have at a time; 0 is any number
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub sessions_per_account: u32,
    /// Viewers that are kept in memory over all streams
    #[arg(long, value_name = "COUNT", default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub max_viewers: u32,
    /// Bits per second that an encoder may send, over five seconds of media; 0 is no limit. Keys may have tighter ones
    #[arg(long, value_name = "BITS", default_value_t = 0)]
    pub ingest_max_bitrate: u64,
    /// Pixels of the longer side of an encoder's picture; 0 is no limit
    #[arg(long, value_name = "PIXELS", default_value_t = 0)]
    pub ingest_max_width: u32,
    /// Pixels of the shorter side of an encoder's picture; 0 is no limit
    #[arg(long, value_name = "PIXELS", default_value_t = 0)]
    pub ingest_max_height: u32,
    /// Pictures per second that an encoder may send; 0 is no limit
    #[arg(long, value_name = "RATE", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub ingest_max_frame_rate: u32,
    /// Milliseconds from one keyframe to the next that an encoder may take; 0 is no limit but --keyframe-limit
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=120_000))]
    pub ingest_max_keyframe_interval: u64,
    /// Bytes of one frame of an encoder; 0 is no limit but that of an RTMP message
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub ingest_max_frame_bytes: u64,
    /// Address that is asked before an encoder publishes, with the form of nginx-rtmp's on_publish; without it, the stream
    /// key alone decides
    #[arg(long, value_name = "URL", value_parser = address)]
    pub webhook_on_publish: Option<Uri>,
    /// Address that is told when an encoder has stopped
    #[arg(long, value_name = "URL", value_parser = address)]
    pub webhook_on_publish_done: Option<Uri>,
    /// Address that is asked before somebody watches
    #[arg(long, value_name = "URL", value_parser = address)]
    pub webhook_on_play: Option<Uri>,
    /// Secret that calls are signed with (HMAC-SHA256 in X-Marquee-Signature), or file:PATH
    #[arg(long, value_name = "SECRET")]
    pub webhook_secret: Option<Secret>,
    /// Milliseconds that a webhook may take to answer; one that decides and takes longer has refused
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub webhook_timeout: u64,
}

impl PolicyArgs {
    /// Sets what they ask for.
    pub fn apply(&self, config: &mut Config) {
        config.playback = PlaybackConfig {
            token_lifetime: Duration::from_secs(self.playback_token_lifetime),
            session_lifetime: Duration::from_secs(self.playback_session_lifetime),
            sessions_per_account: self.sessions_per_account as usize,
            max_viewers: self.max_viewers as usize,
            ..PlaybackConfig::default()
        };
        config.ingest_limits = IngestLimits {
            max_bitrate: self.ingest_max_bitrate,
            max_width: self.ingest_max_width,
            max_height: self.ingest_max_height,
            max_frame_rate: f64::from(self.ingest_max_frame_rate),
            max_keyframe_interval_ms: self.ingest_max_keyframe_interval,
            max_frame_bytes: self.ingest_max_frame_bytes,
        };
        config.webhooks = WebhookConfig {
            on_publish: self.webhook_on_publish.clone(),
            on_publish_done: self.webhook_on_publish_done.clone(),
            on_play: self.webhook_on_play.clone(),
            secret: self.webhook_secret.clone(),
            timeout: Duration::from_millis(self.webhook_timeout),
        };
    }
}

/// Receivers stand beside the service: TLS between the two is the business of what connects them.
fn address(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
    if uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty()) {
        Ok(uri)
    } else {
        Err(format!("{text:?} must begin with http:// and name a host"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_has_an_address_over_http() {
        assert!(address("http://127.0.0.1:8080/on_publish?x=1").is_ok());
        for text in ["", "127.0.0.1", "https://host/", "http://", "ftp://host", "/path"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
