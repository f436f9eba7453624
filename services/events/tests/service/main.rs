//! The events service as its callers and the bus see it.

mod channels;
mod events;
mod fixture;
mod lists;
mod streams;
