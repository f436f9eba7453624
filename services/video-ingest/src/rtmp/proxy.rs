//! The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): who the encoder behind a proxy is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a proxy may take for the header, which it sends at once (section 2).
const PATIENCE: Duration = Duration::from_secs(5);
/// Section 2.1: the longest line, its end included.
const LONGEST_LINE: usize = 107;
/// Section 2.2: what version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What may follow the fixed part of version 2: addresses and what else proxies tell.
const LONGEST_REST: usize = 2_048;

/// Why a connection is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("a proxy sent a malformed header: {0}")]
    Malformed(&'static str),
    #[error("a proxy's connection sent nothing in time")]
    Slow,
    #[error("a proxy's connection broke: {0}")]
    Socket(#[from] io::Error),
}

/// Reads the header that a trusted proxy's connection begins with, and nothing after it: the encoder's address, or
/// `peer` when the proxy speaks for itself or for nobody it can name. What begins otherwise is an encoder on the proxy's
/// machine and is left alone: RTMP begins with another byte than either version.
pub(crate) async fn client(socket: &mut TcpStream, peer: SocketAddr) -> Result<SocketAddr, Error> {
    match timeout(PATIENCE, header(socket)).await {
        Ok(client) => Ok(client?.unwrap_or(peer)),
        Err(_) => Err(Error::Slow),
    }
}

async fn header(socket: &mut TcpStream) -> Result<Option<SocketAddr>, Error> {
    let mut first = [0];
    socket.peek(&mut first).await?;
    match first {
        [b'P'] => {
            // Byte by byte, since what comes after the line belongs to the session.
            let mut line = Vec::with_capacity(LONGEST_LINE);
            while !line.ends_with(b"\r\n") {
                if line.len() == LONGEST_LINE {
                    return Err(Error::Malformed("its line is too long"));
                }
                line.push(socket.read_u8().await?);
            }
            version_1(&line)
        }
        [b'\r'] => {
            let mut fixed = [0; 16];
            socket.read_exact(&mut fixed).await?;
            let [.., high, low] = fixed;
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length > LONGEST_REST {
                return Err(Error::Malformed("it is too long"));
            }
            let mut rest = vec![0; length];
            socket.read_exact(&mut rest).await?;
            version_2(&fixed, &rest)
        }
        _ => Ok(None),
    }
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 1935\r\n`.
fn version_1(line: &[u8]) -> Result<Option<SocketAddr>, Error> {
    let malformed = Error::Malformed("its line is no PROXY line");
    let Some(line) = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.strip_suffix("\r\n"))
    else {
        return Err(malformed);
    };
    let parts: Vec<&str> = line.split(' ').collect();
    match parts.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, _, port, _] => {
            let address: Option<IpAddr> = source.parse().ok();
            let address = address.filter(|address| address.is_ipv4() == (*family == "TCP4"));
            match (address, port.parse()) {
                (Some(address), Ok(port)) => Ok(Some(SocketAddr::new(address, port))),
                _ => Err(malformed),
            }
        }
        _ => Err(malformed),
    }
}

/// The fixed 16 bytes, and what their length announces.
fn version_2(fixed: &[u8; 16], rest: &[u8]) -> Result<Option<SocketAddr>, Error> {
    let Some([version_and_command, family, ..]) = fixed.strip_prefix(&SIGNATURE) else {
        return Err(Error::Malformed("it has no signature"));
    };
    match (version_and_command, family) {
        // LOCAL: the proxy itself, for example to see whether we live.
        (0x20, _) => Ok(None),
        (0x21, 0x11) => match rest {
            [a, b, c, d, _, _, _, _, high, low, ..] => {
                let port = u16::from_be_bytes([*high, *low]);
                Ok(Some(SocketAddr::new(Ipv4Addr::new(*a, *b, *c, *d).into(), port)))
            }
            _ => Err(Error::Malformed("its addresses are cut")),
        },
        (0x21, 0x21) => {
            let source: Option<&[u8; 16]> = rest.first_chunk();
            match (source, rest.get(32..34)) {
                (Some(source), Some([high, low])) => {
                    let port = u16::from_be_bytes([*high, *low]);
                    Ok(Some(SocketAddr::new(Ipv6Addr::from(*source).into(), port)))
                }
                _ => Err(Error::Malformed("its addresses are cut")),
            }
        }
        // Neither TCP over IPv4 nor over IPv6.
        (0x21, _) => Ok(None),
        _ => Err(Error::Malformed("its version or command is unknown")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    const IPV4: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 1935\r\n";

    fn version_2_header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    /// What comes of a connection that sends this: the client, and what is left for the session.
    async fn over_a_socket(sent: &[u8]) -> (Result<SocketAddr, Error>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut proxy = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut socket, _) = listener.accept().await.unwrap();
        proxy.write_all(sent).await.unwrap();
        proxy.shutdown().await.unwrap();
        let client = client(&mut socket, "10.0.0.9:1".parse().unwrap()).await;
        let mut left = Vec::new();
        socket.read_to_end(&mut left).await.unwrap();
        (client, left)
    }

    async fn seen(sent: &[u8]) -> String {
        let (client, left) = over_a_socket(&[sent, b"\x03rtmp"].concat()).await;
        assert_eq!(left, b"\x03rtmp", "the session's bytes are left alone");
        client.unwrap().to_string()
    }

    #[tokio::test]
    async fn both_versions_tell_the_encoders_address() {
        assert_eq!(seen(IPV4).await, "192.0.2.1:56324");
        let ipv6 = b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 1935\r\n";
        assert_eq!(seen(ipv6).await, "[2001:db8::1]:4711");

        let rest = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x34, 0x07, 0x8f, 4, 0, 1, 0];
        assert_eq!(seen(&version_2_header(0x21, 0x11, &rest)).await, "192.0.2.1:4660");
        let mut rest = [0; 36];
        rest[15] = 1;
        rest[33] = 80;
        assert_eq!(seen(&version_2_header(0x21, 0x21, &rest)).await, "[::1]:80");
    }

    #[tokio::test]
    async fn a_proxy_that_names_nobody_is_the_peer_itself() {
        for header in [
            b"PROXY UNKNOWN\r\n".to_vec(),
            version_2_header(0x20, 0, &[]),
            version_2_header(0x21, 0x31, &[0; 216]),
            Vec::new(),
        ] {
            assert_eq!(seen(&header).await, "10.0.0.9:1", "{header:?}");
        }
    }

    #[tokio::test]
    async fn a_malformed_header_is_refused() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        let cases: [&[u8]; 7] = [
            b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 99999 1\r\n",
            b"POST / HTTP/1.1\r\n",
            &long,
            b"\r\n\r\n\0\r\nQUIT!\x21\x11\0\0",
            &version_2_header(0x21, 0x11, &[192, 0, 2]),
            &version_2_header(0x31, 0x11, &[0; 12]),
        ];
        for case in cases {
            let (client, _) = over_a_socket(case).await;
            assert!(matches!(client, Err(Error::Malformed(_))), "{client:?}");
        }
        let (cut, _) = over_a_socket(b"PROXY TCP4").await;
        assert!(matches!(cut, Err(Error::Socket(_))), "{cut:?}");
    }
}
