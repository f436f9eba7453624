//! Which index is searched and which is written.
//!
//! ```text
//!  {prefix}-search ──────────► {prefix}-search-v1-000001   searched, and written while no other is filled
//!  {prefix}-search-next ─────► {prefix}-search-v2-000002   filled from the bus' earliest record on
//!  {prefix}-search-writer-… ─► each has one of its own, under a name that never comes again
//! ```
//!
//! Everything about it is in the aliases, which all processes see alike and the server changes atomically. An index is made
//! with its aliases in one step, and its number makes sure that only one of several processes makes it. Whoever writes
//! writes through the writer's alias and requires it to be one: an index that is gone, even one that was made anew under
//! the same name, is noticed and never made by the way, without its mapping.

use serde_json::{Value, json};

use super::client::{Client, Failure};
use super::schema::{self, VERSION};
use crate::store::Error;

/// The index that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) index: String,
    /// The alias to write through.
    pub(super) writer: String,
    /// Whether searches are answered by another one still.
    pub(super) is_filling: bool,
}

/// Names of the indices of one prefix.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// The alias that is searched.
    pub(super) searched: String,
    next: String,
    writer: String,
    version: String,
}

/// An index that is there.
#[derive(Debug)]
struct Present {
    index: String,
    version: u32,
    number: u32,
    is_searched: bool,
    is_next: bool,
    writer: Option<String>,
}

/// Makes, finds and switches indices.
pub(super) struct Indices {
    pub(super) names: Names,
    replicas: u32,
}

/// What a new index is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Searched,
    Next,
}

/// Others may do the same at the same time; somebody wins each round.
const ROUNDS: usize = 8;

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            searched: format!("{prefix}-search"),
            next: format!("{prefix}-search-next"),
            writer: format!("{prefix}-search-writer-"),
            version: format!("{prefix}-search-v"),
        }
    }

    fn index(&self, number: u32) -> String {
        format!("{}{VERSION}-{number:06}", self.version)
    }

    /// Version and number of an index of this prefix.
    fn parse(&self, index: &str) -> Option<(u32, u32)> {
        let (version, number) = index.strip_prefix(&self.version)?.split_once('-')?;
        Some((version.parse().ok()?, number.parse().ok()?))
    }
}

impl Present {
    fn target(&self) -> Option<Target> {
        Some(Target {
            index: self.index.clone(),
            writer: self.writer.clone()?,
            is_filling: !self.is_searched,
        })
    }
}

impl Indices {
    pub(super) fn new(prefix: &str, replicas: u32) -> Self {
        Self {
            names: Names::new(prefix),
            replicas,
        }
    }

    /// The index to write. It is made when there is none of this version, beside the one of an older version. What is
    /// neither searched nor filled any more is removed by the way.
    pub(super) async fn target(&self, client: &Client) -> Result<Target, Error> {
        for _ in 0..ROUNDS {
            let present = self.present(client).await?;
            let next = present
                .iter()
                .rev()
                .find(|index| index.is_next && index.version == VERSION);
            let searched = present.iter().rev().find(|index| index.is_searched);
            self.tidy(client, &present, searched).await;
            let purpose = match (next, searched) {
                (Some(next), _) => return next.target().ok_or_else(unwritable),
                (None, Some(searched)) if searched.version == VERSION => {
                    return searched.target().ok_or_else(unwritable);
                }
                (None, Some(searched)) if searched.version > VERSION => {
                    return Err(Error::Unavailable(format!(
                        "elasticsearch: the index `{}` is of a newer version of this service, which writes version \
                         {VERSION}",
                        searched.index
                    )));
                }
                (None, Some(older)) => {
                    tracing::info!(
                        index = older.index,
                        "the search index is of an older version: a new one is filled"
                    );
                    Purpose::Next
                }
                (None, None) => Purpose::Searched,
            };
            self.create(client, &present, purpose).await?;
        }
        Err(unsettled())
    }

    /// Makes an index to be filled, unless there is one already.
    pub(super) async fn begin(&self, client: &Client) -> Result<(), Error> {
        let present = self.present(client).await?;
        if present
            .iter()
            .any(|index| index.is_next && index.version == VERSION)
        {
            return Ok(());
        }
        // Who is too late for the number finds the other's.
        self.create(client, &present, Purpose::Next).await.map(drop)
    }

    /// Waits, but not for long, until the index answers: another process may just be making it.
    pub(super) async fn await_started(&self, client: &Client, target: &Target) -> Result<(), Error> {
        let path = format!(
            "/_cluster/health/{}?wait_for_active_shards=1&timeout=4s",
            target.index
        );
        client.get(&path).await.map(drop).map_err(Error::from)
    }

    /// Removes what was searched before. Searches that had begun on it have ended by then.
    async fn tidy(&self, client: &Client, present: &[Present], searched: Option<&Present>) {
        let Some(searched) = searched else { return };
        let over = present
            .iter()
            .filter(|index| !index.is_searched && !index.is_next && index.number < searched.number);
        let actions: Vec<_> = over
            .map(|index| json!({ "remove_index": { "index": index.index } }))
            .collect();
        if !actions.is_empty()
            && let Err(failure) = client
                .post("/_aliases", Some(json!({ "actions": actions })))
                .await
        {
            tracing::debug!(error = %Error::from(failure), "an old search index is removed later");
        }
    }

