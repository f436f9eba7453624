use clap::Parser;
use marquee_client::PeerArgs;
use marquee_config::ElasticsearchArgs;
use marquee_process::{Bound, Dependency, ProcessArgs, Program, SubscriptionsPeer};
use marquee_search::store::elasticsearch::{Login, Settings};
use marquee_search::{Config, Error, Location};
use marquee_server::{Platform, Service};

/// Finds channels and live events, forgives typing mistakes, completes what somebody types
///
/// Finds channels and live events, forgives typing mistakes, completes what somebody types. Its index in Elasticsearch is a
/// copy of what is told over Kafka: it can be thrown away and comes again.
#[derive(Debug, Parser)]
#[command(name = "marquee-search", version)]
pub(crate) struct Args {
    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    store: ElasticsearchArgs,
    #[command(flatten)]
    subscriptions: SubscriptionsPeer,
}

impl Args {
    fn settings(&self) -> Settings {
        let exposed = |secret: &marquee_config::Secret| secret.expose().to_owned();
        let api_key = self.store.elasticsearch_api_key.as_ref();
        let user = self.store.elasticsearch_username.clone();
        let password = self.store.elasticsearch_password.as_ref().map(exposed);
        Settings {
            index_prefix: self.store.elasticsearch_index_prefix.clone(),
            replicas: self.store.elasticsearch_replicas,
            login: match (api_key, user, password) {
                (Some(key), ..) => Some(Login::ApiKey(exposed(key))),
                (None, Some(username), Some(password)) => Some(Login::Password { username, password }),
                _ => None,
            },
            ..Settings::new(&self.store.elasticsearch_url)
        }
    }
}

impl Program for Args {
    const NAME: &'static str = "search";
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
        vec![Dependency::new("elasticsearch", self.store.hosts())]
    }

    async fn build(&self, platform: Platform, _: Bound) -> Result<Service, Error> {
        let config = Config::at(Location::Elasticsearch(self.settings()));
        marquee_search::build(config, platform).await
    }
}
