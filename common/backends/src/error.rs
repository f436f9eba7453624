use std::path::{Path, PathBuf};

use crate::Backend;

/// Why a server is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program of the machine is missing or too old.
    #[error("{what}; install it with:\n    {install}")]
    Missing {
        /// What is wrong.
        what: String,
        /// The line that puts it right on Debian or Ubuntu.
        install: &'static str,
    },
    /// This kind of machine has no build of the server.
    #[error("{backend}: {reason}")]
    Unsupported {
        /// The server.
        backend: Backend,
        /// What it would need.
        reason: String,
    },
    /// [`crate::install`] has not been run.
    #[error("{backend} {} is not installed: run `cargo xtask backends up` once", backend.version())]
    NotInstalled {
        /// The server.
        backend: Backend,
    },
    /// A file is not the one that was pinned.
    #[error("{file} is not the file that is pinned: its hash is {found}, not {expected}")]
    Hash {
        /// Its name.
        file: String,
        /// The pinned hash.
        expected: String,
        /// What was fetched.
        found: String,
    },
    /// What was fetched and what is pinned are not the same files.
    #[error("{0}")]
    Unpinned(String),
    /// A program that this crate runs failed.
    #[error("`{line}` failed ({status}){}", tail(output))]
    Command {
        /// The command.
        line: String,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// The server ended while it should have started.
    #[error("{backend} ended while it was starting ({status}); the end of {}:{}", log.display(), tail(output))]
    Ended {
        /// The server.
        backend: Backend,
        /// How it ended, as far as is known.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        output: String,
    },
    /// The server runs but does not answer.
    #[error("{backend} did not answer within {seconds} s ({reason}); the end of {}:{}", log.display(), tail(output))]
    NotReady {
        /// The server.
        backend: Backend,
        /// How long it was waited for.
        seconds: u64,
        /// The last thing that was wrong with its answers.
        reason: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        output: String,
    },
    /// The server of that folder runs already, and somebody else's.
    #[error("{backend} runs already in {} (process {pid})", data.display())]
    Runs {
        /// The server.
        backend: Backend,
        /// Its process.
        pid: u32,
        /// The server's folder.
        data: PathBuf,
    },
    /// A port that the server's data is bound to is taken.
    #[error("port {port}, which the data in {} is bound to, is taken by another process", data.display())]
    PortTaken {
        /// The port.
        port: u16,
        /// The server's folder.
        data: PathBuf,
    },
    /// No port is free.
    #[error("no free port between {from} and {to}")]
    NoPort {
        /// The lowest that was tried.
        from: u16,
        /// The highest.
        to: u16,
    },
    /// The folder is not a folder of this server.
    #[error("{}: {reason}", data.display())]
    Data {
        /// The server's folder.
        data: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system refused.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    pub(crate) fn at(verb: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        Error::io(format!("{verb} {}", path.display()))
    }
}

/// Output as an indented block, or nothing.
fn tail(output: &str) -> String {
    let lines: String = output.lines().map(|line| format!("\n    {line}")).collect();
    if lines.is_empty() {
        "\n    (empty)".into()
    } else {
        lines
    }
}
