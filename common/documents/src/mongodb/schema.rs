//! Collections and indexes: what is declared is made when it is missing.
//!
//! Each declared index becomes one that ends with the id, which queries walk in order. A unique one becomes a second,
//! without the id, over the documents that have all of its fields. An index that is declared no more is left alone, since
//! a process of the version before may still use it; a unique one is dropped, since it would refuse what may be written
//! now, and no query uses it.

use futures::TryStreamExt;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::{Database, IndexModel};

use super::failure::{self, Failure};
use crate::{Collection, Error, Index};

pub(super) const COUNTERS: &str = "marquee_counters";
pub(super) const REQUESTS: &str = "marquee_requests";
pub(super) const OUTBOX: &str = "marquee_outbox";
pub(super) const LEASES: &str = "marquee_leases";

/// The lease of the outbox.
pub(super) const OUTBOX_LEASE: &str = "outbox";

/// How long answers are kept for replays.
pub(super) const REMEMBERED: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// Documents with the same values exist: a unique index cannot be made.
const DUPLICATE_KEY: i32 = 11_000;
const NAMESPACE_EXISTS: i32 = 48;
const NAMESPACE_NOT_FOUND: i32 = 26;

/// Before the names of unique indexes.
const UNIQUE: &str = "unique:";

/// Where a field lies in a document.
pub(super) fn path(field: &str) -> String {
    format!("body.{field}")
}

/// The keys of the index that gives a declared one's order.
pub(super) fn order(fields: &[&str]) -> Document {
    let mut keys: Document = fields.iter().map(|field| (path(field), Bson::Int32(1))).collect();
    keys.insert("_id", 1);
    keys
}

/// The declared name of an index that the server names.
pub(super) fn declared(name: &str) -> String {
    match name.strip_prefix(UNIQUE).and_then(|rest| rest.split(':').next()) {
        Some(name) => name.to_owned(),
        None => "id".to_owned(),
    }
}

fn unique_name(index: &Index) -> String {
    format!("{UNIQUE}{}:{}", index.name, index.fields.join(","))
}

fn models(collection: &Collection) -> Vec<IndexModel> {
    let mut models: Vec<IndexModel> = Vec::new();
    for index in collection.indexes {
        let keys = order(index.fields);
        // Two declared indexes may have the same fields.
        if models.iter().all(|model| model.keys != keys) {
            models.push(IndexModel::builder().keys(keys).build());
        }
        if index.unique {
            let keys: Document = index
                .fields
                .iter()
                .map(|field| (path(field), Bson::Int32(1)))
                .collect();
            let present: Document = index
                .fields
                .iter()
                .map(|field| {
                    let kinds = doc! { "$type": ["string", "number", "bool"] };
                    (path(field), Bson::Document(kinds))
                })
                .collect();
            let options = mongodb::options::IndexOptions::builder()
                .name(unique_name(index))
                .unique(true)
                .partial_filter_expression(present)
                .build();
            models.push(IndexModel::builder().keys(keys).options(options).build());
        }
    }
    models
}

/// Names go into namespaces and paths as they are.
pub(super) fn check(collections: &[Collection]) -> Result<(), Error> {
    let fine = |name: &str, more: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || more.contains(c))
    };
    for collection in collections {
        let fields = collection.indexes.iter().flat_map(|index| index.fields);
        if !fine(collection.name, "")
            || collection.name.starts_with("marquee_")
            || !collection.indexes.iter().all(|index| fine(index.name, ""))
            || !fields.into_iter().all(|field| fine(field, "."))
        {
            return Err(Error::other(format!(
                "the collection `{}` has a name or field that is none",
                collection.name
            )));
        }
    }
    Ok(())
}

/// Makes what is missing. [`Error::AlreadyExists`] when a unique index finds values that are not.
pub(super) async fn declare(database: &Database, collections: &[Collection]) -> Result<(), Error> {
    let own = [COUNTERS, REQUESTS, OUTBOX, LEASES];
    let found = database.list_collection_names().await.map_err(unavailable)?;
    let wanted = collections.iter().map(|collection| collection.name).chain(own);
    for name in wanted.filter(|name| !found.iter().any(|found| found == name)) {
        // Before any transaction, in which it would conflict with another one that does.
        match database.create_collection(name).await {
            Err(error) if failure::code(&error) != Some(NAMESPACE_EXISTS) => return Err(unavailable(error)),
            _ => {}
        }
    }
    for collection in collections {
        drop_undeclared(database, collection).await?;
        for model in models(collection) {
            let made = database
                .collection::<Document>(collection.name)
                .create_index(model.clone())
                .await;
            made.map_err(|error| refused(collection, &model, error))?;
        }
    }
    // There from the beginning, so that whoever finds none to take knows that somebody else has it.
    let lease = database
        .collection::<Document>(LEASES)
        .update_one(
            doc! { "_id": OUTBOX_LEASE },
            doc! { "$setOnInsert": { "holder": "", "until": DateTime::from_millis(0) } },
        )
        .upsert(true)
        .await;
    match lease {
        Err(error) if failure::code(&error) != Some(DUPLICATE_KEY) => return Err(unavailable(error)),
        _ => {}
    }
    let oldest_first = IndexModel::builder().keys(doc! { "at": 1 }).build();
    let outbox = database.collection::<Document>(OUTBOX);
    outbox.create_index(oldest_first).await.map_err(unavailable)?;
    let forgotten = IndexModel::builder()
        .keys(doc! { "made": 1 })
        .options(
            mongodb::options::IndexOptions::builder()
                .expire_after(REMEMBERED)
                .build(),
        )
        .build();
    let requests = database.collection::<Document>(REQUESTS);
    requests.create_index(forgotten).await.map_err(unavailable)?;
    Ok(())
}

async fn drop_undeclared(database: &Database, collection: &Collection) -> Result<(), Error> {
    let documents = database.collection::<Document>(collection.name);
    let found: Vec<IndexModel> = documents
        .list_indexes()
        .await
        .map_err(unavailable)?
        .try_collect()
        .await
        .map_err(unavailable)?;
    let wanted: Vec<String> = collection
        .indexes
        .iter()
        .filter(|index| index.unique)
        .map(unique_name)
        .collect();
    for model in found {
        let Some(name) = model.options.and_then(|options| options.name) else {
            continue;
        };
        if name.starts_with(UNIQUE) && !wanted.contains(&name) {
            tracing::info!(
                collection = collection.name,
                index = name,
                "dropping a unique index that is declared no more"
            );
            match documents.drop_index(&name).await {
                Err(error) if !matches!(failure::code(&error), Some(27 | NAMESPACE_NOT_FOUND)) => {
                    return Err(unavailable(error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn refused(collection: &Collection, model: &IndexModel, error: mongodb::error::Error) -> Error {
    let name = model.options.as_ref().and_then(|options| options.name.as_deref());
    match name {
        Some(name) if failure::code(&error) == Some(DUPLICATE_KEY) => Error::AlreadyExists {
            collection: collection.name.to_owned(),
            index: declared(name),
        },
        _ => unavailable(error),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: mongodb::error::Error) -> Error {
    Failure::of(&error).into()
}
