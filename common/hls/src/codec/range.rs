//! How brightness is coded, where it is more than screens used to show.

/// Dynamic range beyond SDR, as the VIDEO-RANGE attribute names it (RFC 8216bis 4.4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoRange {
    /// Hybrid log-gamma (ITU-R BT.2100).
    Hlg,
    /// Perceptual quantizer (SMPTE ST 2084): HDR10, Dolby Vision.
    Pq,
}

impl VideoRange {
    /// By transfer_characteristics, whose numbers all codecs share (ISO/IEC 23091-2 8.2). `None` is SDR.
    pub(super) fn of_transfer(characteristics: u8) -> Option<Self> {
        match characteristics {
            16 => Some(Self::Pq),
            18 => Some(Self::Hlg),
            _ => None,
        }
    }

    /// The attribute's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hlg => "HLG",
            Self::Pq => "PQ",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Hlg, Self::Pq]
            .into_iter()
            .find(|range| range.name() == name)
    }
}
