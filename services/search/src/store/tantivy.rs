//! The embedded index: tantivy in a folder.
//!
//! A commit carries the bus positions in its payload, so that documents and positions are one: what the index has not,
//! it reads again. Everything that is scored has a constant score in quarters, which f32 sums exactly in any order, so
//! pages stay where they are while documents come and go.

mod best;
mod folder;
mod generations;
mod matching;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tantivy::query::TermQuery;
use tantivy::schema::IndexRecordOption;
use tantivy::{Index, IndexReader, IndexWriter, Searcher, TantivyDocument, TantivyError, Term};

use self::best::Best;
use self::generations::Generations;
use self::schema::Fields;
use super::showing::shown;
use super::{Batch, Error, Followed, Hit, Page, Positions, Store, Suggestion};
use crate::domain::words::key;
use crate::domain::{ChannelDocument, Cursor, Document, EventDocument, Prefix, Query};

/// The embedded store.
#[derive(Clone)]
pub struct Tantivy {
    generations: Arc<Mutex<Generations>>,
}

/// One index.
struct Inner {
    reader: IndexReader,
    fields: Fields,
    writer: Mutex<Writing>,
}

struct Writing {
    writer: IndexWriter,
    positions: Positions,
}

/// What a commit carries beside documents.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Payload {
    positions: Vec<(String, u32, u64)>,
}

impl Tantivy {
    /// Opens the index in `folder`, and makes it when there is none. An index that cannot be read, or that another version
    /// of the schema made, is thrown away with a warning: its positions go with it, so that the bus fills it anew.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process has it, [`Error::Unavailable`] when the folder cannot be used.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let generations = Generations::open(folder)?;
        Ok(Self {
            generations: Arc::new(Mutex::new(generations)),
        })
    }

    /// Works on the index that is searched.
    async fn searched<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = self.generations.lock().searched();
        blocking(move || work(&inner)).await
    }

    /// Works on the index that is written.
    async fn written<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = self.generations.lock().written();
        blocking(move || work(&inner)).await
    }

    /// Changes which indices there are.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Generations) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let generations = self.generations.clone();
        blocking(move || work(&mut generations.lock())).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(stopped) => Err(Error::Other(stopped.to_string())),
    }
}

#[async_trait]
impl Store for Tantivy {
    fn system(&self) -> &'static str {
        "tantivy"
    }

    async fn apply(&self, batch: Batch) -> Result<(), Error> {
        self.written(move |inner| inner.apply(batch)).await
    }

    async fn positions(&self) -> Result<Positions, Error> {
        self.written(|inner| Ok(inner.writer.lock().positions.clone()))
            .await
    }

    async fn clear(&self) -> Result<(), Error> {
        self.change(|generations| {
            generations.forget_next();
            generations.searched().clear()
        })
        .await
    }

    async fn rebuild(&self) -> Result<(), Error> {
        self.change(Generations::begin).await
    }

    async fn follow(&self) -> Result<Followed, Error> {
        Ok(self.generations.lock().follow())
    }

    async fn promote(&self) -> Result<(), Error> {
        self.change(Generations::promote).await
    }

    async fn ready(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn search(&self, query: &Query, after: Option<Cursor>, limit: usize) -> Result<Page, Error> {
        let query = query.clone();
        self.searched(move |inner| inner.search(&query, after, limit))
            .await
    }

    async fn suggest(&self, prefix: &Prefix, limit: usize) -> Result<Vec<Suggestion>, Error> {
        let prefix = prefix.clone();
        self.searched(move |inner| inner.suggest(&prefix, limit)).await
    }
}

impl Inner {
    fn open(folder: &Path) -> Result<Self, Error> {
        let (index, fields) = folder::open(folder)?;
        let writer = schema::writer(&index).map_err(|error| match error {
            TantivyError::LockFailure(..) => Error::Locked(folder.display().to_string()),
            other => other.into(),
        })?;
        let positions = positions(&index)?;
        Ok(Self {
            reader: schema::reader(&index)?,
            fields,
            writer: Mutex::new(Writing { writer, positions }),
        })
    }

