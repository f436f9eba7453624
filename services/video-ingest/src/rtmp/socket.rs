//! A connection's bytes, in TLS or not.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Bytes, which the kernel doubles for its own use: at 20 Mbit/s, what a player 200 ms away has not acknowledged.
const UNSENT: usize = 512 << 10;

/// The encoder's end of a connection.
pub(crate) enum Socket {
    Plain(TcpStream),
    /// Larger than a socket by far.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// Whether small writes go out at once.
    pub(crate) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.set_nodelay(nodelay),
            Self::Tls(socket) => socket.get_ref().0.set_nodelay(nodelay),
        }
    }

    /// Writes some of it, so that nothing of that is left here: TLS holds back what the kernel did not take at once.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.write(bytes).await?;
        self.flush().await?;
        Ok(sent)
    }

    /// Bounds what the kernel holds of what the peer has not read. Left as it is where that cannot be set.
    pub(crate) fn bound_unsent(&self) {
        let socket = match self {
            Self::Plain(socket) => socket,
            Self::Tls(socket) => socket.get_ref().0,
        };
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(socket, UNSENT);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
