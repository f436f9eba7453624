//! The subscriptions service: accounts and their sessions, plans, memberships and payments, follows and reminders.
//!
//! ```text
//!   gRPC, REST ──► grpc ──► app ──► store ──► outbox ──relay──► bus
//!                  decode    │  └──► domain: rules, no I/O
//!                            ├─────► payment provider          sweep ──► app: expire, settle, purge
//!                            └─────► events (peer): is there such a channel, such an event?
//! ```
//!
//! Every state change and the message that tells of it are one transaction. Money moves only after the intent to move it
//! is in the store, so that a retry after any crash finds it and charges under the same key.

mod app;
mod clock;
mod config;
mod domain;
mod error;
mod grpc;
mod payment;
mod publish;
mod store;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use marquee_bus::declare_when_reachable;
use marquee_bus::outbox::relay;
use marquee_proto::topic;
use marquee_server::{Platform, Service};
use tokio_util::sync::CancellationToken;

pub use crate::clock::Clock;
pub use crate::config::{Config, Hashing, Location};
pub use crate::domain::attempts::LoginLimit;
pub use crate::domain::money::{Currency, Money};
pub use crate::error::{BoxError, Error, Resource};
pub use crate::payment::{Charge, Outcome, PaymentError, PaymentProvider};
#[cfg(feature = "postgres")]
pub use crate::store::postgres::Settings;

use crate::app::App;
use crate::payment::test_provider::{Books, TestProvider};
use crate::store::Store;
use crate::store::sqlite::Sqlite;

/// Opens the store, makes the signing key and the plans if there are none, and puts the service together.
///
/// A store on a server need not be up: the service is built all the same, answers UNAVAILABLE, is not ready and says
/// why, and goes on by itself once the server is there.
///
/// # Errors
/// [`Error::Config`] for a setting that can't work, [`Error::Unusable`] for a data folder that can't be used, each in
/// one line that says why; [`Error::Bus`] when the bus has the topics otherwise than declared.
pub async fn build(config: Config, platform: Platform) -> Result<Service, Error> {
    config.validate()?;
    let topics = [
        topic::ACCOUNT,
        topic::MEMBERSHIP,
        topic::FOLLOW,
        topic::REMINDER,
        topic::PAYMENT,
    ];
    let declaring = declare_when_reachable(&*platform.bus, &topics);
    if let Ok(declared) = tokio::time::timeout(FIRST_TRY, declaring).await {
        declared?;
    }
    let waits = !matches!(config.store, Location::Sqlite(_));
    let (store, books) = open(&config).await?;
    let provider = match &config.payment_provider {
        Some(provider) => Arc::clone(provider),
        None => Arc::new(TestProvider::new(books)),
    };
    let (outbox, name) = (store.outbox(), store.name());
    let app = Arc::new(App::new(config, store, provider, platform.peers).await?);
    match tokio::time::timeout(FIRST_TRY, app.prepare()).await {
        Ok(Err(error)) if !waits => return Err(error),
        // A server that is not ready yet is waited for below.
        _ => {}
    }

    let face = grpc::face(&app).ready(name, {
        let app = Arc::clone(&app);
        move || {
            let app = Arc::clone(&app);
            Box::pin(async move { app.ping().await.map_err(|error| store::chain(&error)) })
        }
    });
    let shutdown = platform.shutdown;
    let relaying = {
        let (app, bus) = (Arc::clone(&app), platform.bus);
        |stop: CancellationToken| async move {
            if !app::prepare::run(&app, &stop).await {
                return Ok(());
            }
            let declaring = declare_when_reachable(&*bus, &topics);
            match stop.run_until_cancelled(declaring).await {
                Some(declared) => declared?,
                None => return Ok(()),
            }
            relay(outbox, bus, stop).await
        }
    };
    Ok(Service::new(face, shutdown.clone())
        .relay("subscriptions outbox", relaying)
        .task("subscriptions sweep", app::sweep::run(app, shutdown)))
}

/// How long building the service waits for a store on a server, and for the bus, which are usually there.
const FIRST_TRY: Duration = Duration::from_secs(3);

async fn open(config: &Config) -> Result<(Arc<dyn Store>, Arc<dyn Books>), Error> {
    let limit = config.login_limit;
    match &config.store {
        Location::Sqlite(folder) => {
            let folder = folder.clone();
            let store = tokio::task::spawn_blocking(move || Sqlite::open(&folder, limit))
                .await
                .map_err(|error| Error::internal("opening the store did not end", error))??;
            let store = Arc::new(store);
            Ok((Arc::clone(&store) as Arc<dyn Store>, store))
        }
        #[cfg(feature = "postgres")]
        Location::Postgres(settings) => {
            let store = Arc::new(store::postgres::Postgres::new(settings, limit)?);
            Ok((Arc::clone(&store) as Arc<dyn Store>, store))
        }
    }
}
