//! A single write of a document, which is atomic by itself and needs no transaction of the server.
//!
//! The driver repeats a write once that the network lost, in a way that the server does not do it twice. When that fails
//! too, the write is repeated here, and the document's etag, which nobody else can make, tells whether an earlier try was
//! done.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::{Collection, error};
use tokio::time::Instant;

use super::committer::PATIENCE;
use super::failure::{self, Failure, OPERATION};
use super::plan::{Op, Prepared};
use super::server::Server;
use crate::{Committed, Error};

const DUPLICATE_KEY: i32 = 11_000;

/// How long one try may take.
const TRY: Duration = Duration::from_secs(2);

/// How one try ended.
enum Tried {
    Done,
    /// It met no document.
    Missed,
    Failed(error::Error),
}

/// Writes it, or says why it cannot be.
pub(super) async fn commit(server: &Server, prepared: Prepared) -> Result<Committed, Error> {
    let Some(op) = prepared.ops.first() else {
        return Ok(committed(prepared));
    };
    let (collection, id) = target(op);
    let documents = server.database.collection::<Document>(collection);
    let began = Instant::now();
    let until = began + PATIENCE;
    // Whether an earlier try may have been done.
    let mut doubt = false;
    let mut tries = 0;
    loop {
        let tried = tokio::time::timeout(TRY, attempt(&documents, op)).await;
        let failure = match tried {
            Ok(Tried::Done) => return Ok(committed(prepared)),
            Ok(Tried::Missed) => match missed(&documents, collection, id, &prepared, doubt).await {
                Ok(None) => return Ok(committed(prepared)),
                Ok(Some(error)) => return Err(error),
                Err(failure) => failure,
            },
            Ok(Tried::Failed(error)) if failure::code(&error) == Some(DUPLICATE_KEY) => {
                let (collection, index) = failure::duplicate(&error.to_string());
                if index == "id" && matches!(op, Op::Put { .. }) {
                    // Two made the document at once; now it is there to be replaced.
                    Failure::Again {
                        why: "two writes made the same document".to_owned(),
                        conflict: true,
                    }
                } else {
                    match if doubt {
                        state(&documents, id).await
                    } else {
                        Ok(None)
                    } {
                        Ok(etag) if etag.is_some() && etag == own(&prepared) => {
                            return Ok(committed(prepared));
                        }
                        Ok(_) => return Err(Error::AlreadyExists { collection, index }),
                        Err(failure) => failure,
                    }
                }
            }
            Ok(Tried::Failed(error)) => {
                let failure = Failure::of(&error);
                doubt |= !matches!(*error.kind, error::ErrorKind::ServerSelection { .. });
                failure
            }
            Err(_) => {
                doubt = true;
                // The server lets a write wait for as long as a transaction holds the document.
                server.end_abandoned(began).await;
                Failure::Again {
                    why: format!("no answer within {} s", TRY.as_secs()),
                    conflict: false,
                }
            }
        };
        match failure {
            Failure::Refused(error) => return Err(error),
            Failure::Again { why, .. } | Failure::Unknown(why) if Instant::now() >= until => {
                let unknown = "it is not known whether the document was written: ";
                let text = if doubt { unknown } else { "" };
                return Err(Error::Unavailable(format!("mongodb: {text}{why}")));
            }
            Failure::Again { why, .. } | Failure::Unknown(why) => {
                tries += 1;
                tracing::debug!(why, tries, "trying a write again");
                tokio::time::sleep(Duration::from_millis(5 << tries.min(6))).await;
            }
        }
    }
}

fn committed(prepared: Prepared) -> Committed {
    Committed {
        etags: prepared.etags,
        counters: Vec::new(),
    }
}

fn own(prepared: &Prepared) -> Option<String> {
    prepared.etags.first().map(|etag| etag.as_str().to_owned())
}

fn target(op: &Op) -> (&'static str, &str) {
    match op {
        Op::Insert { collection, document }
        | Op::Put { collection, document }
        | Op::Replace {
            collection, document, ..
        } => (collection, document.get_str("_id").unwrap_or_default()),
        Op::Delete { collection, id, .. } => (collection, id),
        Op::Increment { .. } | Op::Publish { .. } | Op::Remember { .. } => ("", ""),
    }
}

async fn attempt(documents: &Collection<Document>, op: &Op) -> Tried {
    let (_, id) = target(op);
    let met = match op {
        Op::Insert { document, .. } => documents.insert_one(document).await.map(|_| 1),
        Op::Put { document, .. } => documents
            .replace_one(doc! { "_id": id }, document)
            .upsert(true)
            .await
            .map(|_| 1),
        Op::Replace { document, etag, .. } => documents
            .replace_one(doc! { "_id": id, "etag": etag.as_str() }, document)
            .await
            .map(|replaced| replaced.matched_count),
        Op::Delete { etag, .. } => {
            let mut query = doc! { "_id": id };
            if let Some(etag) = etag {
                query.insert("etag", etag.as_str());
            }
            documents
                .delete_one(query)
                .await
                .map(|deleted| deleted.deleted_count)
        }
        Op::Increment { .. } | Op::Publish { .. } | Op::Remember { .. } => Ok(0),
    };
    match met {
        Ok(0) => Tried::Missed,
        Ok(_) => Tried::Done,
        Err(error) => Tried::Failed(error),
    }
}

/// The etag of the document as it is.
async fn state(documents: &Collection<Document>, id: &str) -> Result<Option<String>, Failure> {
    let found = failure::within(OPERATION, async {
        documents
            .find_one(doc! { "_id": id })
            .projection(doc! { "etag": 1 })
            .await
    })
    .await?;
    Ok(found.and_then(|found| found.get_str("etag").ok().map(str::to_owned)))
}

/// Why the write met no document; `None` when that was because an earlier try was done.
async fn missed(
    documents: &Collection<Document>,
    collection: &str,
    id: &str,
    prepared: &Prepared,
    doubt: bool,
) -> Result<Option<Error>, Failure> {
    let etag = state(documents, id).await?;
    if doubt && etag == own(prepared) {
        // It is there as it was to be, or gone as it was to be.
        return Ok(None);
    }
    Ok(Some(match etag {
        Some(_) => Error::Conflict,
        None => Error::NotFound {
            collection: collection.to_owned(),
            id: id.to_owned(),
        },
    }))
}
