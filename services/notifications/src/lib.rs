//! The inbox of every account: who is told of what, once, and sees it at once.
//!
//! ```text
//!  bus: follow.*, reminder.* ──► copies ──┐
//!  bus: event.*, payment.* ──► triggers ──┴─► fan-out task ──► inboxes (documents) ──changes──► watchers (gRPC, SSE)
//!                              reminder task ──────────────────┘        └──relay──► bus: notification.created
//! ```
//!
//! What reaches many accounts is stored as a fan-out in the transaction that noted its cause, and done page by page. A
//! notification's name is made from what it tells and whom, so that doing a page twice tells nobody twice.

mod app;
mod config;
mod consumer;
mod domain;
mod error;
mod grpc;
mod store;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use marquee_bus::{Consumer, declare_when_reachable};
use marquee_proto::events::v1::EventChanged;
use marquee_proto::notifications::v1::inbox_service_server::InboxServiceServer;
use marquee_proto::subscriptions::v1::{FollowChanged, PaymentChanged, ReminderChanged};
use marquee_proto::topic;
use marquee_server::{Face, Platform, Service};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use config::{Clock, Config};
pub use error::{Error, Result};

use app::{App, Watchers};
use consumer::{Audience, Triggers};
use grpc::Inboxes;
use store::Store;

/// The service's name: in health checks, logs and consumer groups.
pub const NAME: &str = "notifications";

/// How long the bus is waited for at the start. Without it the relay declares the topics once it is there.
const DECLARED_WITHIN: Duration = Duration::from_secs(2);

/// Opens the store and makes the service, ready to be served; nothing runs yet.
///
/// # Errors
/// When the store can't be opened, or the bus has the topics otherwise than declared.
pub async fn build(config: Config, platform: Platform) -> Result<Service> {
    let topics = [
        topic::NOTIFICATION,
        topic::EVENT,
        topic::FOLLOW,
        topic::REMINDER,
        topic::PAYMENT,
    ];
    let declaring = declare_when_reachable(&*platform.bus, &topics);
    if let Ok(declared) = tokio::time::timeout(DECLARED_WITHIN, declaring).await {
        declared?;
    }
    let on = config.store.name();
    let store = Store::open(&config.store).await?;
    let documents = store.documents.clone();
    let outbox = documents.outbox();
    let changes = documents.changes();
    let shutdown = platform.shutdown;
    let app = Arc::new(App {
        store,
        config,
        watchers: Arc::new(Watchers::default()),
        shutdown: shutdown.clone(),
        fanouts: Notify::new(),
        reminders: Notify::new(),
    });

    let face = Face::new(NAME)
        .ready(on, move || {
            let documents = documents.clone();
            Box::pin(async move { documents.ready().await })
        })
        .grpc(InboxServiceServer::new(Inboxes(app.clone())));

    let audience = Arc::new(Audience(app.clone()));
    let audience = Consumer::new(platform.bus.clone(), "notifications.audience")
        .on::<FollowChanged>(audience.clone())
        .on::<ReminderChanged>(audience)
        .run(shutdown.clone());
    let triggers = Arc::new(Triggers(app.clone()));
    let triggers = Consumer::new(platform.bus.clone(), "notifications.triggers")
        .on::<EventChanged>(triggers.clone())
        .on::<PaymentChanged>(triggers)
        .run(shutdown.clone());
    let bus = platform.bus;
    let relay = |stop: CancellationToken| async move {
        let declaring = declare_when_reachable(&*bus, &topics);
        match stop.run_until_cancelled(declaring).await {
            Some(declared) => declared?,
            None => return Ok(()),
        }
        marquee_bus::outbox::relay(outbox, bus, stop).await
    };
    let watchers = app.clone();
    let follow = async move {
        watchers.watchers.follow(changes, &watchers.shutdown).await;
        Ok::<_, Error>(())
    };
    let fanouts = app.clone();
    let sweep = app.clone();
    Ok(Service::new(face, shutdown)
        .relay("notifications.relay", relay)
        .task("notifications.changes", follow)
        .task("notifications.audience", audience)
        .task("notifications.triggers", triggers)
        .task(
            "notifications.fanouts",
            async move { fanouts.run_fanouts().await },
        )
        .task("notifications.sweep", async move { sweep.run_sweep().await })
        .task(
            "notifications.reminders",
            async move { app.run_reminders().await },
        ))
}
