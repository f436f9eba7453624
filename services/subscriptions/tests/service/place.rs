//! Where a fixture keeps its data: in a folder, or on the PostgreSQL server if the environment says so.

use std::path::Path;

use marquee_config::Secret;
use marquee_subscriptions::Config;
use tempfile::TempDir;

/// It is gone when this is dropped.
pub(crate) struct Place {
    folder: TempDir,
    #[cfg(feature = "postgres")]
    schema: Option<crate::postgres::Schema>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            #[cfg(feature = "postgres")]
            schema: crate::postgres::is_wanted().then(crate::postgres::Schema::new),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration of a service that keeps its data here.
    pub(crate) fn config(&self, secret: Secret) -> Config {
        #[cfg_attr(not(feature = "postgres"), expect(unused_mut, reason = "one store alone"))]
        let mut config = Config::new(self.folder.path().join("subscriptions"), secret);
        #[cfg(feature = "postgres")]
        if let Some(schema) = &self.schema {
            config.store = marquee_subscriptions::Location::Postgres(schema.settings());
        }
        config
    }
}
