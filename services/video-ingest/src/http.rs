//! HLS over HTTP: live streams and recordings.
//!
//! ```text
//! /live/{channel}/index.m3u8                   multivariant playlist of what is on the air now
//! /live/{channel}/{stream}/index.m3u8          of one broadcast, also after its end
//! /live/{channel}/{stream}/media.m3u8          its segments and parts: a sliding window, ENDLIST after its end;
//!                                              with `_HLS_msn`, `_HLS_part`, `_HLS_skip`
//! /recordings/{channel}/{recording}/*.m3u8     the same from the first to the last segment
//! .../init-{generation}.mp4, segment-{msn}.m4s the media, the same files for both
//! /live/{channel}/{stream}.flv                 the stream as it comes (`flv.rs`)
//! .../part-{run}.{number}.m4s                  while it is live; the one that is hinted is waited for
//! ```
//!
//! A rendition of a stream has a folder of its own: `/live/{channel}/{stream}/{rendition}/media.m3u8`.

mod answer;
mod flv;
mod gate;
mod playback;
mod stored;

use answer::problem;
pub(crate) use flv::flv;
pub(crate) use gate::guarded;
pub(crate) use playback::router;
