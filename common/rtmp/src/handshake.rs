//! The handshake: simple (RTMP 5.2) and complex, which Flash Media Server 3 introduced and `ffmpeg` and librtmp check.
//!
//! In the complex form a 32-byte HMAC-SHA256 digest is hidden in the 1536 bytes of C1 and S1 at a place that four of their
//! bytes point to; C2 and S2 are signed with a key derived from the other side's digest. It authenticates nothing (both keys
//! are public); it is spoken because clients compare.

mod digest;

use bytes::{BufMut, BytesMut};

use crate::{Error, Result};
use digest::Scheme;

/// Length of C1, S1, C2 and S2, bytes.
pub const PACKET: usize = 1536;

/// 1536 bytes of randomness: what a side fills its packets with. Passed in so that nothing here is random by itself.
pub type Nonce = [u8; PACKET];

const VERSION: u8 = 3;

/// A version in C1/S1 other than 0 announces the complex form.
const CLIENT_VERSION: [u8; 4] = [9, 0, 124, 2];
const SERVER_VERSION: [u8; 4] = [5, 0, 17, 1];

/// The side that waits for C0.
#[derive(Debug)]
pub struct Server {
    incoming: Incoming,
    nonce: Box<Nonce>,
    state: ServerState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerState {
    Hello,
    Echo,
    Done,
}

/// The side that begins.
#[derive(Debug)]
pub struct Client {
    incoming: Incoming,
    nonce: Box<Nonce>,
    state: ClientState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientState {
    Start,
    Hello,
    Echo,
    Done,
}

/// Collects the packet that is awaited, at most 1537 bytes.
#[derive(Debug, Default)]
struct Incoming(Vec<u8>);

impl Incoming {
    fn fill(&mut self, wanted: usize, data: &mut &[u8]) -> bool {
        let take = wanted.saturating_sub(self.0.len()).min(data.len());
        let (taken, rest) = data.split_at(take);
        self.0.reserve_exact(wanted.saturating_sub(self.0.len()));
        self.0.extend_from_slice(taken);
        *data = rest;
        self.0.len() >= wanted
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

impl Server {
    /// Waits for C0 and C1.
    pub fn new(nonce: Nonce) -> Self {
        Self {
            incoming: Incoming::default(),
            nonce: Box::new(nonce),
            state: ServerState::Hello,
        }
    }

    /// Consumes from `data` and appends answers to `out`; true once C2 is there.
    ///
    /// # Errors
    /// [`Error::NotRtmp`] at the very first byte, so that an HTTP or TLS client is told apart at once.
    pub fn input(&mut self, data: &mut &[u8], out: &mut BytesMut) -> Result<bool> {
        if self.state == ServerState::Hello {
            if !self.incoming.fill(1, data) {
                return Ok(false);
            }
            check_version(self.incoming.0[0])?;
            if !self.incoming.fill(1 + PACKET, data) {
                return Ok(false);
            }
            let hello = self.incoming.take();
            self.answer(&hello[1..], out);
            self.state = ServerState::Echo;
        }
        // What C2 holds is not compared: encoders exist that send anything.
        if self.state == ServerState::Echo && self.incoming.fill(PACKET, data) {
            self.incoming.take();
            self.state = ServerState::Done;
        }
        Ok(self.state == ServerState::Done)
    }

    /// Whether the input so far stops in the middle.
    pub fn is_done(&self) -> bool {
        self.state == ServerState::Done
    }

    /// S0, S1 and S2 for C1.
    fn answer(&self, c1: &[u8], out: &mut BytesMut) {
        out.put_u8(VERSION);
        let mut s1 = *self.nonce;
        let found = if c1[4..8] == [0; 4] {
            None
        } else {
            digest::find(c1, digest::CLIENT_KEY_PUBLIC)
        };
        match found {
            Some((scheme, client_digest)) => {
                s1[..4].fill(0);
                s1[4..8].copy_from_slice(&SERVER_VERSION);
                digest::sign_hello(&mut s1, scheme, digest::SERVER_KEY_PUBLIC);
                out.put_slice(&s1);
                let mut s2 = *self.nonce;
                s2.reverse();
                digest::sign_echo(&mut s2, &client_digest, digest::SERVER_KEY);
                out.put_slice(&s2);
            }
            None => {
                s1[..8].fill(0);
                out.put_slice(&s1);
                out.put_slice(c1);
            }
        }
    }
}

impl Client {
    /// Ready to send C0 and C1, which the first [`input`](Self::input) (of no bytes, too) does.
    pub fn new(nonce: Nonce) -> Self {
        Self {
            incoming: Incoming::default(),
            nonce: Box::new(nonce),
            state: ClientState::Start,
        }
    }

    /// Consumes from `data` and appends what is to be sent to `out`; true once S2 is there.
    ///
    /// # Errors
    /// [`Error::NotRtmp`] when the server is none.
    pub fn input(&mut self, data: &mut &[u8], out: &mut BytesMut) -> Result<bool> {
        if self.state == ClientState::Start {
            let mut c1 = *self.nonce;
            c1[..4].fill(0);
            c1[4..8].copy_from_slice(&CLIENT_VERSION);
            digest::sign_hello(&mut c1, Scheme::DigestFirst, digest::CLIENT_KEY_PUBLIC);
            out.put_u8(VERSION);
            out.put_slice(&c1);
            self.state = ClientState::Hello;
        }
        if self.state == ClientState::Hello {
            if !self.incoming.fill(1, data) {
                return Ok(false);
            }
            check_version(self.incoming.0[0])?;
            if !self.incoming.fill(1 + PACKET, data) {
                return Ok(false);
            }
            let hello = self.incoming.take();
            let s1 = &hello[1..];
            match digest::find(s1, digest::SERVER_KEY_PUBLIC) {
                Some((_, server_digest)) => {
                    let mut c2 = *self.nonce;
                    c2.reverse();
                    digest::sign_echo(&mut c2, &server_digest, digest::CLIENT_KEY);
                    out.put_slice(&c2);
                }
                None => out.put_slice(s1),
            }
            self.state = ClientState::Echo;
        }
        if self.state == ClientState::Echo && self.incoming.fill(PACKET, data) {
            self.incoming.take();
            self.state = ClientState::Done;
        }
        Ok(self.state == ClientState::Done)
    }

    /// Whether the handshake is over.
    pub fn is_done(&self) -> bool {
        self.state == ClientState::Done
    }
}

fn check_version(version: u8) -> Result<()> {
    let hint = match version {
        VERSION => return Ok(()),
        6 | 8 => "encrypted RTMP (RTMPE)",
        0x16 => "TLS: rtmps goes to another port",
        b'G' | b'P' | b'H' | b'O' | b'D' => "HTTP",
        b'S' => "SSH",
        _ => "another protocol",
    };
    Err(Error::NotRtmp { version, hint })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nonce(seed: u8) -> Nonce {
        std::array::from_fn(|index| {
            seed.wrapping_mul(31)
                .wrapping_add(index.to_le_bytes()[0].wrapping_mul(7))
        })
    }

    proptest! {
        #[test]
        fn both_sides_finish_however_the_bytes_are_split(step in 1usize..4000, seed: u8) {
            let (mut client, mut server) = (Client::new(nonce(seed)), Server::new(nonce(seed ^ 0x5A)));
            let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
            client.input(&mut &[][..], &mut to_server).unwrap();
            for _ in 0..10_000 {
                let sent = to_server.split_to(to_server.len().min(step));
                server.input(&mut &sent[..], &mut to_client).unwrap();
                let sent = to_client.split_to(to_client.len().min(step));
                client.input(&mut &sent[..], &mut to_server).unwrap();
                if client.is_done() && server.is_done() {
                    return Ok(());
                }
            }
            prop_assert!(false, "not done");
        }
    }

    #[test]
    fn a_simple_client_gets_its_own_packet_back() {
        let mut server = Server::new(nonce(1));
        let mut c0c1 = vec![3];
        c0c1.extend_from_slice(&[0; 8]);
        c0c1.extend_from_slice(&[0x42; PACKET - 8]);
        let mut out = BytesMut::new();
        assert!(!server.input(&mut &c0c1[..], &mut out).unwrap());
        assert_eq!(out.len(), 1 + 2 * PACKET);
        assert_eq!(&out[1 + PACKET..], &c0c1[1..]);
    }

    #[test]
    fn a_complex_client_gets_signed_packets() {
        let (mut client, mut server) = (Client::new(nonce(3)), Server::new(nonce(4)));
        let (mut sent, mut answered) = (BytesMut::new(), BytesMut::new());
        client.input(&mut &[][..], &mut sent).unwrap();
        server.input(&mut &sent[..], &mut answered).unwrap();
        let (_, client_digest) = digest::find(&sent[1..], digest::CLIENT_KEY_PUBLIC).expect("c1 is signed");
        assert!(
            digest::find(&answered[1..=PACKET], digest::SERVER_KEY_PUBLIC).is_some(),
            "s1 is signed"
        );
        let mut s2: Nonce = answered[1 + PACKET..].try_into().unwrap();
        let signed = s2;
        digest::sign_echo(&mut s2, &client_digest, digest::SERVER_KEY);
        assert_eq!(s2, signed, "s2 is signed with the client's digest");
    }

    #[test]
    fn another_protocol_is_named_at_its_first_byte() {
        for (first, hint) in [
            (b'G', "HTTP"),
            (0x16, "TLS: rtmps goes to another port"),
            (6, "encrypted RTMP (RTMPE)"),
        ] {
            let result = Server::new(nonce(1)).input(&mut &[first][..], &mut BytesMut::new());
            assert_eq!(result, Err(Error::NotRtmp { version: first, hint }));
        }
    }
}
