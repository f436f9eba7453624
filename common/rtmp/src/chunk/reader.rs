//! Chunks to messages.

use bytes::Bytes;

use super::{DEFAULT_CHUNK_SIZE, EXTENDED, Kind, Message};
use crate::{Error, Limits, Result};

/// Basic header (3) + message header (11) + extended timestamp (4).
const LONGEST_HEADER: usize = 18;

/// First allocation for a message: declared lengths are believed up to here, beyond it only as bytes really come.
const FIRST_CAPACITY: usize = 64 << 10;

/// Puts messages together from chunks, wherever the input is split.
///
/// Set Chunk Size and Abort act on the reader itself and are not handed out.
#[derive(Debug)]
pub struct Reader {
    /// A header (and never more) whose bytes are not all there yet.
    stash: [u8; LONGEST_HEADER],
    stashed: usize,
    /// The chunk whose payload is being read: index into `streams`, bytes to go.
    open: Option<(usize, usize)>,
    streams: Vec<ChunkStream>,
    chunk_size: usize,
    /// Capacity of all unfinished messages.
    partial: usize,
    message_size: usize,
    command_size: usize,
    max_streams: usize,
    max_partial: usize,
}

/// What a chunk stream remembers for the next header (RTMP 5.3.1.2).
#[derive(Debug, Default)]
struct ChunkStream {
    id: u32,
    timestamp: u32,
    /// Added by a type 3 header that begins a message; after a type 0 header it is that header's timestamp (5.3.1.2.4).
    delta: u32,
    length: usize,
    kind: u8,
    stream: u32,
    /// The last header's extended timestamp, repeated by the type 3 headers that follow (5.3.1.3).
    extended: Option<u32>,
    payload: Vec<u8>,
    inside: bool,
}

struct Header {
    kind: u8,
    chunk_stream: u32,
    basic_length: usize,
}

impl Reader {
    /// A reader at the start of a connection, directly after the handshake.
    pub fn new(limits: &Limits) -> Self {
        Self {
            stash: [0; LONGEST_HEADER],
            stashed: 0,
            open: None,
            streams: Vec::new(),
            chunk_size: DEFAULT_CHUNK_SIZE as usize,
            partial: 0,
            message_size: limits.message_size,
            command_size: limits.command_size,
            max_streams: limits.chunk_streams,
            max_partial: limits.partial_bytes,
        }
    }

    /// Memory held by messages that are not complete, bytes.
    pub fn partial_bytes(&self) -> usize {
        self.partial
    }

    /// Whether the input stops inside a chunk or a message.
    pub fn is_inside_message(&self) -> bool {
        self.stashed > 0 || self.open.is_some() || self.streams.iter().any(|stream| stream.inside)
    }

    /// Consumes from `data` until a message is complete; `None` when `data` is used up before.
    ///
    /// # Errors
    /// What violates the protocol or a limit. The reader is of no use afterwards.
    pub fn read(&mut self, data: &mut &[u8]) -> Result<Option<Message>> {
        loop {
            let (index, remaining) = match self.open {
                Some(open) => open,
                None => match self.header(data)? {
                    Some(open) => open,
                    None => return Ok(None),
                },
            };
            let remaining = self.payload(index, remaining, data)?;
            if remaining > 0 {
                self.open = Some((index, remaining));
                return Ok(None);
            }
            self.open = None;
            let Some(stream) = self.streams.get_mut(index) else {
                return Ok(None);
            };
            if stream.payload.len() < stream.length {
                continue;
            }
            stream.inside = false;
            self.partial -= stream.payload.capacity();
            let message = Message {
                chunk_stream: stream.id,
                timestamp: stream.timestamp,
                kind: Kind(stream.kind),
                stream: stream.stream,
                payload: Bytes::from(std::mem::take(&mut stream.payload)),
            };
            if !self.acts_on_reader(&message)? {
                return Ok(Some(message));
            }
        }
    }

