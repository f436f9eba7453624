//! Analysers, the mapping, and how a document fills it.
//!
//! Texts come cut into words by [`crate::domain::words`], as the query and the highlighter cut them; the analysers split at the
//! spaces, fold case and accents, and make beginnings and stems of the words.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::domain::fold::fold;
use crate::domain::words::{key, terms};
use crate::domain::{ChannelDocument, Document};
use crate::store::Error;

/// Goes up with every change to the analysers, the mapping or to how texts are cut: a process that finds an index of a
/// lower number fills a new one beside it. `source` has to stay readable by the version before.
pub(super) const VERSION: u32 = 1;

/// The languages that are stemmed, by primary tag. A text of any other is stemmed as English.
pub(super) const LANGUAGES: [(&str, &str); 10] = [
    ("en", "English"),
    ("de", "German"),
    ("fr", "French"),
    ("es", "Spanish"),
    ("pt", "Portuguese"),
    ("it", "Italian"),
    ("nl", "Dutch"),
    ("sv", "Swedish"),
    ("da", "Danish"),
    ("ru", "Russian"),
];

/// Beginnings of a title's words up to this many characters are terms of their own.
pub(super) const LONGEST_BEGINNING: usize = 32;

/// What `kind` says of a document that no search may find.
const TOMBSTONE: &str = "tombstone";

/// What `kind` says of a position of the bus.
pub(super) const POSITION: &str = "position";

/// Settings and mapping of an index.
pub(super) fn index(replicas: u32, aliases: Value) -> Value {
    let mut filters = json!({
        "beginnings": { "type": "edge_ngram", "min_gram": 1, "max_gram": LONGEST_BEGINNING },
    });
    let mut analyzers = json!({
        "words": { "type": "custom", "tokenizer": "whitespace", "filter": ["lowercase", "asciifolding"] },
        "beginnings": {
            "type": "custom",
            "tokenizer": "whitespace",
            "filter": ["lowercase", "asciifolding", "beginnings"],
        },
    });
    for (tag, language) in LANGUAGES {
        let name = format!("stems_{tag}");
        filters[&name] = json!({ "type": "snowball", "language": language });
        analyzers[&name] = json!({
            "type": "custom",
            "tokenizer": "whitespace",
            "filter": ["lowercase", "asciifolding", name],
        });
    }
    json!({
        "settings": {
            // One shard: a refresh of it shows documents and positions alike, and the catalogue is small.
            "number_of_shards": 1,
            "number_of_replicas": replicas,
            // Writers wait for it, so that any number of them share one refresh.
            "refresh_interval": "250ms",
            "analysis": { "filter": filters, "analyzer": analyzers },
        },
        "mappings": mapping(),
        "aliases": aliases,
    })
}

fn mapping() -> Value {
    let keyword = json!({ "type": "keyword", "ignore_above": 1024 });
    // Scores are constant: no frequencies, no norms.
    let text = |analyzer: &str| json!({ "type": "text", "analyzer": analyzer, "norms": false, "index_options": "docs" });
    let stems = || {
        let fields: Map<_, _> = LANGUAGES
            .iter()
            .map(|(tag, _)| ((*tag).to_owned(), text(&format!("stems_{tag}"))))
            .collect();
        json!({ "type": "object", "dynamic": "strict", "properties": fields })
    };
    json!({
        "dynamic": "strict",
        "_source": { "includes": ["source", "topic", "partition", "next"] },
        "properties": {
            "name": { "type": "keyword" },
            "kind": { "type": "keyword" },
            "channel_name": { "type": "keyword" },
            "lent": { "type": "keyword" },
            "state": { "type": "keyword" },
            "genre": keyword,
            "language": keyword,
            "start": { "type": "date", "format": "epoch_millis" },
            "title_key": keyword,
            "title": {
                "type": "text",
                "analyzer": "words",
                "norms": false,
                "index_options": "positions",
                "fields": {
                    "beginnings": {
                        "type": "text",
                        "analyzer": "beginnings",
                        "search_analyzer": "words",
                        "norms": false,
                        "index_options": "docs",
                    },
                },
            },
            "title_stems": stems(),
            "channel": text("words"),
            "handle": text("words"),
            "labels": text("words"),
            "description": text("words"),
            "stems": stems(),
            "words": text("words"),
            "source": { "type": "object", "enabled": false },
            "topic": { "type": "keyword" },
            "partition": { "type": "integer" },
            "next": { "type": "long" },
        },
    })
}

/// What is indexed of a document.
pub(super) fn indexed(document: &Document) -> Result<Value, Error> {
    let source = serde_json::to_value(document).map_err(|error| Error::Other(error.to_string()))?;
    let mut out = json!({ "name": document.name(), "source": source });
    if let Document::Event(event) = document {
        out["channel_name"] = event.channel.name.as_str().into();
        out["lent"] = lent(&event.channel).into();
    }
    if !document.is_listed() {
        out["kind"] = TOMBSTONE.into();
        return Ok(out);
    }

    out["kind"] = document.kind().as_str().into();
    if let Document::Event(event) = document {
        out["state"] = event.state.as_str().into();
        if !event.genre.is_empty() {
            out["genre"] = key(&event.genre).into();
        }
        if let Some(start) = event.start {
            out["start"] = start.as_millisecond().into();
        }
    }
    let language = fold(document.language());
    let primary = language.split('-').next().unwrap_or_default();
    if !language.is_empty() {
        out["language"] = json!([primary, language]);
    }

    let channel = document.channel();
    let title = terms(document.title());
    let by = terms(&channel.display_name);
    let mut handle = terms(&channel.handle);
    handle.push(handle.concat());
    let labels = terms(&document.labels().join(" "));
    let description = terms(document.description());
    let known = LANGUAGES.iter().any(|(tag, _)| *tag == primary);
    let stemmed = if known { primary } else { "en" };
    out["title_key"] = title.join(" ").into();
    out["title"] = title.join(" ").into();
    out["title_stems"] = json!({ stemmed: title.join(" ") });
    out["channel"] = by.join(" ").into();
    out["handle"] = handle.join(" ").into();
    out["labels"] = labels.join(" ").into();
    out["description"] = description.join(" ").into();
    let all = [title, by, handle, labels, description].concat().join(" ");
    out["stems"] = json!({ stemmed: all });
    out["words"] = all.into();
    Ok(out)
}

/// Changes when, and only when, the channel's events are found or shown otherwise
/// ([`ChannelDocument::lends_the_same`]).
pub(super) fn lent(channel: &ChannelDocument) -> String {
    let mut digest = Sha256::new();
    for text in [&channel.handle, &channel.display_name, &channel.language] {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    digest
        .finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
