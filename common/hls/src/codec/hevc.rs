//! H.265: the HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 8.3.2.1) and its parameter sets.

mod sps;

use bytes::Bytes;

use self::sps::Sps;
use super::frame_rate::FrameRate;
use super::nal;
use super::range::VideoRange;
use crate::{Error, Result};

const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;
const ACCESS_UNIT_DELIMITER: u8 = 35;
/// Supplemental enhancement information that may stand in a record: mastering display, content light level.
const PREFIX_SEI: u8 = 39;
const SUFFIX_SEI: u8 = 40;
/// payloadType user_data_unregistered (ITU-T H.265 D.2.1).
const USER_DATA: u8 = 5;

/// An H.265 track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hevc {
    /// Pixels, cropped.
    pub width: u16,
    /// Pixels, cropped.
    pub height: u16,
    /// From the VUI's timing information, if it is there.
    pub frame_rate: Option<FrameRate>,
    /// From the VUI; `None` is SDR.
    pub range: Option<VideoRange>,
    /// Profile, tier and level.
    pub profile: ProfileTierLevel,
    /// chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits of luma and chroma.
    pub bit_depth: [u8; 2],
    /// Bytes of a NAL unit's length prefix: 1, 2 or 4.
    pub length_size: u8,
    /// The record's arrays of NAL units, in order: their type, and the units.
    pub arrays: Vec<(u8, Vec<Bytes>)>,
    /// What only the record tells: min_spatial_segmentation_idc, parallelismType, avgFrameRate, constantFrameRate,
    /// numTemporalLayers, temporalIdNested.
    pub(crate) layers: Layers,
}

/// profile_tier_level's general fields (ITU-T H.265 7.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProfileTierLevel {
    /// general_profile_space, 0 to 3.
    pub space: u8,
    /// general_tier_flag: whether it is the high tier.
    pub high_tier: bool,
    /// general_profile_idc: 1 Main, 2 Main 10.
    pub profile: u8,
    /// general_profile_compatibility_flags, the flag of profile 0 first.
    pub compatibility: u32,
    /// The six bytes from general_progressive_source_flag on.
    pub constraints: [u8; 6],
    /// general_level_idc: thirty times the level.
    pub level: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layers {
    pub(crate) min_spatial_segmentation: u16,
    pub(crate) parallelism: u8,
    pub(crate) average_frame_rate: u16,
    pub(crate) constant_frame_rate: u8,
    pub(crate) temporal_layers: u8,
    pub(crate) temporal_id_nested: bool,
}

impl Hevc {
    pub(super) fn parse(mut record: Bytes) -> Result<Self> {
        const SHORT: Error = Error::MalformedHevc("it ends too early");
        if record.len() < 23 {
            return Err(SHORT);
        }
        let head = record.split_to(23);
        // Some encoders write 0, from a draft.
        if head[0] > 1 {
            return Err(Error::MalformedHevc("unknown version"));
        }
        let length_size = (head[21] & 3) + 1;
        if length_size == 3 {
            return Err(Error::MalformedHevc("a nal length of 3 bytes"));
        }
        let mut arrays = Vec::new();
        for _ in 0..head[22] {
            let (kind, mut units) = array(&mut record).ok_or(SHORT)?;
            // x265 puts its whole command line there.
            units.retain(|unit| !matches!(kind, PREFIX_SEI | SUFFIX_SEI) || unit.get(2) != Some(&USER_DATA));
            if matches!(kind, VPS | SPS | PPS | PREFIX_SEI | SUFFIX_SEI) && !units.is_empty() {
                arrays.push((kind, units));
            }
        }
        let first = |kind: u8| {
            let of_kind = arrays.iter().filter(|(found, _)| *found == kind);
            of_kind.flat_map(|(_, units)| units).next()
        };
        let sps = first(SPS).ok_or(Error::MalformedHevc("no sequence parameter set"))?;
        if first(VPS).is_none() {
            return Err(Error::MalformedHevc("no video parameter set"));
        }
        if first(PPS).is_none() {
            return Err(Error::MalformedHevc("no picture parameter set"));
        }
        let longest = arrays.iter().flat_map(|(_, units)| units).map(Bytes::len).max();
        if length_size == 1 && longest > Some(255) {
            return Err(Error::MalformedHevc(
                "a parameter set longer than its length prefix allows",
            ));
        }
        // From the parameter set, which is what the decoder obeys; some encoders leave the record's copy wrong.
        let parsed = Sps::parse(sps)?;
        Ok(Self {
            width: parsed.width,
            height: parsed.height,
            frame_rate: parsed.frame_rate,
            range: parsed.range,
            profile: parsed.profile,
            chroma_format: parsed.chroma_format,
            bit_depth: parsed.bit_depth,
            length_size,
            layers: Layers {
                min_spatial_segmentation: u16::from_be_bytes([head[13] & 0x0f, head[14]]),
                parallelism: head[15] & 3,
                average_frame_rate: u16::from_be_bytes([head[19], head[20]]),
                constant_frame_rate: head[21] >> 6,
                temporal_layers: head[21] >> 3 & 7,
                temporal_id_nested: head[21] & 4 != 0,
            },
            arrays,
        })
    }

    pub(super) fn in_band(&self) -> Bytes {
        let of_kind = |kind: u8| self.arrays.iter().filter(move |(found, _)| *found == kind);
        let units = [VPS, SPS, PPS].into_iter().flat_map(of_kind);
        nal::with_lengths(units.flat_map(|(_, units)| units), self.length_size)
    }

