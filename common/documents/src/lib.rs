//! Typed collections with declared indexes, etags, counters and an outbox; what the services that keep documents are
//! written over, once.
//!
//! ```text
//!  Transaction: insert, replace if etag, put, delete, increment, publish, remember ──► commit, all or nothing ──► outbox relay
//!  get ──► cache of decoded values (exact) ──► backend
//!  query ──► declared index, stable order, keyset page tokens
//!  changes ◄── what any process committed to a collection
//! ```
//!
//! The SQLite backend keeps JSON rows in one file, the MongoDB backend (feature `mongodb`) documents in the database of a
//! replica set; every backend passes `suite!` (feature `testing`).
//!
//! A field that an index orders by must sort as JSON: numbers and text do. For moments use [`sortable_time`], since the
//! usual RFC 3339 text with as many decimals as it takes does not sort within a second.

mod backend;
mod changes;
mod document;
mod error;
mod location;
#[cfg(feature = "mongodb")]
pub mod mongodb;
mod page_token;
mod query;
mod request;
pub mod sortable_time;
mod sqlite;
mod store;
mod transaction;

#[cfg(feature = "testing")]
pub mod testing;

pub use changes::{Change, Changes};
pub use document::{Collection, Document, Etag, Index, Stored};
pub use error::Error;
pub use location::Location;
pub use query::{Page, Query};
pub use request::RequestKey;
pub use store::Store;
pub use transaction::{Committed, Transaction};
