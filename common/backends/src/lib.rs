//! The real servers that the fleet runs on, on loopback and without containers: Kafka, MongoDB, PostgreSQL,
//! Elasticsearch and an S3 server are fetched, started, stopped, killed, paused and started again with their data.
//!
//! Versions are pinned, and what is fetched is checked: every file of Kafka, MongoDB and Elasticsearch by SHA-256, the sources
//! of the S3 server by the hash of its Go module (which holds the hashes of the modules that it needs). PostgreSQL is not
//! fetched: it is what the machine's package manager has installed and answers for.
//!
//! For development and tests only: `cargo xtask backends`, the suites on real servers and the chaos test. Nothing of the
//! product depends on it.
//!
//! ```text
//! install(home, backend)      <home>/kafka-4.3.1/...           what was fetched, once per machine
//! Server::start(.., data)     <data>/kafka/{server.json,..}    what a server keeps: its ports never change
//! Server::detach() -> Record  a server that goes on without us; Record::attach() finds it again, if it is still it
//! ```
#![warn(missing_docs)]

mod elasticsearch;
mod error;
mod files;
mod hash;
mod home;
mod identity;
mod install;
mod kafka;
mod mongodb;
mod place;
pub mod ports;
mod postgres;
mod process;
mod record;
mod s3;
mod server;
mod tools;
pub mod wire;

use serde::{Deserialize, Serialize};

pub use error::Error;
pub use home::{Home, cache};
pub use identity::Identity;
pub use install::install;
pub use record::Record;
pub use server::{Server, purge};

/// What can fail here fails with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A server that the fleet runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Apache Kafka, one node that is broker and controller (`KRaft`).
    Kafka,
    /// MongoDB, a replica set of one.
    MongoDb,
    /// PostgreSQL from the machine's packages.
    Postgres,
    /// Elasticsearch 7.17, a node in a JVM of ours, with the analysers that we name to it.
    Elasticsearch,
    /// Elasticsearch 8, the stock distribution: today's wire format.
    Elasticsearch8,
    /// A server of the S3 protocol that keeps objects as files, with one empty bucket.
    S3,
}

impl Backend {
    /// All of them.
    pub const ALL: [Backend; 6] = [
        Backend::Kafka,
        Backend::MongoDb,
        Backend::Postgres,
        Backend::Elasticsearch,
        Backend::Elasticsearch8,
        Backend::S3,
    ];
    /// Those that a fleet needs: one of each kind.
    pub const FLEET: [Backend; 4] = [
        Backend::Kafka,
        Backend::MongoDb,
        Backend::Postgres,
        Backend::Elasticsearch,
    ];

    /// The name, as folders and messages have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Backend::Kafka => "kafka",
            Backend::MongoDb => "mongodb",
            Backend::Postgres => "postgres",
            Backend::Elasticsearch => "elasticsearch",
            Backend::Elasticsearch8 => "elasticsearch8",
            Backend::S3 => "s3",
        }
    }

    /// The pinned version; for PostgreSQL, which comes from the machine's packages, the versions that will do.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Backend::Kafka => kafka::VERSION,
            Backend::MongoDb => mongodb::VERSION,
            Backend::Postgres => postgres::VERSIONS,
            Backend::Elasticsearch => elasticsearch::embedded::VERSION,
            Backend::Elasticsearch8 => elasticsearch::stock::VERSION,
            Backend::S3 => s3::VERSION,
        }
    }

    /// The environment variable in which tests find the server.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Backend::Kafka => "MARQUEE_TEST_KAFKA",
            Backend::MongoDb => "MARQUEE_TEST_MONGODB",
            Backend::Postgres => "MARQUEE_TEST_POSTGRES",
            Backend::Elasticsearch => "MARQUEE_TEST_ELASTICSEARCH",
            Backend::Elasticsearch8 => "MARQUEE_TEST_ELASTICSEARCH_8",
            Backend::S3 => "MARQUEE_TEST_S3",
        }
    }

    /// The backend of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Backend> {
        Backend::ALL.into_iter().find(|backend| backend.name() == name)
    }
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Where a test finds the server, from the environment.
///
/// # Panics
/// When the variable is not set: a test that needs a server must not pass without it.
#[must_use]
pub fn address(backend: Backend) -> String {
    match std::env::var(backend.variable()) {
        Ok(address) if !address.is_empty() => address,
        _ => panic!(
            "{} is not set: run `cargo xtask test --backends`, or start the servers with `cargo xtask backends up` and export what \
             it prints",
            backend.variable()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_is_found_by_its_name() {
        for backend in Backend::ALL {
            assert_eq!(Backend::named(backend.name()), Some(backend));
        }
        assert_eq!(Backend::named("oracle"), None);
    }

    #[test]
    #[should_panic(expected = "MARQUEE_TEST_ELASTICSEARCH_8 is not set: run `cargo xtask test --backends`")]
    fn a_missing_server_is_a_failure_that_says_what_to_run() {
        // The one variable that is not set by a run with real servers of this crate's own tests.
        if std::env::var_os(Backend::Elasticsearch8.variable()).is_some() {
            panic!(
                "MARQUEE_TEST_ELASTICSEARCH_8 is not set: run `cargo xtask test --backends` (it is set here)"
            );
        }
        let _ = address(Backend::Elasticsearch8);
    }
}
