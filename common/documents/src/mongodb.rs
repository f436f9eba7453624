//! Documents in a database of a MongoDB replica set, which any number of processes share.
//!
//! ```text
//!  marquee_counters  value of each counter           marquee_requests  answers, deleted by age
//!  marquee_outbox    messages, by cluster time       marquee_leases    who relays
//!  <collection>      { _id, etag, body }
//! ```
//!
//! Everything is written with the majority's acknowledgement and read from the primary as the majority has it. There is
//! no cache: others write too.

mod commit;
mod committer;
mod failure;
mod feed;
mod json;
mod outbox;
mod plan;
mod schema;
mod select;
mod server;
mod single;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use marquee_bus::outbox::Outbox;
use marquee_telemetry::db::Operation;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{ClientOptions, Hint, ReadConcern, SelectionCriteria};

use crate::backend::{Backend, Feed, Raw, RawPage};
use crate::page_token;
use crate::request::Key;
use crate::{Collection, Committed, Error, Etag, Query, Transaction};
use committer::Committer;
use outbox::MongoOutbox;
use plan::Prepared;
use select::Range;
use server::Server;

/// Connections to a server at most, if the address does not say (`maxPoolSize`).
const CONNECTIONS: u32 = 24;

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// `mongodb://[user:password@]host:port[,...]/?replicaSet=...`. A replica set, since transactions need one. Its
    /// options count, but for those of reading and writing.
    pub uri: String,
    /// The database; made when it is not there.
    pub database: String,
}

impl fmt::Debug for Settings {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("uri", &redacted(&self.uri))
            .field("database", &self.database)
            .finish()
    }
}

fn redacted(uri: &str) -> String {
    let (scheme, rest) = uri.split_once("://").unwrap_or(("", uri));
    // A password may hold anything, but the hosts hold no `@`.
    let (secret, hosts) = rest
        .rsplit_once('@')
        .map_or((false, rest), |(_, hosts)| (true, hosts));
    let hosts = hosts.split('?').next().unwrap_or_default();
    let secret = if secret { "***@" } else { "" };
    format!("{scheme}://{secret}{hosts}")
}

/// How long an operation waits for a primary.
const SELECTION: Duration = Duration::from_secs(3);

pub(crate) struct MongoDb {
    server: Arc<Server>,
    collections: Vec<&'static str>,
    committer: Committer,
    outbox: Arc<MongoOutbox>,
}

impl MongoDb {
    /// Asks nothing of the server; what is declared is made by whoever comes first.
    pub(crate) async fn open(settings: &Settings, collections: &[Collection]) -> Result<Self, Error> {
        schema::check(collections)?;
        let mut options = ClientOptions::parse(&settings.uri).await.map_err(|error| {
            // The driver's message may quote what it cannot read.
            let kind = match *error.kind {
                mongodb::error::ErrorKind::DnsResolve { .. } => "its host cannot be resolved",
                _ => "it is not of the form mongodb://host:port/?replicaSet=name",
            };
            Error::other(format!(
                "the address {} cannot be used: {kind}",
                redacted(&settings.uri)
            ))
        })?;
        options.app_name = Some(server::application(&settings.database));
        options.server_selection_timeout.get_or_insert(SELECTION);
        options.connect_timeout.get_or_insert(SELECTION);
        options.write_concern = Some(commit::durable());
        options.read_concern = Some(ReadConcern::majority());
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(
            mongodb::options::ReadPreference::Primary,
        ));
        options.retry_writes = Some(true);
        options.retry_reads = Some(true);
        let connections = *options.max_pool_size.get_or_insert(CONNECTIONS);
        let client = Client::with_options(options).map_err(Error::other)?;
        let server = Server::new(client.database(&settings.database), collections, connections);
        Ok(Self {
            committer: Committer::begin(server.clone()),
            outbox: Arc::new(outbox::open(server.clone())),
            collections: collections.iter().map(|collection| collection.name).collect(),
            server,
        })
    }

    async fn known(&self, name: &str) -> Result<(), Error> {
        if !self.collections.contains(&name) {
            return Err(Error::other(format!(
                "the collection `{name}` was not declared when the store was opened"
            )));
        }
        self.server.declared().await
    }

    fn documents(&self, collection: Collection) -> mongodb::Collection<Document> {
        self.server.database.collection(collection.name)
    }

    async fn find(
        &self,
        collection: Collection,
        range: &Range,
        limit: usize,
    ) -> Result<Vec<Document>, Error> {
        let documents = self.documents(collection);
        let range = range.clone();
        let found = async move {
            let mut find = documents
                .find(range.filter())
                .hint(Hint::Keys(range.keys))
                .sort(range.sort)
                .limit(i64::try_from(limit).unwrap_or(i64::MAX))
                .batch_size(u32::try_from(limit + 1).unwrap_or(u32::MAX));
            if let Some(min) = range.min {
                find = find.min(min);
            }
            if let Some(max) = range.max {
                find = find.max(max);
            }
            let found = async { find.await?.try_collect().await };
            match found.await {
                // Nothing lies between them.
                Err(error) if failure::code(&error) == Some(MIN_NOT_BELOW_MAX) => Ok(Vec::new()),
                found => found,
            }
        };
        Ok(self.server.ask(found).await?)
    }
}

