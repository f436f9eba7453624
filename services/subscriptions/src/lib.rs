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

use marquee_bus::outbox::relay;
use marquee_proto::topic;
use marquee_server::{Platform, Service};

pub use crate::clock::Clock;
pub use crate::config::{Config, Hashing};
pub use crate::domain::attempts::LoginLimit;
pub use crate::domain::money::{Currency, Money};
pub use crate::error::{BoxError, Error, Resource};
pub use crate::payment::{Charge, Outcome, PaymentError, PaymentProvider};

use crate::app::App;
use crate::payment::test_provider::TestProvider;
use crate::store::Store as _;
use crate::store::sqlite::Sqlite;

/// Opens the store, makes the signing key and the plans if there are none, and puts the service together.
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
    platform.bus.declare(&topics).await?;
    let folder = config.data.clone();
    let store = tokio::task::spawn_blocking(move || Sqlite::open(&folder))
        .await
        .map_err(|error| Error::internal("opening the store did not end", error))??;
    let provider = match &config.payment_provider {
        Some(provider) => Arc::clone(provider),
        None => Arc::new(TestProvider::new(store.database())),
    };
    let outbox = store.outbox();
    let app = Arc::new(App::new(config, Arc::new(store), provider, platform.peers).await?);

    let face = grpc::face(&app).ready("store", {
        let app = Arc::clone(&app);
        move || {
            let app = Arc::clone(&app);
            Box::pin(async move { app.ping().await.map_err(|error| error.to_string()) })
        }
    });
    let shutdown = platform.shutdown;
    Ok(Service::new(face, shutdown.clone())
        .task(
            "subscriptions outbox",
            relay(outbox, platform.bus, shutdown.clone()),
        )
        .task("subscriptions sweep", app::sweep::run(app, shutdown)))
}
