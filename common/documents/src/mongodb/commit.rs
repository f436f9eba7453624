//! One try at a transaction of the server, and its outcome.

use std::collections::HashMap;
use std::time::Duration;

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{Acknowledgment, ReadConcern, WriteConcern};
use mongodb::{ClientSession, Database};
use tokio::time::Instant;

use super::failure::{self, Failure, OPERATION, within};
use super::plan::{self, Prepared, Step};
use super::schema;
use crate::{Committed, Error};

/// For so long a commit is asked for again whose outcome is not known: about what a server needs to come back.
const RESOLVE: Duration = Duration::from_secs(60);
/// How long the server may wait for its majority before it says that it waits.
const MAJORITY: Duration = Duration::from_secs(4);
/// Documents and bytes of one command.
const MOST_ITEMS: usize = 1_000;
const MOST_BYTES: usize = 8 << 20;

const DUPLICATE_KEY: i32 = 11_000;
const WRITE_CONFLICT: i32 = 112;

/// What a try came to.
pub(super) enum Outcome {
    Committed(Vec<Committed>),
    /// Nothing was kept, because of these; when there are none, it is not known of whom.
    Refused(Vec<(usize, Refusal)>),
    /// Nothing was kept; the same may be tried again.
    Again {
        why: String,
        conflict: bool,
    },
    /// It cannot be found out whether it was kept.
    Unknown(String),
}

/// Why one of the transactions cannot be.
#[derive(Debug)]
pub(super) enum Refusal {
    Error(Error),
    /// There is a row for this request already, which says what that means.
    Remembered(Document),
}

/// Why the commands stopped.
enum Stop {
    Failed(Failure),
    Refused(Vec<(usize, Refusal)>),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

pub(super) fn durable() -> WriteConcern {
    WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .w_timeout(MAJORITY)
        .build()
}

/// Tries to commit the transactions as one of the server's; each write in its order when there is but one and `ordered`.
pub(super) async fn attempt(database: &Database, group: &[&Prepared], ordered: bool) -> Outcome {
    let steps = match group {
        [alone] if ordered || !alone.reorderable => plan::in_order(alone),
        group => plan::together(group),
    };
    let mut session = match within(OPERATION, async { database.client().start_session().await }).await {
        Ok(session) => session,
        Err(failure) => return stopped(failure),
    };
    let begun = async {
        session
            .start_transaction()
            .read_concern(ReadConcern::snapshot())
            .write_concern(durable())
            .await
    };
    if let Err(failure) = within(OPERATION, begun).await {
        return stopped(failure);
    }
    let mut counters = vec![Vec::new(); group.len()];
    for step in &steps {
        if let Err(stop) = apply(database, &mut session, step, &mut counters).await {
            // The server ends it by itself when it does not hear of this.
            drop(within(OPERATION, async { session.abort_transaction().await }).await);
            return match stop {
                Stop::Failed(failure) => stopped(failure),
                Stop::Refused(refused) => Outcome::Refused(refused),
            };
        }
    }
    match commit(&mut session).await {
        Ok(()) => Outcome::Committed(
            group
                .iter()
                .zip(counters)
                .map(|(prepared, counters)| Committed {
                    etags: prepared.etags.clone(),
                    counters,
                })
                .collect(),
        ),
        Err(failure) => stopped(failure),
    }
}

fn stopped(failure: Failure) -> Outcome {
    match failure {
        Failure::Again { why, conflict } => Outcome::Again { why, conflict },
        Failure::Unknown(why) => Outcome::Unknown(why),
        Failure::Refused(error) => Outcome::Refused(vec![(0, Refusal::Error(error))]),
    }
}

/// Commits. The server knows each transaction by its session and number, across restarts and elections: asking again is
/// answered as the first time was, or with "no such transaction", which was then not committed.
async fn commit(session: &mut ClientSession) -> Result<(), Failure> {
    let until = Instant::now() + RESOLVE;
    let mut tries = 0;
    loop {
        let why = match tokio::time::timeout(OPERATION, async { session.commit_transaction().await }).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => match Failure::of(&error) {
                // Not labelled as transient by the server, so that it may have been committed all the same.
                Failure::Again { why, .. }
                    if !error.contains_label(mongodb::error::TRANSIENT_TRANSACTION_ERROR) =>
                {
                    why
                }
                Failure::Unknown(why) => why,
                failure => return Err(failure),
            },
            Err(_) => format!("no answer within {} s", OPERATION.as_secs()),
        };
        if Instant::now() >= until {
            return Err(Failure::Unknown(why));
        }
        tries += 1;
        tracing::warn!(
            why,
            tries,
            "the outcome of a commit is not known yet, asking again"
        );
        tokio::time::sleep(Duration::from_millis(50 << tries.min(5))).await;
    }
}

