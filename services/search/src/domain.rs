//! Documents, queries and the text rules that both the index and the highlighter follow. Knows no index and no wire.

pub mod distance;
pub mod document;
pub mod fold;
pub mod page;
pub mod query;
pub mod snippet;
pub mod words;

pub use document::{ChannelDocument, Document, EventDocument, Kind, State, Version};
pub use page::{Cursor, PageToken};
pub use query::{Filter, Prefix, Query};
