use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use marquee_backends::{Backend, Home, Server};

use crate::running::{self, Alone};
use crate::service::{self, Shared};
use crate::{Error, Front, Gateway, Kind, Limits, Process, ports};

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
    _alone: Alone,
}

impl Fleet {
    /// Starts the servers, the six services and NGINX, and waits until all are ready, or `interrupted` is set. What a starter
    /// that was killed has left behind in the folder is ended first.
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
        let alone = running::take(folder, say)?;
        // Before anything is started that would have to be stopped again.
        ports::check(options.gateway)?;
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
        let mut fleet = Self::prepare(&options, backends, alone)?;
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

    fn prepare(options: &Options, backends: BTreeMap<Backend, Server>, alone: Alone) -> Result<Self, Error> {
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
            .recorded(running::record_of(folder, kind.name()))
            .environment(settings)
            .environment(more.map(|(_, name, value)| (format!("MARQUEE_{name}"), value.clone())));
            services.insert(kind, process);
        }
        let front = Front {
            folder: folder.join("nginx"),
            nginx: options.nginx.clone(),
            pages: options.pages.clone(),
            gateway,
            services: addresses.clone(),
            rtmp: vec![rtmp],
            trusted_proxies: "127.0.0.1/32".to_owned(),
            limits: Limits::of_one_for_all(options.calls_per_second),
        };
        let nginx = front.prepare()?.recorded(running::record_of(folder, "nginx"));
        Ok(Self {
            nginx,
            services,
            backends,
            gateway,
            folder: folder.clone(),
            otlp: options.otlp.clone().unwrap_or_default(),
            _alone: alone,
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
        let settings: BTreeMap<_, BTreeMap<_, _>> = self
            .services
            .iter()
            .map(|(kind, process)| (kind.name(), process.settings().iter().cloned().collect()))
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
            "settings": settings,
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
