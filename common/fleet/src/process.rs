use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use marquee_backends::wire;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{Error, running};

/// How long a process may take to stop when asked: more than all of its own limits together (docker-compose.yml says the same).
const STOP: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// A program that can be started again and again with the same settings; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    /// Where `ready_path` is asked for.
    address: SocketAddr,
    ready_path: &'static str,
    /// What ends it gently.
    stop_signal: Signal,
    /// The child was told to stop: a second signal would make it exit at once.
    asked: bool,
    child: Option<Child>,
    /// Where it is written down that it runs.
    record: Option<PathBuf>,
}

impl Process {
    pub(crate) fn new(
        name: &'static str,
        program: PathBuf,
        log: PathBuf,
        address: SocketAddr,
        ready_path: &'static str,
    ) -> Self {
        Self {
            name,
            program,
            arguments: Vec::new(),
            environment: Vec::new(),
            log,
            address,
            ready_path,
            stop_signal: Signal::TERM,
            asked: false,
            child: None,
            record: None,
        }
    }

    pub(crate) fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(crate) fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// Writes down in that file that it runs, as long as it does.
    pub(crate) fn recorded(mut self, record: PathBuf) -> Self {
        self.record = Some(record);
        self
    }

    pub(crate) fn stops_on(mut self, signal: Signal) -> Self {
        self.stop_signal = signal;
        self
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it logs to.
    pub fn log(&self) -> &std::path::Path {
        &self.log
    }

    /// The settings that it is started with, as environment variables.
    pub fn settings(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Its id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts it, unless it runs; does not wait until it is ready.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn start(&mut self) -> Result<(), Error> {
        if self.ended()?.is_none() && self.child.is_some() {
            return Ok(());
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(Error::io(&self.log))?;
        let errors = log.try_clone().map_err(Error::io(&self.log))?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // A Ctrl-C is for whoever started the fleet, who then stops it in order.
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Program {
                program: self.program.display().to_string(),
                source,
                install: format!(
                    "is it built? `cargo xtask fleet up` builds the services, and {} must be installed",
                    self.name
                ),
            })?;
        let pid = child.id();
        self.asked = false;
        self.child = Some(child);
        match &self.record {
            Some(record) => running::write(record, pid),
            None => Ok(()),
        }
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        match &mut self.child {
            None => Ok(None),
            Some(child) => child.try_wait().map_err(|source| Error::Signal {
                name: self.name.to_owned(),
                source,
            }),
        }
    }

    /// Whether it says that it is ready, and what it says.
    pub fn readiness(&self) -> Result<(), String> {
        match wire::get(self.address.port(), self.ready_path)? {
            (200, _) => Ok(()),
            (status, body) => Err(format!("{status} {}", body.trim())),
        }
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it ends, or is not ready within the limit.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), Error> {
        self.wait_until(limit, &|| Ok(()))
    }

    pub(crate) fn wait_until(
        &mut self,
        limit: Duration,
        go_on: &dyn Fn() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        loop {
            go_on()?;
            self.check()?;
            let answer = match self.readiness() {
                Ok(()) => return Ok(()),
                Err(answer) => answer,
            };
            if Instant::now() > deadline {
                return Err(Error::NotReady {
                    name: self.name.to_owned(),
                    seconds: limit.as_secs(),
                    answer,
                    log: self.last_lines(),
                });
            }
            std::thread::sleep(POLL);
        }
    }

    pub(crate) fn check(&mut self) -> Result<(), Error> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => Err(Error::Ended {
                name: self.name.to_owned(),
                status,
                log: self.last_lines(),
            }),
        }
    }

    /// Kills it as `kill -9` does, with what it has started itself, and waits until it is gone: the workers of an NGINX whose
    /// master is killed would go on and keep its ports.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<(), Error> {
        if let Some(mut child) = self.child.take() {
            let failed = |source| Error::Signal {
                name: self.name.to_owned(),
                source,
            };
            kill_group(&child);
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            self.forget();
        }
        Ok(())
    }

    /// Asks it to stop as a service manager does; kills it when it does not. Returns how it ended, if it ran.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn stop(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.ask_to_stop()?;
        let deadline = Instant::now() + STOP;
        while self.child.is_some() {
            if let Some(status) = self.ended()? {
                self.child = None;
                self.forget();
                return Ok(Some(status));
            }
            if Instant::now() > deadline {
                self.kill()?;
            }
            std::thread::sleep(POLL);
        }
        Ok(None)
    }

    fn forget(&self) {
        if let Some(record) = &self.record {
            running::forget(record);
        }
    }

    /// Sends the signal that ends it gently, once.
    pub(crate) fn ask_to_stop(&mut self) -> Result<(), Error> {
        if self.ended()?.is_none() && !std::mem::replace(&mut self.asked, true) {
            self.signal(self.stop_signal)?;
        }
        Ok(())
    }

    /// Freezes it: its connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn pause(&self) -> Result<(), Error> {
        self.signal_group(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn resume(&self) -> Result<(), Error> {
        self.signal_group(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.send(signal, kill_process)
    }

    fn signal_group(&self, signal: Signal) -> Result<(), Error> {
        self.send(signal, kill_process_group)
    }

    fn send(&self, signal: Signal, send: fn(Pid, Signal) -> rustix::io::Result<()>) -> Result<(), Error> {
        let Some(pid) = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed())) else {
            return Ok(());
        };
        send(pid, signal).map_err(|error| Error::Signal {
            name: self.name.to_owned(),
            source: error.into(),
        })
    }

    /// The end of its log.
    pub fn last_lines(&self) -> String {
        const MOST: u64 = 4_096;
        let read = || {
            let mut file = std::fs::File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
            let mut bytes = Vec::new();
            file.take(MOST).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_else(|error| format!("{}: {error}", self.log.display()))
    }
}

/// Each is started as the leader of a group of its own.
fn kill_group(child: &Child) {
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        // Gone already, then.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Whoever wanted to know has called `stop` or `kill`.
            kill_group(&child);
            let _ = child.kill();
            let _ = child.wait();
            self.forget();
        }
    }
}
