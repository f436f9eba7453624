//! The chunk stream: messages cut into chunks and interleaved (RTMP 5.3).

mod reader;
mod writer;

#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use reader::Reader;
pub use writer::Writer;

/// Chunk size of both directions until Set Chunk Size (RTMP 5.4.1), bytes.
pub const DEFAULT_CHUNK_SIZE: u32 = 128;

/// Timestamps and deltas from here on are carried in the extended field (RTMP 5.3.1.3).
const EXTENDED: u32 = 0xFF_FFFF;

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Chunk stream that carried it.
    pub chunk_stream: u32,
    /// Absolute, milliseconds, wraps at 2^32.
    pub timestamp: u32,
    /// What it is.
    pub kind: Kind,
    /// NetStream id; 0 is the connection itself.
    pub stream: u32,
    /// The body.
    pub payload: Bytes,
}

/// Message type id (RTMP 5.4, 6, 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);

#[expect(missing_docs, reason = "the names are the specification's")]
impl Kind {
    pub const SET_CHUNK_SIZE: Kind = Kind(1);
    pub const ABORT: Kind = Kind(2);
    pub const ACKNOWLEDGEMENT: Kind = Kind(3);
    pub const USER_CONTROL: Kind = Kind(4);
    pub const WINDOW_ACK_SIZE: Kind = Kind(5);
    pub const SET_PEER_BANDWIDTH: Kind = Kind(6);
    pub const AUDIO: Kind = Kind(8);
    pub const VIDEO: Kind = Kind(9);
    pub const DATA_AMF3: Kind = Kind(15);
    pub const COMMAND_AMF3: Kind = Kind(17);
    pub const DATA_AMF0: Kind = Kind(18);
    pub const COMMAND_AMF0: Kind = Kind(20);
    pub const AGGREGATE: Kind = Kind(22);

    /// The name that errors give it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::SET_CHUNK_SIZE => "set chunk size",
            Kind::ABORT => "abort",
            Kind::ACKNOWLEDGEMENT => "acknowledgement",
            Kind::USER_CONTROL => "user control",
            Kind::WINDOW_ACK_SIZE => "window acknowledgement size",
            Kind::SET_PEER_BANDWIDTH => "set peer bandwidth",
            Kind::AUDIO => "audio",
            Kind::VIDEO => "video",
            Kind::DATA_AMF0 | Kind::DATA_AMF3 => "data",
            Kind::COMMAND_AMF0 | Kind::COMMAND_AMF3 => "command",
            Kind::AGGREGATE => "aggregate",
            _ => "unknown",
        }
    }

    /// Whether the body is media, which may be long.
    fn is_media(self) -> bool {
        matches!(
            self,
            Kind::AUDIO | Kind::VIDEO | Kind::DATA_AMF0 | Kind::DATA_AMF3 | Kind::AGGREGATE
        )
    }
}
