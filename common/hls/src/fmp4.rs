//! Fragmented MP4 (ISO/IEC 14496-12 8.8): the initialization segment and parts.

mod entry;
mod init;
mod part;

pub use part::Part;

pub(crate) use init::write as write_init;
pub(crate) use part::{Run, Sample, Writer};

pub(crate) const VIDEO_TRACK: u32 = 1;
pub(crate) const AUDIO_TRACK: u32 = 2;
/// Ticks per second of video tracks, which every common frame rate divides or nearly divides.
pub(crate) const VIDEO_TIMESCALE: u32 = 90_000;

/// sample_depends_on = 2: a sync sample (ISO/IEC 14496-12 8.8.3.1).
const SYNC: u32 = 0x0200_0000;
/// sample_depends_on = 1, sample_is_non_sync_sample = 1.
const NON_SYNC: u32 = 0x0101_0000;
