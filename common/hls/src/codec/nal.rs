//! What H.264 and H.265 share: NAL units with length prefixes.

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Bits;
use super::range::VideoRange;

/// Parameter sets with their lengths before them, as they stand in an access unit. All are shorter than 2^16, and the caller
/// has seen to it that the prefix can tell their length.
pub(super) fn with_lengths<'a>(sets: impl Iterator<Item = &'a Bytes>, length_size: u8) -> Bytes {
    let mut units = BytesMut::new();
    for set in sets {
        units.put_uint(set.len() as u64, usize::from(length_size));
        units.put_slice(set);
    }
    units.freeze()
}

/// The beginning of the video usability information, which is the same in both (ITU-T H.264 E.1.1, H.265 E.2.1), up to the
/// chroma location. Tells how brightness is coded; the outer `None` is the end of the bytes.
pub(super) fn video_range(bits: &mut Bits<'_>) -> Option<Option<VideoRange>> {
    if bits.bit()? && bits.bits(8)? == 255 {
        bits.skip(32)?;
    }
    if bits.bit()? {
        bits.skip(1)?;
    }
    let mut range = None;
    if bits.bit()? {
        bits.skip(4)?;
        if bits.bit()? {
            bits.skip(8)?;
            range = VideoRange::of_transfer(bits.bits(8)? as u8);
            bits.skip(8)?;
        }
    }
    if bits.bit()? {
        bits.ue()?;
        bits.ue()?;
    }
    Some(range)
}

/// The length of the first NAL unit with its prefix, if `is_delimiter` says of its first byte that it is an access unit
/// delimiter; these are always first (ITU-T H.264 7.4.1.2.3, ITU-T H.265 7.4.2.4.4).
pub(super) fn delimiter_len(access_unit: &[u8], length_size: u8, is_delimiter: impl Fn(u8) -> bool) -> usize {
    let prefix = usize::from(length_size);
    let (Some(length), Some(&header)) = (access_unit.get(..prefix), access_unit.get(prefix)) else {
        return 0;
    };
    let length = length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    let end = prefix + length;
    if is_delimiter(header) && end <= access_unit.len() {
        end
    } else {
        0
    }
}