    pub(super) fn delimiter_len(&self, access_unit: &[u8]) -> usize {
        nal::delimiter_len(access_unit, self.length_size, |header| {
            header >> 1 & 0x3f == ACCESS_UNIT_DELIMITER
        })
    }

    /// ISO/IEC 14496-15 E.3: `hvc1.1.6.L93.B0`.
    pub(super) fn codec(&self) -> String {
        let profile = &self.profile;
        let space = ["", "A", "B", "C"][usize::from(profile.space & 3)];
        let tier = if profile.high_tier { 'H' } else { 'L' };
        let mut name = format!(
            "hvc1.{space}{}.{:X}.{tier}{}",
            profile.profile,
            profile.compatibility.reverse_bits(),
            profile.level
        );
        let used = profile.constraints.iter().rposition(|&byte| byte != 0);
        for byte in profile.constraints.iter().take(used.map_or(0, |last| last + 1)) {
            name.push_str(&format!(".{byte:X}"));
        }
        name
    }
}

fn array(record: &mut Bytes) -> Option<(u8, Vec<Bytes>)> {
    let kind = record.first()? & 0x3f;
    let count = u16::from_be_bytes([*record.get(1)?, *record.get(2)?]);
    let _ = record.split_to(3);
    let mut units = Vec::new();
    for _ in 0..count {
        let length = usize::from(u16::from_be_bytes([*record.first()?, *record.get(1)?]));
        if record.len() < 2 + length {
            return None;
        }
        let _ = record.split_to(2);
        let unit = record.split_to(length);
        if !unit.is_empty() {
            units.push(unit);
        }
    }
    Some((kind, units))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// x265, Main, level 2, 320x180, 30000/1001 frames per second.
    pub(crate) const X265_NTSC: &[u8] = &[
        0x01, 0x01, 0x60, 0x00, 0x00, 0x00, 0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x3c, 0xf0, 0x00, 0xfc, 0xfd,
        0xf8, 0xf8, 0x00, 0x00, 0x0f, 0x03, 0xa0, 0x00, 0x01, 0x00, 0x18, 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff,
        0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x95, 0x94,
        0x09, 0xa1, 0x00, 0x01, 0x00, 0x29, 0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00,
        0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0xa0, 0x0a, 0x08, 0x0b, 0x9f, 0x79, 0x65, 0x65, 0x92, 0x4c,
        0xaf, 0x01, 0x68, 0x08, 0x00, 0x00, 0x1f, 0x48, 0x00, 0x03, 0xa9, 0x80, 0x40, 0xa2, 0x00, 0x01, 0x00,
        0x07, 0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40,
    ];

    fn hevc(bytes: &[u8]) -> Result<Hevc> {
        Hevc::parse(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn the_parameter_sets_tell_size_rate_and_profile() {
        let config = hevc(X265_NTSC).unwrap();
        assert_eq!((config.width, config.height), (320, 180));
        assert_eq!(config.frame_rate, FrameRate::new(30_000, 1_001));
        assert_eq!(config.codec(), "hvc1.1.6.L60.90");
        assert_eq!((config.chroma_format, config.bit_depth), (1, [8, 8]));
        assert_eq!(config.length_size, 4);
    }

    #[test]
    fn a_record_cut_anywhere_is_refused() {
        for length in 0..X265_NTSC.len() {
            assert!(hevc(&X265_NTSC[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn the_name_leaves_out_trailing_zero_constraints_and_names_space_and_tier() {
        let mut config = hevc(X265_NTSC).unwrap();
        config.profile.constraints = [0; 6];
        assert_eq!(config.codec(), "hvc1.1.6.L60");
        config.profile.constraints = [0xb0, 0, 0x10, 0, 0, 0];
        config.profile.high_tier = true;
        config.profile.space = 1;
        assert_eq!(config.codec(), "hvc1.A1.6.H60.B0.0.10");
    }

    #[test]
    fn parameter_sets_go_before_a_keyframe_behind_its_delimiter() {
        let config = hevc(X265_NTSC).unwrap();
        let delimiter = [0, 0, 0, 3, 0x46, 0x01, 0x50, 0, 0, 0, 2, 0x26, 0x01];
        assert_eq!(config.delimiter_len(&delimiter), 7);
        assert_eq!(config.delimiter_len(&delimiter[7..]), 0);
        let kinds = [0x40, 0x42, 0x44];
        let mut rest = config.in_band();
        for kind in kinds {
            let length = u32::from_be_bytes(rest.split_to(4)[..].try_into().unwrap());
            assert_eq!(rest.split_to(length as usize)[0], kind);
        }
        assert!(rest.is_empty());
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic_nor_give_an_empty_picture(
            bytes in prop::collection::vec(any::<u8>(), 0..96),
            at in 0usize..400,
            flips in prop::collection::vec((23usize..200, any::<u8>()), 0..6),
        ) {
            let _ = hevc(&bytes);
            let mut record = X265_NTSC.to_vec();
            for (place, value) in flips {
                if let Some(byte) = record.get_mut(place) {
                    *byte = value;
                }
            }
            record.truncate(at.max(23));
            if let Ok(config) = hevc(&record) {
                prop_assert!(config.width > 0 && config.height > 0);
                prop_assert!(config.codec().starts_with("hvc1."));
            }
        }
    }
}
