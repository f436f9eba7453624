//! The MongoDB backend: the suite, and what it alone promises.
#![cfg(feature = "mongodb")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod changes;
mod indexes;
mod outages;
mod relays;

use std::time::Duration;

use marquee_backends::Backend;
use marquee_documents::mongodb::Settings;
use marquee_documents::testing::{Fixture, collections};
use marquee_documents::{Location, Store};
use mongodb::Client;

/// A database of its own, dropped at the end.
struct Database(Settings);

impl Database {
    fn new() -> Self {
        Self::on(marquee_backends::address(Backend::MongoDb))
    }

    fn on(uri: String) -> Self {
        let database = format!("it_{}", uuid::Uuid::new_v4().simple());
        Self(Settings { uri, database })
    }

    fn location(&self) -> Location {
        Location::MongoDb(self.0.clone())
    }

    /// The store of a process.
    async fn store(&self) -> Store {
        Store::open(&self.location(), &collections()).await.unwrap()
    }

    async fn client(&self) -> mongodb::Database {
        let client = Client::with_uri_str(&self.0.uri).await.unwrap();
        client.database(&self.0.database)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let settings = self.0.clone();
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let client = Client::with_uri_str(&settings.uri).await.unwrap();
                let drop = client.database(&settings.database);
                tokio::time::timeout(Duration::from_secs(10), async { drop.drop().await }).await
            })
        });
        drop(dropped.join());
    }
}

struct InDatabase {
    database: Database,
    store: Store,
}

impl Fixture for InDatabase {
    async fn start() -> Self {
        Self::open(Database::new()).await
    }

    fn store(&self) -> Store {
        self.store.clone()
    }

    const SHARED: bool = true;

    async fn another(&self) -> Store {
        self.database.store().await
    }

    fn location(&self) -> Location {
        self.database.location()
    }

    type Data = Database;

    fn close(self) -> Database {
        self.database
    }

    async fn open(database: Database) -> Self {
        let store = database.store().await;
        Self { database, store }
    }
}

marquee_documents::suite!(InDatabase, ignore = "needs mongodb");

/// Asks until there is an answer.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(60), asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited in vain: {what}"),
    }
}
