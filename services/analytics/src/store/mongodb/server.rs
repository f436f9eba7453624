//! The connection, and what has to be there before anything is written.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::{
    Acknowledgment, ClientOptions, IndexOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Database, IndexModel};
use tokio::sync::OnceCell;

use super::super::Error;
use super::Settings;
use super::failure::{Failure, NO_REPLICA_SET};

pub(super) const PARTITIONS: &str = "partition";
pub(super) const OWNERS: &str = "owner";
pub(super) const SESSIONS: &str = "session";
pub(super) const TOTALS: &str = "totals";
pub(super) const VIEWERS: &str = "viewer";
pub(super) const CHANNELS: &str = "channel";
pub(super) const EVENTS: &str = "event";

const ALL: [&str; 7] = [PARTITIONS, OWNERS, SESSIONS, TOTALS, VIEWERS, CHANNELS, EVENTS];

/// How long a server is looked for, and a connection may take, where the connection string says nothing.
const REACHED_WITHIN: Duration = Duration::from_secs(2);

/// How often a server is looked at. A change of the primary is noticed by the operations that fail, too.
const HEARTBEAT: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(super) struct Server(Arc<Inner>);

struct Inner {
    database: Database,
    prepared: OnceCell<()>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.0.database.name()).finish()
    }
}

impl Server {
    pub(super) async fn new(settings: &Settings) -> Result<Self, Error> {
        let name = &settings.database;
        if name.is_empty() || name.len() > 63 || name.contains(['/', '\\', '.', ' ', '"', '$', '\0']) {
            return Err(Error::Settings(format!("`{name}` cannot be a database's name")));
        }
        // The driver's message may repeat parts of the string.
        let wrong = |error: mongodb::error::Error| {
            let hint = if settings.uri.expose().starts_with("mongodb+srv") {
                "mongodb+srv is not supported, name the hosts"
            } else if error.to_string().contains("scheme") {
                "it must begin with mongodb://"
            } else {
                "it must be like mongodb://user:password@host:27017,host:27017/?replicaSet=rs0"
            };
            Error::Settings(format!("the connection string of mongodb is wrong: {hint}"))
        };
        let mut options = ClientOptions::parse(settings.uri.expose()).await.map_err(wrong)?;
        options
            .app_name
            .get_or_insert_with(|| "marquee-analytics".to_owned());
        options.server_selection_timeout.get_or_insert(REACHED_WITHIN);
        options.connect_timeout.get_or_insert(REACHED_WITHIN);
        options.heartbeat_freq.get_or_insert(HEARTBEAT);
        options.retry_writes = Some(true);
        options.retry_reads = Some(true);
        // What is read decides what is written: always from the primary, and never what a fail-over may take back.
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        options.read_concern = Some(ReadConcern::majority());
        options.write_concern = Some(majority());
        let client = Client::with_options(options).map_err(wrong)?;
        Ok(Self(Arc::new(Inner {
            database: client.database(&settings.database),
            prepared: OnceCell::new(),
        })))
    }

    /// The database, once it has what is needed.
    pub(super) async fn database(&self) -> Result<&Database, Failure> {
        let database = &self.0.database;
        self.0.prepared.get_or_try_init(|| prepare(database)).await?;
        Ok(database)
    }
}

pub(super) fn majority() -> WriteConcern {
    WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .build()
}

/// Makes what is missing; every process does, so it may be there by the time.
async fn prepare(database: &Database) -> Result<(), Failure> {
    let hello = database.run_command(doc! { "hello": 1 }).await?;
    let sharded = hello.get_str("msg").is_ok_and(|told| told == "isdbgrid");
    if !sharded && !hello.contains_key("setName") {
        return Err(Error::Refused(NO_REPLICA_SET.to_owned()).into());
    }
    let there = database.list_collection_names().await?;
    for name in ALL
        .into_iter()
        .filter(|name| !there.iter().any(|there| there == name))
    {
        let mut create = doc! { "create": name, "writeConcern": { "w": "majority" } };
        if name == PARTITIONS {
            create.insert("validator", balanced());
        }
        match database.run_command(create).await {
            Err(error) if exists(&error) => {}
            result => result.map(drop)?,
        }
    }
    let index = |keys: Document, partial: Option<Document>| {
        let options = IndexOptions::builder().partial_filter_expression(partial).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    let sessions = database.collection::<Document>(SESSIONS);
    let unstarted = doc! { "over": false, "started": false };
    sessions
        .create_indexes([
            index(doc! { "last_received_ms": 1 }, None),
            index(doc! { "event": 1, "last_received_ms": 1 }, Some(unstarted)),
        ])
        .await?;
    Ok(())
}

/// The promise that the database holds: what was produced is accounted for.
fn balanced() -> Document {
    let accounted = doc! { "$add": ["$counted", "$late", "$malformed", "$duplicate"] };
    let produced = doc! { "$subtract": [{ "$add": ["$earlier", "$next_offset"] }, "$skipped"] };
    doc! { "$expr": { "$eq": [accounted, produced] } }
}

fn exists(error: &mongodb::error::Error) -> bool {
    matches!(&*error.kind, mongodb::error::ErrorKind::Command(command) if command.code == 48)
}
