use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::place::{self, Place};
use crate::process::Process;
use crate::record::{self, Kept, Record};
use crate::{Backend, Error, Home, Result, elasticsearch, files, kafka, mongodb, ports, postgres, s3};

/// How long a server may take until it answers: a cold machine that is busy compiling, not what it needs.
const START: Duration = Duration::from_secs(150);
/// How long a gentle stop may take.
const STOP: Duration = Duration::from_secs(40);
/// How often a starting server is asked.
const ASK: Duration = Duration::from_millis(50);
/// How often new ports are chosen when somebody was quicker.
const CHOICES: usize = 4;

/// A running server (or one that was killed or stopped and can be started again).
///
/// What [`Server::start`] started is killed when this is dropped; what [`Record::attach`] found is not.
#[derive(Debug)]
pub struct Server {
    place: Place,
    process: Process,
    /// Whether it ends with this value.
    ours: bool,
}

impl Server {
    /// Starts a server whose data is in a folder of its name in `data`. What is there is kept, with its ports; a new
    /// server takes free ports. Returns when it really answers.
    ///
    /// One that still runs there because the process that was to end it was killed is taken over.
    ///
    /// # Errors
    /// Not installed, its ports taken, or no answer in time: then with the end of its log.
    pub fn start(home: &Home, backend: Backend, data: &Path) -> Result<Server> {
        files::make(data)?;
        let _alone = files::lock(&data.join(format!(".{backend}.lock")))?;
        let mut place = Place::open(home, backend, data)?;
        if let Some(server) = left_behind(&place)? {
            return Ok(server);
        }
        let process = if place.kept() {
            start_again(&place)?
        } else {
            start_new(&mut place)?
        };
        Ok(Server {
            place,
            process,
            ours: true,
        })
    }

