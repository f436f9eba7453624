//! The multivariant playlist (RFC 8216bis 4.4.6).

use std::fmt::Write as _;

use super::{Bandwidth, InitRecord};

/// One rendition of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Of its media playlist, relative to the multivariant playlist.
    pub uri: String,
    /// What its latest generation holds.
    pub init: InitRecord,
    /// Measured.
    pub bandwidth: Bandwidth,
}

/// All renditions of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MultivariantPlaylist {
    /// The first is what players start with.
    pub variants: Vec<Variant>,
}

impl MultivariantPlaylist {
    /// The text.
    pub fn render(&self) -> String {
        let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n");
        for variant in &self.variants {
            let Variant { uri, init, bandwidth } = variant;
            // Writing to a String cannot fail. Zero is no BANDWIDTH that players accept.
            let _ = write!(
                text,
                "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"",
                bandwidth.peak.max(1),
                bandwidth.average.max(1),
                init.codecs,
            );
            if let Some((width, height)) = init.resolution {
                let _ = write!(text, ",RESOLUTION={width}x{height}");
            }
            if let Some(rate) = init.frame_rate {
                let _ = write!(text, ",FRAME-RATE={:.3}", rate.as_f64());
            }
            if let Some(range) = init.range {
                let _ = write!(text, ",VIDEO-RANGE={}", range.name());
            }
            let _ = write!(text, "\n{uri}\n");
        }
        text
    }
}
