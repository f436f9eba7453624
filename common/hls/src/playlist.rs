//! Playlists (RFC 8216bis) and the journal they are rebuilt from.

mod journal;
mod media;
mod multivariant;

pub use journal::{InitRecord, Journal, Record, SegmentRecord};
pub use media::{Bandwidth, Kind, MediaPlaylist};
pub use multivariant::{MultivariantPlaylist, Variant};

/// The file name of a generation's initialization segment.
pub fn init_name(generation: u32) -> String {
    format!("init-{generation}.mp4")
}

/// The file name of a segment.
pub fn segment_name(msn: u64) -> String {
    format!("segment-{msn}.m4s")
}

/// The file name of a part of a segment.
pub fn part_name(msn: u64, index: u32) -> String {
    format!("part-{msn}.{index}.m4s")
}
