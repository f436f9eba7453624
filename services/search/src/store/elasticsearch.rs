//! The index on an Elasticsearch 7.17, 8 or 9.
//!
//! Any number of processes write and search it. There are no transactions: documents are written first, positions of the
//! bus after them, and doing either again changes nothing. `docs/adr/0010-elasticsearch.md` says why it is as it is.

mod client;
mod indices;
mod matching;
mod schema;
#[cfg(test)]
mod tests;
mod writing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};

use self::client::{Client, Failure};
use self::indices::{Indices, Target};
use self::schema::POSITION;
use self::writing::{Writing, source};
use super::showing::shown;
use super::{Batch, Error, Followed, Hit, Page, Positions, Store, Suggestion};
use crate::domain::{Cursor, Prefix, Query};

/// Where the server is and how to use it.
#[derive(Clone)]
pub struct Settings {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// What the names of indices and aliases begin with, so that several installations may share a server. In
    /// lower case.
    pub index_prefix: String,
    /// Copies of the index beside the first. On one node there is no place for any: 0.
    pub replicas: u32,
    /// Who we are, where the server asks for it. It goes before one in the URL.
    pub login: Option<Login>,
}

/// Credentials. `Debug` does not show them.
#[derive(Clone)]
pub enum Login {
    /// An API key in its encoded form.
    ApiKey(String),
    /// A user.
    Password {
        /// Name.
        username: String,
        /// Password.
        password: String,
    },
}

impl Settings {
    /// The defaults, on this server.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            index_prefix: "marquee".to_owned(),
            replicas: 0,
            login: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The part before `@` may be credentials.
        let url = match (self.url.split_once("://"), self.url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
            (None, Some((_, host))) => format!("…@{host}"),
            _ => self.url.clone(),
        };
        f.debug_struct("Settings")
            .field("url", &url)
            .field("index_prefix", &self.index_prefix)
            .field("replicas", &self.replicas)
            .field("login", &self.login)
            .finish()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "ApiKey(…)",
            Self::Password { .. } => "Password(…)",
        })
    }
}

/// The index on a server.
#[derive(Clone)]
pub struct Elasticsearch {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    indices: Indices,
    written: Mutex<Written>,
}

/// The pause before a search is tried again whose index did not answer.
const AGAIN: Duration = Duration::from_millis(50);

/// What this process writes to.
enum Written {
    /// Not asked yet.
    Unknown,
    /// This one.
    Target(Target),
    /// The one it wrote to is gone. Which one to write to now, and from which position on, has to be asked.
    Lost,
}

impl Elasticsearch {
    /// Connects to nothing yet: the server may come later.
    ///
    /// # Errors
    /// [`Error::Other`] when the URL or the prefix is wrong.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let prefix = &settings.index_prefix;
        let fits = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
        if !prefix.starts_with(fits)
            || prefix.len() > 100
            || !prefix
                .chars()
                .all(|character| fits(character) || "-_".contains(character))
        {
            return Err(Error::Other(format!(
                "the index prefix `{prefix}` must be up to 100 of a-z, 0-9, - and _, the first a letter or digit"
            )));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                client: Client::new(settings)?,
                indices: Indices::new(prefix, settings.replicas),
                written: Mutex::new(Written::Unknown),
            }),
        })
    }

    /// The index to write, which stays the same until [`Store::follow`] turns to another.
    async fn target(&self) -> Result<Target, Error> {
        match &*self.inner.written.lock() {
            Written::Target(target) => return Ok(target.clone()),
            Written::Lost => return Err(lost()),
            Written::Unknown => {}
        }
        let target = self.inner.indices.target(&self.inner.client).await?;
        self.inner
            .indices
            .await_started(&self.inner.client, &target)
            .await?;
        let mut written = self.inner.written.lock();
        match &*written {
            // Another task of this process was faster.
            Written::Target(target) => Ok(target.clone()),
            Written::Lost => Err(lost()),
            Written::Unknown => {
                *written = Written::Target(target.clone());
                Ok(target)
            }
        }
    }

    /// Takes note when the index is gone.
    fn failed(&self, target: &Target, failure: Failure) -> Error {
        if matches!(failure, Failure::Gone(_)) {
            let mut written = self.inner.written.lock();
            if matches!(&*written, Written::Target(present) if present == target) {
                *written = Written::Lost;
            }
            return lost();
        }
        failure.into()
    }

    /// Searches the alias. On a fresh server the index is made first.
    async fn search(&self, body: Value) -> Result<Value, Error> {
        let Inner { client, indices, .. } = &*self.inner;
        let path = format!(
            "/{}/_search?allow_partial_search_results=false",
            indices.names.searched
        );
        for _ in 0..2 {
            match client.search(&path, body.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Gone(_)) => {
                    let target = indices.target(client).await?;
                    indices.await_started(client, &target).await?;
                }
                // The index may have gone while it was searched, and another have taken its place.
                Err(Failure::Shardless(_)) => tokio::time::sleep(AGAIN).await,
                Err(failure) => return Err(failure.into()),
            }
        }
        Ok(client.search(&path, body).await?)
    }

    /// Removes every index of the prefix. The processes that are running make a new one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the server cannot be reached.
    pub async fn remove(settings: &Settings) -> Result<(), Error> {
        let Inner { client, indices, .. } = &*Self::open(settings)?.inner;
        indices.remove_all(client).await
    }
}