    fn clear(&self) -> Result<(), Error> {
        let mut writing = self.writer.lock();
        writing.writer.delete_all_documents()?;
        self.commit(&mut writing, Positions::new())
    }

    fn apply(&self, batch: Batch) -> Result<(), Error> {
        let mut writing = self.writer.lock();
        let mut positions = writing.positions.clone();
        positions.extend(batch.positions);
        let staged = self
            .stage(&batch.documents)
            .and_then(|staged| self.write(&writing.writer, staged))
            .and_then(|()| self.commit(&mut writing, positions));
        if staged.is_err() {
            // What was written of it must not slip into the next commit.
            writing.writer.rollback()?;
        }
        staged
    }

    /// What the index has to hold after the documents came in: only those that change something.
    fn stage(&self, documents: &[Document]) -> Result<HashMap<String, Document>, Error> {
        let searcher = self.reader.searcher();
        let mut staged: HashMap<String, Document> = HashMap::new();
        for document in documents {
            let present = self.present(&searcher, &staged, document.name())?;
            if !document.replaces(present.as_ref()) {
                continue;
            }
            let mut document = document.clone();
            match &mut document {
                Document::Event(event) => {
                    if let Some(channel) = self.channel(&searcher, &staged, &event.channel)? {
                        event.channel = channel;
                    }
                }
                // Most changes of a channel are none of its events'.
                Document::Channel(channel) if matches!(&present, Some(Document::Channel(known)) if known.lends_the_same(channel)) =>
                    {}
                Document::Channel(channel) => {
                    for mut event in self.events_of(&searcher, &staged, channel)? {
                        event.channel = channel.clone();
                        staged.insert(event.name.clone(), Document::Event(event));
                    }
                }
            }
            if present.as_ref() != Some(&document) {
                staged.insert(document.name().to_owned(), document);
            }
        }
        Ok(staged)
    }

    fn present(
        &self,
        searcher: &Searcher,
        staged: &HashMap<String, Document>,
        name: &str,
    ) -> Result<Option<Document>, Error> {
        if let Some(document) = staged.get(name) {
            return Ok(Some(document.clone()));
        }
        Ok(self
            .stored(searcher, Term::from_field_text(self.fields.name, name))?
            .pop())
    }

    /// The channel as the index knows it, when that is newer than what the event brought.
    fn channel(
        &self,
        searcher: &Searcher,
        staged: &HashMap<String, Document>,
        brought: &ChannelDocument,
    ) -> Result<Option<ChannelDocument>, Error> {
        Ok(match self.present(searcher, staged, &brought.name)? {
            Some(Document::Channel(known)) if known.version > brought.version => Some(known),
            _ => None,
        })
    }

    /// The channel's events that still show an older version of it.
    fn events_of(
        &self,
        searcher: &Searcher,
        staged: &HashMap<String, Document>,
        channel: &ChannelDocument,
    ) -> Result<Vec<EventDocument>, Error> {
        let is_behind = |event: &EventDocument| {
            event.channel.name == channel.name
                && event.channel.version < channel.version
                && !event.channel.lends_the_same(channel)
        };
        let stored = self.stored(
            searcher,
            Term::from_field_text(self.fields.channel_name, &channel.name),
        )?;
        let stored = stored.into_iter().filter_map(|document| match document {
            Document::Event(event) if is_behind(&event) && !staged.contains_key(&event.name) => Some(event),
            _ => None,
        });
        let staged = staged.values().filter_map(|document| match document {
            Document::Event(event) if is_behind(event) => Some(event.clone()),
            _ => None,
        });
        Ok(stored.chain(staged).collect())
    }

    fn stored(&self, searcher: &Searcher, term: Term) -> Result<Vec<Document>, Error> {
        let query = TermQuery::new(term, IndexRecordOption::Basic);
        let addresses = searcher.search(&query, &tantivy::collector::DocSetCollector)?;
        addresses
            .into_iter()
            .map(|address| self.document(searcher, address))
            .collect()
    }

