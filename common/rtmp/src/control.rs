//! Protocol control and user control messages that the session acts on (RTMP 5.4, 6.2).

use bytes::{Buf, Bytes};

use crate::chunk::Kind;
use crate::{Error, Result};

/// A control message of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// The peer has received this many bytes in all (modulo 2^32).
    Acknowledged(u32),
    /// The peer wants an acknowledgement every so many bytes.
    WindowAckSize(u32),
    /// The peer limits our bandwidth; answered by our window acknowledgement size.
    PeerBandwidth,
    StreamBegin(u32),
    StreamEof(u32),
    PingRequest(u32),
    PingResponse(u32),
    /// Buffer lengths, stream is recorded, buffer ready and what else there is.
    Other,
}

const STREAM_BEGIN: u16 = 0;
const STREAM_EOF: u16 = 1;
const PING_REQUEST: u16 = 6;
const PING_RESPONSE: u16 = 7;

impl Control {
    pub(crate) fn parse(kind: Kind, payload: &Bytes) -> Result<Self> {
        let mut data = &payload[..];
        let short = |_| Error::MalformedControl {
            what: kind.name(),
            why: "too short",
        };
        Ok(match kind {
            Kind::ACKNOWLEDGEMENT => Self::Acknowledged(data.try_get_u32().map_err(short)?),
            Kind::WINDOW_ACK_SIZE => Self::WindowAckSize(data.try_get_u32().map_err(short)?),
            Kind::SET_PEER_BANDWIDTH => Self::PeerBandwidth,
            Kind::USER_CONTROL => {
                let event = data.try_get_u16().map_err(short)?;
                match event {
                    STREAM_BEGIN => Self::StreamBegin(data.try_get_u32().map_err(short)?),
                    STREAM_EOF => Self::StreamEof(data.try_get_u32().map_err(short)?),
                    PING_REQUEST => Self::PingRequest(data.try_get_u32().map_err(short)?),
                    PING_RESPONSE => Self::PingResponse(data.try_get_u32().map_err(short)?),
                    _ => Self::Other,
                }
            }
            _ => Self::Other,
        })
    }
}

pub(crate) fn stream_begin(stream: u32) -> [u8; 6] {
    user_control(STREAM_BEGIN, stream)
}

pub(crate) fn stream_eof(stream: u32) -> [u8; 6] {
    user_control(STREAM_EOF, stream)
}

pub(crate) fn ping_request(timestamp: u32) -> [u8; 6] {
    user_control(PING_REQUEST, timestamp)
}

pub(crate) fn ping_response(timestamp: u32) -> [u8; 6] {
    user_control(PING_RESPONSE, timestamp)
}

fn user_control(event: u16, value: u32) -> [u8; 6] {
    let ([a, b], [c, d, e, f]) = (event.to_be_bytes(), value.to_be_bytes());
    [a, b, c, d, e, f]
}
