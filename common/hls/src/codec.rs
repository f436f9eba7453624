//! Codec configurations: what an initialization segment and a CODECS attribute are made of.

mod aac;
mod av1;
mod avc;
mod bits;
mod frame_rate;
mod hevc;
mod nal;
mod opus;
mod range;
mod vp9;

pub use aac::Aac;
pub use av1::{Av1, Av1Format};
pub use avc::Avc;
pub use frame_rate::FrameRate;
pub use hevc::{Hevc, ProfileTierLevel};
pub use opus::{Opus, OpusMapping};
pub use range::VideoRange;
pub use vp9::Vp9;

use bytes::Bytes;

use crate::Result;

/// How the pictures are coded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoConfig {
    /// H.264.
    Avc(Avc),
    /// H.265.
    Hevc(Hevc),
    /// AV1.
    Av1(Av1),
    /// VP9.
    Vp9(Vp9),
}

impl VideoConfig {
    /// Reads an AVCDecoderConfigurationRecord (the body of an AVC sequence header, ISO/IEC 14496-15 5.3.3.1).
    ///
    /// # Errors
    /// [`crate::Error::MalformedAvc`], on anything a player could not be initialized with. Never panics.
    pub fn avc(record: Bytes) -> Result<Self> {
        Avc::parse(record).map(Self::Avc)
    }

    /// Reads an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 8.3.2.1).
    ///
    /// # Errors
    /// [`crate::Error::MalformedHevc`], on anything a player could not be initialized with. Never panics.
    pub fn hevc(record: Bytes) -> Result<Self> {
        Hevc::parse(record).map(Self::Hevc)
    }

    /// Reads an AV1CodecConfigurationRecord (AV1 ISOBMFF 2.3). One without a sequence header is completed by the first
    /// keyframe.
    ///
    /// # Errors
    /// [`crate::Error::MalformedAv1`], on anything a player could not be initialized with. Never panics.
    pub fn av1(record: Bytes) -> Result<Self> {
        Av1::parse(record).map(Self::Av1)
    }

    /// Reads a VPCodecConfigurationRecord (VP ISOBMFF). It tells no size: the first keyframe does.
    ///
    /// # Errors
    /// [`crate::Error::MalformedVp9`], on anything a player could not be initialized with. Never panics.
    pub fn vp9(record: Bytes) -> Result<Self> {
        Vp9::parse(record).map(Self::Vp9)
    }

    /// The RFC 6381 name for the CODECS attribute, for example `avc1.64001f`.
    pub fn codec(&self) -> String {
        match self {
            Self::Avc(avc) => avc.codec(),
            Self::Hevc(hevc) => hevc.codec(),
            Self::Av1(av1) => av1.codec(),
            Self::Vp9(vp9) => vp9.codec(),
        }
    }

    /// Width and height in pixels, cropped. Zero while no keyframe of a codec has come whose configuration does not tell.
    pub fn resolution(&self) -> (u16, u16) {
        match self {
            Self::Avc(avc) => (avc.width, avc.height),
            Self::Hevc(hevc) => (hevc.width, hevc.height),
            Self::Av1(av1) => (av1.width, av1.height),
            Self::Vp9(vp9) => (vp9.width, vp9.height),
        }
    }

    /// Frames per second, when the configuration tells.
    pub fn frame_rate(&self) -> Option<FrameRate> {
        match self {
            Self::Avc(avc) => avc.frame_rate,
            Self::Hevc(hevc) => hevc.frame_rate,
            Self::Av1(av1) => av1.frame_rate,
            Self::Vp9(vp9) => vp9.frame_rate,
        }
    }

    /// How brightness is coded, when that is told; `None` is SDR.
    pub fn range(&self) -> Option<VideoRange> {
        match self {
            Self::Avc(avc) => avc.range,
            Self::Hevc(hevc) => hevc.range,
            Self::Av1(av1) => av1
                .format
                .colour
                .and_then(|[_, transfer, _]| VideoRange::of_transfer(transfer)),
            Self::Vp9(vp9) => VideoRange::of_transfer(vp9.colour[1]),
        }
    }

    /// Takes the encoder's word for the frame rate where the configuration does not tell, as VP9's never does.
    #[must_use]
    pub fn or_frame_rate(mut self, told: Option<FrameRate>) -> Self {
        let own = match &mut self {
            Self::Avc(avc) => &mut avc.frame_rate,
            Self::Hevc(hevc) => &mut hevc.frame_rate,
            Self::Av1(av1) => &mut av1.frame_rate,
            Self::Vp9(vp9) => &mut vp9.frame_rate,
        };
        *own = own.or(told);
        self
    }

