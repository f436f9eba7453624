//! What video-ingest can be told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use marquee_config::TrustedProxies;
use marquee_documents::Location;

use crate::domain::IngestLimits;
use crate::forwarding::ForwardingConfig;
use crate::playback::PlaybackConfig;
use crate::plays::PlayConfig;
use crate::quota::Quota;
use crate::relay::RelayConfig;
use crate::webhooks::WebhookConfig;

/// Settings of the service. [`Config::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the media are kept.
    pub data: PathBuf,
    /// Where the service keeps its documents.
    pub store: Location,
    /// Where encoders connect.
    pub rtmp: SocketAddr,
    /// Where encoders connect over TLS, if they can.
    pub rtmps: Option<Rtmps>,
    /// From whom connections begin with a PROXY protocol header that tells the encoder's address.
    pub trusted_proxies: TrustedProxies,
    /// How long a stream waits for its encoder to come back before it ends.
    pub reconnect_grace: Duration,
    /// How long a second encoder with the same key waits for the first one to show that it is alive.
    pub takeover_wait: Duration,
    /// How much of a live stream its playlist shows.
    pub live_window: Duration,
    /// How much of it is kept in memory; older media is read from disk. At least six target durations are kept.
    pub memory_window: Duration,
    /// Playlist and media requests that may wait for what is not there yet.
    pub max_waiting: usize,
    /// Targets and limits of the packager.
    pub packager: marquee_hls::Config,
    /// Limits of one RTMP connection.
    pub limits: marquee_rtmp::Limits,
    /// RTMP connections at once; further ones are closed.
    pub max_connections: usize,
    /// Tokens, sessions and viewers.
    pub playback: PlaybackConfig,
    /// What any encoder may send; a key may have tighter limits.
    pub ingest_limits: IngestLimits,
    /// What is kept for players and servers that are sent the stream as it comes.
    pub relay: RelayConfig,
    /// Players over RTMP and HTTP-FLV.
    pub plays: PlayConfig,
    /// Other RTMP servers that streams are sent to.
    pub forwarding: ForwardingConfig,
    /// Who is asked and told over HTTP.
    pub webhooks: WebhookConfig,
    /// What is recorded, where it is kept and how much of it.
    pub storage: Storage,
}

/// What is recorded, where it is kept and how much of it.
#[derive(Debug, Clone)]
pub struct Storage {
    /// Whether streams are recorded whose keys do not say otherwise.
    pub record: bool,
    /// How far viewers can go back in a live stream; shorter than the live window means no further than that.
    pub dvr_window: Duration,
    /// How much may be kept.
    pub quota: Quota,
    /// Where recordings are brought; none to leave them in the media folder.
    pub objects: Option<marquee_objects::Location>,
    /// How often is looked for what is not needed any more.
    pub sweep_every: Duration,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            record: true,
            dvr_window: Duration::ZERO,
            quota: Quota::default(),
            objects: None,
            sweep_every: Duration::from_secs(15),
        }
    }
}

/// RTMP over TLS.
#[derive(Debug, Clone)]
pub struct Rtmps {
    /// Where encoders connect.
    pub listen: SocketAddr,
    /// What they are shown.
    pub certificate: Certificate,
}

/// The files of a certificate, both PEM. They are read again when they change.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate, and those that it was signed with.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Options of RTMPS, for the programs that offer it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RtmpsArgs {
    /// Address that encoders publish to over TLS (rtmps://); without it, only plain RTMP is offered
    #[arg(long, value_name = "ADDRESS", requires_all = ["rtmps_certificate", "rtmps_key"])]
    pub rtmps_listen: Option<SocketAddr>,
    /// Certificate of RTMPS with its chain, a PEM file; read again when it changes
    #[arg(long, value_name = "FILE", requires = "rtmps_listen")]
    pub rtmps_certificate: Option<PathBuf>,
    /// Private key of the certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "rtmps_listen")]
    pub rtmps_key: Option<PathBuf>,
}

impl RtmpsArgs {
    /// What they ask for.
    pub fn rtmps(&self) -> Option<Rtmps> {
        Some(Rtmps {
            listen: self.rtmps_listen?,
            certificate: Certificate {
                certificate: self.rtmps_certificate.clone()?,
                key: self.rtmps_key.clone()?,
            },
        })
    }
}

impl Config {
    /// The defaults, with everything under `data`.
    pub fn new(data: impl Into<PathBuf>, rtmp: SocketAddr) -> Self {
        let data = data.into();
        let packager = marquee_hls::Config {
            // Told from the first part on: players need not wait for the first segment.
            target_duration: Some(2),
            ..marquee_hls::Config::default()
        };
        Self {
            store: Location::Sqlite(data.join("video-ingest.db")),
            data,
            rtmp,
            rtmps: None,
            trusted_proxies: TrustedProxies::default(),
            reconnect_grace: Duration::from_secs(30),
            takeover_wait: Duration::from_secs(1),
            live_window: Duration::from_secs(20),
            memory_window: Duration::from_secs(20),
            max_waiting: 20_000,
            packager,
            limits: marquee_rtmp::Limits::default(),
            max_connections: 2_000,
            playback: PlaybackConfig::default(),
            ingest_limits: IngestLimits::default(),
            relay: RelayConfig::default(),
            plays: PlayConfig::default(),
            forwarding: ForwardingConfig::default(),
            webhooks: WebhookConfig::default(),
            storage: Storage::default(),
        }
    }

    /// How much of a live stream its playlist lists: what is in memory, and what of it is on the disk.
    pub(crate) fn listed_window(&self) -> Duration {
        self.live_window.max(self.storage.dvr_window)
    }

    /// How long a segment of a running stream stays on the disk: while it is listed, and then for players that hold an
    /// older playlist (RFC 8216bis 6.2.2), but no longer than ten minutes.
    pub(crate) fn kept_window(&self) -> Duration {
        let listed = self.listed_window();
        listed + listed.min(Duration::from_secs(600))
    }
}
