//! AV1: the AV1CodecConfigurationRecord and temporal units as samples (AV1 Codec ISO Media File Format Binding 1.2), the
//! sequence header (AV1 Bitstream & Decoding Process Specification 5.5).

mod obu;
mod sequence;

use bytes::{Bytes, BytesMut};

use self::obu::Obu;
use self::sequence::Sequence;
use super::frame_rate::FrameRate;
use crate::{Error, Result};

/// An AV1 track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Av1 {
    /// Pixels; zero while neither the record nor a keyframe has told.
    pub width: u16,
    /// Pixels; zero while neither the record nor a keyframe has told.
    pub height: u16,
    /// From the sequence header's timing information, if it is there.
    pub frame_rate: Option<FrameRate>,
    /// Profile, level and format.
    pub format: Av1Format,
    /// initial_presentation_delay_minus_one and its flag, as in the record.
    pub(crate) presentation_delay: Option<u8>,
    /// The sequence header OBU, with its size; empty if the record had none and no keyframe has come.
    pub(crate) sequence_header: Bytes,
    /// Metadata OBUs of the record, behind the sequence header.
    pub(crate) metadata: Bytes,
}

/// What the CODECS name and the record tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Av1Format {
    /// seq_profile: 0 Main, 1 High, 2 Professional.
    pub profile: u8,
    /// seq_level_idx of the first operating point; 31 is no limit.
    pub level: u8,
    /// Whether it is the high tier.
    pub high_tier: bool,
    /// 8, 10 or 12.
    pub bit_depth: u8,
    /// Without chroma.
    pub monochrome: bool,
    /// Whether chroma has half the columns and half the rows.
    pub subsampling: [bool; 2],
    /// chroma_sample_position.
    pub sample_position: u8,
    /// colour_primaries, transfer_characteristics, matrix_coefficients, when they are told.
    pub colour: Option<[u8; 3]>,
    /// color_range: whether all values are used.
    pub full_range: bool,
}

impl Av1 {
    pub(super) fn parse(record: Bytes) -> Result<Self> {
        const VERSION: u8 = 0x81;
        let Some(&[version, first, second, delay]) = record.first_chunk() else {
            return Err(Error::MalformedAv1("it ends too early"));
        };
        if version != VERSION {
            return Err(Error::MalformedAv1("unknown version"));
        }
        let bit = |n: u8| second >> n & 1 == 1;
        let mut config = Self {
            width: 0,
            height: 0,
            frame_rate: None,
            format: Av1Format {
                profile: first >> 5,
                level: first & 0x1f,
                high_tier: bit(7),
                bit_depth: match (bit(6), bit(5)) {
                    (true, true) => 12,
                    (true, false) => 10,
                    _ => 8,
                },
                monochrome: bit(4),
                subsampling: [bit(3), bit(2)],
                sample_position: second & 3,
                colour: None,
                full_range: false,
            },
            presentation_delay: (delay & 0x10 != 0).then_some((delay & 0x0f) + 1),
            sequence_header: Bytes::new(),
            metadata: Bytes::new(),
        };
        let mut metadata = BytesMut::new();
        for obu in obu::read(&record.slice(4..)) {
            let obu = obu.ok_or(Error::MalformedAv1("configOBUs end too early"))?;
            match obu.kind {
                obu::SEQUENCE_HEADER => config.take(&obu)?,
                obu::METADATA => metadata.extend_from_slice(&obu.with_size()),
                _ => {}
            }
        }
        config.metadata = metadata.freeze();
        Ok(config)
    }

    /// From the sequence header, which is what the decoder obeys.
    fn take(&mut self, header: &Obu) -> Result<()> {
        let sequence = Sequence::parse(&header.payload)?;
        self.width = sequence.width;
        self.height = sequence.height;
        self.frame_rate = sequence.frame_rate;
        self.format = sequence.format;
        self.sequence_header = header.with_size();
        Ok(())
    }

    /// What the keyframe says, if it is another sequence than this one.
    pub(super) fn at_keyframe(&self, unit: &Bytes) -> Option<Self> {
        let header = obu::sequence_header(unit)?;
        if header.with_size() == self.sequence_header {
            return None;
        }
        let mut config = self.clone();
        config.take(&header).ok()?;
        Some(config)
    }

    /// A temporal unit as a sample: temporal delimiters should be left out (section 2.4).
    pub(super) fn sample(unit: Bytes) -> Bytes {
        let delimiters = obu::delimiters_len(&unit);
        unit.slice(delimiters..)
    }

