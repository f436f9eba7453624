//! H.264: the AVCDecoderConfigurationRecord and what its sequence parameter set tells (ITU-T H.264 7.3.2.1.1, E.1.1).

use bytes::Bytes;

use super::bits::{Bits, without_emulation_prevention};
use super::frame_rate::FrameRate;
use super::nal;
use super::range::VideoRange;
use crate::{Error, Result};

/// An H.264 track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Avc {
    /// Pixels, cropped.
    pub width: u16,
    /// Pixels, cropped.
    pub height: u16,
    /// From the VUI's timing information, if it is there.
    pub frame_rate: Option<FrameRate>,
    /// From the VUI; `None` is SDR.
    pub range: Option<VideoRange>,
    /// profile_idc, the constraint flags and level_idc.
    pub profile: [u8; 3],
    /// Bytes of a NAL unit's length prefix, 1 to 4.
    pub length_size: u8,
    /// Sequence parameter sets, each a NAL unit.
    pub sps: Vec<Bytes>,
    /// Picture parameter sets, each a NAL unit.
    pub pps: Vec<Bytes>,
    /// Chroma format and bit depths (luma, chroma), as the profiles above Main need in `avcC`.
    pub(crate) high: Option<(u8, u8, u8)>,
}

impl Avc {
    pub(super) fn parse(mut record: Bytes) -> Result<Self> {
        const SHORT: Error = Error::MalformedAvc("it ends too early");
        if record.len() < 7 {
            return Err(SHORT);
        }
        let head = record.split_to(5);
        if head[0] != 1 {
            return Err(Error::MalformedAvc("unknown version"));
        }
        let length_size = (head[4] & 3) + 1;
        if length_size == 3 {
            return Err(Error::MalformedAvc("a nal length of 3 bytes"));
        }
        let sps = parameter_sets(&mut record, 0x1f).ok_or(SHORT)?;
        let pps = parameter_sets(&mut record, 0xff).ok_or(SHORT)?;
        let first = sps
            .first()
            .ok_or(Error::MalformedAvc("no sequence parameter set"))?;
        if pps.is_empty() {
            return Err(Error::MalformedAvc("no picture parameter set"));
        }
        let parsed = Sps::parse(first)?;
        if length_size == 1 && sps.iter().chain(&pps).any(|set| set.len() > 255) {
            return Err(Error::MalformedAvc(
                "a parameter set longer than its length prefix allows",
            ));
        }
        Ok(Self {
            width: parsed.width,
            height: parsed.height,
            frame_rate: parsed.frame_rate,
            range: parsed.range,
            // From the parameter set, which is what the decoder obeys; some encoders leave the record's copy wrong.
            profile: [first[1], first[2], first[3]],
            length_size,
            high: matches!(first[1], 100 | 110 | 122 | 144 | 244).then_some(parsed.format),
            sps,
            pps,
        })
    }

    pub(super) fn in_band(&self) -> Bytes {
        nal::with_lengths(self.sps.iter().chain(&self.pps), self.length_size)
    }

    pub(super) fn delimiter_len(&self, access_unit: &[u8]) -> usize {
        const ACCESS_UNIT_DELIMITER: u8 = 9;
        nal::delimiter_len(access_unit, self.length_size, |header| {
            header & 0x1f == ACCESS_UNIT_DELIMITER
        })
    }

    pub(super) fn codec(&self) -> String {
        let [profile, constraints, level] = self.profile;
        format!("avc1.{profile:02x}{constraints:02x}{level:02x}")
    }
}

fn parameter_sets(record: &mut Bytes, count_mask: u8) -> Option<Vec<Bytes>> {
    let count = record.first()? & count_mask;
    let _ = record.split_to(1);
    (0..count)
        .map(|_| {
            let length = usize::from(u16::from_be_bytes([*record.first()?, *record.get(1)?]));
            if record.len() < 2 + length {
                return None;
            }
            let _ = record.split_to(2);
            Some(record.split_to(length))
        })
        .collect()
}

struct Sps {
    width: u16,
    height: u16,
    range: Option<VideoRange>,
    frame_rate: Option<FrameRate>,
    format: (u8, u8, u8),
}

impl Sps {
    fn parse(nal: &[u8]) -> Result<Self> {
        if nal.len() < 4 || nal[0] & 0x1f != 7 {
            return Err(Error::MalformedAvc("not a sequence parameter set"));
        }
        if nal.len() > 4_096 {
            return Err(Error::MalformedAvc("an oversize sequence parameter set"));
        }
        let payload = without_emulation_prevention(&nal[1..]);
        read(&mut Bits::new(&payload)).ok_or(Error::MalformedAvc(
            "the sequence parameter set ends too early or is out of range",
        ))
    }
}

