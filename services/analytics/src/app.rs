//! The use cases.

pub(crate) mod audience;
pub(crate) mod beacons;
pub(crate) mod catalogue;
mod follow;
mod known;
pub(crate) mod summary;
mod sweep;

pub(crate) use audience::{Audience, Board};
pub(crate) use beacons::Beacons;
pub(crate) use catalogue::Catalogue;
pub(crate) use follow::Follower;
pub(crate) use summary::Summaries;
pub(crate) use sweep::Sweeper;
