use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use marquee_backends::{Backend, Home, Server};

use crate::gateway::{self, Gateway, Variables};
use crate::service::{self, Shared};
use crate::{Error, Kind, Process, ports};

/// How long a part may take to be ready on a busy machine.
const READY: Duration = Duration::from_secs(90);

/// The servers that the fleet needs.
const BACKENDS: [Backend; 4] = [
    Backend::Kafka,
    Backend::MongoDb,
    Backend::Postgres,
    Backend::Elasticsearch,
];

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Everything that it keeps is in here; what is there already is gone on with.
    pub folder: PathBuf,
    /// Where the built programs are.
    pub programs: PathBuf,
    /// The checkout's deploy/nginx.
    pub nginx: PathBuf,
    /// The built pages.
    pub pages: PathBuf,
    /// Where the servers' software is kept.
    pub home: Home,
    /// Where clients reach it.
    pub gateway: Gateway,
    /// Where traces are sent, if anywhere: the address of an OTLP receiver (gRPC).
    pub otlp: Option<String>,
    /// Calls per second and address; the gateway's default is for the public, a load test is one address.
    pub calls_per_second: u32,
    /// Settings on top, for one service or for all: a service, a variable without `MARQUEE_`, a value.
    pub settings: Vec<(Option<Kind>, String, String)>,
}

/// A part that can be killed and started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// A service.
    Service(Kind),
    /// A server.
    Backend(Backend),
    /// NGINX.
    Gateway,
}

impl Part {
    /// Every service, then every server, then NGINX.
    pub fn all() -> Vec<Self> {
        let services = Kind::ALL.into_iter().map(Self::Service);
        let backends = BACKENDS.into_iter().map(Self::Backend);
        services.chain(backends).chain([Self::Gateway]).collect()
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service(kind) => kind.name(),
            Self::Backend(backend) => backend.name(),
            Self::Gateway => "nginx",
        }
    }
}

/// A running fleet. Dropping it kills everything; [`stop`](Self::stop) ends it in order.
#[derive(Debug)]
pub struct Fleet {
    // Dropped in this order.
    nginx: Process,
    services: BTreeMap<Kind, Process>,
    backends: BTreeMap<Backend, Server>,
    gateway: Gateway,
    folder: PathBuf,
    otlp: String,
}