    /// Searches are answered by this index from now on, and no other is filled. Nothing when it is so already.
    pub(super) async fn promote(&self, client: &Client, target: &Target) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let present = self.present(client).await?;
            let Some(promoted) = present
                .iter()
                .find(|index| index.writer.as_ref() == Some(&target.writer))
            else {
                return Err(Error::Unavailable(format!(
                    "elasticsearch: the index `{}` is gone",
                    target.index
                )));
            };
            let mut actions = Vec::new();
            if !promoted.is_searched {
                actions.push(json!({ "add": { "index": promoted.index, "alias": self.names.searched } }));
            }
            if promoted.is_next {
                actions.push(json!({ "remove": { "index": promoted.index, "alias": self.names.next } }));
            }
            for other in present.iter().filter(|other| other.index != promoted.index) {
                let aliases = [
                    (other.is_searched, &self.names.searched),
                    (other.is_next, &self.names.next),
                ];
                let had = aliases.into_iter().filter(|(has, _)| *has);
                actions.extend(
                    had.map(|(_, alias)| json!({ "remove": { "index": other.index, "alias": alias } })),
                );
            }
            if actions.is_empty() {
                return Ok(());
            }
            match client
                .post("/_aliases?timeout=15s", Some(json!({ "actions": actions })))
                .await
            {
                Ok(_) => {
                    tracing::info!(index = promoted.index, "searches are answered by the new index");
                    return Ok(());
                }
                // Somebody else has changed the aliases meanwhile.
                Err(Failure::Gone(_)) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(unsettled())
    }

    /// A new, empty index takes the place of all others. Who writes to one of them still finds out with its next look.
    pub(super) async fn renew(&self, client: &Client) -> Result<Target, Error> {
        for _ in 0..ROUNDS {
            let present = self.present(client).await?;
            if let Some(target) = self.create(client, &present, Purpose::Next).await? {
                self.promote(client, &target).await?;
                return Ok(Target {
                    is_filling: false,
                    ..target
                });
            }
        }
        Err(unsettled())
    }

    /// Removes everything of the prefix.
    pub(super) async fn remove_all(&self, client: &Client) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let present = self.present(client).await?;
            let actions: Vec<_> = present
                .iter()
                .map(|index| json!({ "remove_index": { "index": index.index } }))
                .collect();
            if actions.is_empty() {
                return Ok(());
            }
            match client
                .post("/_aliases", Some(json!({ "actions": actions })))
                .await
            {
                // A running process was faster.
                Ok(_) | Err(Failure::Gone(_)) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(unsettled())
    }

    /// The indices that are there, by number.
    async fn present(&self, client: &Client) -> Result<Vec<Present>, Error> {
        let answer = match client.get(&format!("/{}*/_alias", self.names.version)).await {
            Ok(answer) => answer,
            Err(Failure::Gone(_)) => return Ok(Vec::new()),
            Err(failure) => return Err(failure.into()),
        };
        let indices = answer.as_object().into_iter().flatten();
        let mut present: Vec<_> = indices
            .filter_map(|(index, about)| {
                let (version, number) = self.names.parse(index)?;
                let aliases = about["aliases"].as_object()?;
                Some(Present {
                    index: index.clone(),
                    version,
                    number,
                    is_searched: aliases.contains_key(&self.names.searched),
                    is_next: aliases.contains_key(&self.names.next),
                    writer: aliases
                        .keys()
                        .find(|alias| alias.starts_with(&self.names.writer))
                        .cloned(),
                })
            })
            .collect();
        present.sort_by_key(|index| index.number);
        Ok(present)
    }

    /// `None` when another process was faster.
    async fn create(
        &self,
        client: &Client,
        present: &[Present],
        purpose: Purpose,
    ) -> Result<Option<Target>, Error> {
        let number = present.last().map_or(1, |last| last.number.saturating_add(1));
        let index = self.names.index(number);
        let writer = format!("{}{}", self.names.writer, uuid::Uuid::now_v7().simple());
        let alias = match purpose {
            Purpose::Searched => &self.names.searched,
            Purpose::Next => &self.names.next,
        };
        let aliases: Value = json!({ alias: {}, &writer: {} });
        let path = format!("/{index}?wait_for_active_shards=1&timeout=15s");
        match client.put(&path, schema::index(self.replicas, aliases)).await {
            Ok(_) => {
                tracing::info!(index, "made a search index");
                Ok(Some(Target {
                    index,
                    writer,
                    is_filling: purpose == Purpose::Next,
                }))
            }
            Err(Failure::Exists) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }
}

fn unwritable() -> Error {
    Error::Unavailable("elasticsearch: the search index has no alias to write through: rebuild it".to_owned())
}

fn unsettled() -> Error {
    Error::Unavailable("elasticsearch: other processes keep changing the search indices".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_told_by_version_and_number_from_aliases_and_other_indices() {
        let names = Names::new("marquee");
        assert_eq!(names.parse(&names.index(7)), Some((VERSION, 7)));
        assert_eq!(names.parse("marquee-search-v12-000034"), Some((12, 34)));
        for other in [
            "marquee-search",
            "marquee-search-next",
            "marquee-search-v1",
            "other-search-v1-000001",
        ] {
            assert_eq!(names.parse(other), None, "{other}");
        }
    }
}
