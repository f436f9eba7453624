//! One SQLite file, used well: a single writer thread that commits concurrent writes as one group with one fsync, and a
//! few reader connections that never wait for it.
//!
//! ```text
//!  write(f) ──┐                       ┌─ savepoint f1 ─ savepoint f2 ─ ... ─ COMMIT (fsync) ─► answers
//!  write(f) ──┼─► bounded queue ─► writer thread
//!  write(f) ──┘                                     read(f) ─► reader connection, inline (WAL snapshot)
//! ```
//!
//! The file belongs to one process (a lock file beside it says so), which is what lets users of this crate keep exact
//! caches of what is in it.

mod checkpoint;
mod database;
mod error;
mod lock;
mod readers;
mod writer;

pub use database::{Database, Options, Permit};
pub use error::Error;
pub use rusqlite;
