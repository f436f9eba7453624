//! Opus: the identification header (RFC 7845 5.1), and how much time a packet holds (RFC 6716 3.1).

use bytes::Bytes;

use crate::{Error, Result};

/// Whatever the encoder was given: Opus decodes at 48 kHz.
pub(crate) const SAMPLE_RATE: u32 = 48_000;
/// A packet holds at most 120 ms (RFC 6716 3.2.5).
const LONGEST_PACKET: u32 = 5_760;

/// An Opus track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opus {
    /// Channels at the decoder's output.
    pub channels: u8,
    /// Samples at 48 kHz that a decoder leaves out at the start.
    pub pre_skip: u16,
    /// Samples per second that the encoder was given; 0 is not known. No decoder needs it.
    pub input_sample_rate: u32,
    /// Q7.8 decibels.
    pub output_gain: i16,
    /// Where the channels come from, for more than two of them.
    pub mapping: Option<OpusMapping>,
}

/// RFC 7845 5.1.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpusMapping {
    /// 1 is Vorbis order, 255 is no order.
    pub family: u8,
    /// Streams in a packet.
    pub streams: u8,
    /// How many of them are stereo.
    pub coupled: u8,
    /// For each channel, which decoded one it is; 255 is silence.
    pub channels: Vec<u8>,
}

impl Opus {
    pub(super) fn parse(header: &Bytes) -> Result<Self> {
        let Some(body) = header.strip_prefix(b"OpusHead") else {
            return Err(Error::MalformedOpus("it does not begin with OpusHead"));
        };
        let Some(&[version, channels, s0, s1, r0, r1, r2, r3, g0, g1, family]) = body.first_chunk() else {
            return Err(Error::MalformedOpus("it ends too early"));
        };
        // The upper four bits tell of what old readers cannot read (RFC 7845 5.1).
        if version & 0xf0 != 0 {
            return Err(Error::MalformedOpus("unknown version"));
        }
        if channels == 0 {
            return Err(Error::MalformedOpus("it has no channels"));
        }
        let mapping = match family {
            0 if channels <= 2 => None,
            0 => return Err(Error::MalformedOpus("more than two channels without a mapping")),
            _ => Some(mapping(family, channels, &body[11..])?),
        };
        Ok(Self {
            channels,
            pre_skip: u16::from_le_bytes([s0, s1]),
            input_sample_rate: u32::from_le_bytes([r0, r1, r2, r3]),
            output_gain: i16::from_le_bytes([g0, g1]),
            mapping,
        })
    }
}

fn mapping(family: u8, count: u8, table: &[u8]) -> Result<OpusMapping> {
    let count = usize::from(count);
    let (Some(&[streams, coupled]), Some(channels)) = (table.first_chunk(), table.get(2..2 + count)) else {
        return Err(Error::MalformedOpus("its channel mapping ends too early"));
    };
    let decoded = u16::from(streams) + u16::from(coupled);
    let is_there = |channel: &u8| *channel == 255 || u16::from(*channel) < decoded;
    if streams == 0 || coupled > streams || decoded > 255 || !channels.iter().all(is_there) {
        return Err(Error::MalformedOpus(
            "its channel mapping names channels that are not there",
        ));
    }
    Ok(OpusMapping {
        family,
        streams,
        coupled,
        channels: channels.to_vec(),
    })
}

/// Samples at 48 kHz that a packet decodes to, from its first byte or two; `None` when it is no packet.
pub(super) fn samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let config = u32::from(toc >> 3);
    let frame = match config {
        // SILK: 10, 20, 40, 60 ms.
        0..=11 => [480, 960, 1_920, 2_880][config as usize % 4],
        // Hybrid: 10, 20 ms.
        12..=15 => [480, 960][config as usize % 2],
        // CELT: 2.5, 5, 10, 20 ms.
        _ => 120 << (config % 4),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3f),
    };
    let samples = frame * frames;
    (1..=LONGEST_PACKET).contains(&samples).then_some(samples)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// libopus, stereo, 312 samples of pre-skip, 48 kHz.
    pub(crate) const LIBOPUS: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00";

    fn opus(bytes: &[u8]) -> Result<Opus> {
        Opus::parse(&Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn the_header_is_read() {
        let config = opus(LIBOPUS).unwrap();
        assert_eq!((config.channels, config.pre_skip), (2, 312));
        assert_eq!((config.input_sample_rate, config.output_gain), (48_000, 0));
        assert_eq!(config.mapping, None);
    }

    #[test]
    fn surround_has_a_mapping() {
        let head = [&LIBOPUS[..9], &[6, 0x38, 1, 0x80, 0xbb, 0, 0, 0, 0, 1]].concat();
        let table = [4, 2, 0, 4, 1, 2, 3, 5];
        let config = opus(&[&head[..], &table].concat()).unwrap();
        let mapping = config.mapping.unwrap();
        assert_eq!((mapping.family, mapping.streams, mapping.coupled), (1, 4, 2));
        assert_eq!(mapping.channels, table[2..]);
        assert!(opus(&[&head[..], &table[..7]].concat()).is_err(), "cut");
        let absent = [4, 2, 0, 4, 1, 2, 3, 6];
        assert!(opus(&[&head[..], &absent].concat()).is_err(), "channel 6 of 6");
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bytes in [
            &b""[..],
            b"OpusTags\x01\x02",
            &LIBOPUS[..18],
            b"OpusHead\x11\x02\x38\x01\x80\xbb\0\0\0\0\0",
        ] {
            assert!(matches!(opus(bytes), Err(Error::MalformedOpus(_))), "{bytes:?}");
        }
    }

    #[test]
    fn a_packet_tells_how_long_it_is() {
        for (packet, expected) in [
            (&[0xfc, 0xff][..], Some(960)),
            (&[0x08], Some(960)),
            (&[0x18], Some(2_880)),
            (&[0x80], Some(120)),
            (&[0xfd], Some(1_920)),
            (&[0xff, 3], Some(2_880)),
            (&[0xff, 0], None),
            (&[0xff, 63], None),
            (&[0xff], None),
            (&[], None),
        ] {
            assert_eq!(samples(packet), expected, "{packet:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = samples(&bytes);
            if let Ok(config) = opus(&[b"OpusHead\x01", &bytes[..]].concat()) {
                prop_assert!(config.channels > 0);
            }
        }
    }
}
