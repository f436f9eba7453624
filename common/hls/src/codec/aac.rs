//! AAC: the AudioSpecificConfig of ISO/IEC 14496-3 1.6.2.1, with explicit and backward-compatible SBR and PS.

use bytes::Bytes;

use super::bits::Bits;
use crate::{Error, Result};

const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
];
const SBR: u32 = 5;
const PS: u32 = 29;

/// An AAC track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aac {
    /// Samples per second at the decoder's output: twice the core's with SBR.
    pub sample_rate: u32,
    /// Samples a frame decodes to: 1024 or 960, twice that with SBR.
    pub samples_per_frame: u32,
    /// Channels at the decoder's output.
    pub channels: u16,
    /// The audio object type that is signalled: 2 LC, 5 HE-AAC, 29 HE-AAC v2.
    pub object_type: u32,
    /// The AudioSpecificConfig as it came.
    pub config: Bytes,
}

impl Aac {
    pub(super) fn parse(config: Bytes) -> Result<Self> {
        let mut bits = Bits::new(&config);
        let (object_type, sample_rate, channels, samples_per_frame) =
            read(&mut bits).ok_or(Error::MalformedAac("it ends too early"))??;
        if !(7_000..=192_000).contains(&sample_rate) {
            return Err(Error::MalformedAac("the sample rate is out of range"));
        }
        Ok(Self {
            sample_rate,
            samples_per_frame,
            channels,
            object_type,
            config,
        })
    }

    pub(super) fn codec(&self) -> String {
        format!("mp4a.40.{}", self.object_type)
    }
}

fn object_type(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.bits(5)? {
        31 => Some(32 + bits.bits(6)?),
        other => Some(other),
    }
}

fn sample_rate(bits: &mut Bits<'_>) -> Option<Option<u32>> {
    match bits.bits(4)? {
        15 => Some(Some(bits.bits(24)?)),
        index => Some(RATES.get(index as usize).copied()),
    }
}

type Fields = (u32, u32, u16, u32);

/// Object type, output rate, channels, samples per frame. The outer `None` is the end of the bytes.
fn read(bits: &mut Bits<'_>) -> Option<Result<Fields>> {
    const RESERVED: Error = Error::MalformedAac("a reserved sample rate");
    let mut signalled = object_type(bits)?;
    let Some(core_rate) = sample_rate(bits)? else {
        return Some(Err(RESERVED));
    };
    let mut channels = match bits.bits(4)? {
        count @ 1..=6 => count as u16,
        7 | 12 | 14 => 8,
        11 => 7,
        // Zero: a program config element tells, which players read for themselves.
        0 => 2,
        _ => return Some(Err(Error::MalformedAac("a reserved channel configuration"))),
    };
    let mut output_rate = core_rate;
    let mut core_type = signalled;
    if signalled == SBR || signalled == PS {
        match sample_rate(bits)? {
            Some(rate) => output_rate = rate,
            None => return Some(Err(RESERVED)),
        }
        core_type = object_type(bits)?;
    }
    if !matches!(core_type, 1..=4) {
        return Some(Err(Error::MalformedAac(
            "only aac main, lc, ssr and ltp are carried",
        )));
    }
    let short_frames = bits.bit()?;
    if bits.bit()? {
        bits.bits(14)?;
    }
    let extension = bits.bit()?;
    // Backward-compatible signalling follows at the end; a program config element before it is not looked through.
    if signalled == core_type
        && !extension
        && bits.remaining() >= 16
        && bits.bits(11)? == 0x2b7
        && object_type(bits)? == SBR
        && bits.bit()?
        && let Some(rate) = sample_rate(bits)?
    {
        signalled = SBR;
        output_rate = rate;
        if bits.remaining() >= 12 && bits.bits(11)? == 0x548 && bits.bit()? {
            signalled = PS;
        }
    }
    if signalled == PS && channels == 1 {
        channels = 2;
    }
    let core_samples = if short_frames { 960 } else { 1_024 };
    // SBR doubles the rate; the same rate twice is down-sampled SBR.
    let samples = if output_rate == core_rate.saturating_mul(2) {
        core_samples * 2
    } else {
        output_rate = core_rate;
        core_samples
    };
    Some(Ok((signalled, output_rate, channels, samples)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn aac(bytes: &[u8]) -> Result<Aac> {
        Aac::parse(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn lc_is_read() {
        let lc = aac(&[0x12, 0x10]).unwrap();
        assert_eq!((lc.sample_rate, lc.channels), (44_100, 2));
        assert_eq!(lc.samples_per_frame, 1_024);
        assert_eq!(lc.codec(), "mp4a.40.2");
    }

    #[test]
    fn explicit_sbr_doubles_rate_and_frame() {
        // AOT 5, core 24 kHz, stereo, extension 48 kHz, AOT 2.
        let he = aac(&[0x2b, 0x11, 0x88, 0x00]).unwrap();
        assert_eq!((he.sample_rate, he.samples_per_frame), (48_000, 2_048));
        assert_eq!(he.codec(), "mp4a.40.5");
    }

    #[test]
    fn backward_compatible_sbr_is_found_behind_the_core_configuration() {
        // AOT 2, 22.05 kHz, stereo, then 0x2b7, AOT 5, present, 44.1 kHz.
        let he = aac(&[0x13, 0x90, 0x56, 0xe5, 0xa0]).unwrap();
        assert_eq!((he.sample_rate, he.samples_per_frame), (44_100, 2_048));
        assert_eq!(he.object_type, SBR);
    }

    #[test]
    fn parametric_stereo_makes_two_channels_of_one() {
        // AOT 29, core 24 kHz, mono, extension 48 kHz, AOT 2.
        let ps = aac(&[0xeb, 0x09, 0x88, 0x00]).unwrap();
        assert_eq!((ps.object_type, ps.channels), (PS, 2));
    }

    #[test]
    fn other_codecs_are_refused() {
        assert!(matches!(aac(&[0xf9, 0x48, 0x80, 0]), Err(Error::MalformedAac(_))));
        assert!(matches!(aac(&[0x12]), Err(Error::MalformedAac(_))));
        assert!(matches!(aac(&[]), Err(Error::MalformedAac(_))));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic_nor_give_a_zero_rate(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            if let Ok(config) = aac(&bytes) {
                prop_assert!(config.sample_rate >= 7_000 && config.samples_per_frame >= 960 && config.channels > 0);
            }
        }
    }
}
