use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use marquee_client::PeerArgs;
use marquee_config::MongoArgs;
use marquee_documents::{Location, mongodb};
use marquee_process::{Bound, Dependency, EventsPeer, ProcessArgs, Program, SubscriptionsPeer};
use marquee_server::{Platform, Service};
use marquee_video_ingest::{Config, Error, PolicyArgs, RelayArgs, RtmpsArgs, Storage, StorageArgs};

/// Live video: encoders publish over RTMP, viewers watch over HLS
///
/// Live video: encoders publish over RTMP, viewers watch over HLS. Keeps streams, keys and recordings in MongoDB and media in
/// a folder; asks events whose channel it is, and tells over Kafka when streams begin and end.
#[derive(Debug, Parser)]
#[command(name = "marquee-video-ingest", version)]
pub(crate) struct Args {
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    store: MongoArgs,
    #[command(flatten)]
    subscriptions: SubscriptionsPeer,
    #[command(flatten)]
    events: EventsPeer,
    #[command(flatten)]
    video: VideoArgs,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten, next_help_heading = "Who may watch and publish")]
    policy: PolicyArgs,
    #[command(flatten, next_help_heading = "Players and forwarding")]
    relay: RelayArgs,
}

/// What comes in, and how it is cut.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Video")]
struct VideoArgs {
    /// Address that encoders publish to; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1935")]
    rtmp_listen: SocketAddr,
    #[command(flatten)]
    rtmps: RtmpsArgs,
    /// How encoders reach it, for example rtmp://live.example.org; without it, the address listened on
    #[arg(long, value_name = "URL", default_value = "", value_parser = rtmp_url)]
    public_rtmp_url: String,
    /// Folder of the media, segments and recordings; made when it is missing
    #[arg(long, value_name = "FOLDER", default_value = "data/video-ingest")]
    data: PathBuf,
    /// Seconds that a stream waits for its encoder to come back before it ends
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    reconnect_grace: u64,
    /// Seconds of a segment; a segment ends at the first keyframe after that
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=10))]
    segment_duration: u64,
    /// Seconds without a keyframe after which an encoder is refused
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=120))]
    keyframe_limit: u64,
    /// Seconds of a live stream that its playlist shows
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(6..=3_600))]
    live_window: u64,
    /// Milliseconds of a part: how often players that are close to live get something new
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(100..=1_000))]
    part_duration: u64,
    /// Seconds of a live stream that are served from memory, at least six segments; older ones are read from the folder
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(6..=3_600))]
    memory_window: u64,
    /// Requests of players that may wait for what comes next; further ones are told to come again
    #[arg(long, value_name = "COUNT", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_waiting: u32,
    /// Encoders at once; further ones are closed
    #[arg(long, value_name = "COUNT", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_encoders: u32,
}

impl Args {
    fn config(&self, rtmp: SocketAddr) -> Config {
        let mut config = Config::new(&self.video.data, rtmp);
        config.store = Location::MongoDb(mongodb::Settings {
            uri: self.store.mongodb_uri.expose().to_owned(),
            database: self.store.database(Self::NAME),
        });
        config.trusted_proxies = self.process.grpc.trusted_proxies.clone();
        config.reconnect_grace = Duration::from_secs(self.video.reconnect_grace);
        config.packager.segment_target = Duration::from_secs(self.video.segment_duration);
        config.packager.target_duration = u32::try_from(self.video.segment_duration).ok();
        config.packager.part_target = Duration::from_millis(self.video.part_duration);
        config.memory_window = Duration::from_secs(self.video.memory_window);
        config.max_waiting = self.video.max_waiting as usize;
        config.packager.keyframe_limit = Duration::from_secs(self.video.keyframe_limit);
        config.live_window = Duration::from_secs(self.video.live_window);
        config.max_connections = self.video.max_encoders as usize;
        config.rtmps = self.video.rtmps.rtmps();
        // It was checked before anything was built.
        config.storage = self.storage.storage().unwrap_or_else(|_| Storage::default());
        self.policy.apply(&mut config);
        self.relay.apply(&mut config);
        config
    }
}

impl Program for Args {
    const NAME: &'static str = "video-ingest";
    type Error = Error;

    fn process(&self) -> &ProcessArgs {
        &self.process
    }

    fn peers(&self) -> PeerArgs {
        PeerArgs {
            subscriptions_url: Some(self.subscriptions.subscriptions_url.clone()),
            events_url: Some(self.events.events_url.clone()),
            ..PeerArgs::default()
        }
    }

    fn stores(&self) -> Vec<Dependency> {
        vec![Dependency::new("mongodb", self.store.hosts())]
    }

    fn rtmp(&self) -> Option<SocketAddr> {
        Some(self.video.rtmp_listen)
    }

    fn public_rtmp(&self) -> String {
        self.video.public_rtmp_url.clone()
    }

    fn check(&self) -> Result<(), String> {
        let (window, segment) = (self.video.live_window, self.video.segment_duration);
        if window < 3 * segment {
            return Err(format!(
                "live-window: {window} seconds must hold three segments of {segment} seconds (RFC 8216, 6.2.2)"
            ));
        }
        self.storage.storage().map(drop)
    }

    async fn build(&self, platform: Platform, bound: Bound) -> Result<Service, Error> {
        let rtmp = bound.rtmp.unwrap_or(self.video.rtmp_listen);
        let built = marquee_video_ingest::build(self.config(rtmp), platform).await?;
        Ok(built.service)
    }

    fn hopeless(error: &Error) -> bool {
        matches!(error, Error::Listen { .. })
    }
}

fn rtmp_url(text: &str) -> Result<String, String> {
    let fits = text.is_empty() || text.starts_with("rtmp://") || text.starts_with("rtmps://");
    fits.then(|| text.trim_end_matches('/').to_owned())
        .ok_or_else(|| format!("{text:?} must begin with rtmp:// or rtmps://"))
}
