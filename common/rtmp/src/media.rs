//! Bodies of audio and video messages, which are those of FLV tags: legacy FLV and Enhanced RTMP.
//!
//! Nothing is decoded: what a body says about itself is read, and the rest is handed on as a slice of the same `Bytes`.

mod audio;
mod cursor;
mod packet;
mod video;

#[cfg(test)]
mod tests;

pub use audio::{Audio, AudioBody, AudioCodec, AudioTracks};
pub use video::{FrameType, Video, VideoBody, VideoCodec, VideoTracks};
