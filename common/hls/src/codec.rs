//! Codec configurations: what an initialization segment and a CODECS attribute are made of.

mod aac;
mod avc;
mod bits;

pub use aac::Aac;
pub use avc::{Avc, FrameRate};

use bytes::Bytes;

use crate::Result;

/// How the pictures are coded. HEVC, AV1 and VP9 will join.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoConfig {
    /// H.264.
    Avc(Avc),
}

impl VideoConfig {
    /// Reads an AVCDecoderConfigurationRecord (the body of an AVC sequence header, ISO/IEC 14496-15 5.3.3.1).
    ///
    /// # Errors
    /// [`crate::Error::MalformedAvc`], on anything a player could not be initialized with. Never panics.
    pub fn avc(record: Bytes) -> Result<Self> {
        Avc::parse(record).map(Self::Avc)
    }

    /// The RFC 6381 name for the CODECS attribute, for example `avc1.64001f`.
    pub fn codec(&self) -> String {
        match self {
            Self::Avc(avc) => avc.codec(),
        }
    }

    /// Width and height in pixels, cropped.
    pub fn resolution(&self) -> (u16, u16) {
        match self {
            Self::Avc(avc) => (avc.width, avc.height),
        }
    }

    /// The parameter sets as length-prefixed NAL units, as they may stand in front of a keyframe's own.
    pub(crate) fn in_band(&self) -> Bytes {
        match self {
            Self::Avc(avc) => avc.in_band(),
        }
    }

    /// How many bytes of an access unit must stay in front of parameter sets.
    pub(crate) fn delimiter_len(&self, access_unit: &Bytes) -> usize {
        match self {
            Self::Avc(avc) => avc.delimiter_len(access_unit),
        }
    }

    /// Frames per second, when the parameter sets tell.
    pub fn frame_rate(&self) -> Option<FrameRate> {
        match self {
            Self::Avc(avc) => avc.frame_rate,
        }
    }
}

/// How the sound is coded. Opus will join.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AudioConfig {
    /// AAC-LC, HE-AAC, HE-AAC v2.
    Aac(Aac),
}

impl AudioConfig {
    /// Reads an AudioSpecificConfig (the body of an AAC sequence header, ISO/IEC 14496-3 1.6.2.1).
    ///
    /// # Errors
    /// [`crate::Error::MalformedAac`]. Never panics.
    pub fn aac(config: Bytes) -> Result<Self> {
        Aac::parse(config).map(Self::Aac)
    }

    /// The RFC 6381 name for the CODECS attribute, for example `mp4a.40.2`.
    pub fn codec(&self) -> String {
        match self {
            Self::Aac(aac) => aac.codec(),
        }
    }

    /// Samples per second at the decoder's output, which is also the track's timescale.
    pub fn sample_rate(&self) -> u32 {
        match self {
            Self::Aac(aac) => aac.sample_rate,
        }
    }

    /// Samples a coded frame decodes to, at [`Self::sample_rate`].
    pub fn samples_per_frame(&self) -> u32 {
        match self {
            Self::Aac(aac) => aac.samples_per_frame,
        }
    }
}
