//! `marquee.analytics.v1`: decode, ask, encode.

mod audience;
mod beacons;

pub(crate) use audience::AudienceGrpc;
pub(crate) use beacons::BeaconGrpc;
