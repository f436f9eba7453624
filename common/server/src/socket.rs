//! A client's socket, with what it carried.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};

use metrics::{Counter, Gauge, counter, gauge};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The preface of HTTP/2 (RFC 9113 section 3.4); a request of HTTP/1.1 with its host is longer.
const PREFACE: usize = 24;

/// What came over a connection so far.
#[derive(Default)]
pub(crate) struct Progress {
    bytes: AtomicUsize,
    pub(crate) requests: AtomicUsize,
}

impl Progress {
    /// hyper bounds the time for the headers of HTTP/1, but not the time for the bytes that tell HTTP/1 from HTTP/2.
    pub(crate) fn is_slow(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) < PREFACE && self.requests.load(Ordering::Relaxed) == 0
    }
}

struct Meters {
    open: Gauge,
    received: Counter,
    sent: Counter,
}

static METERS: LazyLock<Meters> = LazyLock::new(|| Meters {
    open: gauge!("marquee_server_connections"),
    received: counter!("process_network_io_bytes_total", "network_io_direction" => "receive"),
    sent: counter!("process_network_io_bytes_total", "network_io_direction" => "transmit"),
});

/// Counts the bytes that are read and written.
pub(crate) struct Socket {
    stream: TcpStream,
    progress: Arc<Progress>,
    meters: &'static Meters,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, progress: Arc<Progress>) -> Self {
        let meters = &*METERS;
        meters.open.increment(1.0);
        Self {
            stream,
            progress,
            meters,
        }
    }

    fn sent(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.meters.sent.increment(*bytes as u64);
        }
        written
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.meters.open.decrement(1.0);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        self.meters.received.increment(read as u64);
        if self.progress.bytes.load(Ordering::Relaxed) < PREFACE {
            self.progress.bytes.fetch_add(read, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.sent(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.sent(written)
    }
}
