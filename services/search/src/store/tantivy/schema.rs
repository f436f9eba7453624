//! The fields of the index and how a document fills them.

use tantivy::indexer::IndexWriterOptions;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions, Value,
};
use tantivy::{DateTime, Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError};

use super::super::Error;
use crate::domain::Document;
use crate::domain::fold::fold;
use crate::domain::words::{key, terms};
use crate::store::stems;

/// Goes up with every change to the schema or to how texts are cut: an index of another number is built anew.
pub(super) const VERSION: u32 = 1;

/// The least that tantivy takes: events come by the hundred, not by the million.
const WRITER_BYTES: usize = 15_000_000;

/// What `kind` says of a document that no search may find.
const TOMBSTONE: &str = "tombstone";

/// The fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    /// Resource name: the document's id and what ties are broken by.
    pub(super) name: Field,
    /// Name of the event's channel.
    pub(super) channel_name: Field,
    /// `channel`, `event` or `tombstone`.
    pub(super) kind: Field,
    /// State of an event.
    pub(super) state: Field,
    /// Genre as a key.
    pub(super) genre: Field,
    /// Language tag and its primary part, folded.
    pub(super) language: Field,
    /// Announced start.
    pub(super) start: Field,
    /// Title as a key, for titles that are exactly what was typed.
    pub(super) title_key: Field,
    /// Words of the title.
    pub(super) title: Field,
    /// Stems of the title.
    pub(super) title_stems: Field,
    /// Words of the channel's display name.
    pub(super) channel: Field,
    /// The handle, whole and in words.
    pub(super) handle: Field,
    /// Words of tags and genre.
    pub(super) labels: Field,
    /// Words of the description.
    pub(super) description: Field,
    /// Stems of all texts.
    pub(super) stems: Field,
    /// Words of all texts: where mistakes and beginnings are looked up.
    pub(super) words: Field,
    /// The document as JSON.
    pub(super) source: Field,
}

impl Fields {
    /// The schema and its fields.
    pub(super) fn schema() -> (Schema, Self) {
        let mut builder = Schema::builder();
        // Texts come cut and folded; what is left is to split at spaces. Scores are constant: no frequencies, no norms.
        let text = |record| {
            TextOptions::default().set_indexing_options(
                TextFieldIndexing::default()
                    .set_tokenizer("whitespace")
                    .set_index_option(record)
                    .set_fieldnorms(false),
            )
        };
        let plain = || text(IndexRecordOption::Basic);
        let fields = Self {
            name: builder.add_text_field("name", STRING | FAST),
            channel_name: builder.add_text_field("channel_name", STRING),
            kind: builder.add_text_field("kind", STRING),
            state: builder.add_text_field("state", STRING),
            genre: builder.add_text_field("genre", STRING),
            language: builder.add_text_field("language", STRING),
            start: builder.add_date_field("start", INDEXED | FAST),
            title_key: builder.add_text_field("title_key", STRING),
            title: builder.add_text_field("title", text(IndexRecordOption::WithFreqsAndPositions)),
            title_stems: builder.add_text_field("title_stems", plain()),
            channel: builder.add_text_field("channel", plain()),
            handle: builder.add_text_field("handle", plain()),
            labels: builder.add_text_field("labels", plain()),
            description: builder.add_text_field("description", plain()),
            stems: builder.add_text_field("stems", plain()),
            words: builder.add_text_field("words", plain()),
            source: builder.add_bytes_field("source", STORED),
        };
        (builder.build(), fields)
    }

    /// What is indexed of a document.
    pub(super) fn indexed(&self, document: &Document) -> Result<TantivyDocument, Error> {
        let mut out = TantivyDocument::default();
        let source = serde_json::to_vec(document).map_err(|error| Error::Other(error.to_string()))?;
        out.add_bytes(self.source, &source);
        out.add_text(self.name, document.name());
        if let Document::Event(event) = document {
            out.add_text(self.channel_name, &event.channel.name);
        }
        if !document.is_listed() {
            out.add_text(self.kind, TOMBSTONE);
            return Ok(out);
        }

        out.add_text(self.kind, document.kind().as_str());
        if let Document::Event(event) = document {
            out.add_text(self.state, event.state.as_str());
            if !event.genre.is_empty() {
                out.add_text(self.genre, key(&event.genre));
            }
            if let Some(start) = event.start {
                out.add_date(
                    self.start,
                    DateTime::from_timestamp_millis(start.as_millisecond()),
                );
            }
        }
        let language = fold(document.language());
        if !language.is_empty() {
            let primary = language.split('-').next().unwrap_or_default();
            if primary != language {
                out.add_text(self.language, primary);
            }
            out.add_text(self.language, &language);
        }

        let channel = document.channel();
        let title = terms(document.title());
        let by = terms(&channel.display_name);
        let mut handle = terms(&channel.handle);
        handle.push(handle.concat());
        let labels = terms(&document.labels().join(" "));
        let description = terms(document.description());
        out.add_text(self.title_key, title.join(" "));
        out.add_text(self.title, title.join(" "));
        out.add_text(self.title_stems, stems::indexed(&title, &language).join(" "));
        out.add_text(self.channel, by.join(" "));
        out.add_text(self.handle, handle.join(" "));
        out.add_text(self.labels, labels.join(" "));
        out.add_text(self.description, description.join(" "));
        let all = [title, by, handle, labels, description].concat();
        out.add_text(self.stems, stems::indexed(&all, &language).join(" "));
        out.add_text(self.words, all.join(" "));
        Ok(out)
    }

    /// The document that was indexed.
    pub(super) fn source_of(&self, stored: &TantivyDocument) -> Option<Document> {
        serde_json::from_slice(stored.get_first(self.source)?.as_bytes()?).ok()
    }
}

/// The one writer: one thread that indexes and one that merges.
pub(super) fn writer(index: &Index) -> Result<IndexWriter, TantivyError> {
    let options = IndexWriterOptions::builder()
        .memory_budget_per_thread(WRITER_BYTES)
        .num_worker_threads(1)
        .num_merge_threads(1)
        .build();
    index.writer_with_options(options)
}

/// A reader that is reloaded by who commits.
pub(super) fn reader(index: &Index) -> Result<IndexReader, TantivyError> {
    index
        .reader_builder()
        .reload_policy(ReloadPolicy::Manual)
        .doc_store_cache_num_blocks(16)
        .try_into()
}
