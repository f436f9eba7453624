//! FLV files and streams (FLV E.2-E.4): what is published from a file and played over HTTP.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{Error, Result};

const FILE_HEADER: usize = 9;
const TAG_HEADER: usize = 11;
const BACK_POINTER: usize = 4;
/// Bytes that a tag can carry.
pub const LONGEST_PAYLOAD: usize = 0xFF_FFFF;

/// What a tag carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TagKind {
    /// 8: see [`Audio`](crate::media::Audio).
    Audio,
    /// 9: see [`Video`](crate::media::Video).
    Video,
    /// 18: AMF0, mostly `onMetaData`.
    Script,
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Audio, video or script.
    pub kind: TagKind,
    /// Milliseconds; all 32 bits.
    pub timestamp: u32,
    /// The body, the same as that of an RTMP message.
    pub payload: Bytes,
}

/// Reads tags from the bytes of a file, wherever these are split.
#[derive(Debug)]
pub struct Reader {
    buffer: BytesMut,
    /// Bytes to pass over before the next tag.
    skip: usize,
    in_header: bool,
    max_tag: usize,
    offset: u64,
}

impl Reader {
    /// A reader at the start of a file that takes tags of up to `max_tag` bytes.
    pub fn new(max_tag: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            skip: 0,
            in_header: true,
            max_tag,
            offset: 0,
        }
    }

    /// Consumes from `data` until a tag is complete; `None` when `data` is used up before. Tags that are encrypted or of an
    /// unknown kind are passed over.
    ///
    /// # Errors
    /// [`Error::Flv`] when this is no FLV file or a tag is too long.
    pub fn read(&mut self, data: &mut &[u8]) -> Result<Option<Tag>> {
        loop {
            let skipped = self.skip.min(data.len());
            data.advance(skipped);
            self.skip -= skipped;
            self.offset += skipped as u64;
            if self.skip > 0 {
                return Ok(None);
            }
            if self.in_header {
                if !self.fill(FILE_HEADER, data) {
                    return Ok(None);
                }
                self.file_header()?;
                continue;
            }
            if !self.fill(TAG_HEADER, data) {
                return Ok(None);
            }
            let header = &self.buffer[..TAG_HEADER];
            let length = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
            let timestamp = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
            // Bit 5 marks an encrypted tag.
            let kind = match header[0] & 0x3F {
                8 => Some(TagKind::Audio),
                9 => Some(TagKind::Video),
                18 => Some(TagKind::Script),
                _ => None,
            };
            let Some(kind) = kind else {
                self.consumed(TAG_HEADER);
                self.skip = length + BACK_POINTER;
                continue;
            };
            if length > self.max_tag {
                return Err(Error::Flv {
                    why: "a tag is too long",
                    offset: self.offset,
                });
            }
            if !self.fill(TAG_HEADER + length, data) {
                return Ok(None);
            }
            let payload = std::mem::take(&mut self.buffer).freeze().slice(TAG_HEADER..);
            self.offset += (TAG_HEADER + length) as u64;
            self.skip = BACK_POINTER;
            return Ok(Some(Tag {
                kind,
                timestamp,
                payload,
            }));
        }
    }

    /// Whether the file may end here.
    pub fn is_between_tags(&self) -> bool {
        self.buffer.is_empty() && !self.in_header
    }

    fn file_header(&mut self) -> Result<()> {
        let bad = |why| Error::Flv { why, offset: 0 };
        if &self.buffer[..3] != b"FLV" {
            return Err(bad("no FLV signature"));
        }
        let size = u32::from_be_bytes([self.buffer[5], self.buffer[6], self.buffer[7], self.buffer[8]]);
        if !(9..=4096).contains(&size) {
            return Err(bad("a header of impossible size"));
        }
        self.consumed(FILE_HEADER);
        self.skip = size as usize - FILE_HEADER + BACK_POINTER;
        self.in_header = false;
        Ok(())
    }

    fn fill(&mut self, wanted: usize, data: &mut &[u8]) -> bool {
        let take = wanted.saturating_sub(self.buffer.len()).min(data.len());
        self.buffer.extend_from_slice(&data[..take]);
        data.advance(take);
        self.buffer.len() >= wanted
    }

    fn consumed(&mut self, length: usize) {
        self.buffer.clear();
        self.offset += length as u64;
    }
}

