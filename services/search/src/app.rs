//! The use cases: search and suggest.

use std::sync::Arc;

use marquee_error::invalid;

use crate::Error;
use crate::domain::{PageToken, Prefix, Query};
use crate::store::{Hit, Store, Suggestion};

/// Answers searches.
#[derive(Clone)]
pub(crate) struct Search {
    store: Arc<dyn Store>,
}

/// One page of a search.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) hits: Vec<Hit>,
    pub(crate) next_page_token: String,
    pub(crate) total: u64,
}

impl Search {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// One page of what matches the query.
    pub(crate) async fn search(&self, query: &Query, page_token: &str, limit: usize) -> Result<Found, Error> {
        let tokens = PageToken::of(query);
        let after = match page_token {
            "" => None,
            token => Some(tokens.decode(token).ok_or_else(|| {
                invalid(
                    "page_token",
                    "must be the `next_page_token` of a search with the same query and filters",
                )
            })?),
        };
        let page = self.store.search(query, after, limit).await?;
        Ok(Found {
            next_page_token: page.next.map(|cursor| tokens.encode(&cursor)).unwrap_or_default(),
            hits: page.hits,
            total: page.total,
        })
    }

    /// Completions of what was typed.
    pub(crate) async fn suggest(&self, typed: &str, limit: usize) -> Result<Vec<Suggestion>, Error> {
        match Prefix::parse(typed) {
            Some(prefix) => Ok(self.store.suggest(&prefix, limit).await?),
            None => Ok(Vec::new()),
        }
    }
}