    /// Reads one chunk header; answers the chunk stream's index and the bytes of payload in this chunk.
    fn header(&mut self, data: &mut &[u8]) -> Result<Option<(usize, usize)>> {
        if !self.fill(1, data) {
            return Ok(None);
        }
        let basic = match self.stash[0] & 0x3F {
            0 => 2,
            1 => 3,
            _ => 1,
        };
        if !self.fill(basic, data) {
            return Ok(None);
        }
        let chunk_stream = match basic {
            1 => u32::from(self.stash[0] & 0x3F),
            2 => 64 + u32::from(self.stash[1]),
            _ => 64 + u32::from(self.stash[1]) + (u32::from(self.stash[2]) << 8),
        };
        let header = Header {
            kind: self.stash[0] >> 6,
            chunk_stream,
            basic_length: basic,
        };
        if header.kind == 3 {
            self.continued(&header, data)
        } else {
            self.begun(&header, data)
        }
    }

    /// A header of type 0, 1 or 2: it begins a message.
    fn begun(&mut self, header: &Header, data: &mut &[u8]) -> Result<Option<(usize, usize)>> {
        let fields = match header.kind {
            0 => 11,
            1 => 7,
            _ => 3,
        };
        let mut total = header.basic_length + fields;
        if !self.fill(total, data) {
            return Ok(None);
        }
        let mut time = read_u24(&self.stash[header.basic_length..]);
        let extended = time == EXTENDED;
        if extended {
            if !self.fill(total + 4, data) {
                return Ok(None);
            }
            time = read_u32(&self.stash[total..]);
            total += 4;
        }
        let stash = self.stash;
        let fields = &stash[header.basic_length..];
        let index = self.stream_index(header)?;
        let stream = &mut self.streams[index];
        if stream.inside {
            return Err(Error::HeaderInsideMessage {
                chunk_stream: header.chunk_stream,
                header_type: header.kind,
                received: stream.payload.len(),
                expected: stream.length,
            });
        }
        if header.kind == 0 {
            stream.timestamp = time;
            stream.stream = u32::from_le_bytes([fields[7], fields[8], fields[9], fields[10]]);
        } else {
            stream.timestamp = stream.timestamp.wrapping_add(time);
        }
        if header.kind < 2 {
            stream.length = read_u24(&fields[3..]) as usize;
            stream.kind = fields[6];
        }
        stream.delta = time;
        stream.extended = extended.then_some(time);
        self.drop_stashed(total);
        self.begin_message(index).map(Some)
    }

    /// A header of type 3: it goes on with a message, or begins one that is like the last.
    fn continued(&mut self, header: &Header, data: &mut &[u8]) -> Result<Option<(usize, usize)>> {
        let index = self.stream_index(header)?;
        let basic = header.basic_length;
        let stream = &self.streams[index];
        let inside = stream.inside;
        let chunk = if inside {
            self.chunk_size.min(stream.length - stream.payload.len())
        } else {
            0
        };
        let mut total = basic;
        if let Some(extended) = stream.extended {
            if !self.fill(basic + 4, data) {
                return Ok(None);
            }
            // Old encoders leave the field out of continuations. What differs from the message's own timestamp
            // is then payload. (A message that begins here has the field, as all encoders known write it.)
            if !inside || read_u32(&self.stash[basic..]) == extended {
                total += 4;
            }
        }
        self.drop_stashed(total);
        if inside {
            return Ok(Some((index, chunk)));
        }
        let stream = &mut self.streams[index];
        stream.timestamp = stream.timestamp.wrapping_add(stream.delta);
        self.begin_message(index).map(Some)
    }

    fn begin_message(&mut self, index: usize) -> Result<(usize, usize)> {
        let stream = &mut self.streams[index];
        let kind = Kind(stream.kind);
        let max = if kind.is_media() {
            self.message_size
        } else {
            self.command_size.min(self.message_size)
        };
        if stream.length > max {
            return Err(Error::MessageTooLarge {
                kind: kind.name(),
                chunk_stream: stream.id,
                timestamp: stream.timestamp,
                length: stream.length,
                max,
            });
        }
        stream.inside = true;
        stream.payload = Vec::new();
        let (first, chunk) = (
            stream.length.min(FIRST_CAPACITY),
            stream.length.min(self.chunk_size),
        );
        self.grow(index, first)?;
        Ok((index, chunk))
    }