impl Fleet {
    /// Starts the servers, the six services and NGINX, and waits until all are ready, or `interrupted` is set.
    ///
    /// # Errors
    /// The first that cannot be started, or [`Error::Interrupted`]; what was started is killed.
    pub fn start(
        options: Options,
        interrupted: &AtomicBool,
        say: &mut dyn FnMut(&str),
    ) -> Result<Self, Error> {
        let folder = &options.folder;
        for part in ["", "nginx", "logs", "video-ingest"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(Error::io(&path))?;
        }
        secret(&folder.join("service-secret"))?;
        for backend in BACKENDS {
            marquee_backends::install(&options.home, backend, say)?;
        }
        let backends = start_backends(&options.home, &folder.join("servers"), say)?;
        let go_on = || match interrupted.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        };
        go_on()?;
        let mut fleet = Self::prepare(&options, backends)?;
        say("starting the six services and NGINX");
        for process in fleet.services.values_mut() {
            process.start()?;
        }
        fleet.nginx.start()?;
        for process in fleet.processes() {
            process.wait_until(READY, &go_on)?;
        }
        Ok(fleet)
    }

    fn prepare(options: &Options, backends: BTreeMap<Backend, Server>) -> Result<Self, Error> {
        let folder = &options.folder;
        let [rtmp, listens @ ..] = ports::free::<7>()?;
        let rtmp = ports::local(rtmp);
        let addresses: BTreeMap<Kind, SocketAddr> =
            Kind::ALL.into_iter().zip(listens.map(ports::local)).collect();
        let address_of = |kind: Kind| addresses.get(&kind).copied().unwrap_or(rtmp);
        let store = |backend: Backend| backends.get(&backend).map(Server::address).unwrap_or_default();
        let gateway = options.gateway;
        let kafka = store(Backend::Kafka);
        let shared = Shared {
            folder,
            kafka: &kafka,
            public_rtmp_url: format!("rtmp://127.0.0.1:{}", gateway.rtmp),
            otlp: options.otlp.as_deref(),
            address_of: &address_of,
        };
        let mut services = BTreeMap::new();
        for kind in Kind::ALL {
            let more = options
                .settings
                .iter()
                .filter(|(of, ..)| of.is_none_or(|of| of == kind));
            let settings = service::settings(kind, &shared, &store(kind.store()), rtmp);
            let process = Process::new(
                kind.name(),
                options.programs.join(kind.program()),
                folder.join("logs").join(format!("{}.log", kind.name())),
                address_of(kind),
                "/readyz",
            )
            .environment(settings)
            .environment(more.map(|(_, name, value)| (format!("MARQUEE_{name}"), value.clone())));
            services.insert(kind, process);
        }
        let variables = variables(options, &address_of, rtmp)?;
        let nginx = gateway::prepare(&options.nginx, &folder.join("nginx"), gateway, &variables)?;
        Ok(Self {
            nginx,
            services,
            backends,
            gateway,
            folder: folder.clone(),
            otlp: options.otlp.clone().unwrap_or_default(),
        })
    }

    /// Waits until every service and NGINX is ready.
    ///
    /// # Errors
    /// When one ended, or is not ready in time.
    pub fn wait_ready(&mut self) -> Result<(), Error> {
        for process in self.processes() {
            process.wait_ready(READY)?;
        }
        Ok(())
    }

    /// Whether everything that was started still runs.
    ///
    /// # Errors
    /// [`Error::Ended`] for the first that does not, with the end of its log.
    pub fn check(&mut self) -> Result<(), Error> {
        for process in self.processes() {
            process.check()?;
        }
        Ok(())
    }

    fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        self.services.values_mut().chain([&mut self.nginx])
    }

    /// Where clients reach it.
    pub fn gateway(&self) -> Gateway {
        self.gateway
    }

    /// Where everything is kept.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where everything is, for programs; the same names as in the ready file of `marquee up`.
    pub fn places(&self) -> serde_json::Value {
        let gateway = self.gateway;
        let at = |scheme: &str, port: u16| format!("{scheme}://127.0.0.1:{port}");
        let services: BTreeMap<_, _> = self
            .services
            .iter()
            .map(|(kind, process)| (kind.name(), format!("http://{}", process.address())))
            .collect();
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pages": at("http", gateway.http),
            "rest": at("http", gateway.http),
            "grpc": at("http", gateway.grpc),
            "https": at("https", gateway.https),
            "rtmp": format!("{}/live", at("rtmp", gateway.rtmp)),
            "rtmps": format!("{}/live", at("rtmps", gateway.rtmps)),
            "otlp": self.otlp,
            "folder": self.folder,
            "services": services,
        })
    }

    /// One of the six processes.
    ///
    /// # Panics
    /// Never: all six are there.
    pub fn service(&mut self, kind: Kind) -> &mut Process {
        #[expect(clippy::expect_used, reason = "`prepare` makes all six")]
        self.services.get_mut(&kind).expect("all six are there")
    }

    /// A server.
    pub fn backend(&mut self, backend: Backend) -> Option<&mut Server> {
        self.backends.get_mut(&backend)
    }

    /// The NGINX process.
    pub fn nginx(&mut self) -> &mut Process {
        &mut self.nginx
    }

    /// Kills a part as `kill -9` does.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self, part: Part) -> Result<(), Error> {
        match part {
            Part::Service(kind) => self.service(kind).kill(),
            Part::Gateway => self.nginx.kill(),
            Part::Backend(backend) => {
                if let Some(server) = self.backend(backend) {
                    server.kill();
                }
                Ok(())
            }
        }
    }

    /// Starts a part that was killed or stopped again, and waits until it is ready; whoever depends on it recovers by
    /// itself, see [`wait_ready`](Self::wait_ready).
    ///
    /// # Errors
    /// When it does not come back.
    pub fn restart(&mut self, part: Part) -> Result<(), Error> {
        match part {
            Part::Service(kind) => {
                let process = self.service(kind);
                process.start()?;
                process.wait_ready(READY)
            }
            Part::Gateway => {
                self.nginx.start()?;
                self.nginx.wait_ready(READY)
            }
            Part::Backend(backend) => match self.backend(backend) {
                Some(server) => Ok(server.restart()?),
                None => Ok(()),
            },
        }
    }

    /// Stops everything in order: the services, which finish what they have in hand, then NGINX, then the servers.
    ///
    /// # Errors
    /// The first that cannot be stopped; the others are stopped all the same.
    pub fn stop(mut self) -> Result<(), Error> {
        let mut result = Ok(());
        let mut keep = |outcome: Result<(), Error>| {
            if result.is_ok() {
                result = outcome;
            }
        };
        for process in self.services.values_mut() {
            keep(process.ask_to_stop());
        }
        for process in self.services.values_mut() {
            keep(process.stop().map(drop));
        }
        keep(self.nginx.stop().map(drop));
        for server in self.backends.values_mut() {
            keep(server.stop().map_err(Error::from));
        }
        result
    }
}

