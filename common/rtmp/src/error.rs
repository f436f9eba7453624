//! Why a session ended.

use std::time::Duration;

/// The result of everything that reads from a peer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where, and why. No variant carries anything the peer sent as text, so that no stream key can reach
/// a log through an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first byte is not an RTMP version: another protocol knocked at this port.
    #[error("not RTMP: the first byte is {version:#04x} ({hint}), expected 0x03")]
    NotRtmp {
        /// The byte that came.
        version: u8,
        /// What it usually means.
        hint: &'static str,
    },
    /// The peer closed the connection in the middle of something.
    #[error("connection ended inside {inside}")]
    UnexpectedEof {
        /// What was not complete.
        inside: &'static str,
    },
    /// A chunk stream began with a header that refers to a previous one (RTMP 5.3.1.2).
    #[error(
        "chunk stream {chunk_stream} begins with a header of type {header_type}, which needs a previous one"
    )]
    NoPreviousHeader {
        /// Chunk stream id.
        chunk_stream: u32,
        /// 2 or 3.
        header_type: u8,
    },
    /// A new message header came while the message before it on the same chunk stream was not complete.
    #[error(
        "chunk stream {chunk_stream} has a header of type {header_type} inside a message ({received} of {expected} bytes)"
    )]
    HeaderInsideMessage {
        /// Chunk stream id.
        chunk_stream: u32,
        /// 0, 1 or 2.
        header_type: u8,
        /// Bytes of the unfinished message so far.
        received: usize,
        /// Its declared length.
        expected: usize,
    },
    /// A message declares more than [`Limits::message_size`](crate::Limits::message_size) or `command_size`.
    #[error(
        "{kind} message of {length} bytes at {timestamp} ms on chunk stream {chunk_stream}: at most {max} are taken"
    )]
    MessageTooLarge {
        /// audio, video, command ...
        kind: &'static str,
        /// Chunk stream id.
        chunk_stream: u32,
        /// Its timestamp, milliseconds.
        timestamp: u32,
        /// Declared length, bytes.
        length: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// More chunk streams than [`Limits::chunk_streams`](crate::Limits::chunk_streams).
    #[error("more than {max} chunk streams")]
    TooManyChunkStreams {
        /// The limit.
        max: usize,
    },
    /// Unfinished messages hold more than [`Limits::partial_bytes`](crate::Limits::partial_bytes).
    #[error("unfinished messages of all chunk streams hold more than {max} bytes")]
    TooMuchPartial {
        /// The limit, bytes.
        max: usize,
    },
    /// The peer does not read what it asked for; more than [`Limits::output_bytes`](crate::Limits::output_bytes) wait.
    /// From `send_*` this is not fatal: nothing was written, the frame may be dropped.
    #[error("peer does not read: {pending} bytes wait, {needed} more do not fit below {max}")]
    OutputFull {
        /// Bytes waiting.
        pending: usize,
        /// Bytes that were to be added.
        needed: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// More NetStreams than [`Limits::streams`](crate::Limits::streams).
    #[error("more than {max} streams on one connection")]
    TooManyStreams {
        /// The limit.
        max: usize,
    },
    /// A protocol control or user control message is malformed (RTMP 5.4, 6.2).
    #[error("malformed {what} message: {why}")]
    MalformedControl {
        /// Which message.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An aggregate message's parts do not fit into it (RTMP 7.1.6).
    #[error("malformed aggregate message: {why}")]
    MalformedAggregate {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A command lacks an argument or has one of a wrong type.
    #[error("malformed {command} command: {why}")]
    MalformedCommand {
        /// Name of a command that we know, or "unnamed".
        command: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A command at a time when it makes no sense.
    #[error("{command} command {why}")]
    UnexpectedCommand {
        /// Name of a command that we know, or "other".
        command: &'static str,
        /// Why not now.
        why: &'static str,
    },
    /// AMF that cannot be read.
    #[error("amf: {0}")]
    Amf(#[from] crate::amf0::Error),
    /// FLV file that cannot be read.
    #[error("flv: {why} at byte {offset}")]
    Flv {
        /// What is wrong.
        why: &'static str,
        /// Offset in the file, bytes.
        offset: u64,
    },
    /// An audio or video message's body is too short for what it says it is.
    #[error("{what}: {length} bytes are too few")]
    MalformedMedia {
        /// Which structure.
        what: &'static str,
        /// Bytes that there are.
        length: usize,
    },
    /// Not an address of the form `rtmp://host[:port]/app/key`.
    #[error("not an rtmp address: {why}")]
    Url {
        /// What is missing.
        why: &'static str,
    },
    /// Too long until something had to be there.
    #[error("{what} not complete after {limit:?}")]
    Timeout {
        /// handshake, request ...
        what: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// No complete message for [`Limits::idle_timeout`](crate::Limits::idle_timeout).
    #[error("no complete message for {limit:?}")]
    Idle {
        /// The limit.
        limit: Duration,
    },
    /// The request was answered before, or its stream is gone.
    #[error("request {request} is not open")]
    NoSuchRequest {
        /// Number of the request.
        request: u64,
    },
    /// The stream does not exist or is not in the right state for this.
    #[error("stream {stream} is not {state}")]
    WrongStreamState {
        /// NetStream id.
        stream: u32,
        /// playing, publishing ...
        state: &'static str,
    },
}