fn read(bits: &mut Bits<'_>) -> Option<Sps> {
    let profile = bits.bits(8)?;
    bits.bits(16)?;
    bits.ue()?;
    let mut chroma_format = 1;
    let mut separate_planes = false;
    let (mut luma_depth, mut chroma_depth) = (8, 8);
    if matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        chroma_format = bits.ue().filter(|&format| format <= 3)?;
        if chroma_format == 3 {
            separate_planes = bits.bit()?;
        }
        luma_depth = 8 + bits.ue().filter(|&extra| extra <= 6)?;
        chroma_depth = 8 + bits.ue().filter(|&extra| extra <= 6)?;
        bits.bit()?;
        if bits.bit()? {
            for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                if bits.bit()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.ue()?;
    match bits.ue()? {
        0 => {
            bits.ue()?;
        }
        1 => {
            bits.bit()?;
            bits.se()?;
            bits.se()?;
            for _ in 0..bits.ue().filter(|&cycle| cycle <= 255)? {
                bits.se()?;
            }
        }
        2 => {}
        _ => return None,
    }
    bits.ue()?;
    bits.bit()?;
    let width_in_mbs = u64::from(bits.ue()?) + 1;
    let height_in_map_units = u64::from(bits.ue()?) + 1;
    let frame_mbs_only = bits.bit()?;
    if !frame_mbs_only {
        bits.bit()?;
    }
    bits.bit()?;
    let mut crop = [0u64; 4];
    if bits.bit()? {
        for side in &mut crop {
            *side = u64::from(bits.ue()?);
        }
    }
    let fields = if frame_mbs_only { 1 } else { 2 };
    // ITU-T H.264 table 6-1: SubWidthC and SubHeightC; both 1 for monochrome and separate planes.
    let (unit_x, unit_y) = match chroma_format {
        1 => (2, 2),
        2 => (2, 1),
        3 if separate_planes => (1, 1),
        _ => (1, 1),
    };
    let width = (width_in_mbs * 16).checked_sub((crop[0] + crop[1]) * unit_x)?;
    let height = (height_in_map_units * fields * 16).checked_sub((crop[2] + crop[3]) * unit_y * fields)?;
    let in_range = |pixels: u64| u16::try_from(pixels).ok().filter(|&p| (1..=16_384).contains(&p));
    let (width, height) = (in_range(width)?, in_range(height)?);
    // Optional to us: a parameter set that ends within its VUI still decodes.
    let (range, frame_rate) = if bits.bit()? { vui(bits) } else { (None, None) };
    Some(Sps {
        width,
        height,
        range,
        frame_rate,
        format: (chroma_format as u8, luma_depth as u8, chroma_depth as u8),
    })
}

fn skip_scaling_list(bits: &mut Bits<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            next = (last + bits.se()?).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

/// What the video usability information tells, as far as it is whole.
fn vui(bits: &mut Bits<'_>) -> (Option<VideoRange>, Option<FrameRate>) {
    match nal::video_range(bits) {
        Some(range) => (range, frame_rate(bits)),
        None => (None, None),
    }
}

fn frame_rate(bits: &mut Bits<'_>) -> Option<FrameRate> {
    if !bits.bit()? {
        return None;
    }
    let units_in_tick = bits.bits(32)?;
    let time_scale = bits.bits(32)?;
    // A frame is two ticks (ITU-T H.264 E.2.1).
    FrameRate::new(time_scale, units_in_tick.checked_mul(2)?)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// x264, High 3.1, 1280x720, 30000/1001 frames per second.
    pub(crate) const X264_720P: &[u8] = &[
        0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1b, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05,
        0xbb, 0x01, 0x6a, 0x02, 0x02, 0x02, 0x80, 0x00, 0x01, 0xf4, 0x80, 0x00, 0x75, 0x30, 0x07, 0x8c, 0x18,
        0xcb, 0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
    ];

    fn avc(bytes: &[u8]) -> Result<Avc> {
        Avc::parse(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn width_height_and_profile_come_from_the_parameter_set() {
        let config = avc(X264_720P).unwrap();
        assert_eq!((config.width, config.height), (1_280, 720));
        assert_eq!(config.codec(), "avc1.64001f");
        assert_eq!(config.length_size, 4);
        assert_eq!(config.high, Some((1, 8, 8)));
    }

    #[test]
    fn a_record_cut_anywhere_before_its_end_is_refused() {
        for length in 0..X264_720P.len() - 4 {
            assert!(avc(&X264_720P[..length]).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic_nor_give_an_empty_picture(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut record = vec![1, 100, 0, 31, 0xff, 0xe1, 0, bytes.len() as u8 + 4, 0x67, 100, 0, 31];
            record.extend(&bytes);
            record.extend([1, 0, 1, 0x68]);
            if let Ok(config) = avc(&record) {
                prop_assert!(config.width > 0 && config.height > 0);
            }
            let _ = avc(&bytes);
        }
    }
}
