use serde_json::Value;

use crate::{Index, Stored};

/// Documents by a declared index, in its order: by its fields, then by id.
#[derive(Debug, Clone)]
pub struct Query {
    /// `None` for all by id.
    pub(crate) index: Option<&'static str>,
    /// Values of the first fields.
    pub(crate) equals: Vec<Value>,
    /// Bounds of the field after those.
    pub(crate) bounds: Vec<(Bound, Value)>,
    pub(crate) descending: bool,
    pub(crate) limit: usize,
    pub(crate) after: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    AtLeast,
    Above,
    AtMost,
    Below,
}

impl Bound {
    pub(crate) fn operator(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::Above => ">",
            Self::AtMost => "<=",
            Self::Below => "<",
        }
    }
}

/// Items of a page where the query does not say.
const DEFAULT_LIMIT: usize = 50;
/// Items of a page at most.
const MAX_LIMIT: usize = 1000;

impl Query {
    /// By a declared index.
    pub fn by(index: &'static str) -> Self {
        Self {
            index: Some(index),
            ..Self::all()
        }
    }

    /// Everything, by id.
    pub fn all() -> Self {
        Self {
            index: None,
            equals: Vec::new(),
            bounds: Vec::new(),
            descending: false,
            limit: DEFAULT_LIMIT,
            after: None,
        }
    }

    /// The next field of the index has this value; null for documents that lack it.
    #[must_use]
    pub fn equals(mut self, value: impl Into<Value>) -> Self {
        self.equals.push(value.into());
        self
    }

    /// The field after those with [`equals`](Self::equals) is at least this. Documents that lack it are left out.
    #[must_use]
    pub fn at_least(self, value: impl Into<Value>) -> Self {
        self.bound(Bound::AtLeast, value.into())
    }

    /// The field after those with [`equals`](Self::equals) is more than this.
    #[must_use]
    pub fn above(self, value: impl Into<Value>) -> Self {
        self.bound(Bound::Above, value.into())
    }

    /// The field after those with [`equals`](Self::equals) is at most this.
    #[must_use]
    pub fn at_most(self, value: impl Into<Value>) -> Self {
        self.bound(Bound::AtMost, value.into())
    }

    /// The field after those with [`equals`](Self::equals) is less than this.
    #[must_use]
    pub fn below(self, value: impl Into<Value>) -> Self {
        self.bound(Bound::Below, value.into())
    }

    fn bound(mut self, bound: Bound, value: Value) -> Self {
        self.bounds.push((bound, value));
        self
    }

    /// From the last to the first.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.descending = true;
        self
    }

    /// So many items a page; 0 for the default of 50, at most 1,000.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = if limit == 0 {
            DEFAULT_LIMIT
        } else {
            limit.min(MAX_LIMIT)
        };
        self
    }

    /// The page after the one that had this token; empty for the first page.
    #[must_use]
    pub fn after(mut self, page_token: &str) -> Self {
        self.after = Some(page_token)
            .filter(|token| !token.is_empty())
            .map(str::to_owned);
        self
    }

    /// What the index says that a page token must be bound to.
    pub(crate) fn fields(index: Option<&Index>) -> &[&'static str] {
        index.map_or(&[], |index| index.fields)
    }
}

/// Some documents, and where the next ones are.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The documents, in order.
    pub items: Vec<Stored<T>>,
    /// For [`Query::after`]; `None` when there are no more.
    pub next_page_token: Option<String>,
}