/// Writes the header of a file or stream, back pointer included.
pub fn write_header(has_audio: bool, has_video: bool, out: &mut impl BufMut) {
    out.put_slice(b"FLV\x01");
    out.put_u8(u8::from(has_audio) << 2 | u8::from(has_video));
    out.put_u32(9);
    out.put_u32(0);
}

/// Writes a tag, back pointer included. A payload beyond 16 MiB, which the format cannot carry, is cut.
pub fn write_tag(kind: TagKind, timestamp: u32, payload: &[u8], out: &mut impl BufMut) {
    let payload = &payload[..payload.len().min(LONGEST_PAYLOAD)];
    write_tag_head(kind, timestamp, payload.len(), out);
    out.put_slice(payload);
    write_tag_tail(payload.len(), out);
}

/// Writes what stands before a payload of `length` bytes, for who sends the payload itself without copying it. `length` must
/// not exceed [`LONGEST_PAYLOAD`].
pub fn write_tag_head(kind: TagKind, timestamp: u32, length: usize, out: &mut impl BufMut) {
    out.put_u8(match kind {
        TagKind::Audio => 8,
        TagKind::Video => 9,
        TagKind::Script => 18,
    });
    out.put_uint(length as u64, 3);
    let [high, rest @ ..] = timestamp.to_be_bytes();
    out.put_slice(&rest);
    out.put_u8(high);
    out.put_slice(&[0, 0, 0]);
}

/// Writes what stands after such a payload: the back pointer.
pub fn write_tag_tail(length: usize, out: &mut impl BufMut) {
    out.put_uint((TAG_HEADER + length) as u64, BACK_POINTER);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn tag()(
            kind in prop_oneof![Just(TagKind::Audio), Just(TagKind::Video), Just(TagKind::Script)],
            timestamp: u32,
            payload in prop::collection::vec(any::<u8>(), 0..300),
        ) -> Tag {
            Tag { kind, timestamp, payload: payload.into() }
        }
    }

    fn file(tags: &[Tag]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_header(true, true, &mut bytes);
        tags.iter()
            .for_each(|tag| write_tag(tag.kind, tag.timestamp, &tag.payload, &mut bytes));
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_however_it_is_split(
            tags in prop::collection::vec(tag(), 0..8), step in 1usize..400,
        ) {
            let mut reader = Reader::new(1 << 20);
            let mut read = Vec::new();
            for mut piece in file(&tags).chunks(step) {
                while let Some(tag) = reader.read(&mut piece).unwrap() {
                    read.push(tag);
                }
            }
            prop_assert_eq!(read, tags);
            prop_assert!(reader.is_between_tags());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut data = &[&b"FLV\x01\x05\0\0\0\x09"[..], &bytes].concat()[..];
            let mut reader = Reader::new(1 << 16);
            while let Ok(Some(_)) = reader.read(&mut data) {}
        }
    }

    #[test]
    fn what_is_no_flv_is_refused() {
        let result = Reader::new(100).read(&mut &b"RIFF....."[..]);
        assert_eq!(
            result,
            Err(Error::Flv {
                why: "no FLV signature",
                offset: 0
            })
        );
    }

    #[test]
    fn a_tag_beyond_the_limit_is_refused_with_its_place() {
        let tag = Tag {
            kind: TagKind::Video,
            timestamp: 0,
            payload: vec![0; 200].into(),
        };
        let result = Reader::new(100).read(&mut &file(&[tag])[..]);
        assert_eq!(
            result,
            Err(Error::Flv {
                why: "a tag is too long",
                offset: 13
            })
        );
    }
}
