//! From the command line to the exit code.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use marquee_auth::Verifier;
use marquee_bus::EventBus;
use marquee_bus::kafka::{Kafka, Settings};
use marquee_client::{Peers, RemoteKeys, ServiceTokens};
use marquee_config::args::Topics;
use marquee_server::{BoxError, Face, Listener, Platform, PublicAddresses};
use tokio::net::TcpSocket;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::help::Cli;
use crate::probe::probe;
use crate::waiting::LastError;
use crate::{Bound, Program, keys, ready_file, waiting};

/// How long what still runs on the blocking threads of the runtime is waited for.
const LEFT_OVER: Duration = Duration::from_secs(1);

/// The whole of a binary of the fleet. Two arguments count only alone: `--reference` prints the options for
/// `docs/CONFIG.md`, and `--probe` asks a process that runs already whether it is ready.
pub fn main<P: Program>() -> ExitCode {
    if std::env::args_os().skip(1).eq(["--reference"]) {
        let reference = marquee_config::reference::<Cli<P>>();
        // Nobody may be reading; there is nothing to do about that.
        let _ = write!(std::io::stdout(), "{reference}");
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().skip(1).eq(["--probe"]) {
        return match probe() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        };
    }
    let Cli(program) = marquee_config::load_checked::<Cli<P>>(|Cli(program)| {
        program.process().check()?;
        program.check()
    });
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start threads: {error}")),
    };
    let result = runtime.block_on(async {
        let telemetry = marquee_telemetry::init(P::NAME, &program.process().telemetry.telemetry);
        let result = run(&program).await;
        telemetry.shutdown().await;
        result
    });
    runtime.shutdown_timeout(LEFT_OVER);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(error: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {error}");
    ExitCode::FAILURE
}

async fn run<P: Program>(program: &P) -> Result<(), BoxError> {
    let args = program.process();
    let mut signals = Signals::new()?;
    if let Some(file) = &args.stopping.ready_file {
        ready_file::remove(file)?;
    }
    let listener = Listener::bind(args.grpc.listen)
        .map_err(|error| format!("{error}; choose another address with --listen"))?;
    // Kept for the service, which listens when it is built: until then encoders are refused.
    let reserved = program.rtmp().map(reserve).transpose()?;
    let bound = Bound {
        http: listener.local_addr(),
        rtmp: reserved.as_ref().map(TcpSocket::local_addr).transpose()?,
    };
    if let Some(file) = &args.stopping.ready_file {
        ready_file::write(file, bound)?;
    }

    let bus = kafka(program)?;
    let own = format!("http://{}", reachable(bound.http)).parse()?;
    let addresses = program.peers();
    let subscriptions = marquee_client::channel(addresses.subscriptions_url.clone().unwrap_or(own));
    let verifier = Arc::new(Verifier::new(Arc::new(RemoteKeys::new(subscriptions.clone()))));
    let secret = args.identity.service_secret.clone();
    let tokens = Arc::new(ServiceTokens::new(subscriptions, P::NAME, secret));
    let (shutdown, stopped) = (CancellationToken::new(), CancellationToken::new());
    let platform = Platform {
        bus: bus.clone(),
        peers: Peers::new(addresses, tokens),
        verifier: Arc::clone(&verifier),
        shutdown: CancellationToken::new(),
        public: PublicAddresses {
            http: format!("http://{}", bound.http),
            rtmp: program.public_rtmp(),
        },
    };

    let last = LastError::default();
    let needs = |face: Face| needed(face, bus.clone(), Arc::clone(&verifier));
    let starting = waited_for(needs(Face::new(P::NAME)), program, &last);
    let build = async {
        let mut service = waiting::build(program, platform, bound, &last).await?;
        service.face = needs(service.face);
        Ok(vec![service])
    };
    let server = async {
        let limits = args.limits();
        let result = marquee_server::start(
            listener,
            starting,
            build,
            verifier.clone(),
            limits,
            shutdown.clone(),
        )
        .await;
        // Their partitions need not be missed before others take them.
        bus.left(args.drain()).await;
        stopped.cancel();
        tracing::info!("stopped");
        result
    };
    let stop = async {
        tokio::select! {
            () = signals.next() => {}
            () = stopped.cancelled() => return Ok(()),
        }
        tracing::info!("stopping; a second signal exits at once");
        shutdown.cancel();
        tokio::select! {
            () = signals.next() => Err("stopped at once by a second signal"),
            () = stopped.cancelled() => Ok(()),
        }
    };
    let follow = keys::follow(&verifier, stopped.clone());
    tokio::select! {
        Err(error) = stop => Err(error.into()),
        (result, ()) = async { tokio::join!(server, follow) } => Ok(result?),
    }
}

fn kafka<P: Program>(program: &P) -> Result<Arc<Kafka>, BoxError> {
    let args = &program.process().kafka;
    let kafka = Kafka::open(Settings {
        replication: args.kafka_replication,
        create_topics: args.kafka_topics == Topics::Create,
        prefix: args.kafka_prefix.clone(),
        client_id: format!("marquee-{}", P::NAME),
        ..Settings::new(&args.kafka_brokers)
    });
    kafka.map_err(|error| format!("kafka: {}", waiting::chain(&error)).into())
}

/// What no service is ready without.
fn needed(face: Face, bus: Arc<Kafka>, verifier: Arc<Verifier>) -> Face {
    face.ready("kafka", move || {
        let bus = Arc::clone(&bus);
        Box::pin(async move { bus.ready() })
    })
    .ready("subscriptions", move || {
        let keys = keys::ready(&verifier);
        Box::pin(async move { keys })
    })
}

/// What the service waits for before it is built; afterwards it checks its stores itself.
fn waited_for<P: Program>(face: Face, program: &P, last: &LastError) -> Face {
    let stores = program.stores();
    let face = stores.into_iter().fold(face, |face, store| {
        face.ready(store.name(), move || {
            let store = store.clone();
            Box::pin(async move { store.reach().await })
        })
    });
    let last = last.clone();
    face.ready("start", move || {
        let last = last.text();
        Box::pin(async move { Err(last) })
    })
}

/// An address that nobody else takes meanwhile, and on which nobody listens yet: `SO_REUSEADDR` lets who reserved it listen
/// by a socket of its own.
fn reserve(address: SocketAddr) -> Result<TcpSocket, String> {
    let bind = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    bind().map_err(|error: std::io::Error| {
        format!("cannot listen on {address}: {error}; choose another address with --rtmp-listen")
    })
}

/// Where this process itself reaches an address that it listens on.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What asks the process to stop. Made early, so that a signal is never taken by the default, which ends the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
