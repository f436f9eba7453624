//! VP9: the VPCodecConfigurationRecord (VP Codec ISO Media File Format Binding 1.0), and the size, which only keyframes tell
//! (VP9 Bitstream & Decoding Process Specification 6.2).

use bytes::Bytes;

use super::bits::Bits;
use super::frame_rate::FrameRate;
use crate::{Error, Result};

/// Level times ten, and the samples in a picture that it allows (VP9 annex A).
const LEVELS: [(u8, u32); 9] = [
    (10, 36_864),
    (11, 73_728),
    (20, 122_880),
    (21, 245_760),
    (30, 552_960),
    (31, 983_040),
    (40, 2_228_224),
    (50, 8_912_896),
    (60, 35_651_584),
];
const HIGHEST_LEVEL: u8 = 62;

/// A VP9 track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vp9 {
    /// Pixels; zero until a keyframe has told.
    pub width: u16,
    /// Pixels; zero until a keyframe has told.
    pub height: u16,
    /// Never told by the codec; the encoder's metadata may.
    pub frame_rate: Option<FrameRate>,
    /// 0 to 3.
    pub profile: u8,
    /// Level times ten, as the record has it; 0 is not known.
    pub level: u8,
    /// 8, 10 or 12.
    pub bit_depth: u8,
    /// 0 and 1 are 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
    pub chroma_subsampling: u8,
    /// Whether all values are used.
    pub full_range: bool,
    /// colour_primaries, transfer_characteristics, matrix_coefficients.
    pub colour: [u8; 3],
}

impl Vp9 {
    /// The record with or without the version and flags of the box around it: encoders send either.
    pub(super) fn parse(record: Bytes) -> Result<Self> {
        // Profile 1 with a bit depth of 0 would read the same, and is no record.
        let record = record.strip_prefix(&[1, 0, 0, 0]).unwrap_or(&record);
        let Some(&[profile, level, format, primaries, transfer, matrix, _, _]) = record.first_chunk() else {
            return Err(Error::MalformedVp9("it ends too early"));
        };
        let bit_depth = format >> 4;
        if profile > 3 || !matches!(bit_depth, 8 | 10 | 12) {
            return Err(Error::MalformedVp9("a profile or bit depth that does not exist"));
        }
        let chroma_subsampling = format >> 1 & 7;
        if chroma_subsampling > 3 || matrix == 0 && chroma_subsampling != 3 {
            return Err(Error::MalformedVp9("a chroma format that does not exist"));
        }
        Ok(Self {
            width: 0,
            height: 0,
            frame_rate: None,
            profile,
            level,
            bit_depth,
            chroma_subsampling,
            full_range: format & 1 == 1,
            colour: [primaries, transfer, matrix],
        })
    }

    /// What the keyframe says, if it is another size than this one.
    pub(super) fn at_keyframe(&self, frame: &[u8]) -> Option<Self> {
        let (width, height) = size(&mut Bits::new(frame))?;
        ((width, height) != (self.width, self.height)).then(|| Self {
            width,
            height,
            ..self.clone()
        })
    }

    /// Whether this is the other one but for the size.
    pub(super) fn is_of_size_of(&self, other: &Self) -> bool {
        let (width, height) = (other.width, other.height);
        Self {
            width,
            height,
            ..self.clone()
        } == *other
    }

    /// The record's level, or else the lowest that allows this size.
    pub(crate) fn level(&self) -> u8 {
        if self.level != 0 {
            return self.level;
        }
        let samples = u32::from(self.width) * u32::from(self.height);
        let fits = LEVELS.iter().find(|(_, most)| samples <= *most);
        fits.map_or(HIGHEST_LEVEL, |(level, _)| *level)
    }

    /// `vp09.00.31.08`; the rest only where it is not the default.
    pub(super) fn codec(&self) -> String {
        let mut name = format!(
            "vp09.{:02}.{:02}.{:02}",
            self.profile,
            self.level(),
            self.bit_depth
        );
        // Unspecified (2) is no news.
        let [primaries, transfer, matrix] = self.colour.map(|value| if value == 2 { 1 } else { value });
        let is_default =
            self.chroma_subsampling <= 1 && [primaries, transfer, matrix] == [1; 3] && !self.full_range;
        if !is_default {
            name.push_str(&format!(
                ".{:02}.{primaries:02}.{transfer:02}.{matrix:02}.{:02}",
                self.chroma_subsampling,
                u8::from(self.full_range)
            ));
        }
        name
    }
}

