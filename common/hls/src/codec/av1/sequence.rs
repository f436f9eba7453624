//! The sequence header OBU (AV1 5.5).

use super::super::bits::Bits;
use super::super::frame_rate::FrameRate;
use super::Av1Format;
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) frame_rate: Option<FrameRate>,
    pub(super) format: Av1Format,
}

impl Sequence {
    pub(super) fn parse(payload: &[u8]) -> Result<Self> {
        read(&mut Bits::new(payload)).ok_or(Error::MalformedAv1(
            "the sequence header ends too early or is out of range",
        ))
    }
}

fn read(bits: &mut Bits<'_>) -> Option<Sequence> {
    let mut format = Av1Format {
        profile: bits.bits(3).filter(|&profile| profile <= 2)? as u8,
        ..Av1Format::default()
    };
    bits.skip(1)?;
    let reduced = bits.bit()?;
    let mut frame_rate = None;
    if reduced {
        format.level = bits.bits(5)? as u8;
    } else {
        frame_rate = operating_points(bits, &mut format)?;
    }
    let (width_bits, height_bits) = (bits.bits(4)? + 1, bits.bits(4)? + 1);
    let (width, height) = (bits.bits(width_bits)? + 1, bits.bits(height_bits)? + 1);
    tools(bits, reduced)?;
    colour(bits, &mut format)?;
    let in_range = |pixels: u32| u16::try_from(pixels).ok().filter(|&p| (1..=16_384).contains(&p));
    Some(Sequence {
        width: in_range(width)?,
        height: in_range(height)?,
        frame_rate,
        format,
    })
}

/// Timing, decoder model and operating points; level and tier are the first point's.
fn operating_points(bits: &mut Bits<'_>, format: &mut Av1Format) -> Option<Option<FrameRate>> {
    let mut frame_rate = None;
    let mut delay_bits = None;
    if bits.bit()? {
        let (units_in_tick, time_scale) = (bits.bits(32)?, bits.bits(32)?);
        // Without equal_picture_interval the tick says nothing about pictures.
        if bits.bit()? {
            let ticks = uvlc(bits)?.checked_add(1)?;
            frame_rate = units_in_tick
                .checked_mul(ticks)
                .and_then(|units| FrameRate::new(time_scale, units));
        }
        if bits.bit()? {
            delay_bits = Some(bits.bits(5)? + 1);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let delays_present = bits.bit()?;
    for point in 0..=bits.bits(5)? {
        bits.skip(12)?;
        let level = bits.bits(5)? as u8;
        let high_tier = level > 7 && bits.bit()?;
        if point == 0 {
            (format.level, format.high_tier) = (level, high_tier);
        }
        if let Some(length) = delay_bits
            && bits.bit()?
        {
            bits.skip(2 * length as usize + 1)?;
        }
        if delays_present && bits.bit()? {
            bits.skip(4)?;
        }
    }
    Some(frame_rate)
}

/// From frame numbers to loop restoration.
fn tools(bits: &mut Bits<'_>, reduced: bool) -> Option<()> {
    if !reduced && bits.bit()? {
        bits.skip(4 + 3)?;
    }
    bits.skip(3)?;
    if !reduced {
        bits.skip(4)?;
        let order_hint = bits.bit()?;
        if order_hint {
            bits.skip(2)?;
        }
        // SELECT_SCREEN_CONTENT_TOOLS and SELECT_INTEGER_MV where the choice is the frame's.
        let screen_content = bits.bit()? || bits.bit()?;
        if screen_content && !bits.bit()? {
            bits.skip(1)?;
        }
        if order_hint {
            bits.skip(3)?;
        }
    }
    bits.skip(3)
}

/// color_config of AV1 5.5.2.
fn colour(bits: &mut Bits<'_>, format: &mut Av1Format) -> Option<()> {
    const SRGB: [u8; 3] = [1, 13, 0];
    let high = bits.bit()?;
    format.bit_depth = match high {
        true if format.profile == 2 && bits.bit()? => 12,
        true => 10,
        false => 8,
    };
    format.monochrome = format.profile != 1 && bits.bit()?;
    if bits.bit()? {
        format.colour = Some([bits.bits(8)? as u8, bits.bits(8)? as u8, bits.bits(8)? as u8]);
    }
    if format.monochrome {
        format.full_range = bits.bit()?;
        format.subsampling = [true; 2];
        return Some(());
    }
    if format.colour == Some(SRGB) {
        format.full_range = true;
        format.subsampling = [false; 2];
        return Some(());
    }
    format.full_range = bits.bit()?;
    format.subsampling = match (format.profile, format.bit_depth) {
        (0, _) => [true; 2],
        (1, _) => [false; 2],
        (_, 12) => {
            let x = bits.bit()?;
            [x, x && bits.bit()?]
        }
        _ => [true, false],
    };
    if format.subsampling == [true; 2] {
        format.sample_position = bits.bits(2)? as u8;
    }
    Some(())
}

/// AV1 4.10.3.
fn uvlc(bits: &mut Bits<'_>) -> Option<u32> {
    let mut zeros = 0;
    while !bits.bit()? {
        zeros += 1;
        if zeros >= 32 {
            return Some(u32::MAX);
        }
    }
    let base = (1u64 << zeros) - 1;
    u32::try_from(base + u64::from(bits.bits(zeros)?)).ok()
}
