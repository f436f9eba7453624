use std::path::{Path, PathBuf};

/// What can go wrong with a fleet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A server.
    #[error(transparent)]
    Backend(#[from] marquee_backends::Error),
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program is not there or cannot be run.
    #[error("cannot run {program}: {source}; {install}")]
    Program {
        /// Which.
        program: String,
        /// Why.
        source: std::io::Error,
        /// What to do.
        install: String,
    },
    /// A process ended that should run.
    #[error("{name} ended with {status}; the end of its log:\n{log}")]
    Ended {
        /// Which.
        name: String,
        /// How.
        status: std::process::ExitStatus,
        /// Its last lines.
        log: String,
    },
    /// A process does not become what it should.
    #[error("{name} is not ready after {seconds} s: {answer}; the end of its log:\n{log}")]
    NotReady {
        /// Which.
        name: String,
        /// How long it was waited for.
        seconds: u64,
        /// What it said at last.
        answer: String,
        /// Its last lines.
        log: String,
    },
    /// NGINX refuses its configuration.
    #[error("nginx refuses its configuration:\n{0}")]
    Gateway(String),
    /// Somebody else runs a fleet in that folder.
    #[error("a fleet runs already in {}", .0.display())]
    Runs(PathBuf),
    /// Clients could not reach the gateway where they should.
    #[error("somebody listens already on port {0}: choose others, or stop what is there")]
    PortsTaken(String),
    /// Somebody stopped it while it started.
    #[error("interrupted")]
    Interrupted,
    /// A signal cannot be sent.
    #[error("cannot signal {name}: {source}")]
    Signal {
        /// To which process.
        name: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
