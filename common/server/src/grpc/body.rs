use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;

/// The answer of an RPC: it ends when its time is over or the server stops, and no message is larger than allowed.
#[derive(Default)]
pub(crate) struct Body {
    inner: tonic::body::Body,
    messages: Messages,
    /// Only for streams: the one answer of a unary RPC was complete before its headers.
    ends: Option<Box<Ends>>,
    done: bool,
}

/// What may end a stream early.
pub(crate) struct Ends {
    pub(crate) draining: Pin<Box<WaitForCancellationFutureOwned>>,
    pub(crate) deadline: Option<Pin<Box<Sleep>>>,
    /// Among the streams that are open.
    pub(crate) _place: Option<OwnedSemaphorePermit>,
}

impl Body {
    pub(crate) fn new(inner: tonic::body::Body, max_message: usize, ends: Option<Box<Ends>>) -> Self {
        Self {
            inner,
            messages: Messages {
                max: max_message,
                ..Messages::default()
            },
            ends,
            done: false,
        }
    }

    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.done = true;
        self.ends = None;
        self.inner = tonic::body::Body::empty();
        let mut trailers = HeaderMap::new();
        // Fails only on a message that is no header value, which tonic encodes.
        let _ = status.add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.done {
            return Poll::Ready(None);
        }
        if let Some(ends) = &mut this.ends {
            if ends.draining.as_mut().poll(cx).is_ready() {
                return this.end(&super::bounds::Error::ShuttingDown.into());
            }
            if ends
                .deadline
                .as_mut()
                .is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready())
            {
                return this.end(&super::bounds::Error::DeadlineExceeded.into());
            }
        }
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(size) = this.messages.pass(data)
        {
            return this.end(
                &super::bounds::Error::ResponseTooLarge {
                    size,
                    limit: this.messages.max,
                }
                .into(),
            );
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.done || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Follows the length-prefixed messages of a gRPC body (one byte of flags, four of length).
#[derive(Debug, Default)]
pub(super) struct Messages {
    max: usize,
    prefix: [u8; 5],
    have: usize,
    left: usize,
}

impl Messages {
    /// The size of the first message that is too large.
    fn pass(&mut self, mut data: &[u8]) -> Result<(), usize> {
        while !data.is_empty() {
            if self.left > 0 {
                let taken = self.left.min(data.len());
                self.left -= taken;
                data = data.get(taken..).unwrap_or_default();
                continue;
            }
            let taken = (self.prefix.len() - self.have).min(data.len());
            let (head, rest) = data.split_at(taken);
            if let Some(prefix) = self.prefix.get_mut(self.have..self.have + taken) {
                prefix.copy_from_slice(head);
            }
            self.have += taken;
            data = rest;
            if self.have == self.prefix.len() {
                let [_, a, b, c, d] = self.prefix;
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.have = 0;
                if self.left > self.max {
                    return Err(self.left);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u32) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(length.to_be_bytes());
        bytes.extend(vec![7; length as usize]);
        bytes
    }

    #[test]
    fn messages_are_followed_however_they_are_cut() {
        let bytes = [message(3), message(0), message(9)].concat();
        for size in 1..bytes.len() {
            let mut messages = Messages {
                max: 9,
                ..Messages::default()
            };
            for chunk in bytes.chunks(size) {
                assert_eq!(messages.pass(chunk), Ok(()), "in chunks of {size}");
            }
            assert_eq!((messages.have, messages.left), (0, 0));
        }
    }

    #[test]
    fn the_first_message_that_is_too_large_is_found() {
        let mut messages = Messages {
            max: 8,
            ..Messages::default()
        };
        assert_eq!(messages.pass(&[message(8), message(9)].concat()), Err(9));
    }
}
