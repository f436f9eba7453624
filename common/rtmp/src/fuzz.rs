//! Entry points for fuzzers: plain functions on bytes that panic when a promise is broken. The property tests run the same.

use std::time::Duration;

use bytes::Bytes;

use crate::amf0::{self, AmfLimits};
use crate::amf3;
use crate::media::{Audio, Video};
use crate::metadata::Metadata;
use crate::server::{Event, ServerSession};
use crate::{ClientSession, Limits, chunk, flv};

/// Everything that reads a whole buffer.
pub fn buffers(data: &[u8]) {
    let _ = amf0::decode_all(data, AmfLimits::default());
    let _ = amf3::decode(&mut &data[..], AmfLimits::default());
    let _ = Metadata::parse(data, AmfLimits::default());
    let bytes = Bytes::copy_from_slice(data);
    Video::tracks(&bytes).for_each(drop);
    Audio::tracks(&bytes).for_each(drop);
    let mut reader = flv::Reader::new(1 << 16);
    let mut rest = data;
    while let Ok(Some(_)) = reader.read(&mut rest) {}
}

/// Chunks, fed in pieces; memory must stay within the limits.
pub fn chunks(data: &[u8], piece: usize) {
    let limits = limits();
    let mut reader = chunk::Reader::new(&limits);
    for mut piece in data.chunks(piece.max(1)) {
        while let Ok(Some(_)) = reader.read(&mut piece) {}
        assert!(reader.partial_bytes() <= limits.partial_bytes);
    }
}

/// A server that accepts everything; `data` follows a valid handshake unless `raw`.
pub fn server(data: &[u8], piece: usize, raw: bool) {
    let limits = limits();
    let mut session = ServerSession::new(limits.clone(), Duration::ZERO);
    let handshake = [&[3][..], &[0; 2 * crate::handshake::PACKET]].concat();
    let bytes = if raw {
        data.to_vec()
    } else {
        [&handshake, data].concat()
    };
    for mut piece in bytes.chunks(piece.max(1)) {
        loop {
            let event = session.input(&mut piece, Duration::ZERO);
            assert!(session.partial_bytes() <= limits.partial_bytes);
            assert!(session.output().len() <= limits.output_bytes);
            let request = match event {
                Ok(Some(Event::ConnectRequested(connect))) => connect.request,
                Ok(Some(Event::PublishRequested(publish))) => publish.request,
                Ok(Some(Event::PlayRequested(play))) => play.request,
                Ok(Some(_)) => continue,
                Ok(None) => break,
                Err(_) => return,
            };
            if session.accept(request).is_err() {
                return;
            }
        }
    }
}

/// A client whose server sends `data`.
pub fn client(data: &[u8], piece: usize) {
    let url = crate::Url {
        tls: false,
        host: "localhost".into(),
        port: 1935,
        app: "live".into(),
        name: crate::StreamKey::new("key"),
    };
    let mut session = ClientSession::play(&url, limits(), Duration::ZERO);
    let handshake = [&[3][..], &[0; 2 * crate::handshake::PACKET]].concat();
    for mut piece in [&handshake, data].concat().chunks(piece.max(1)) {
        while let Ok(Some(_)) = session.input(&mut piece, Duration::ZERO) {}
    }
}

fn limits() -> Limits {
    Limits {
        partial_bytes: 200_000,
        output_bytes: 100_000,
        ..Limits::default()
    }
}