    /// Takes up to `remaining` bytes of payload; answers how many are still to come.
    fn payload(&mut self, index: usize, mut remaining: usize, data: &mut &[u8]) -> Result<usize> {
        while remaining > 0 {
            let from_stash = self.stashed > 0;
            let available = if from_stash { self.stashed } else { data.len() };
            if available == 0 {
                break;
            }
            let stream = &self.streams[index];
            if stream.payload.len() == stream.payload.capacity() {
                let (declared, capacity) = (stream.length, stream.payload.capacity());
                self.grow(index, declared.min(capacity.saturating_mul(4)))?;
            }
            let stream = &mut self.streams[index];
            let room = stream.payload.capacity() - stream.payload.len();
            let take = remaining.min(available).min(room);
            if from_stash {
                stream.payload.extend_from_slice(&self.stash[..take]);
                self.drop_stashed(take);
            } else {
                let (taken, rest) = data.split_at(take);
                stream.payload.extend_from_slice(taken);
                *data = rest;
            }
            remaining -= take;
        }
        Ok(remaining)
    }

    /// Makes room for `capacity` bytes in all, exactly, within the bound for unfinished messages.
    fn grow(&mut self, index: usize, capacity: usize) -> Result<()> {
        let payload = &mut self.streams[index].payload;
        let before = payload.capacity();
        if self.partial + capacity.saturating_sub(before) > self.max_partial {
            return Err(Error::TooMuchPartial {
                max: self.max_partial,
            });
        }
        payload.reserve_exact(capacity - payload.len());
        self.partial += payload.capacity() - before;
        Ok(())
    }

    fn stream_index(&mut self, header: &Header) -> Result<usize> {
        let known = self
            .streams
            .iter()
            .position(|stream| stream.id == header.chunk_stream);
        if let Some(index) = known {
            return Ok(index);
        }
        // librtmp opens its control chunk stream with a type 1 header, meaning a delta from 0 on stream 0.
        if header.kind > 1 {
            return Err(Error::NoPreviousHeader {
                chunk_stream: header.chunk_stream,
                header_type: header.kind,
            });
        }
        if self.streams.len() == self.max_streams {
            return Err(Error::TooManyChunkStreams {
                max: self.max_streams,
            });
        }
        self.streams.push(ChunkStream {
            id: header.chunk_stream,
            ..ChunkStream::default()
        });
        Ok(self.streams.len() - 1)
    }

    /// Set Chunk Size and Abort (RTMP 5.4.1, 5.4.2).
    fn acts_on_reader(&mut self, message: &Message) -> Result<bool> {
        let malformed = |why| Error::MalformedControl {
            what: message.kind.name(),
            why,
        };
        let value = || {
            let bytes: &[u8] = message
                .payload
                .get(..4)
                .ok_or_else(|| malformed("shorter than 4 bytes"))?;
            Ok::<u32, Error>(read_u32(bytes))
        };
        match message.kind {
            Kind::SET_CHUNK_SIZE => match value()? {
                0 => return Err(malformed("the size is 0")),
                size if size > 0x7FFF_FFFF => return Err(malformed("the first bit is not 0")),
                // No message is longer than 24 bits can say, so a greater size means the same.
                size => self.chunk_size = size.min(EXTENDED) as usize,
            },
            Kind::ABORT => {
                let id = value()?;
                if let Some(stream) = self
                    .streams
                    .iter_mut()
                    .find(|stream| stream.id == id && stream.inside)
                {
                    self.partial -= stream.payload.capacity();
                    stream.payload = Vec::new();
                    stream.inside = false;
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether the stash holds `wanted` bytes, after taking what is missing from `data`.
    fn fill(&mut self, wanted: usize, data: &mut &[u8]) -> bool {
        let take = wanted.saturating_sub(self.stashed).min(data.len());
        let (taken, rest) = data.split_at(take);
        self.stash[self.stashed..self.stashed + take].copy_from_slice(taken);
        self.stashed += take;
        *data = rest;
        self.stashed >= wanted
    }

    fn drop_stashed(&mut self, used: usize) {
        self.stash.copy_within(used..self.stashed, 0);
        self.stashed -= used;
    }
}

fn read_u24(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]])
}

fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
