//! Playlists (RFC 8216bis) and the journal they are rebuilt from.

mod directives;
mod journal;
mod live;
mod media;
mod multivariant;

pub use directives::{BadRequest, Decision, Edge, Query};
pub use journal::{Gap, InitRecord, Journal, Record, SegmentRecord};
pub use live::{GAP_NAME, GAPS, LivePlaylist, Report};
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

/// The name of a part. Parts are numbered across the segments of a publish (a `run`, named by its first generation), so that
/// the name of the next one is known before it is known whether it begins a segment: a preload hint is always right.
pub fn part_name(run: u32, number: u64) -> String {
    format!("part-{run}.{number}.m4s")
}
