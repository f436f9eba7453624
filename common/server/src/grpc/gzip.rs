//! Compressed requests. A generated server reads gzip only when its builder was told so; here every server does, and
//! what a small message unpacks to is bounded.

use std::io::Read as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use flate2::read::GzDecoder;
use http::{HeaderMap, Request};
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;

use super::bounds::Error;

const PREFIX: usize = 5;

/// Unpacks the messages of a request with `grpc-encoding: gzip`; any other request is left as it is.
pub(super) fn inflate(mut request: Request<Body>, max_message: usize) -> Request<Body> {
    if request
        .headers()
        .get("grpc-encoding")
        .is_none_or(|encoding| encoding != "gzip")
    {
        return request;
    }
    request.headers_mut().remove("grpc-encoding");
    request.map(|inner| {
        Body::new(Inflate {
            inner,
            packed: BytesMut::new(),
            max_message,
            trailers: None,
            ended: false,
        })
    })
}

struct Inflate {
    inner: Body,
    packed: BytesMut,
    max_message: usize,
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl Inflate {
    /// The next whole message, unpacked, with its prefix.
    fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(&[flags, a, b, c, d]) = self.packed.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let too_large = || {
            Status::from(Error::RequestTooLarge {
                limit: self.max_message,
            })
        };
        if length > self.max_message {
            return Err(too_large());
        }
        if self.packed.len() < PREFIX + length {
            return Ok(None);
        }
        self.packed.advance(PREFIX);
        let message = self.packed.split_to(length).freeze();
        if flags & 1 == 0 {
            return Ok(Some(framed(&message)));
        }
        let mut plain = Vec::new();
        let limit = self.max_message as u64 + 1;
        GzDecoder::new(message.as_ref())
            .take(limit)
            .read_to_end(&mut plain)
            .map_err(|_| Status::invalid_argument("a message is not gzip"))?;
        if plain.len() > self.max_message {
            return Err(Error::RequestTooLarge {
                limit: self.max_message,
            }
            .into());
        }
        Ok(Some(framed(&plain)))
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX + message.len());
    bytes.put_u8(0);
    // No message here is near 4 GiB.
    bytes.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    bytes.put_slice(message);
    bytes.freeze()
}

impl http_body::Body for Inflate {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            match self.next() {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                Ok(None) => {}
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
            if self.ended {
                return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.packed.extend_from_slice(&data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None => self.ended = true,
            }
        }
    }
}
