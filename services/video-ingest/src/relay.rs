//! What the encoder sends, as it sends it, for others than the packager: RTMP and HTTP-FLV players, other servers.
//!
//! ```text
//!  broadcast::Actor ──push──► Ring: headers, newest group of pictures ──┬─ Reader ─► RTMP player
//!                             (bounded in bytes and time)               ├─ Reader ─► HTTP-FLV player
//!                                                                       └─ Reader ─► another RTMP server
//! ```
//!
//! Nothing is copied: a tag's body is the message's, and the packager's frames are parts of the same memory. A stream that
//! nobody reads keeps its newest group of pictures, which the live window holds as well, and wakes nobody.
//!
//! A reader begins with the headers and the newest keyframe. It never holds anything up: one that has lost its place,
//! since it takes less than is sent, goes on at the newest keyframe. Who takes nothing at all is sent away by whoever writes
//! to it.

mod class;
mod clock;
mod reader;
mod ring;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use marquee_rtmp::flv::{Tag, TagKind};
pub(crate) use reader::{Reader, Taken};
pub(crate) use ring::Ring;

/// How much is kept for readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayConfig {
    /// Bytes of tags of one stream. A group of pictures that is larger is not kept: who comes waits for the next keyframe.
    pub max_bytes: usize,
    /// Longest group of pictures that is kept.
    pub max_group: Duration,
    /// How far a reader may fall behind the newest keyframe before it loses its place.
    pub max_lag: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            max_bytes: 16 << 20,
            max_group: Duration::from_secs(20),
            max_lag: Duration::from_secs(5),
        }
    }
}