    /// The same configuration sent again has learned no size; that of the one before is still true until a keyframe says
    /// otherwise.
    pub(crate) fn with_size_of(self, before: Option<&Self>) -> Self {
        let Some(before) = before.filter(|_| self.resolution().0 == 0) else {
            return self;
        };
        let is_same = match (&self, before) {
            (Self::Vp9(new), Self::Vp9(known)) => new.is_of_size_of(known),
            (Self::Av1(_), Self::Av1(_)) => true,
            _ => false,
        };
        if is_same { before.clone() } else { self }
    }

    /// What a keyframe says of itself, where that is not what this configuration says.
    pub(crate) fn at_keyframe(&self, data: &Bytes) -> Option<Self> {
        match self {
            // New parameter sets come as a new configuration.
            Self::Avc(_) | Self::Hevc(_) => None,
            Self::Av1(av1) => av1.at_keyframe(data).map(Self::Av1),
            Self::Vp9(vp9) => vp9.at_keyframe(data).map(Self::Vp9),
        }
        .map(|config| config.or_frame_rate(self.frame_rate()))
    }

    /// A coded picture as it is put into a sample.
    pub(crate) fn sample(&self, data: Bytes) -> Bytes {
        match self {
            Self::Av1(_) => Av1::sample(data),
            Self::Avc(_) | Self::Hevc(_) | Self::Vp9(_) => data,
        }
    }

    /// What is put before a keyframe: the parameter sets where they are to be repeated, and what it cannot do without.
    pub(crate) fn in_band(&self, sample: &Bytes, repeated: bool) -> Bytes {
        match self {
            Self::Avc(avc) if repeated => avc.in_band(),
            Self::Hevc(hevc) if repeated => hevc.in_band(),
            Self::Av1(av1) => av1.in_band(sample),
            Self::Avc(_) | Self::Hevc(_) | Self::Vp9(_) => Bytes::new(),
        }
    }

    /// How many bytes of an access unit must stay in front of parameter sets.
    pub(crate) fn delimiter_len(&self, access_unit: &Bytes) -> usize {
        match self {
            Self::Avc(avc) => avc.delimiter_len(access_unit),
            Self::Hevc(hevc) => hevc.delimiter_len(access_unit),
            Self::Av1(_) | Self::Vp9(_) => 0,
        }
    }
}

/// How the sound is coded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AudioConfig {
    /// AAC-LC, HE-AAC, HE-AAC v2.
    Aac(Aac),
    /// Opus.
    Opus(Opus),
}

impl AudioConfig {
    /// Reads an AudioSpecificConfig (the body of an AAC sequence header, ISO/IEC 14496-3 1.6.2.1).
    ///
    /// # Errors
    /// [`crate::Error::MalformedAac`]. Never panics.
    pub fn aac(config: Bytes) -> Result<Self> {
        Aac::parse(config).map(Self::Aac)
    }

    /// Reads an identification header (RFC 7845 5.1).
    ///
    /// # Errors
    /// [`crate::Error::MalformedOpus`]. Never panics.
    pub fn opus(header: &Bytes) -> Result<Self> {
        Opus::parse(header).map(Self::Opus)
    }

    /// The name for the CODECS attribute, for example `mp4a.40.2`.
    pub fn codec(&self) -> String {
        match self {
            Self::Aac(aac) => aac.codec(),
            // As the sample entry's type (RFC 6381 3.3); players compare without case.
            Self::Opus(_) => "Opus".to_owned(),
        }
    }

    /// Samples per second at the decoder's output, which is also the track's timescale.
    pub fn sample_rate(&self) -> u32 {
        match self {
            Self::Aac(aac) => aac.sample_rate,
            Self::Opus(_) => opus::SAMPLE_RATE,
        }
    }

    /// Samples that most coded frames decode to, at [`Self::sample_rate`].
    pub fn samples_per_frame(&self) -> u32 {
        match self {
            Self::Aac(aac) => aac.samples_per_frame,
            // 20 ms, which RFC 7845 recommends and encoders use.
            Self::Opus(_) => 960,
        }
    }

    /// Samples that this frame decodes to; `None` when it is no frame of this codec.
    pub(crate) fn samples(&self, frame: &[u8]) -> Option<u32> {
        match self {
            Self::Aac(aac) => Some(aac.samples_per_frame),
            Self::Opus(_) => opus::samples(frame),
        }
    }
}
