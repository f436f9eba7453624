//! From coded frames to HLS: a timeline, fragmented MP4 and playlists, without sockets, tasks or a clock.
//!
//! ```text
//!  VideoConfig, AudioConfig ─┐                    ┌► Output::Init     init-{generation}.mp4
//!                            ├► Packager ─────────┼► Output::Part     moof + mdat, about 200 ms
//!  Frame (32-bit ms) ────────┘   │  ▲             ├► Output::Segment  a list of parts, about 2 s
//!                                │  │             └► Output::Warning
//!                            Timeline: unwrapped, jumps absorbed, frame grid, sample clock
//!
//!  InitRecord, SegmentRecord ──► MediaPlaylist (EVENT, VOD), MultivariantPlaylist
//!            │  ▲      └── Part ──► LivePlaylist (low latency) ──► Edge: what a blocked request waits for
//!            │  ▲
//!            ▼  │ one line each
//!          Journal ──► State ──► Packager::resume
//! ```
//!
//! The words used here:
//!
//! - A **generation** is a run of segments that share one initialization segment. A reconnect and a change of codec
//!   parameters start a new one, and its first segment carries `EXT-X-DISCONTINUITY`. Media time goes on across
//!   generations, so that players that ignore the tag see no time go back.
//! - A **part** is one `moof` and `mdat` (a CMAF chunk); a **segment** is a list of parts, from a keyframe to a keyframe.
//!   Media bytes are never copied: a part is a list of [`bytes::Bytes`].
//! - All times handed in are the caller's: [`UtcMicros`] for the wall clock, 32-bit milliseconds for frames.
//!
//! The caller appends one line per [`InitRecord`] and [`SegmentRecord`] to a file after the bytes are stored; after a crash
//! [`Journal::replay`] gives back the playlists and the [`State`] to resume from.

#![warn(missing_docs)]

mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod fmp4;
mod frame;
pub mod fuzz;
mod packager;
mod playlist;
mod time;
mod timeline;

pub use codec::{
    Aac, AudioConfig, Av1, Av1Format, Avc, FrameRate, Hevc, Opus, OpusMapping, ProfileTierLevel, VideoConfig,
    VideoRange, Vp9,
};
pub use error::Error;
pub use fmp4::Part;
pub use frame::{Frame, Track};
pub use packager::{Config, Expected, Init, MediaConfig, Output, Packager, Segment, State, Warning};
pub use playlist::{
    BadRequest, Bandwidth, Decision, Edge, GAP_NAME, GAPS, Gap, InitRecord, Journal, Kind, LivePlaylist,
    MediaPlaylist, MultivariantPlaylist, Query, Record, Report, SegmentRecord, Variant, init_name, part_name,
    segment_name,
};
pub use time::UtcMicros;

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