    /// What must stand before a keyframe that has no sequence header (section 2.5).
    pub(super) fn in_band(&self, sample: &Bytes) -> Bytes {
        match obu::sequence_header(sample) {
            Some(_) => Bytes::new(),
            None => self.sequence_header.clone(),
        }
    }

    /// The Codecs Parameter String (section 5): `av01.0.04M.08`.
    pub(super) fn codec(&self) -> String {
        let format = &self.format;
        let tier = if format.high_tier { 'H' } else { 'M' };
        let mut name = format!(
            "av01.{}.{:02}{tier}.{:02}",
            format.profile, format.level, format.bit_depth
        );
        // Left out altogether where all are the defaults; unspecified colour is the default, too.
        let [primaries, transfer, matrix] = format.colour.unwrap_or([1; 3]);
        let [x, y] = format.subsampling.map(u8::from);
        let position = if (x, y) == (1, 1) {
            format.sample_position
        } else {
            0
        };
        let is_default = !format.monochrome
            && (x, y, position) == (1, 1, 0)
            && [primaries, transfer, matrix] == [1; 3]
            && !format.full_range;
        if !is_default {
            name.push_str(&format!(
                ".{}.{x}{y}{position}.{primaries:02}.{transfer:02}.{matrix:02}.{}",
                u8::from(format.monochrome),
                u8::from(format.full_range)
            ));
        }
        name
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// SVT-AV1, Main, 8 bit, 320x180.
    pub(crate) const SVT: &[u8] = &[
        0x81, 0x00, 0x0c, 0x00, 0x0a, 0x0b, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0x02, 0xf8, 0x00, 0x40,
    ];

    fn av1(bytes: &[u8]) -> Result<Av1> {
        Av1::parse(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn the_sequence_header_tells_size_and_format() {
        let config = av1(SVT).unwrap();
        assert_eq!((config.width, config.height), (320, 180));
        assert_eq!(config.codec(), "av01.0.00M.08");
        assert_eq!(config.frame_rate, None);
        assert_eq!(&config.sequence_header[..], &SVT[4..]);
    }

    #[test]
    fn formats_beside_the_default_are_named_in_full() {
        let mut config = av1(SVT).unwrap();
        config.format.bit_depth = 10;
        config.format.colour = Some([9, 16, 9]);
        assert_eq!(config.codec(), "av01.0.00M.10.0.110.09.16.09.0");
        config.format.monochrome = true;
        config.format.full_range = true;
        config.format.high_tier = true;
        assert_eq!(config.codec(), "av01.0.00H.10.1.110.09.16.09.1");
    }

    #[test]
    fn a_record_without_a_sequence_header_learns_from_the_keyframe() {
        let config = av1(&SVT[..4]).unwrap();
        assert_eq!(config.width, 0);
        let unit = [&[0x12, 0x00], &SVT[4..], &[0x32, 0x01, 0x00]].concat();
        let learned = config.at_keyframe(&unit.into()).unwrap();
        assert_eq!(learned, av1(SVT).unwrap());
        let same = Bytes::copy_from_slice(&SVT[4..]);
        assert_eq!(learned.at_keyframe(&same), None);
    }

    #[test]
    fn temporal_delimiters_are_taken_off_and_a_missing_sequence_header_put_on() {
        let config = av1(SVT).unwrap();
        let frame = Bytes::from_static(&[0x32, 0x02, 0x10, 0x20]);
        let unit = Bytes::from([&[0x12, 0x00][..], &frame].concat());
        assert_eq!(Av1::sample(unit), frame);
        assert_eq!(Av1::sample(frame.clone()), frame);
        assert_eq!(config.in_band(&frame), config.sequence_header);
        let whole = Bytes::from([&config.sequence_header[..], &frame].concat());
        assert_eq!(config.in_band(&whole), Bytes::new());
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bytes in [&[][..], &[0x81, 0, 0], &[0x01, 0, 0x0c, 0], &SVT[..16]] {
            assert!(matches!(av1(bytes), Err(Error::MalformedAv1(_))), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic_nor_give_a_picture_without_height(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            flips in prop::collection::vec((0usize..17, any::<u8>()), 0..4),
        ) {
            let _ = av1(&bytes);
            let unit = Bytes::from(bytes);
            let config = av1(SVT).unwrap();
            let _ = (config.at_keyframe(&unit), config.in_band(&unit), Av1::sample(unit.clone()));
            let mut record = SVT.to_vec();
            for (place, value) in flips {
                record[place] = value;
            }
            if let Ok(config) = av1(&record) {
                prop_assert_eq!(config.width == 0, config.height == 0);
                prop_assert!(config.codec().starts_with("av01."));
            }
        }
    }
}
