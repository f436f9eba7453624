//! Bounds on everything a peer can make us hold or wait for.

use std::time::Duration;

/// What one session may cost. Every value is a hard limit: the session ends with an [`Error`](crate::Error) naming it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest audio, video, data or aggregate message, bytes of payload. A 2160p keyframe at 40 Mbit/s is about 1 MiB.
    pub message_size: usize,
    /// Longest command message (connect, publish ...) and user control message, bytes of payload.
    pub command_size: usize,
    /// Chunk streams the peer may open. Encoders use two to five.
    pub chunk_streams: usize,
    /// Memory that all messages which have begun and not ended may hold together, bytes.
    pub partial_bytes: usize,
    /// Bytes that may wait in [`output`](crate::ServerSession::output) because the peer does not read.
    pub output_bytes: usize,
    /// NetStreams (`createStream`) that may be open at once.
    pub streams: usize,
    /// Bounds on AMF values.
    pub amf: AmfLimits,
    /// From the first moment until `connect` is there: TCP accept, handshake and the command.
    pub handshake_timeout: Duration,
    /// From an accepted `connect` (or the end of the last stream) until `publish` or `play` is asked for.
    pub request_timeout: Duration,
    /// Longest silence, measured between *complete* messages, so that a trickle of bytes does not count as life.
    pub idle_timeout: Duration,
    /// Silence after which the peer is asked for a sign of life (ping request); only players are, since encoders talk.
    pub ping_interval: Duration,
    /// Chunk size that we announce and write with, bytes of payload per chunk.
    pub output_chunk_size: u32,
    /// Window acknowledgement size that we announce, bytes.
    pub window_ack_size: u32,
}

/// Bounds on one AMF0 value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmfLimits {
    /// Objects inside objects.
    pub depth: usize,
    /// Bytes of one string or property name.
    pub string_bytes: usize,
    /// Values of all kinds in one message: properties and array elements together.
    pub values: usize,
}

impl Default for AmfLimits {
    fn default() -> Self {
        Self {
            depth: 16,
            string_bytes: 64 << 10,
            values: 1024,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: 4 << 20,
            command_size: 256 << 10,
            chunk_streams: 32,
            partial_bytes: 8 << 20,
            output_bytes: 8 << 20,
            streams: 8,
            amf: AmfLimits::default(),
            handshake_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(10),
            output_chunk_size: 64 << 10,
            window_ack_size: 2_500_000,
        }
    }
}
