//! The store on real servers does what every store does, and bears what happens to servers.

use std::thread;

use marquee_backends::Backend;

use super::*;
use crate::store::suite;

/// An index of its own on a server that others use too.
struct OnServer {
    settings: Settings,
    store: Elasticsearch,
}

impl OnServer {
    fn on(backend: Backend) -> Self {
        let settings = Settings {
            index_prefix: format!("it-{}", uuid::Uuid::new_v4().simple()),
            ..Settings::new(marquee_backends::address(backend))
        };
        let store = Elasticsearch::open(&settings).unwrap();
        Self { settings, store }
    }

    fn reopened(&self) -> Elasticsearch {
        Elasticsearch::open(&self.settings).unwrap()
    }
}

impl Drop for OnServer {
    fn drop(&mut self) {
        let settings = self.settings.clone();
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let removed = runtime.map(|runtime| runtime.block_on(Elasticsearch::remove(&settings)));
            drop(removed);
        };
        drop(thread::spawn(remove).join());
    }
}

macro_rules! fixture {
    ($name:ident, $backend:expr) => {
        struct $name(OnServer);

        impl suite::Fixture for $name {
            type Store = Elasticsearch;

            async fn start() -> Self {
                Self(OnServer::on($backend))
            }

            fn store(&self) -> &Elasticsearch {
                &self.0.store
            }

            fn another(&self) -> Elasticsearch {
                self.0.reopened()
            }

            fn reopen(&mut self) {
                self.0.store = self.0.reopened();
            }
        }
    };
}

mod version_7 {
    use super::*;

    fixture!(Version7, Backend::Elasticsearch);
    suite::suite!(Version7, ignore = "needs elasticsearch");
}

mod version_8 {
    use super::*;

    fixture!(Version8, Backend::Elasticsearch8);
    suite::suite!(Version8, ignore = "needs elasticsearch8");
}

mod trouble;