    fn document(&self, searcher: &Searcher, address: tantivy::DocAddress) -> Result<Document, Error> {
        let stored: TantivyDocument = searcher.doc(address)?;
        self.fields
            .source_of(&stored)
            .ok_or_else(|| Error::Other("a stored document is damaged".to_owned()))
    }

    fn write(&self, writer: &IndexWriter, staged: HashMap<String, Document>) -> Result<(), Error> {
        for document in staged.into_values() {
            writer.delete_term(Term::from_field_text(self.fields.name, document.name()));
            writer.add_document(self.fields.indexed(&document)?)?;
        }
        Ok(())
    }

    fn commit(&self, writing: &mut Writing, positions: Positions) -> Result<(), Error> {
        let payload = Payload {
            positions: positions
                .iter()
                .map(|((topic, n), next)| (topic.clone(), *n, *next))
                .collect(),
        };
        let payload = serde_json::to_string(&payload).map_err(|error| Error::Other(error.to_string()))?;
        let mut commit = writing.writer.prepare_commit()?;
        commit.set_payload(&payload);
        commit.commit()?;
        writing.positions = positions;
        self.reader.reload()?;
        Ok(())
    }

    fn search(&self, query: &Query, after: Option<Cursor>, limit: usize) -> Result<Page, Error> {
        let searcher = self.reader.searcher();
        let found = searcher.search(
            &matching::search(&self.fields, query),
            &Best::new(limit + 1, after),
        )?;
        let more = found.places.len() > limit;
        let mut hits = Vec::with_capacity(limit.min(found.places.len()));
        for place in found.places.into_iter().take(limit) {
            let document = self.document(&searcher, place.address)?;
            let snippet = shown(&document, query);
            hits.push(Hit {
                document,
                score: place.score,
                snippet,
            });
        }
        let next = hits.last().filter(|_| more).map(|hit| Cursor {
            score: hit.score,
            name: hit.document.name().to_owned(),
        });
        Ok(Page {
            hits,
            next,
            total: found.total,
        })
    }

    fn suggest(&self, prefix: &Prefix, limit: usize) -> Result<Vec<Suggestion>, Error> {
        let searcher = self.reader.searcher();
        let query = matching::suggest(&self.fields, prefix);
        let mut suggestions: Vec<Suggestion> = Vec::new();
        let mut keys = Vec::new();
        let mut after = None;
        // Many events may share one title: look further, but not without end.
        for _ in 0..8 {
            let found = searcher.search(&query, &Best::new(limit * 4, after))?;
            let full = found.places.len() == limit * 4;
            after = found.places.last().map(|last| Cursor {
                score: last.score,
                name: last.name.clone(),
            });
            for place in found.places {
                let document = self.document(&searcher, place.address)?;
                let key = key(document.title());
                if suggestions.len() < limit && !keys.contains(&key) {
                    keys.push(key);
                    suggestions.push(Suggestion {
                        text: document.title().to_owned(),
                        name: document.name().to_owned(),
                        kind: document.kind(),
                    });
                }
            }
            if !full || suggestions.len() == limit {
                break;
            }
        }
        Ok(suggestions)
    }
}

/// The positions in the payload of the last commit.
fn positions(index: &Index) -> Result<Positions, Error> {
    let Some(payload) = index.load_metas()?.payload else {
        return Ok(Positions::new());
    };
    let payload: Payload = serde_json::from_str(&payload)
        .map_err(|error| Error::Other(format!("the positions in the index are damaged: {error}")))?;
    Ok(payload
        .positions
        .into_iter()
        .map(|(topic, partition, next)| ((topic, partition), next))
        .collect())
}

impl From<TantivyError> for Error {
    fn from(error: TantivyError) -> Self {
        match error {
            TantivyError::IoError(_)
            | TantivyError::OpenDirectoryError(_)
            | TantivyError::OpenWriteError(_)
            | TantivyError::LockFailure(..) => Self::Unavailable(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}
