use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Backend, Server};

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
}

/// Tells one start of the machine from another.
pub(crate) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}
