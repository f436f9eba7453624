use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use marquee_config::{GrpcArgs, KafkaArgs, Secret};
use marquee_server::Limits;
use marquee_telemetry::TelemetryArgs;

/// Least length of the secret that services show to each other, in characters; what subscriptions asks for.
const LEAST_SECRET: usize = 16;

/// What every process of the fleet is told.
#[derive(Debug, Clone, clap::Args)]
pub struct ProcessArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub grpc: GrpcArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub kafka: KafkaArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub identity: IdentityArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub stopping: StoppingArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub telemetry: Telemetry,
}

/// Who the process is among its peers.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Identity")]
pub struct IdentityArgs {
    /// What the services of an installation show to each other, the same for all, at least 16 characters; file:PATH reads
    /// it from a file
    #[arg(long, value_name = "SECRET")]
    pub service_secret: Secret,
}

/// How the process starts and stops.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Starting and stopping")]
pub struct StoppingArgs {
    /// Seconds between saying "not ready" and stopping, so that load balancers notice
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=300))]
    pub drain_delay: u64,
    /// Seconds that consumers, after them requests and connections, and after these the outbox may take to end
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub drain_timeout: u64,
    /// Once it listens, write {"address": "...", "rtmp": "..."} with what it listens on to this file
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// What the process tells of itself.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Telemetry")]
pub struct Telemetry {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub telemetry: TelemetryArgs,
}

/// For those who are not subscriptions: where tokens are from.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Peers")]
pub struct SubscriptionsPeer {
    /// Address of subscriptions, whose keys tokens are checked with, for example http://subscriptions:8080
    #[arg(long, value_name = "URL", value_parser = peer_url)]
    pub subscriptions_url: Uri,
}

/// For those who ask for channels and events.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Peers")]
pub struct EventsPeer {
    /// Address of events, which is asked for channels and events, for example http://events:8080
    #[arg(long, value_name = "URL", value_parser = peer_url)]
    pub events_url: Uri,
}

impl ProcessArgs {
    /// Says what cannot work.
    pub(crate) fn check(&self) -> Result<(), String> {
        let secret = self.identity.service_secret.expose().chars().count();
        if secret < LEAST_SECRET {
            return Err(format!(
                "service-secret: must have at least {LEAST_SECRET} characters, and has {secret}"
            ));
        }
        Ok(())
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            trusted_proxies: self.grpc.trusted_proxies.clone(),
            drain_delay: Duration::from_secs(self.stopping.drain_delay),
            drain: self.drain(),
            // Behind the gateway all services are one.
            describes_fleet: true,
            ..Limits::default()
        }
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.stopping.drain_timeout)
    }
}

/// `http://host[:port]`, nothing behind it.
fn peer_url(text: &str) -> Result<Uri, String> {
    let uri: Uri = text
        .parse()
        .map_err(|_| format!("{text:?} is no URL; write http://host:port"))?;
    match (uri.scheme_str(), uri.authority(), uri.path()) {
        (Some("http"), Some(_), "/" | "") if uri.query().is_none() => Ok(uri),
        (Some("http"), Some(_), _) => Err(format!(
            "{text:?} must end after the port; write http://host:port"
        )),
        _ => Err(format!(
            "{text:?} must begin with http://; write http://host:port"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_an_address_and_nothing_more() {
        assert!(peer_url("http://events:8080").is_ok() && peer_url("http://events:8080/").is_ok());
        assert_eq!(
            peer_url("events:8080").unwrap_err(),
            "\"events:8080\" must begin with http://; write http://host:port"
        );
        assert!(
            peer_url("http://events/v1")
                .unwrap_err()
                .contains("must end after the port")
        );
        assert!(peer_url("grpc://events:1").is_err());
    }
}