/// All at once: each takes seconds and most of that is waiting.
fn start_backends(
    home: &Home,
    data: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<BTreeMap<Backend, Server>, Error> {
    say("starting Kafka, MongoDB, PostgreSQL and Elasticsearch");
    let started: Vec<_> = std::thread::scope(|scope| {
        let starting: Vec<_> = BACKENDS
            .into_iter()
            .map(|backend| (backend, scope.spawn(move || Server::start(home, backend, data))))
            .collect();
        starting
            .into_iter()
            .map(|(backend, thread)| (backend, thread.join()))
            .collect()
    });
    let mut backends = BTreeMap::new();
    for (backend, server) in started {
        match server {
            Ok(server) => backends.insert(backend, server?),
            Err(panic) => std::panic::resume_unwind(panic),
        };
    }
    Ok(backends)
}

/// What fills the templates of deploy/nginx.
fn variables(
    options: &Options,
    address_of: &dyn Fn(Kind) -> SocketAddr,
    rtmp: SocketAddr,
) -> Result<Variables, Error> {
    let gateway = options.gateway;
    let folder = options.folder.join("nginx");
    let (certificate, key) = gateway::certificate(&folder)?;
    let address = |kind| address_of(kind).to_string();
    let listen = |port: u16| ports::local(port).to_string();
    let calls = options.calls_per_second;
    Ok(Variables::from([
        ("VIDEO_INGEST", address(Kind::VideoIngest)),
        ("EVENTS", address(Kind::Events)),
        ("SUBSCRIPTIONS", address(Kind::Subscriptions)),
        ("NOTIFICATIONS", address(Kind::Notifications)),
        ("SEARCH", address(Kind::Search)),
        ("ANALYTICS", address(Kind::Analytics)),
        ("RTMP", rtmp.to_string()),
        // Addresses are numbers here.
        ("RESOLVE", String::new()),
        ("RESOLVER", "127.0.0.1".to_owned()),
        ("TRUSTED_PROXIES", "127.0.0.1/32".to_owned()),
        ("HTTP", listen(gateway.http)),
        ("GRPC", listen(gateway.grpc)),
        ("HTTPS", listen(gateway.https)),
        ("RTMP_LISTEN", listen(gateway.rtmp)),
        ("RTMPS_LISTEN", listen(gateway.rtmps)),
        ("TLS_CERTIFICATE", certificate.display().to_string()),
        ("TLS_KEY", key.display().to_string()),
        ("ACCESS_LOG", folder.join("access.log").display().to_string()),
        ("CACHE", folder.join("cache").display().to_string()),
        ("CACHE_SIZE", "1g".to_owned()),
        ("PAGES", options.pages.display().to_string()),
        ("CREDENTIALS_RATE", format!("{calls}r/s")),
        ("CALLS_RATE", format!("{calls}r/s")),
        ("CALLS_BURST", (calls * 2).to_string()),
        ("CONNECTIONS", "20000".to_owned()),
    ]))
}

/// A secret that only its owner reads, made once.
fn secret(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::OpenOptionsExt as _;

    if path.is_file() {
        return Ok(());
    }
    let make = || {
        let mut bytes = [0; 32];
        std::io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes)?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?
            .write_all(text.as_bytes())
    };
    make().map_err(Error::io(path))
}
