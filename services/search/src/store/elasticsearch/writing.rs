//! Writing without transactions.
//!
//! A document is read, joined with what came, and written on the condition that nobody wrote it in between; who was too
//! late reads again. The join takes the newer version of the event and the newer version of its channel, so that it
//! does not matter who comes first or how often.
//!
//! An event and its channel may come to two processes at the same time. Each writes its own document first and looks for the
//! other's after that: the event's writer reads the channel once more, the channel's writer searches for events that
//! show it otherwise. Whoever is second sees the first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, Failure};
use super::indices::Target;
use super::schema::{POSITION, indexed, lent};
use crate::domain::{ChannelDocument, Document};
use crate::store::{Error, Positions};

/// Documents of one request.
const CHUNK: usize = 500;

/// Channels whose events are looked for in one search.
const CHANNELS: usize = 100;

/// How often a document is tried that others write at the same time.
const ROUNDS: u32 = 20;

/// A document as it is stored.
struct Stored {
    document: Document,
    seq_no: u64,
    primary_term: u64,
}

/// Documents by name.
type Known = BTreeMap<String, Stored>;

/// What to write: the document, and the condition.
struct Operation<'a> {
    document: &'a Document,
    present: Option<&'a Stored>,
}

pub(super) struct Writing<'a> {
    pub(super) client: &'a Client,
    pub(super) target: &'a Target,
}

