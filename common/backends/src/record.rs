use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::process::Process;
use crate::{Backend, Error, Result, Server, files};

/// A server that runs on its own: enough to find it again, and to be sure that it is still it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The server.
    pub backend: Backend,
    /// Its version; of PostgreSQL the one that was found.
    pub version: String,
    /// Where it answers, in the form of [`Backend::variable`].
    pub address: String,
    /// Its process.
    pub pid: u32,
    /// When the process was started, in clock ticks since the machine's start: a pid alone may be another's by now.
    pub started: u64,
    /// Which start of the machine that was.
    pub boot: String,
    /// Its ports, that of clients first. They stay the same over restarts.
    pub ports: Vec<u16>,
    /// The folder that was given to [`Server::start`].
    pub data: PathBuf,
    /// Where its files really are.
    pub place: PathBuf,
    /// Where its software is.
    pub home: PathBuf,
}

impl Record {
    /// The server, when it still runs. `None` when that pid is not that process any more.
    ///
    /// Such a server was there before and is not ended when it is dropped.
    #[must_use]
    pub fn attach(&self) -> Option<Server> {
        Server::attach(self)
    }

    /// The server of that kind that runs in that folder, whoever started it.
    #[must_use]
    pub fn running(data: &Path, backend: Backend) -> Option<Record> {
        // Where its files are elsewhere, this is a link.
        Kept::read(&data.join(backend.name()))
            .filter(Kept::runs)
            .map(|kept| kept.record)
    }
}

/// `running.json` in a server's folder: what runs there, and who is to end it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) record: Record,
    /// Pid and start time of the process that ends it. None when it goes on by itself.
    pub(crate) owner: Option<(u32, u64)>,
}

const KEPT: &str = "running.json";

impl Kept {
    pub(crate) fn read(place: &Path) -> Option<Kept> {
        serde_json::from_slice(&std::fs::read(place.join(KEPT)).ok()?).ok()
    }

    pub(crate) fn write(record: Record, owned: bool) -> Result<()> {
        let owner = owned
            .then(std::process::id)
            .and_then(|pid| Some((pid, Process::start_of(pid)?)));
        let file = record.place.join(KEPT);
        let text = serde_json::to_vec_pretty(&Kept { record, owner }).map_err(|error| Error::Data {
            data: file.clone(),
            reason: error.to_string(),
        })?;
        files::replace(&file, text)
    }

    pub(crate) fn runs(&self) -> bool {
        self.record.boot == boot() && Process::find(self.record.pid, self.record.started).is_some()
    }

    /// Whether who was to end it has ended without doing so.
    pub(crate) fn orphan(&self) -> bool {
        self.owner
            .is_some_and(|(pid, started)| Process::find(pid, started).is_none())
    }
}

/// Tells one start of the machine from another.
pub(crate) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}