/// The server refuses a range that ends where it begins, or before.
const MIN_NOT_BELOW_MAX: i32 = 51_175;

/// Measured until it is dropped.
fn timing(operation: &'static str, collection: &'static str) -> Operation {
    Operation::begin("mongodb", operation, collection)
}

/// Takes the document apart.
fn decoded(collection: Collection, mut document: Document) -> Result<(Raw, String, Document), Error> {
    let (Some(Bson::String(id)), Some(Bson::String(etag)), Some(Bson::Document(body))) = (
        document.remove("_id"),
        document.remove("etag"),
        document.remove("body"),
    ) else {
        return Err(Error::other("a damaged document"));
    };
    let json = json::to_json(Bson::Document(body.clone()))?;
    let value = (collection.decode_value)(json).map_err(Error::other)?;
    let Ok(etag) = Etag::from_str(&etag);
    Ok((Raw { value, etag }, id, body))
}

#[async_trait]
impl Backend for MongoDb {
    async fn get(&self, collection: Collection, id: &str) -> Result<Option<Raw>, Error> {
        self.known(collection.name).await?;
        let _timing = timing("get", collection.name);
        let documents = self.documents(collection);
        let id = doc! { "_id": id };
        let found = self
            .server
            .ask(async move { documents.find_one(id).await })
            .await?;
        found
            .map(|document| Ok(decoded(collection, document)?.0))
            .transpose()
    }

    async fn get_many(&self, collection: Collection, ids: Vec<String>) -> Result<Vec<(String, Raw)>, Error> {
        self.known(collection.name).await?;
        let _timing = timing("get_many", collection.name);
        let documents = self.documents(collection);
        let find = async move {
            let found = documents.find(doc! { "_id": { "$in": ids } }).await?;
            found.try_collect::<Vec<_>>().await
        };
        let found = self.server.ask(find).await?;
        found
            .into_iter()
            .map(|document| decoded(collection, document).map(|(raw, id, _)| (id, raw)))
            .collect()
    }

    async fn query(&self, collection: Collection, query: Query) -> Result<RawPage, Error> {
        let range = Range::of(collection, &query)?;
        self.known(collection.name).await?;
        let _timing = timing("query", collection.name);
        let found = self.find(collection, &range, query.limit + 1).await?;
        let more = found.len() > query.limit;
        let (mut items, mut next_page_token) = (Vec::with_capacity(found.len()), None);
        for document in found.into_iter().take(query.limit) {
            let (raw, id, body) = decoded(collection, document)?;
            items.push(raw);
            if more && items.len() == query.limit {
                let place = range.place(&id, &body)?;
                next_page_token = Some(page_token::encode(collection.name, &query, &place)?);
            }
        }
        Ok(RawPage {
            items,
            next_page_token,
        })
    }