impl Writing<'_> {
    /// Writes the documents, and what they change in others. They are durable when this returns, and not yet found.
    pub(super) async fn documents(&self, documents: Vec<Document>) -> Result<(), Failure> {
        let mut wanted: BTreeMap<String, Document> = BTreeMap::new();
        for document in documents {
            let joined = document.join(wanted.get(document.name()));
            if let Some(joined) = joined {
                wanted.insert(joined.name().to_owned(), joined);
            }
        }
        let channels: Vec<String> = wanted
            .values()
            .filter(|document| matches!(document, Document::Channel(_)))
            .map(|document| document.name().to_owned())
            .collect();
        self.settle(wanted).await?;
        if !channels.is_empty() {
            self.reach_events(&channels).await?;
        }
        Ok(())
    }

    /// Brings each document to where joining it changes nothing any more.
    async fn settle(&self, mut wanted: BTreeMap<String, Document>) -> Result<(), Failure> {
        for round in 0..ROUNDS {
            if wanted.is_empty() {
                return Ok(());
            }
            if round > 2 {
                let jitter = rand::random_range(5..25);
                tokio::time::sleep(Duration::from_millis(u64::from(round) * jitter)).await;
            }
            let names = wanted.iter().flat_map(|(name, document)| match document {
                Document::Event(event) => vec![name.clone(), event.channel.name.clone()],
                Document::Channel(_) => vec![name.clone()],
            });
            let known = self.read(names.collect()).await?;
            let mut changed = BTreeMap::new();
            for (name, document) in wanted {
                let present = known.get(&name).map(|stored| &stored.document);
                let Some(mut joined) = document.join(present).or_else(|| present.cloned()) else {
                    continue;
                };
                if let Document::Event(event) = &mut joined
                    && let Some(Document::Channel(channel)) =
                        known.get(&event.channel.name).map(|stored| &stored.document)
                {
                    event.take_channel(channel);
                }
                if present != Some(&joined) {
                    changed.insert(name, joined);
                }
            }
            let conflicts = self.write(&changed, &known).await?;
            // A channel is done when it is written; an event when the channel was read after that.
            changed
                .retain(|name, document| conflicts.contains(name) || matches!(document, Document::Event(_)));
            wanted = changed;
        }
        Err(self
            .client
            .unavailable("has documents that other writers keep changing"))
    }

    /// Brings the channels, as they are stored, to their events that show them otherwise.
    async fn reach_events(&self, channels: &[String]) -> Result<(), Failure> {
        self.refresh().await?;
        for channels in channels.chunks(CHANNELS) {
            let known = self.read(channels.iter().cloned().collect()).await?;
            let channels: Vec<&ChannelDocument> = known
                .values()
                .filter_map(|stored| match &stored.document {
                    Document::Channel(channel) => Some(channel),
                    Document::Event(_) => None,
                })
                .collect();
            let behind: Vec<Value> = channels
                .iter()
                .map(|channel| {
                    json!({ "bool": {
                        "filter": { "term": { "channel_name": channel.name } },
                        "must_not": { "term": { "lent": lent(channel) } },
                    } })
                })
                .collect();
            let mut after: Option<Value> = None;
            loop {
                let mut body = json!({
                    "query": { "bool": { "filter": { "bool": { "should": behind } } } },
                    "sort": [{ "name": "asc" }],
                    "size": CHUNK,
                    "track_total_hits": false,
                    "_source": ["source"],
                });
                if let Some(after) = after.take() {
                    body["search_after"] = after;
                }
                let path = format!(
                    "/{}/_search?allow_partial_search_results=false",
                    self.target.writer
                );
                let answer = self.client.search(&path, body).await?;
                let hits = answer["hits"]["hits"].as_array().map_or(&[][..], Vec::as_slice);
                let mut wanted = BTreeMap::new();
                for hit in hits {
                    let document = source(hit)?;
                    let shows_older = channels.iter().any(|channel| {
                        document.channel().name == channel.name
                            && document.channel().version < channel.version
                    });
                    if shows_older {
                        wanted.insert(document.name().to_owned(), document);
                    }
                }
                self.settle(wanted).await?;
                match hits.last() {
                    Some(last) if hits.len() == CHUNK => after = Some(last["sort"].clone()),
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// The documents of these names as they are now, found or not.
    async fn read(&self, names: BTreeSet<String>) -> Result<Known, Failure> {
        let names: Vec<_> = names.into_iter().collect();
        let mut known = Known::new();
        for names in names.chunks(CHUNK) {
            let path = format!("/{}/_mget?_source_includes=source", self.target.writer);
            let answer = self.client.search(&path, json!({ "ids": names })).await?;
            for item in answer["docs"].as_array().into_iter().flatten() {
                if !item["error"].is_null() {
                    let status = if item["error"]["type"] == "index_not_found_exception" {
                        404
                    } else {
                        503
                    };
                    return Err(self.client.failure(status, &item["error"]));
                }
                if item["found"] != true {
                    continue;
                }
                let (Some(seq_no), Some(primary_term)) =
                    (item["_seq_no"].as_u64(), item["_primary_term"].as_u64())
                else {
                    return Err(
                        Error::Other("elasticsearch told no version of a document".to_owned()).into(),
                    );
                };
                let document = source(item)?;
                known.insert(
                    document.name().to_owned(),
                    Stored {
                        document,
                        seq_no,
                        primary_term,
                    },
                );
            }
        }
        Ok(known)
    }

    /// Writes the documents as far as they are still as they were read; those that are not come back.
    async fn write(
        &self,
        changed: &BTreeMap<String, Document>,
        known: &Known,
    ) -> Result<BTreeSet<String>, Failure> {
        let mut conflicts = BTreeSet::new();
        let operations: Vec<_> = changed
            .iter()
            .map(|(name, document)| Operation {
                document,
                present: known.get(name),
            })
            .collect();
        for chunk in operations.chunks(CHUNK) {
            let mut lines = String::new();
            for Operation { document, present } in chunk {
                let action = match present {
                    None => json!({ "create": { "_id": document.name() } }),
                    Some(stored) => json!({ "index": {
                        "_id": document.name(),
                        "if_seq_no": stored.seq_no,
                        "if_primary_term": stored.primary_term,
                    } }),
                };
                line(&mut lines, &action);
                line(&mut lines, &indexed(document)?);
            }
            conflicts.extend(self.bulk(lines, "").await?);
        }
        Ok(conflicts)
    }

    /// Stores positions, after the documents that they stand for. One that is further already stays. Returns when everything
    /// that was written before is found.
    pub(super) async fn positions(&self, positions: &Positions) -> Result<(), Failure> {
        let mut lines = String::new();
        for ((topic, partition), next) in positions {
            line(
                &mut lines,
                &json!({ "index": {
                    "_id": format!("positions/{topic}/{partition}"),
                    "version": next,
                    "version_type": "external_gte",
                } }),
            );
            line(
                &mut lines,
                &json!({ "kind": POSITION, "topic": topic, "partition": partition, "next": next }),
            );
        }
        if lines.is_empty() || !self.bulk(lines, "&refresh=wait_for").await?.is_empty() {
            // Nothing was written that could be waited for.
            self.refresh().await?;
        }
        Ok(())
    }

    /// Makes everything that was written found.
    pub(super) async fn refresh(&self) -> Result<(), Failure> {
        let path = format!("/{}/_refresh?ignore_unavailable=false", self.target.writer);
        let answer = self.client.post(&path, None).await?;
        match answer["_shards"]["failed"].as_u64() {
            Some(0) => Ok(()),
            _ => Err(self.client.unavailable("has no shard that answers (refresh)")),
        }
    }

    /// Ids of the items that met another version than they were to. Any other item that fails fails all.
    async fn bulk(&self, lines: String, options: &str) -> Result<Vec<String>, Failure> {
        let path = format!(
            "/{}/_bulk?require_alias=true&timeout=15s{options}",
            self.target.writer
        );
        let answer = self.client.bulk(&path, lines).await?;
        let mut conflicts = Vec::new();
        if answer["errors"] == false {
            return Ok(conflicts);
        }
        let mut refused = BTreeMap::new();
        for item in answer["items"].as_array().into_iter().flatten() {
            let Some(done) = item.as_object().and_then(|item| item.values().next()) else {
                continue;
            };
            if done["error"].is_null() {
                continue;
            }
            let status = done["status"]
                .as_u64()
                .and_then(|status| u16::try_from(status).ok());
            let id = done["_id"].as_str().unwrap_or_default();
            match status {
                Some(409) => conflicts.push(id.to_owned()),
                Some(400) => {
                    let told = format!(
                        "{}: {}",
                        told(&done["error"]["type"]),
                        told(&done["error"]["reason"])
                    );
                    refused.insert(id.to_owned(), told);
                }
                status => return Err(self.client.failure(status.unwrap_or(500), &done["error"])),
            }
        }
        if refused.is_empty() {
            Ok(conflicts)
        } else {
            Err(Error::Refused(refused).into())
        }
    }
}

/// The document in a hit or an answer to a read.
pub(super) fn source(hit: &Value) -> Result<Document, Error> {
    serde_json::from_value(hit["_source"]["source"].clone())
        .map_err(|error| Error::Other(format!("a stored document is damaged: {error}")))
}

fn told(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

fn line(lines: &mut String, value: &Value) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(lines, "{value}");
}
