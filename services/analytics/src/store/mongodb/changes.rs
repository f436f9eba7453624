//! Sessions as they change, for processes that fold other partitions: a change stream.

use std::time::Duration;

use futures::StreamExt as _;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use mongodb::change_stream::event::ChangeStreamEvent;
use mongodb::options::FullDocumentType;

use super::super::{Changes, Error, Heard};
use super::documents::heard;
use super::failure::{Failure, told};
use super::server;

/// Changes that are taken together at most, and how long the server waits for one before it answers with none.
const GROUP: usize = 1_000;
const AWAIT: Duration = Duration::from_secs(1);

pub(super) async fn changes(database: &Database) -> Result<Changes, Failure> {
    let wanted = [
        doc! { "$match": { "operationType": { "$in": ["insert", "replace", "update"] } } },
        doc! { "$project": {
            "operationType": 1, "ns": 1, "documentKey": 1,
            "fullDocument._id": 1, "fullDocument.partition": 1, "fullDocument.state": 1,
        } },
    ];
    let stream = database
        .collection::<Document>(server::SESSIONS)
        .watch()
        .pipeline(wanted)
        .full_document(FullDocumentType::UpdateLookup)
        .max_await_time(AWAIT)
        .await?;
    // Begun on the server from here on.
    let heard_of = |event: ChangeStreamEvent<Document>| -> Result<Option<Heard>, Error> {
        // Swept since it changed.
        event.full_document.as_ref().map(heard).transpose()
    };
    let groups = stream.ready_chunks(GROUP).map(move |group| {
        let mut sessions = Vec::with_capacity(group.len());
        for event in group {
            let event = event.map_err(|error| told(&error))?;
            sessions.extend(heard_of(event)?);
        }
        Ok(sessions)
    });
    Ok(groups.boxed())
}
