use std::time::Duration;

use clap::Parser;
use marquee_client::PeerArgs;
use marquee_config::PostgresArgs;
use marquee_process::{Bound, Dependency, EventsPeer, ProcessArgs, Program};
use marquee_server::{Platform, Service};
use marquee_subscriptions::{Config, Error, Location, Settings};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Accounts and their sessions, plans, memberships and payments, follows and reminders
///
/// Accounts and their sessions, plans, memberships and payments, follows and reminders. Keeps them in PostgreSQL (or
/// CockroachDB); signs the tokens of people and of the other services, who fetch its keys.
#[derive(Debug, Parser)]
#[command(name = "marquee-subscriptions", version)]
pub(crate) struct Args {
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    store: PostgresArgs,
    #[command(flatten)]
    events: EventsPeer,
    #[command(flatten)]
    sessions: SessionArgs,
}

/// How long things last.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sessions and payments")]
struct SessionArgs {
    /// Minutes that an access token is good for
    #[arg(long, value_name = "MINUTES", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1_440))]
    access_token_lifetime: u32,
    /// Days that a session lasts at most, however often it is refreshed
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    session_lifetime: u32,
    /// Seconds between looks for memberships that are over and payments that nobody recorded
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    sweep_interval: u64,
    /// Minutes after which a payment that nobody recorded is looked into
    #[arg(long, value_name = "MINUTES", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_440))]
    payment_patience: u32,
}

impl Args {
    fn config(&self) -> Config {
        let secret = self.process.identity.service_secret.clone();
        // The folder is not used: the store is on a server.
        let mut config = Config::new("", secret);
        config.store = Location::Postgres(Settings {
            url: self.store.postgres_url.clone(),
            connections: self.store.postgres_connections as usize,
        });
        config.access_token_lifetime = MINUTE * self.sessions.access_token_lifetime;
        config.session_lifetime = DAY * self.sessions.session_lifetime;
        config.sweep_interval = Duration::from_secs(self.sessions.sweep_interval);
        config.payment_patience = MINUTE * self.sessions.payment_patience;
        config
    }
}

impl Program for Args {
    const NAME: &'static str = "subscriptions";
    type Error = Error;

    fn process(&self) -> &ProcessArgs {
        &self.process
    }

    fn peers(&self) -> PeerArgs {
        PeerArgs {
            events_url: Some(self.events.events_url.clone()),
            ..PeerArgs::default()
        }
    }

    fn stores(&self) -> Vec<Dependency> {
        vec![Dependency::new("postgres", self.store.hosts())]
    }

    fn check(&self) -> Result<(), String> {
        self.config().validate().map_err(|error| error.to_string())
    }

    async fn build(&self, platform: Platform, _: Bound) -> Result<Service, Error> {
        marquee_subscriptions::build(self.config(), platform).await
    }

    fn hopeless(error: &Error) -> bool {
        matches!(error, Error::Config(_))
    }
}
