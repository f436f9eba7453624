//! Open bitstream units (AV1 5.3).

use bytes::{BufMut, Bytes, BytesMut};

pub(super) const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
pub(super) const METADATA: u8 = 5;
const FRAME: u8 = 6;

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Obu {
    pub(super) kind: u8,
    /// The whole, as it came.
    raw: Bytes,
    has_size: bool,
    header_len: usize,
    pub(super) payload: Bytes,
}

impl Obu {
    /// The unit with its size told, as samples and records want it.
    pub(super) fn with_size(&self) -> Bytes {
        if self.has_size {
            return self.raw.clone();
        }
        let mut unit = BytesMut::from(&self.raw[..self.header_len]);
        unit[0] |= 2;
        let mut left = self.payload.len();
        while left > 0x7f {
            unit.put_u8(left as u8 | 0x80);
            left >>= 7;
        }
        unit.put_u8(left as u8);
        unit.put_slice(&self.payload);
        unit.freeze()
    }
}

/// The units one after the other; `None` for one that is cut, after which nothing comes.
pub(super) fn read(bytes: &Bytes) -> impl Iterator<Item = Option<Obu>> + use<> {
    let mut rest = bytes.clone();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let unit = next(&mut rest);
        if unit.is_none() {
            rest.clear();
        }
        Some(unit)
    })
}

fn next(rest: &mut Bytes) -> Option<Obu> {
    let header = *rest.first()?;
    if header & 0x80 != 0 {
        return None;
    }
    let header_len = if header & 4 != 0 { 2 } else { 1 };
    let has_size = header & 2 != 0;
    let (size, size_len) = if has_size {
        leb128(rest.get(header_len..)?)?
    } else {
        (rest.len().checked_sub(header_len)?, 0)
    };
    let start = header_len + size_len;
    let end = start.checked_add(size).filter(|&end| end <= rest.len())?;
    let raw = rest.split_to(end);
    Some(Obu {
        kind: header >> 3 & 0x0f,
        payload: raw.slice(start..),
        raw,
        has_size,
        header_len,
    })
}

/// AV1 4.10.5: the value and its length.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let fits = u32::try_from(value).ok()?;
            return Some((fits as usize, index + 1));
        }
    }
    None
}

/// Bytes of temporal delimiters at the front.
pub(super) fn delimiters_len(unit: &Bytes) -> usize {
    let delimiters =
        read(unit).map_while(|obu| obu.filter(|obu| obu.kind == TEMPORAL_DELIMITER && obu.has_size));
    delimiters.map(|obu| obu.raw.len()).sum()
}

/// The sequence header before the first frame, if there is one.
pub(super) fn sequence_header(unit: &Bytes) -> Option<Obu> {
    read(unit)
        .map_while(|obu| obu)
        .take_while(|obu| !matches!(obu.kind, FRAME_HEADER | FRAME))
        .find(|obu| obu.kind == SEQUENCE_HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_without_a_size_reaches_to_the_end_and_gets_one() {
        let mut units = read(&Bytes::from_static(&[0x08, 1, 2, 3]));
        let unit = units.next().unwrap().unwrap();
        assert_eq!((unit.kind, &unit.payload[..]), (SEQUENCE_HEADER, &[1, 2, 3][..]));
        assert_eq!(&unit.with_size()[..], &[0x0a, 3, 1, 2, 3]);
        assert_eq!(units.next(), None);
    }

    #[test]
    fn a_cut_unit_ends_the_list() {
        let units: Vec<_> = read(&Bytes::from_static(&[0x12, 0x00, 0x32, 0x05, 0x01])).collect();
        assert_eq!(units.len(), 2);
        assert_eq!(units[1], None);
    }

    #[test]
    fn sizes_are_read_in_groups_of_seven_bits() {
        assert_eq!(leb128(&[0xe5, 0x8e, 0x26]), Some((624_485, 3)));
        assert_eq!(leb128(&[0x80; 9]), None);
        assert_eq!(leb128(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), None);
    }
}
