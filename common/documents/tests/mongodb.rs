//! The MongoDB backend: the suite, and what it alone promises.
#![cfg(feature = "mongodb")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use marquee_documents::mongodb::Settings;
use marquee_documents::testing::{Fixture, collections};
use marquee_documents::{Location, Store};

/// A database of its own, dropped at the end.
struct InDatabase {
    settings: Settings,
    store: Store,
}

impl InDatabase {
    async fn on(settings: Settings) -> Self {
        let store = Store::open(&Location::MongoDb(settings.clone()), &collections())
            .await
            .unwrap();
        Self { settings, store }
    }
}

impl Fixture for InDatabase {
    async fn start() -> Self {
        let database = format!("it_{}", uuid::Uuid::new_v4().simple());
        let uri = std::env::var("MARQUEE_TEST_MONGODB").unwrap();
        Self::on(Settings { uri, database }).await
    }

    fn store(&self) -> Store {
        self.store.clone()
    }

    async fn restart(self) -> Self {
        let settings = self.settings.clone();
        drop(self.store);
        Self::on(settings).await
    }
}

marquee_documents::suite!(InDatabase, ignore = "needs mongodb");