async fn apply(
    database: &Database,
    session: &mut ClientSession,
    step: &Step,
    counters: &mut [Vec<i64>],
) -> Result<(), Stop> {
    match step {
        Step::Insert { collection, items } => {
            for items in chunks(items) {
                let documents: Vec<Bson> = bsons(items);
                let command = doc! { "insert": *collection, "documents": documents };
                run(database, session, command, items).await?;
            }
        }
        Step::Update { collection, items } => {
            for items in chunks(items) {
                let statements: Vec<Bson> = bsons(items);
                let command = doc! { "update": *collection, "updates": statements };
                if run(database, session, command, items).await? < items.len() {
                    return Err(missed_updates(database, session, collection, items).await?);
                }
            }
        }
        Step::Delete { collection, items } => {
            for items in chunks(items) {
                let statements: Vec<Bson> = bsons(items);
                let command = doc! { "delete": *collection, "deletes": statements };
                if run(database, session, command, items).await? < items.len() {
                    return Err(missed_deletions(database, session, collection, items).await?);
                }
            }
        }
        Step::Count { items } => {
            for items in items.chunks(MOST_ITEMS) {
                count(database, session, items, counters).await?;
            }
        }
    }
    Ok(())
}

fn bsons(items: &[(usize, Document)]) -> Vec<Bson> {
    items
        .iter()
        .map(|(_, document)| Bson::from(document.clone()))
        .collect()
}

fn chunks(items: &[(usize, Document)]) -> impl Iterator<Item = &[(usize, Document)]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |(_, document): &&(usize, Document)| {
            bytes += size(&Bson::Document((*document).clone()));
            bytes <= MOST_BYTES
        };
        let fitting = rest.iter().take(MOST_ITEMS).take_while(fits).count().max(1);
        (!rest.is_empty()).then(|| {
            let (chunk, left) = rest.split_at(fitting);
            rest = left;
            chunk
        })
    })
}

/// About how many bytes it is.
fn size(value: &Bson) -> usize {
    match value {
        Bson::Document(fields) => fields
            .iter()
            .map(|(name, value)| name.len() + 2 + size(value))
            .sum(),
        Bson::Array(values) => values.iter().map(|value| 8 + size(value)).sum(),
        Bson::String(text) => text.len() + 5,
        Bson::Binary(binary) => binary.bytes.len() + 5,
        _ => 12,
    }
}

/// Runs a command of writes; how many documents it met.
async fn run(
    database: &Database,
    session: &mut ClientSession,
    command: Document,
    items: &[(usize, Document)],
) -> Result<usize, Stop> {
    let reply = within(OPERATION, async {
        database.run_command(command).session(session).await
    })
    .await?;
    if let Some(error) = reply
        .get_array("writeErrors")
        .ok()
        .and_then(|errors| errors.first())
        .and_then(Bson::as_document)
    {
        return Err(refused(error, items));
    }
    Ok(number(reply.get("n"))
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(0))
}

fn number(value: Option<&Bson>) -> Option<i64> {
    match value? {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a count that some servers send as a double"
        )]
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

/// What the server says of one of the items.
fn refused(error: &Document, items: &[(usize, Document)]) -> Stop {
    let message = error.get_str("errmsg").unwrap_or_default();
    let code = number(error.get("code")).and_then(|code| i32::try_from(code).ok());
    let at = number(error.get("index")).and_then(|at| usize::try_from(at).ok());
    let item = at.and_then(|at| items.get(at));
    let conflict = |why: &str| {
        Stop::Failed(Failure::Again {
            why: why.to_owned(),
            conflict: true,
        })
    };
    match (code, item) {
        (Some(WRITE_CONFLICT), _) => conflict(message),
        (Some(DUPLICATE_KEY), Some((member, document))) => {
            let (collection, index) = failure::duplicate(message);
            if collection == schema::REQUESTS {
                return Stop::Refused(vec![(*member, Refusal::Remembered(document.clone()))]);
            }
            // Two that would each make a document unless it is there: the second one finds it the next time.
            if index == "id" && document.contains_key("upsert") {
                return conflict("two transactions made the same document");
            }
            Stop::Refused(vec![(
                *member,
                Refusal::Error(Error::AlreadyExists { collection, index }),
            )])
        }
        (_, Some((member, _))) if *member != usize::MAX => Stop::Refused(vec![(
            *member,
            Refusal::Error(Error::other(format!("mongodb: {message}"))),
        )]),
        _ => Stop::Failed(Failure::Refused(Error::other(format!("mongodb: {message}")))),
    }
}

