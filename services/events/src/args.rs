use clap::Parser;
use marquee_client::PeerArgs;
use marquee_config::MongoArgs;
use marquee_documents::{Location, mongodb};
use marquee_events::{Config, Error};
use marquee_process::{Bound, Dependency, ProcessArgs, Program, SubscriptionsPeer};
use marquee_server::{Platform, Service};

/// Channels and live events: what is broadcast, when, and in which state it is
///
/// Channels and live events: what is broadcast, when, and in which state it is. Keeps them in MongoDB; learns over Kafka
/// when streams begin and end, and tells of every change there.
#[derive(Debug, Parser)]
#[command(name = "marquee-events", version)]
pub(crate) struct Args {
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    store: MongoArgs,
    #[command(flatten)]
    subscriptions: SubscriptionsPeer,
}

impl Program for Args {
    const NAME: &'static str = marquee_events::NAME;
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

    async fn build(&self, platform: Platform, _: Bound) -> Result<Service, Error> {
        // The folder is not used: the store is on a server.
        let mut config = Config::new("");
        config.store = Location::MongoDb(mongodb::Settings {
            uri: self.store.mongodb_uri.expose().to_owned(),
            database: self.store.database(Self::NAME),
        });
        marquee_events::build(config, platform).await
    }
}
