//! The sequence parameter set (ITU-T H.265 7.3.2.2.1, E.2.1).

use super::super::bits::{Bits, without_emulation_prevention};
use super::super::frame_rate::FrameRate;
use super::super::nal;
use super::super::range::VideoRange;
use super::ProfileTierLevel;
use crate::{Error, Result};

pub(super) struct Sps {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) frame_rate: Option<FrameRate>,
    pub(super) range: Option<VideoRange>,
    pub(super) profile: ProfileTierLevel,
    pub(super) chroma_format: u8,
    pub(super) bit_depth: [u8; 2],
}

impl Sps {
    pub(super) fn parse(nal: &[u8]) -> Result<Self> {
        if nal.len() < 4 || nal[0] >> 1 & 0x3f != super::SPS {
            return Err(Error::MalformedHevc("not a sequence parameter set"));
        }
        if nal.len() > 4_096 {
            return Err(Error::MalformedHevc("an oversize sequence parameter set"));
        }
        let payload = without_emulation_prevention(&nal[2..]);
        read(&mut Bits::new(&payload)).ok_or(Error::MalformedHevc(
            "the sequence parameter set ends too early or is out of range",
        ))
    }
}

fn read(bits: &mut Bits<'_>) -> Option<Sps> {
    bits.skip(4)?;
    let sub_layers = bits.bits(3).filter(|&max| max <= 6)?;
    bits.skip(1)?;
    let profile = profile_tier_level(bits, sub_layers)?;
    bits.ue()?;
    let chroma_format = bits.ue().filter(|&format| format <= 3)?;
    let separate_planes = chroma_format == 3 && bits.bit()?;
    let (width, height) = (u64::from(bits.ue()?), u64::from(bits.ue()?));
    let mut crop = [0u64; 4];
    if bits.bit()? {
        for side in &mut crop {
            *side = u64::from(bits.ue()?);
        }
    }
    // ITU-T H.265 table 6-1: SubWidthC and SubHeightC; both 1 for monochrome and separate planes.
    let (unit_x, unit_y) = match chroma_format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let width = width.checked_sub((crop[0] + crop[1]) * unit_x)?;
    let height = height.checked_sub((crop[2] + crop[3]) * unit_y)?;
    let depth = |bits: &mut Bits<'_>| bits.ue().filter(|&extra| extra <= 8).map(|extra| 8 + extra as u8);
    let bit_depth = [depth(bits)?, depth(bits)?];
    let in_range = |pixels: u64| u16::try_from(pixels).ok().filter(|&p| (1..=16_384).contains(&p));
    let (width, height) = (in_range(width)?, in_range(height)?);
    // Optional to us: a parameter set that ends within its VUI still decodes.
    let (range, frame_rate) = to_vui(bits, sub_layers).unwrap_or_default();
    Some(Sps {
        width,
        height,
        range,
        frame_rate,
        profile,
        chroma_format: if separate_planes { 3 } else { chroma_format as u8 },
        bit_depth,
    })
}

/// ITU-T H.265 7.3.3, with profilePresentFlag 1.
fn profile_tier_level(bits: &mut Bits<'_>, sub_layers: u32) -> Option<ProfileTierLevel> {
    let space = bits.bits(2)? as u8;
    let high_tier = bits.bit()?;
    let profile = bits.bits(5)? as u8;
    let compatibility = bits.bits(32)?;
    let mut constraints = [0; 6];
    for byte in &mut constraints {
        *byte = bits.bits(8)? as u8;
    }
    let level = bits.bits(8)? as u8;
    let mut skipped = 0;
    let present: Vec<(bool, bool)> = (0..sub_layers)
        .map(|_| Some((bits.bit()?, bits.bit()?)))
        .collect::<Option<_>>()?;
    if sub_layers > 0 {
        // reserved_zero_2bits fill the flags up to eight layers.
        skipped += 2 * (8 - sub_layers as usize);
    }
    for (profile, level) in present {
        skipped += if profile { 88 } else { 0 } + if level { 8 } else { 0 };
    }
    bits.skip(skipped)?;
    Some(ProfileTierLevel {
        space,
        high_tier,
        profile,
        compatibility,
        constraints,
        level,
    })
}

/// How brightness is coded, and the rate.
type Vui = (Option<VideoRange>, Option<FrameRate>);

/// From behind the bit depths to the video usability information and through it.
fn to_vui(bits: &mut Bits<'_>, sub_layers: u32) -> Option<Vui> {
    let poc_bits = bits.ue().filter(|&extra| extra <= 12)? + 4;
    let all_layers = bits.bit()?;
    for _ in if all_layers { 0 } else { sub_layers }..=sub_layers {
        for _ in 0..3 {
            bits.ue()?;
        }
    }
    for _ in 0..6 {
        bits.ue()?;
    }
    if bits.bit()? && bits.bit()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?;
    if bits.bit()? {
        bits.skip(8)?;
        bits.ue()?;
        bits.ue()?;
        bits.skip(1)?;
    }
    skip_reference_sets(bits)?;
    if bits.bit()? {
        let count = bits.ue().filter(|&count| count <= 32)?;
        bits.skip(count as usize * (poc_bits as usize + 1))?;
    }
    bits.skip(2)?;
    if !bits.bit()? {
        return None;
    }
    vui(bits)
}

/// ITU-T H.265 7.3.4.
fn skip_scaling_lists(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4u32 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.bit()? {
                bits.ue()?;
                continue;
            }
            if size > 1 {
                bits.se()?;
            }
            for _ in 0..64.min(1 << (4 + (size << 1))) {
                bits.se()?;
            }
        }
    }
    Some(())
}

/// ITU-T H.265 7.3.7, for each short-term reference picture set.
fn skip_reference_sets(bits: &mut Bits<'_>) -> Option<()> {
    /// sps_max_dec_pic_buffering_minus1 is at most 15.
    const MOST: u32 = 16;
    let count = bits.ue().filter(|&count| count <= 64)?;
    let mut pictures = 0u32;
    for index in 0..count {
        if index > 0 && bits.bit()? {
            bits.skip(1)?;
            bits.ue()?;
            let mut kept = 0;
            for _ in 0..=pictures {
                // use_delta_flag is there only when used_by_curr_pic_flag is not set.
                if bits.bit()? || bits.bit()? {
                    kept += 1;
                }
            }
            pictures = kept;
        } else {
            let before = bits.ue().filter(|&count| count <= MOST)?;
            let after = bits.ue().filter(|&count| count <= MOST)?;
            for _ in 0..before + after {
                bits.ue()?;
                bits.skip(1)?;
            }
            pictures = before + after;
        }
        if pictures > 2 * MOST {
            return None;
        }
    }
    Some(())
}

fn vui(bits: &mut Bits<'_>) -> Option<Vui> {
    let range = nal::video_range(bits)?;
    Some((range, timing(bits)))
}

fn timing(bits: &mut Bits<'_>) -> Option<FrameRate> {
    bits.skip(3)?;
    if bits.bit()? {
        for _ in 0..4 {
            bits.ue()?;
        }
    }
    if !bits.bit()? {
        return None;
    }
    let units_in_tick = bits.bits(32)?;
    let time_scale = bits.bits(32)?;
    // A picture is one tick (ITU-T H.265 E.3.1), not two as in H.264.
    FrameRate::new(time_scale, units_in_tick)
}