fn id(statement: &Document) -> Option<&str> {
    statement.get_document("q").ok()?.get_str("_id").ok()
}

/// The etags of what the statements are about, as the transaction sees them.
async fn etags(
    database: &Database,
    session: &mut ClientSession,
    collection: &str,
    items: &[(usize, Document)],
) -> Result<HashMap<String, String>, Failure> {
    let ids: Vec<&str> = items.iter().filter_map(|(_, statement)| id(statement)).collect();
    let documents = database.collection::<Document>(collection);
    let found = within(OPERATION, async {
        let mut cursor = documents
            .find(doc! { "_id": { "$in": ids } })
            .projection(doc! { "etag": 1 })
            .session(&mut *session)
            .await?;
        let found: Vec<Document> = cursor.stream(session).try_collect().await?;
        Ok(found)
    })
    .await?;
    Ok(found
        .into_iter()
        .filter_map(|document| {
            let (id, etag) = (document.get_str("_id").ok()?, document.get_str("etag").ok()?);
            Some((id.to_owned(), etag.to_owned()))
        })
        .collect())
}

fn not_found(collection: &str, id: &str) -> Refusal {
    Refusal::Error(Error::NotFound {
        collection: collection.to_owned(),
        id: id.to_owned(),
    })
}

/// Whose replacements met no document.
async fn missed_updates(
    database: &Database,
    session: &mut ClientSession,
    collection: &str,
    items: &[(usize, Document)],
) -> Result<Stop, Failure> {
    let found = etags(database, session, collection, items).await?;
    let missed = items.iter().filter_map(|(member, statement)| {
        let id = id(statement)?;
        let new = statement.get_document("u").ok()?.get_str("etag").ok()?;
        match found.get(id) {
            Some(etag) if etag == new => None,
            Some(_) => Some((*member, Refusal::Error(Error::Conflict))),
            None => Some((*member, not_found(collection, id))),
        }
    });
    Ok(Stop::Refused(missed.collect()))
}

/// Whose deletions met no document: those of what is still there; of what is gone only if there was but one.
async fn missed_deletions(
    database: &Database,
    session: &mut ClientSession,
    collection: &str,
    items: &[(usize, Document)],
) -> Result<Stop, Failure> {
    let found = etags(database, session, collection, items).await?;
    let mut missed: Vec<_> = items
        .iter()
        .filter(|(_, statement)| id(statement).is_some_and(|id| found.contains_key(id)))
        .map(|(member, _)| (*member, Refusal::Error(Error::Conflict)))
        .collect();
    if let ([(member, statement)], true) = (items, missed.is_empty()) {
        missed.push((*member, not_found(collection, id(statement).unwrap_or_default())));
    }
    Ok(Stop::Refused(missed))
}

async fn count(
    database: &Database,
    session: &mut ClientSession,
    items: &[(usize, String, i64)],
    counters: &mut [Vec<i64>],
) -> Result<(), Stop> {
    let statements: Vec<(usize, Document)> = items
        .iter()
        .map(|(member, counter, delta)| {
            let statement =
                doc! { "q": { "_id": counter }, "u": { "$inc": { "value": delta } }, "upsert": true };
            (*member, statement)
        })
        .collect();
    let command = doc! { "update": schema::COUNTERS, "updates": bsons(&statements) };
    run(database, session, command, &statements).await?;
    let names: Vec<&str> = items.iter().map(|(_, counter, _)| counter.as_str()).collect();
    let collection = database.collection::<Document>(schema::COUNTERS);
    let found: Vec<Document> = within(OPERATION, async {
        let mut cursor = collection
            .find(doc! { "_id": { "$in": names } })
            .session(&mut *session)
            .await?;
        cursor.stream(session).try_collect().await
    })
    .await?;
    let last: HashMap<String, i64> = found
        .into_iter()
        .filter_map(|document| {
            Some((
                document.get_str("_id").ok()?.to_owned(),
                number(document.get("value"))?,
            ))
        })
        .collect();
    for (member, value) in plan::counted(items, &last) {
        counters[member].push(value);
    }
    Ok(())
}
