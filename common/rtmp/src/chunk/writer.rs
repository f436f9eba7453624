//! Messages to chunks.

use bytes::{BufMut, BytesMut};

use super::{DEFAULT_CHUNK_SIZE, EXTENDED, Kind};

/// Cuts messages into chunks, with the shortest header that says enough.
#[derive(Debug)]
pub struct Writer {
    chunk_size: usize,
    streams: Vec<ChunkStream>,
}

#[derive(Debug)]
struct ChunkStream {
    id: u32,
    timestamp: u32,
    /// None after a type 0 header: readers disagree on what a type 3 header means then (RTMP 5.3.1.2.4 takes the
    /// timestamp as the delta, others 0), so that none is written there.
    delta: Option<u32>,
    length: usize,
    kind: Kind,
    stream: u32,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A writer at the start of a connection.
    pub fn new() -> Self {
        Self {
            chunk_size: DEFAULT_CHUNK_SIZE as usize,
            streams: Vec::new(),
        }
    }

    /// Bytes that [`write`](Self::write) adds at most for a payload of `length`.
    pub fn cost(&self, length: usize) -> usize {
        length + 18 + length / self.chunk_size * 7
    }

    /// Writes Set Chunk Size and uses the new size from then on. `size` is clamped to 1..=0xFFFFFF.
    pub fn set_chunk_size(&mut self, size: u32, out: &mut BytesMut) {
        let size = size.clamp(1, EXTENDED);
        self.write(2, 0, Kind::SET_CHUNK_SIZE, 0, &size.to_be_bytes(), out);
        self.chunk_size = size as usize;
    }

    /// Appends one message. `chunk_stream` must be in 2..=65599 and `payload` shorter than 16 MiB: the format carries no more,
    /// and what exceeds it is cut.
    pub fn write(
        &mut self,
        chunk_stream: u32,
        timestamp: u32,
        kind: Kind,
        stream: u32,
        payload: &[u8],
        out: &mut BytesMut,
    ) {
        let payload = &payload[..payload.len().min(EXTENDED as usize)];
        out.reserve(self.cost(payload.len()));
        let next = ChunkStream {
            id: chunk_stream,
            timestamp,
            delta: None,
            length: payload.len(),
            kind,
            stream,
        };
        let known = self.streams.iter_mut().find(|known| known.id == chunk_stream);
        let (header_type, field) = match known {
            None => {
                self.streams.push(next);
                (0, timestamp)
            }
            Some(last) => {
                let header = header_type(last, &next);
                *last = ChunkStream {
                    delta: (header.0 > 0).then_some(header.1),
                    ..next
                };
                header
            }
        };
        put_basic(header_type, chunk_stream, out);
        if header_type < 3 {
            out.put_uint(u64::from(field.min(EXTENDED)), 3);
        }
        if header_type < 2 {
            out.put_uint(payload.len() as u64, 3);
            out.put_u8(kind.0);
        }
        if header_type == 0 {
            out.put_u32_le(stream);
        }
        let extended = field >= EXTENDED;
        if extended {
            out.put_u32(field);
        }
        let mut chunks = payload.chunks(self.chunk_size);
        out.put_slice(chunks.next().unwrap_or_default());
        for chunk in chunks {
            put_basic(3, chunk_stream, out);
            if extended {
                out.put_u32(field);
            }
            out.put_slice(chunk);
        }
    }
}

/// The shortest header, and what stands in its timestamp field.
fn header_type(last: &ChunkStream, next: &ChunkStream) -> (u8, u32) {
    let Some(delta) = next.timestamp.checked_sub(last.timestamp) else {
        return (0, next.timestamp);
    };
    if last.stream != next.stream {
        return (0, next.timestamp);
    }
    if last.length != next.length || last.kind != next.kind {
        return (1, delta);
    }
    if last.delta == Some(delta) && delta < EXTENDED {
        (3, delta)
    } else {
        (2, delta)
    }
}

fn put_basic(header_type: u8, chunk_stream: u32, out: &mut BytesMut) {
    let format = header_type << 6;
    match chunk_stream {
        0..=63 => out.put_u8(format | chunk_stream.to_le_bytes()[0]),
        64..=319 => out.put_slice(&[format, (chunk_stream - 64).to_le_bytes()[0]]),
        _ => {
            let [low, high, ..] = chunk_stream.wrapping_sub(64).to_le_bytes();
            out.put_slice(&[format | 1, low, high]);
        }
    }
}
