//! HLS over HTTP: live streams and recordings.
//!
//! ```text
//! /live/{channel}/index.m3u8                   multivariant playlist of what is on the air now
//! /live/{channel}/{stream}/index.m3u8          of one broadcast, also after its end
//! /live/{channel}/{stream}/media.m3u8          its segments: a sliding window, ENDLIST after its end
//! /recordings/{channel}/{recording}/*.m3u8     the same from the first to the last segment
//! .../init-{generation}.mp4, segment-{msn}.m4s the media, the same files for both
//! ```

mod playback;
mod stored;

pub(crate) use playback::router;
