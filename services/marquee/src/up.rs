//! `marquee up`: six services, one process, one address.
//!
//! ```text
//!   bus (embedded) ◄──── events  subscriptions  notifications  search  analytics  video-ingest ◄── RTMP
//!                           └──────────┴── gRPC over the own address ──┴──────────────┘
//!   one listener: gRPC, grpc-web, REST, SSE, HLS, pages, /metrics
//! ```

pub(crate) mod demo;
mod pages;
mod ready;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use marquee_auth::Verifier;
use marquee_bus::EventBus;
use marquee_client::{Peers, RemoteKeys, ServiceTokens};
use marquee_config::{DataArgs, GrpcArgs, Secret};
use marquee_server::{Limits, Listener, Platform, PublicAddresses, Service};
use tokio_util::sync::CancellationToken;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    grpc: GrpcArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Address that encoders publish to; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1935")]
    rtmp_listen: SocketAddr,
    #[command(flatten)]
    rtmps: marquee_video_ingest::RtmpsArgs,
    #[command(flatten)]
    policy: marquee_video_ingest::PolicyArgs,
    #[command(flatten)]
    relay: marquee_video_ingest::RelayArgs,
    /// How encoders reach this process, for example rtmp://live.example.org; without it, the address listened on
    #[arg(long, value_name = "URL", default_value = "")]
    public_rtmp_url: String,
    /// How browsers reach this process, for example https://live.example.org; without it, the address listened on
    #[arg(long, value_name = "URL", default_value = "")]
    public_url: String,
    /// Folder of the built pages (web/dist); without it there are no pages
    #[arg(long, value_name = "FOLDER")]
    pages: Option<PathBuf>,
    /// Seconds that a stream waits for its encoder to come back before it ends
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    reconnect_grace: u64,
    /// Seconds of a segment; a segment ends at the first keyframe after that
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=10))]
    segment_duration: u64,
    /// Seconds without a keyframe after which an encoder is refused
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=120))]
    keyframe_limit: u64,
    /// Make a demo creator, viewer, channel and event, and print how to publish
    #[arg(long)]
    demo: bool,
    /// Once everything is ready, write one JSON object with addresses (and with --demo, accounts and key) to this file
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    // Last: its heading is that of all options after it.
    #[command(flatten)]
    storage: marquee_video_ingest::StorageArgs,
}

/// How long everything may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) async fn run(args: Args) -> Result<()> {
    // Addresses and folders first: what is wrong with them is said before anything is started.
    let listener = Listener::bind(args.grpc.listen)
        .map_err(|error| anyhow::anyhow!("{error}; choose another address with --listen"))?;
    let address = listener.local_addr();
    if let Some(pages) = &args.pages {
        pages::check(pages)?;
    }
    prepare(&args.data.data)?;
    if let Some(file) = &args.ready_file {
        ready::remove(file)?;
    }

    let shutdown = CancellationToken::new();
    let built = build(&args, address).await?;
    let verifier = built.verifier.clone();
    let server = marquee_server::run(
        listener,
        built.services,
        verifier,
        Limits {
            trusted_proxies: args.grpc.trusted_proxies.clone(),
            ..Limits::default()
        },
        shutdown.clone(),
    );
    let server = tokio::spawn(server);
    let announced = announce(&args, reachable(address), reachable(built.rtmp));

    let mut server = server;
    tokio::select! {
        ended = &mut server => return Ok(ended??),
        announced = announced => announced?,
        () = signal() => {}
    }
    tokio::select! {
        ended = &mut server => return Ok(ended??),
        () = signal() => {}
    }
    tracing::info!("stopping; a second signal exits at once");
    shutdown.cancel();
    tokio::select! {
        ended = server => Ok(ended??),
        () = signal() => bail!("stopped at once by a second signal"),
    }
}

struct Built {
    services: Vec<Service>,
    verifier: Arc<Verifier>,
    rtmp: SocketAddr,
}

