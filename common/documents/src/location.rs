use std::path::PathBuf;

/// Where a service keeps its documents.
#[derive(Debug, Clone)]
pub enum Location {
    /// In a file, made when it is not there, as is its folder. One process at a time.
    Sqlite(PathBuf),
    /// In a database of a MongoDB replica set, which any number of processes share.
    #[cfg(feature = "mongodb")]
    MongoDb(crate::mongodb::Settings),
}

impl Location {
    /// What it is on, as readiness names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            #[cfg(feature = "mongodb")]
            Self::MongoDb(_) => "mongodb",
        }
    }
}