    async fn explain(&self, collection: Collection, query: Query) -> Result<String, Error> {
        let range = Range::of(collection, &query)?;
        self.known(collection.name).await?;
        let mut find = doc! {
            "find": collection.name,
            "filter": range.filter(),
            "hint": range.keys,
            "sort": range.sort,
            "limit": i64::try_from(query.limit + 1).unwrap_or(i64::MAX),
        };
        find.extend(range.min.map(|min| ("min".to_owned(), Bson::Document(min))));
        find.extend(range.max.map(|max| ("max".to_owned(), Bson::Document(max))));
        let command = doc! { "explain": find, "verbosity": "executionStats" };
        let explain = self.server.database.clone();
        let plan = self
            .server
            .ask(async move { explain.run_command(command).await })
            .await?;
        Ok(plan.to_string())
    }

    async fn count(&self, collection: Collection, query: Query) -> Result<u64, Error> {
        let range = Range::of(collection, &query)?;
        self.known(collection.name).await?;
        let _timing = timing("count", collection.name);
        let documents = self.documents(collection);
        let counted = async move {
            documents
                .count_documents(range.matching())
                .hint(Hint::Keys(range.keys))
                .await
        };
        Ok(self.server.ask(counted).await?)
    }

    async fn counter(&self, name: &str) -> Result<i64, Error> {
        self.server.declared().await?;
        let _timing = timing("counter", "");
        let counters = self.server.database.collection::<Document>(schema::COUNTERS);
        let name = name.to_owned();
        let found = self
            .server
            .ask(async move { counters.find_one(doc! { "_id": name }).await })
            .await?;
        Ok(found.and_then(|found| found.get_i64("value").ok()).unwrap_or(0))
    }

    async fn commit(&self, transaction: Transaction) -> Result<Committed, Error> {
        for name in transaction.collections() {
            self.known(name).await?;
        }
        self.server.declared().await?;
        let _timing = timing("commit", transaction.collection());
        let prepared = Prepared::of(transaction)?;
        if prepared.ops.is_empty() || prepared.single {
            let _place = self.server.place().await?;
            single::commit(&self.server, prepared).await
        } else {
            self.committer.commit(prepared).await
        }
    }

    async fn replay(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        self.server.declared().await?;
        let _timing = timing("replay", "");
        let requests = self.server.database.collection::<Document>(schema::REQUESTS);
        let id = plan::request_id(key);
        let found = self
            .server
            .ask(async move { requests.find_one(doc! { "_id": id }).await })
            .await?;
        let Some(found) = found.filter(|row| !server::is_old(row)) else {
            return Ok(None);
        };
        let bytes = |name: &str| {
            found
                .get_binary_generic(name)
                .map_err(|_| Error::other("a damaged row of a request"))
        };
        if *bytes("body")? != key.body {
            return Err(Error::RequestIdReused);
        }
        Ok(Some(bytes("response")?.clone()))
    }

    async fn ready(&self) -> Result<(), String> {
        self.server.declared().await.map_err(|error| error.to_string())?;
        self.server
            .ping()
            .await
            .map_err(|failure| Error::from(failure).to_string())
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        self.outbox.clone()
    }

    fn changes(&self, collection: Collection) -> Box<dyn Feed> {
        Box::new(feed::ChangeStream::new(self.server.clone(), collection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_an_address_has_no_password() {
        let settings = Settings {
            uri: "mongodb://user:p@ss@one:27017,two:27017/?replicaSet=rs0&authSource=admin".to_owned(),
            database: "events".to_owned(),
        };
        let shown = format!("{settings:?}");
        assert!(!shown.contains("p@ss") && !shown.contains("user"), "{shown}");
        assert!(shown.contains("one:27017,two:27017"), "{shown}");
    }
}