    /// The server.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.place.backend
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.place.version
    }

    /// Where it answers, in the form of [`Backend::variable`].
    #[must_use]
    pub fn address(&self) -> String {
        address(&self.place)
    }

    /// Its ports, that of clients first.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.place.ports
    }

    /// Its process. After [`Server::restart`] it is another.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The file that it writes its log to.
    #[must_use]
    pub fn log(&self) -> std::path::PathBuf {
        self.place.log()
    }

    /// Whether its process is there; it may be paused.
    #[must_use]
    pub fn running(&self) -> bool {
        self.process.running()
    }

    /// Asks it once.
    ///
    /// # Errors
    /// What is wrong with its answer.
    pub fn answers(&self) -> Result<(), String> {
        ready(&self.place)
    }

    /// The memory that it and its helpers hold, in bytes.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.process.resident()
    }

    /// SIGKILL for the server and its helpers. Returns when they are gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to stop, in its own way, and kills it if it has not after 40 s.
    ///
    /// # Errors
    /// When it does not even go when it is killed.
    pub fn stop(&mut self) -> Result<()> {
        // A paused server would not hear of it.
        self.resume();
        self.process
            .stop(stop_signal(self.backend()), Instant::now() + STOP);
        if self.process.running() {
            return Err(Error::Data {
                data: self.place.data.clone(),
                reason: format!("process {} cannot be killed", self.pid()),
            });
        }
        Ok(())
    }

    /// Starts it again, after it was killed or stopped (a running one is stopped first), on the same ports with its data.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn restart(&mut self) -> Result<()> {
        if self.running() {
            self.stop()?;
        }
        self.process = start_again(&self.place)?;
        if !self.ours {
            Kept::write(self.record(), false)?;
        }
        Ok(())
    }

    /// SIGSTOP: connections stay, nothing is answered.
    pub fn pause(&self) {
        self.process.signal_all(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process.signal_all(Signal::CONT);
    }

    /// Lets it go on without us.
    #[must_use]
    pub fn detach(mut self) -> Record {
        self.ours = false;
        let record = self.record();
        // Not written, it is taken for one whose owner was killed, which does no harm to it.
        let _ = Kept::write(record.clone(), false);
        record
    }

    /// What [`Server::detach`] returns.
    #[must_use]
    pub fn record(&self) -> Record {
        record_of(&self.place, &self.process)
    }

    pub(crate) fn attach(record: &Record) -> Option<Server> {
        if record.boot != record::boot() {
            return None;
        }
        let process = Process::find(record.pid, record.started)?;
        let place = Place::open(&Home::at(&record.home), record.backend, &record.data).ok()?;
        Some(Server {
            place,
            process,
            ours: false,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.ours {
            self.process.kill();
        }
    }
}

fn record_of(place: &Place, process: &Process) -> Record {
    Record {
        backend: place.backend,
        version: place.version.clone(),
        address: address(place),
        pid: process.pid(),
        started: process.started(),
        boot: record::boot(),
        ports: place.ports.clone(),
        data: place.given.clone(),
        place: place.data.clone(),
        home: place.home.folder().to_owned(),
    }
}

/// A server that still runs in this place. It is ours when the process that was to end it is gone.
fn left_behind(place: &Place) -> Result<Option<Server>> {
    let Some(kept) = Kept::read(&place.data).filter(Kept::runs) else {
        return Ok(None);
    };
    let runs = Error::Runs {
        backend: place.backend,
        pid: kept.record.pid,
        data: place.data.clone(),
    };
    if !kept.orphan() {
        return Err(runs);
    }
    let Some(process) = Process::find(kept.record.pid, kept.record.started) else {
        return Ok(None);
    };
    let mut server = Server {
        place: place.clone(),
        process,
        ours: true,
    };
    if place.kept() && server.answers().is_ok() {
        Kept::write(server.record(), true)?;
        return Ok(Some(server));
    }
    server.kill();
    Ok(None)
}

/// Makes the data and starts it for the first time. Between the choice of a port and the server's own bind somebody else
/// may take it; then others are chosen.
fn start_new(place: &mut Place) -> Result<Process> {
    let mut choice = 1;
    loop {
        place.ports = ports::choose(port_count(place.backend))?;
        place.clear()?;
        prepare(place)?;
        match start(place) {
            Ok(mut process) => {
                if let Err(error) = place.keep() {
                    process.kill();
                    return Err(error);
                }
                return Ok(process);
            }
            Err(Error::Ended { output, .. }) if choice < CHOICES && port_was_taken(&output) => choice += 1,
            Err(error) => return Err(error),
        }
    }
}

fn start_again(place: &Place) -> Result<Process> {
    // The kernel closes a killed process's sockets when it takes it away, which may be a little later.
    let limit = Instant::now() + Duration::from_secs(2);
    for &port in &place.ports {
        while !ports::free(port) {
            if Instant::now() >= limit {
                return Err(Error::PortTaken {
                    port,
                    data: place.data.clone(),
                });
            }
            sleep(ASK);
        }
    }
    start(place)
}

/// In the words of a JVM, of MongoDB and PostgreSQL, and of Netty.
fn port_was_taken(log: &str) -> bool {
    let log = log.to_lowercase();
    log.contains("address already in use") || log.contains("bindexception")
}

fn start(place: &Place) -> Result<Process> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(place.log())
        .map_err(Error::at("open", &place.log()))?;
    let errors = log.try_clone().map_err(Error::at("open", &place.log()))?;
    let mut command = command(place)?;
    let ended = |status: String| Error::Ended {
        backend: place.backend,
        status,
        log: place.log(),
        output: files::last_lines(&place.log(), 20),
    };
    let child = command
        .current_dir(&place.data)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // A process group of its own: Ctrl-C is for whoever started it, who then stops the servers in order.
        .process_group(0)
        .spawn()
        .map_err(Error::io(format!("start {}", place.backend)))?;
    let mut process = match Process::spawned(child) {
        Ok(process) => process,
        Err(mut child) => {
            let status = child
                .wait()
                .map_or_else(|error| error.to_string(), |status| status.to_string());
            return Err(ended(status));
        }
    };
    if let Err(error) = Kept::write(record_of(place, &process), true) {
        process.kill();
        return Err(error);
    }
    let limit = Instant::now() + START;
    loop {
        if !process.running() {
            return Err(ended(process.reap().unwrap_or_else(|| "unknown".into())));
        }
        let reason = match ready(place) {
            // Our own may have ended just now because another server is on the port and answered.
            Ok(()) if process.running() => return Ok(process),
            Ok(()) => continue,
            Err(reason) => reason,
        };
        if Instant::now() >= limit {
            process.kill();
            return Err(Error::NotReady {
                backend: place.backend,
                seconds: START.as_secs(),
                reason,
                log: place.log(),
                output: files::last_lines(&place.log(), 20),
            });
        }
        sleep(ASK);
    }
}

fn prepare(place: &Place) -> Result<()> {
    match place.backend {
        Backend::Kafka => kafka::prepare(place),
        Backend::MongoDb => mongodb::prepare(place),
        Backend::Postgres => postgres::prepare(place),
        Backend::Elasticsearch => elasticsearch::embedded::prepare(place),
        Backend::Elasticsearch8 => elasticsearch::stock::prepare(place),
        Backend::S3 => s3::prepare(place),
    }
}

fn command(place: &Place) -> Result<Command> {
    match place.backend {
        Backend::Kafka => kafka::command(place),
        Backend::MongoDb => Ok(mongodb::command(place)),
        Backend::Postgres => Ok(postgres::command(place)),
        Backend::Elasticsearch => elasticsearch::embedded::command(place),
        Backend::Elasticsearch8 => elasticsearch::stock::command(place),
        Backend::S3 => Ok(s3::command(place)),
    }
}

fn ready(place: &Place) -> Result<(), String> {
    match place.backend {
        Backend::Kafka => kafka::ready(place),
        Backend::MongoDb => mongodb::ready(place),
        Backend::Postgres => postgres::ready(place),
        Backend::Elasticsearch | Backend::Elasticsearch8 => elasticsearch::ready(place),
        Backend::S3 => s3::ready(place),
    }
}

fn address(place: &Place) -> String {
    match place.backend {
        Backend::Kafka => kafka::address(&place.ports),
        Backend::MongoDb => mongodb::address(&place.ports),
        Backend::Postgres => postgres::address(&place.ports),
        Backend::Elasticsearch | Backend::Elasticsearch8 => elasticsearch::address(&place.ports),
        Backend::S3 => s3::address(&place.ports),
    }
}

fn port_count(backend: Backend) -> usize {
    match backend {
        Backend::Kafka => kafka::PORTS,
        Backend::MongoDb => mongodb::PORTS,
        Backend::Postgres => postgres::PORTS,
        Backend::Elasticsearch | Backend::Elasticsearch8 => elasticsearch::PORTS,
        Backend::S3 => s3::PORTS,
    }
}

fn stop_signal(backend: Backend) -> Signal {
    match backend {
        Backend::Kafka => kafka::STOP,
        Backend::MongoDb => mongodb::STOP,
        Backend::Postgres => postgres::STOP,
        Backend::Elasticsearch | Backend::Elasticsearch8 => elasticsearch::STOP,
        Backend::S3 => s3::STOP,
    }
}

/// Removes the data of all servers that were started in that folder. They must not run.
///
/// # Errors
/// What cannot be removed.
pub fn purge(data: &Path) -> Result<()> {
    place::purge(data)
}