/// Width and height out of the uncompressed header of a keyframe.
fn size(bits: &mut Bits<'_>) -> Option<(u16, u16)> {
    const SYNC_CODE: u32 = 0x49_8342;
    const SRGB: u32 = 7;
    if bits.bits(2)? != 2 {
        return None;
    }
    let profile = u32::from(bits.bit()?) | u32::from(bits.bit()?) << 1;
    if profile == 3 {
        bits.skip(1)?;
    }
    let (shows_existing, is_inter) = (bits.bit()?, bits.bit()?);
    if shows_existing || is_inter {
        return None;
    }
    bits.skip(2)?;
    if bits.bits(24)? != SYNC_CODE {
        return None;
    }
    if profile >= 2 {
        bits.skip(1)?;
    }
    let has_chroma_bits = profile & 1 == 1;
    if bits.bits(3)? == SRGB {
        bits.skip(usize::from(has_chroma_bits))?;
    } else {
        bits.skip(if has_chroma_bits { 4 } else { 1 })?;
    }
    let mut pixels = || {
        bits.bits(16)?
            .checked_add(1)
            .filter(|&p| p <= 16_384)
            .map(|p| p as u16)
    };
    Some((pixels()?, pixels()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// libvpx, profile 0, level 1.1, with the box's version and flags.
    pub(crate) const LIBVPX: &[u8] = &[1, 0, 0, 0, 0, 0x0b, 0x82, 2, 2, 2, 0, 0];
    /// The head of a keyframe of 320x180.
    pub(crate) const KEYFRAME: &[u8] = &[0x82, 0x49, 0x83, 0x42, 0x40, 0x13, 0xf0, 0x0b, 0x30];

    fn vp9(bytes: &[u8]) -> Result<Vp9> {
        Vp9::parse(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn a_record_is_read_with_and_without_the_boxs_head() {
        let config = vp9(LIBVPX).unwrap();
        assert_eq!((config.profile, config.level, config.bit_depth), (0, 11, 8));
        assert_eq!(config.codec(), "vp09.00.11.08");
        assert_eq!(vp9(&LIBVPX[4..]).unwrap(), config);
    }

    #[test]
    fn the_size_comes_from_the_keyframe() {
        let config = vp9(LIBVPX).unwrap();
        let sized = config.at_keyframe(KEYFRAME).unwrap();
        assert_eq!((sized.width, sized.height), (320, 180));
        assert_eq!(sized.at_keyframe(KEYFRAME), None, "it is known");
        assert_eq!(config.at_keyframe(&[0x86, 0x49, 0x83, 0x42]), None, "no keyframe");
        assert_eq!(config.at_keyframe(&KEYFRAME[..6]), None, "cut");
    }

    #[test]
    fn a_level_that_is_not_told_is_the_lowest_that_fits() {
        let mut config = vp9(LIBVPX).unwrap();
        config.level = 0;
        (config.width, config.height) = (1_280, 720);
        assert_eq!(config.codec(), "vp09.00.31.08");
        config.colour = [9, 16, 9];
        config.bit_depth = 10;
        assert_eq!(config.codec(), "vp09.00.31.10.01.09.16.09.00");
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bytes in [
            &[][..],
            &LIBVPX[..11],
            &[4, 11, 0x82, 1, 1, 1, 0, 0],
            &[0, 11, 0x92, 1, 1, 1, 0, 0],
        ] {
            assert!(matches!(vp9(bytes), Err(Error::MalformedVp9(_))), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            if let Ok(config) = vp9(&bytes) {
                prop_assert!(config.codec().starts_with("vp09."));
            }
            if let Some(sized) = vp9(LIBVPX).unwrap().at_keyframe(&bytes) {
                prop_assert!(sized.width > 0 && sized.height > 0);
            }
        }
    }
}
