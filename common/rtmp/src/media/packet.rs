//! What enhanced audio and video messages share: ModEx prefixes and multitrack bodies (E-RTMP "ExAudioTagHeader",
//! "ExVideoTagHeader").

use super::cursor::Cursor;
use crate::Result;

const MOD_EX: u8 = 7;
/// ModEx type of a nanosecond offset.
const TIMESTAMP_OFFSET_NANO: u8 = 0;
/// Track ids are bytes, so that a message with more tracks than this has one twice.
const MOST_TRACKS: u16 = 256;

/// The bodies of one message, one for each of its tracks.
#[derive(Debug)]
pub(super) struct Packet {
    /// After all ModEx prefixes; never Multitrack.
    pub(super) packet_type: u8,
    /// Nanoseconds to be added to the message's timestamp.
    pub(super) offset_ns: u32,
    layout: Layout,
    cursor: Cursor,
    left: u16,
}

/// AvMultitrackType.
#[derive(Debug, Clone, Copy)]
enum Layout {
    /// No multitrack message: track 0.
    Single([u8; 4]),
    OneTrack([u8; 4]),
    ManyTracks([u8; 4]),
    ManyTracksManyCodecs,
}

/// One track's part of a message.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) track: u8,
    pub(super) four_cc: [u8; 4],
    pub(super) cursor: Cursor,
}

/// The packet type after all ModEx prefixes, and the nanosecond offset of the last one that has any.
pub(super) fn mod_ex(mut packet_type: u8, cursor: &mut Cursor) -> Result<(u8, u32)> {
    let mut offset_ns = 0;
    while packet_type == MOD_EX {
        let mut size = usize::from(cursor.u8()?) + 1;
        if size == 256 {
            size = usize::from(cursor.u16()?) + 1;
        }
        let data = cursor.take(size)?;
        let types = cursor.u8()?;
        if types >> 4 == TIMESTAMP_OFFSET_NANO
            && let Some(&[a, b, c]) = data.first_chunk()
        {
            let nanos = u32::from_be_bytes([0, a, b, c]);
            // What is a whole millisecond belongs into the timestamp.
            offset_ns = if nanos < 1_000_000 { nanos } else { 0 };
        }
        packet_type = types & 0x0F;
    }
    Ok((packet_type, offset_ns))
}

impl Packet {
    /// Reads on after the packet type; `multitrack` is the type's number for this.
    pub(super) fn read(packet_type: u8, offset_ns: u32, multitrack: u8, mut cursor: Cursor) -> Result<Self> {
        if packet_type != multitrack {
            let layout = Layout::Single(cursor.four_cc()?);
            return Ok(Self::new(packet_type, offset_ns, layout, cursor));
        }
        let head = cursor.u8()?;
        let (packet_type, inner_ns) = mod_ex(head & 0x0F, &mut cursor)?;
        // A multitrack message within one cannot be (E-RTMP says so), nor a layout that nobody has defined.
        let layout = match head >> 4 {
            _ if packet_type == multitrack => return Err(cursor.short()),
            0 => Layout::OneTrack(cursor.four_cc()?),
            1 => Layout::ManyTracks(cursor.four_cc()?),
            2 => Layout::ManyTracksManyCodecs,
            _ => return Err(cursor.short()),
        };
        Ok(Self::new(packet_type, offset_ns.max(inner_ns), layout, cursor))
    }

    fn new(packet_type: u8, offset_ns: u32, layout: Layout, cursor: Cursor) -> Self {
        Self {
            packet_type,
            offset_ns,
            layout,
            cursor,
            left: MOST_TRACKS,
        }
    }

    /// The next track's body.
    pub(super) fn next(&mut self) -> Option<Result<Body>> {
        if self.left == 0 || self.left < MOST_TRACKS && self.cursor.is_empty() {
            return None;
        }
        self.left -= 1;
        let body = self.body();
        if body.is_err() || matches!(self.layout, Layout::Single(_) | Layout::OneTrack(_)) {
            self.left = 0;
        }
        Some(body)
    }

    fn body(&mut self) -> Result<Body> {
        let cursor = &mut self.cursor;
        let (track, four_cc, size) = match self.layout {
            Layout::Single(four_cc) => (0, four_cc, None),
            Layout::OneTrack(four_cc) => (cursor.u8()?, four_cc, None),
            Layout::ManyTracks(four_cc) => (cursor.u8()?, four_cc, Some(cursor.u24()?)),
            Layout::ManyTracksManyCodecs => {
                let four_cc = cursor.four_cc()?;
                (cursor.u8()?, four_cc, Some(cursor.u24()?))
            }
        };
        Ok(Body {
            track,
            four_cc,
            cursor: cursor.split(size.map(|size| size as usize))?,
        })
    }
}
