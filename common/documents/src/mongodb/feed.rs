//! What is committed, by whatever process: a change stream of the server, gone on with where it broke off.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::change_stream::ChangeStream as Stream;
use mongodb::change_stream::event::{ChangeStreamEvent, OperationType, ResumeToken};
use mongodb::options::FullDocumentType;

use super::decoded;
use super::failure::{Failure, OPERATION, within};
use super::server::Server;
use crate::backend::{Fed, Feed, Wanted};
use crate::{Collection, Error};

/// How long the server waits for a change before it answers that there is none.
const AWAIT: Duration = Duration::from_secs(1);
/// Between tries while the server is away, at most.
const PAUSE: Duration = Duration::from_secs(1);

/// A document's last state comes with the event, undecoded.
type Event = ChangeStreamEvent<RawDocumentBuf>;

pub(super) struct ChangeStream {
    server: Arc<Server>,
    collection: Collection,
    stream: Option<Stream<Event>>,
    /// Where to go on; without one, what was committed meanwhile is not known.
    place: Option<ResumeToken>,
    failures: u32,
}

impl ChangeStream {
    pub(super) fn new(server: Arc<Server>, collection: Collection) -> Self {
        Self {
            server,
            collection,
            stream: None,
            place: None,
            failures: 0,
        }
    }

    /// Begins, or goes on from its place.
    async fn open(
        server: &Server,
        collection: &str,
        place: Option<ResumeToken>,
    ) -> Result<Stream<Event>, Failure> {
        let wanted = [
            doc! { "$match": { "operationType": { "$in": ["insert", "replace", "update", "delete"] } } },
            doc! { "$project": { "operationType": 1, "documentKey": 1, "fullDocument": 1 } },
        ];
        within(OPERATION, async {
            server
                .database
                .collection::<RawDocumentBuf>(collection)
                .watch()
                .pipeline(wanted)
                // Replacements bring theirs; what another kind of update made of it is looked up.
                .full_document(FullDocumentType::UpdateLookup)
                .max_await_time(AWAIT)
                .resume_after(place)
                .await
        })
        .await
    }

    /// The next event; `None` when there was none for a while.
    async fn advance(stream: &mut Stream<Event>) -> Result<Option<Event>, Failure> {
        within(AWAIT + OPERATION, stream.next_if_any()).await
    }

    /// Keeps the place and waits a little. Where the server will not have it go on from there, it begins anew.
    async fn broke_off(&mut self, failure: Failure) {
        if let Some(stream) = self.stream.take() {
            self.place = stream.resume_token();
        }
        let collection = self.collection.name;
        match failure {
            Failure::Again { why, .. } | Failure::Unknown(why) => {
                tracing::debug!(collection, why, "the change stream broke off");
            }
            Failure::Refused(error) => {
                tracing::warn!(collection, %error, "the change stream begins anew");
                self.place = None;
            }
        }
        self.failures += 1;
        let pause = Duration::from_millis(20 << self.failures.min(6));
        tokio::time::sleep(pause.min(PAUSE)).await;
    }

    fn fed(&self, event: Event, wanted: Wanted<'_>) -> Option<Fed> {
        let key = event.document_key?;
        let id = key.get_str("_id").ok().filter(|id| wanted(id))?;
        if event.operation_type == OperationType::Delete {
            return Some(Fed::Deleted(id.to_owned()));
        }
        // Without one it was deleted since, which comes later.
        let document = event.full_document?;
        let document = Document::try_from(document).map_err(Error::other);
        Some(Fed::Written(document.and_then(|document| {
            decoded(self.collection, document).map(|(raw, _, _)| raw)
        })))
    }
}

#[async_trait]
impl Feed for ChangeStream {
    async fn next(&mut self, wanted: Wanted<'_>) -> Option<Fed> {
        loop {
            let Some(stream) = &mut self.stream else {
                let place = self.place.clone();
                let opened = match self.server.declared().await {
                    Ok(()) => Self::open(&self.server, self.collection.name, place).await,
                    Err(error) => Err(Failure::Again {
                        why: error.to_string(),
                        conflict: false,
                    }),
                };
                match opened {
                    Ok(stream) => {
                        let anew = self.place.is_none();
                        self.stream = Some(stream);
                        if anew {
                            return Some(Fed::Anew);
                        }
                    }
                    Err(failure) => self.broke_off(failure).await,
                }
                continue;
            };
            match Self::advance(stream).await {
                Ok(Some(event)) => {
                    self.failures = 0;
                    if let Some(fed) = self.fed(event, wanted) {
                        return Some(fed);
                    }
                }
                Ok(None) if stream.is_alive() => self.failures = 0,
                // The collection was dropped.
                Ok(None) => {
                    self.broke_off(Failure::Refused(Error::other("it was ended")))
                        .await
                }
                Err(failure) => self.broke_off(failure).await,
            }
        }
    }
}
