use clap::Parser;
use marquee_analytics::store::mongodb;
use marquee_analytics::{Config, Error, Location};
use marquee_client::PeerArgs;
use marquee_config::MongoArgs;
use marquee_process::{Bound, Dependency, EventsPeer, ProcessArgs, Program, SubscriptionsPeer};
use marquee_server::{Platform, Service};

/// Takes what players report, knows the audience now, and sums up what was watched
///
/// Takes what players report, knows the audience now, and sums up what was watched. Keeps sessions, sums and how far it has
/// read in MongoDB; beacons go through Kafka.
#[derive(Debug, Parser)]
#[command(name = "marquee-analytics", version)]
pub(crate) struct Args {
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    store: MongoArgs,
    #[command(flatten)]
    subscriptions: SubscriptionsPeer,
    #[command(flatten)]
    events: EventsPeer,
}

impl Program for Args {
    const NAME: &'static str = "analytics";
    type Error = Error;

    fn process(&self) -> &ProcessArgs {
        &self.process
    }

    fn peers(&self) -> PeerArgs {
        PeerArgs {
            subscriptions_url: Some(self.subscriptions.subscriptions_url.clone()),
            events_url: Some(self.events.events_url.clone()),
            ..PeerArgs::default()
        }
    }

    fn stores(&self) -> Vec<Dependency> {
        vec![Dependency::new("mongodb", self.store.hosts())]
    }

    async fn build(&self, platform: Platform, _: Bound) -> Result<Service, Error> {
        let config = Config {
            store: Location::MongoDb(mongodb::Settings {
                uri: self.store.mongodb_uri.clone(),
                database: self.store.database(Self::NAME),
            }),
            ..Config::default()
        };
        marquee_analytics::build(config, platform).await
    }
}
