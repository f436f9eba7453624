//! Journeys across the whole product: the people in it, and what they do.

pub mod inbox_stream;
pub mod journey;
mod people;

pub use people::{Api, until_state, uuid};
