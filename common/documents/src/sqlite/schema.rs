//! Tables and indexes: what is declared is made when it is missing, and indexes that are declared no more are dropped.

use std::collections::{BTreeMap, BTreeSet};

use marquee_sqlite::Database;
use rusqlite::Connection;

use crate::{Collection, Error, Index};

pub(super) const MIGRATION: &str = "
CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE requests(
    caller TEXT NOT NULL,
    rpc TEXT NOT NULL,
    request_id TEXT NOT NULL,
    body BLOB NOT NULL,      -- hash of the request
    response BLOB NOT NULL,
    made_ms INTEGER NOT NULL,
    PRIMARY KEY (caller, rpc, request_id)
) WITHOUT ROWID;
CREATE INDEX requests_by_age ON requests(made_ms);
";

/// Between a collection's and an index's name. Neither may contain it.
const SEPARATOR: &str = "__by__";

pub(super) fn table(collection: &str) -> String {
    format!("\"documents_{collection}\"")
}

/// The value of a field in the body, as indexes and queries must both say it for one to be used by the other.
pub(super) fn field(path: &str) -> String {
    let path: String = path.split('.').map(|segment| format!(".\"{segment}\"")).collect();
    format!("json_extract(body, '${path}')")
}

/// The collection and index that a violated constraint is about, as SQLite names it.
pub(super) fn violated(constraint: &str) -> (String, String) {
    match constraint
        .strip_prefix("documents_")
        .and_then(|name| name.split_once(SEPARATOR))
    {
        Some((collection, index)) => (collection.to_owned(), index.to_owned()),
        None => {
            let table = constraint.split('.').next().unwrap_or_default();
            (
                table.strip_prefix("documents_").unwrap_or(table).to_owned(),
                "id".to_owned(),
            )
        }
    }
}

fn create_index(collection: &str, index: &Index) -> (String, String) {
    let name = format!("documents_{collection}{SEPARATOR}{}", index.name);
    let fields: Vec<String> = index.fields.iter().map(|path| field(path)).collect();
    let unique = if index.unique { "UNIQUE " } else { "" };
    // The table's key, the id, is in every index of a table without rowid, which makes the order total.
    let sql = format!(
        "CREATE {unique}INDEX \"{name}\" ON {}({})",
        table(collection),
        fields.join(", ")
    );
    (name, sql)
}

pub(super) fn declare(database: &Database, collections: &[Collection]) -> Result<(), Error> {
    for collection in collections {
        let names = collection
            .indexes
            .iter()
            .map(|index| index.name)
            .chain([collection.name]);
        let fields = collection.indexes.iter().flat_map(|index| index.fields).copied();
        let fine = |name: &str, more: &str| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || more.contains(c))
        };
        // They go into SQL as they are.
        if !names
            .into_iter()
            .all(|name| fine(name, "") && !name.contains(SEPARATOR))
            || !fields.into_iter().all(|f| fine(f, "."))
        {
            return Err(Error::other(format!(
                "the collection `{}` has a name or field that is none",
                collection.name
            )));
        }
    }
    let mut wanted = BTreeMap::new();
    for collection in collections {
        wanted.extend(
            collection
                .indexes
                .iter()
                .map(|index| create_index(collection.name, index)),
        );
    }
    let tables: BTreeSet<&str> = collections.iter().map(|collection| collection.name).collect();
    database.write_now(move |tx| {
        for collection in tables {
            tx.execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS {}(id TEXT PRIMARY KEY, etag TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID",
                table(collection)
            ))?;
        }
        let found = indexes(tx)?;
        for name in found.iter().filter(|(name, sql)| wanted.get(*name) != Some(*sql)).map(|(name, _)| name) {
            tx.execute_batch(&format!("DROP INDEX \"{name}\""))?;
        }
        for (name, sql) in wanted.iter().filter(|(name, sql)| found.get(*name) != Some(*sql)) {
            tracing::debug!(index = name, "making an index");
            tx.execute_batch(sql).map_err(|error| super::write::refused(error.into()))?;
        }
        Ok::<_, Error>(())
    })
}

fn indexes(connection: &Connection) -> Result<BTreeMap<String, String>, Error> {
    let mut statement = connection
        .prepare("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND name LIKE 'documents!_%' ESCAPE '!' AND sql IS NOT NULL")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
