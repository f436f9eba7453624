//! Journeys across the whole product: the people in it, and what they do.

mod people;

pub use people::{Api, until_state, uuid};
