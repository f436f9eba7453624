//! The search service as its callers and the bus see it.

mod fixture;
mod indexing;
mod queries;