#[async_trait]
impl Store for Elasticsearch {
    fn system(&self) -> &'static str {
        "elasticsearch"
    }

    async fn apply(&self, batch: Batch) -> Result<(), Error> {
        let target = self.target().await?;
        let writing = Writing {
            client: &self.inner.client,
            target: &target,
        };
        let written = async {
            writing.documents(batch.documents).await?;
            writing.positions(&batch.positions).await
        };
        written.await.map_err(|failure| self.failed(&target, failure))
    }

    async fn positions(&self) -> Result<Positions, Error> {
        let target = self.target().await?;
        let writing = Writing {
            client: &self.inner.client,
            target: &target,
        };
        let path = format!("/{}/_search?allow_partial_search_results=false", target.writer);
        let body = json!({
            "query": { "bool": { "filter": { "term": { "kind": POSITION } } } },
            "size": 10_000,
            "_source": ["topic", "partition", "next"],
        });
        let read = async {
            writing.refresh().await?;
            self.inner.client.search(&path, body).await
        };
        let answer = read.await.map_err(|failure| self.failed(&target, failure))?;
        let hits = answer["hits"]["hits"].as_array().into_iter().flatten();
        hits.map(|hit| {
            let position = &hit["_source"];
            let topic = position["topic"].as_str()?.to_owned();
            let partition = u32::try_from(position["partition"].as_u64()?).ok()?;
            Some(((topic, partition), position["next"].as_u64()?))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| Error::Other("the positions in the index are damaged".to_owned()))
    }

    async fn clear(&self) -> Result<(), Error> {
        let target = self.inner.indices.renew(&self.inner.client).await?;
        *self.inner.written.lock() = Written::Target(target);
        Ok(())
    }

    async fn rebuild(&self) -> Result<(), Error> {
        // A fresh server gets its first index before a second one.
        self.inner.indices.target(&self.inner.client).await?;
        self.inner.indices.begin(&self.inner.client).await
    }

    async fn follow(&self) -> Result<Followed, Error> {
        let target = self.inner.indices.target(&self.inner.client).await?;
        let is_known =
            |written: &Written| matches!(written, Written::Target(known) if known.writer == target.writer);
        if !is_known(&self.inner.written.lock()) {
            self.inner
                .indices
                .await_started(&self.inner.client, &target)
                .await?;
        }
        let before = std::mem::replace(&mut *self.inner.written.lock(), Written::Target(target.clone()));
        Ok(Followed {
            is_another: !is_known(&before),
            is_filling: target.is_filling,
        })
    }

    async fn promote(&self) -> Result<(), Error> {
        let target = self.target().await?;
        self.inner.indices.promote(&self.inner.client, &target).await
    }

    async fn ready(&self) -> Result<(), Error> {
        let Inner { client, indices, .. } = &*self.inner;
        let path = format!("/_cluster/health/{}?timeout=0s", indices.names.searched);
        let red = || client.unavailable("has no index yet, or it is red").into();
        match client.get(&path).await {
            Ok(health) if health["status"] == "red" => Err(red()),
            Ok(_) => Ok(()),
            Err(Failure::Gone(_)) => Err(red()),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn search(&self, query: &Query, after: Option<Cursor>, limit: usize) -> Result<Page, Error> {
        let mut body = json!({
            "query": matching::search(query),
            "sort": [{ "_score": "desc" }, { "name": "asc" }],
            "size": limit + 1,
            "track_total_hits": true,
            "_source": ["source"],
        });
        if let Some(after) = after {
            body["search_after"] = json!([after.score, after.name]);
        }
        let answer = Elasticsearch::search(self, body).await?;
        let mut hits = Vec::new();
        for hit in answer["hits"]["hits"].as_array().into_iter().flatten() {
            let document = source(hit)?;
            let snippet = shown(&document, query);
            hits.push(Hit {
                score: hit["_score"].as_f64().unwrap_or_default() as f32,
                snippet,
                document,
            });
        }
        let more = hits.len() > limit;
        hits.truncate(limit);
        let next = hits.last().filter(|_| more).map(|hit| Cursor {
            score: hit.score,
            name: hit.document.name().to_owned(),
        });
        Ok(Page {
            hits,
            next,
            total: answer["hits"]["total"]["value"].as_u64().unwrap_or_default(),
        })
    }

    async fn suggest(&self, prefix: &Prefix, limit: usize) -> Result<Vec<Suggestion>, Error> {
        let answer = Elasticsearch::search(
            self,
            json!({
                "query": matching::suggest(prefix),
                "sort": [{ "_score": "desc" }, { "name": "asc" }],
                // Many events may share one title.
                "collapse": { "field": "title_key" },
                "size": limit,
                "track_total_hits": false,
                "_source": ["source"],
            }),
        )
        .await?;
        let hits = answer["hits"]["hits"].as_array().into_iter().flatten();
        hits.map(|hit| {
            let document = source(hit)?;
            Ok(Suggestion {
                text: document.title().to_owned(),
                name: document.name().to_owned(),
                kind: document.kind(),
            })
        })
        .collect()
    }
}

fn lost() -> Error {
    Error::Unavailable("elasticsearch: another search index is written by now".to_owned())
}
