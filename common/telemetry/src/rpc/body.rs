use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};

use super::methods::{Call, UNKNOWN};

/// The body of an answer, which learns from the trailers how the call ended.
#[derive(Debug)]
pub struct RpcBody<B> {
    inner: B,
    call: Call,
}

impl<B> RpcBody<B> {
    /// The call goes on until the body ends.
    pub const fn new(inner: B, call: Call) -> Self {
        Self { inner, call }
    }
}

impl<B: Body + Unpin> Body for RpcBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = &mut *self;
        let frame = {
            let _in_call = this.call.context().enter();
            ready!(Pin::new(&mut this.inner).poll_frame(cx))
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.call.ended_by(trailers);
                    this.call.end(UNKNOWN);
                }
            }
            Some(Err(_)) | None => this.call.end(UNKNOWN),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