async fn build(args: &Args, address: SocketAddr) -> Result<Built> {
    let data = &args.data.data;
    // One process, so that nobody else needs to know it.
    let secret = Secret::new(format!("{:032x}", rand::random::<u128>()));
    let own = marquee_client::channel(format!("http://{}", reachable(address)).parse()?);
    let verifier = Arc::new(Verifier::new(Arc::new(RemoteKeys::new(own.clone()))));
    let bus =
        marquee_bus::embedded::Embedded::open(&data.join("bus"), marquee_bus::embedded::Options::default())?;
    bus.declare(marquee_proto::topic::ALL).await?;
    let shutdown = CancellationToken::new();
    let platform = |service: &'static str| Platform {
        bus: bus.clone(),
        peers: Peers::all_at(
            reachable(address),
            Arc::new(ServiceTokens::new(own.clone(), service, secret.clone())),
        ),
        verifier: verifier.clone(),
        shutdown: shutdown.clone(),
        public: PublicAddresses {
            http: if args.public_url.is_empty() {
                format!("http://{address}")
            } else {
                args.public_url.clone()
            },
            rtmp: args.public_rtmp_url.clone(),
        },
    };

    let mut ingest = marquee_video_ingest::Config::new(data.join("video-ingest"), args.rtmp_listen);
    ingest.reconnect_grace = Duration::from_secs(args.reconnect_grace);
    ingest.rtmps = args.rtmps.rtmps();
    args.policy.apply(&mut ingest);
    args.relay.apply(&mut ingest);
    ingest.trusted_proxies = args.grpc.trusted_proxies.clone();
    ingest.storage = args.storage.storage().map_err(anyhow::Error::msg)?;
    ingest.packager.segment_target = Duration::from_secs(args.segment_duration);
    ingest.packager.target_duration = u32::try_from(args.segment_duration).ok();
    ingest.packager.keyframe_limit = Duration::from_secs(args.keyframe_limit);
    let ingest = marquee_video_ingest::build(ingest, platform("video-ingest")).await?;
    let subscriptions = marquee_subscriptions::Config::new(data.join("subscriptions"), secret.clone());
    let events = marquee_events::Config::new(data.join("events"));
    let notifications = marquee_notifications::Config::new(data.join("notifications"));
    let search = marquee_search::Config::new(data.join("search"));
    let analytics = marquee_analytics::Config::new(data.join("analytics"));
    let services = vec![
        ingest.service,
        marquee_subscriptions::build(subscriptions, platform("subscriptions")).await?,
        marquee_events::build(events, platform("events")).await?,
        marquee_notifications::build(notifications, platform("notifications")).await?,
        marquee_search::build(search, platform("search")).await?,
        marquee_analytics::build(analytics, platform("analytics")).await?,
        pages::service(args.pages.as_deref(), shutdown.clone()),
    ];
    Ok(Built {
        services,
        verifier,
        rtmp: ingest.rtmp,
    })
}

/// Where this process itself reaches an address that it listens on.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Waits until everything answers, makes the demo, and says where things are.
async fn announce(args: &Args, address: SocketAddr, rtmp: SocketAddr) -> Result<()> {
    ready::wait(address, READY_TIMEOUT).await?;
    let demo = match args.demo {
        true => {
            let place = demo::Place {
                grpc: format!("http://{address}"),
                http: format!("http://{address}"),
                rtmp: format!("rtmp://{rtmp}"),
                keep: args.data.data.clone(),
            };
            Some(demo::prepare(&place).await.context("cannot make the demo")?)
        }
        false => None,
    };
    ready::print(address, rtmp, args.pages.is_some(), demo.as_ref());
    if let Some(file) = &args.ready_file {
        ready::write(file, address, rtmp, demo.as_ref())?;
    }
    Ok(())
}

/// Makes the data folder and checks that it can be written.
fn prepare(data: &std::path::Path) -> Result<()> {
    // Inboxes, keys and what else is in it are nobody's business on a shared machine.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .with_context(|| format!("cannot create the data folder {}", data.display()))?;
    let probe = data.join(".writable");
    std::fs::write(&probe, b"")
        .and_then(|()| std::fs::remove_file(&probe))
        .with_context(|| {
            format!(
                "cannot write to the data folder {}; choose another with --data",
                data.display()
            )
        })
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::error!(%error, "cannot listen for SIGTERM");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
