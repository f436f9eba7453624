use std::net::SocketAddr;

use clap::{CommandFactory, FromArgMatches};
use marquee_client::PeerArgs;
use marquee_server::{Platform, Service};

use crate::{Dependency, ProcessArgs};

/// The arguments of a service's binary, and what becomes of them.
pub trait Program: CommandFactory + FromArgMatches {
    /// The service's name, for example `events`.
    const NAME: &'static str;
    /// Why the service is not built.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What every process is told.
    fn process(&self) -> &ProcessArgs;

    /// Where the peers are that the service calls, and subscriptions; the process itself is subscriptions when nobody
    /// says where that is.
    fn peers(&self) -> PeerArgs;

    /// The servers that the service cannot be built without, beside Kafka.
    fn stores(&self) -> Vec<Dependency>;

    /// Where encoders are listened for, if they are.
    fn rtmp(&self) -> Option<SocketAddr> {
        None
    }

    /// What encoders are told instead of the address that is listened on; empty for that.
    fn public_rtmp(&self) -> String {
        String::new()
    }

    /// Says in one line, beginning with the option, what cannot work.
    ///
    /// # Errors
    /// That line.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Opens the stores and makes the service. After an error it is called again, unless that is [hopeless](Self::hopeless).
    fn build(&self, platform: Platform, bound: Bound) -> impl Future<Output = Result<Service, Self::Error>>;

    /// Whether no patience helps against an error: then the process ends with it.
    fn hopeless(_: &Self::Error) -> bool {
        false
    }
}

/// What a process listens on, with the ports that were found where 0 was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// For gRPC, grpc-web and REST.
    pub http: SocketAddr,
    /// For encoders, where there is a [`Program::rtmp`]. The port is kept for the service, which has to listen on it.
    pub rtmp: Option<SocketAddr>,
}
