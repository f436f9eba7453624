//! Proto3 JSON as this product speaks it; ADR 0006 says where and why it departs from the canonical mapping.

mod decode;
mod encode;

pub(crate) use decode::{decode, leaf, nearest_field};
pub(crate) use encode::Json;

/// Types with a JSON form of their own, which `prost-reflect` reads and writes.
fn is_well_known(full_name: &str) -> bool {
    full_name.starts_with("google.protobuf.")
}
