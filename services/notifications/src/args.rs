use std::time::Duration;

use clap::Parser;
use marquee_client::PeerArgs;
use marquee_config::MongoArgs;
use marquee_documents::{Location, mongodb};
use marquee_notifications::{Config, Error};
use marquee_process::{Bound, Dependency, ProcessArgs, Program, SubscriptionsPeer};
use marquee_server::{Platform, Service};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The inbox of every account: who is told of what, once, and sees it at once
///
/// The inbox of every account: who is told of what, once, and sees it at once. Keeps inboxes in MongoDB; learns over Kafka
/// who follows what and what happens there.
#[derive(Debug, Parser)]
#[command(name = "marquee-notifications", version)]
pub(crate) struct Args {
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    store: MongoArgs,
    #[command(flatten)]
    subscriptions: SubscriptionsPeer,
    #[command(flatten)]
    inbox: InboxArgs,
}

/// What is told, and for how long it is kept.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Inbox")]
struct InboxArgs {
    /// Days that a notification is kept, read or not; longer than --notify-within
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    retention: u32,
    /// Hours after which nobody is told any more of what happened
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=87_600))]
    notify_within: u32,
    /// Followers that are notified in one transaction; bounds the memory that one broadcast takes
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    fanout_page: u16,
}

impl Program for Args {
    const NAME: &'static str = marquee_notifications::NAME;
    type Error = Error;

    fn process(&self) -> &ProcessArgs {
        &self.process
    }

    fn peers(&self) -> PeerArgs {
        PeerArgs {
            subscriptions_url: Some(self.subscriptions.subscriptions_url.clone()),
            ..PeerArgs::default()
        }
    }

    fn stores(&self) -> Vec<Dependency> {
        vec![Dependency::new("mongodb", self.store.hosts())]
    }

    fn check(&self) -> Result<(), String> {
        if self.inbox.notify_within / 24 >= self.inbox.retention {
            return Err(format!(
                "retention: {} days must be longer than notify-within, which is {} hours: what is forgotten could be told again",
                self.inbox.retention, self.inbox.notify_within
            ));
        }
        Ok(())
    }

    async fn build(&self, platform: Platform, _: Bound) -> Result<Service, Error> {
        // The folder is not used: the store is on a server.
        let mut config = Config::new("");
        config.store = Location::MongoDb(mongodb::Settings {
            uri: self.store.mongodb_uri.expose().to_owned(),
            database: self.store.database(Self::NAME),
        });
        config.retention = DAY * self.inbox.retention;
        config.max_age = HOUR * self.inbox.notify_within;
        config.fanout_page = self.inbox.fanout_page.into();
        marquee_notifications::build(config, platform).await
    }
}
