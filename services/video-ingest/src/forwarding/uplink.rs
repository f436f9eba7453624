//! One connection to another server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use marquee_rtmp::client::Event;
use marquee_rtmp::{ClientSession, Limits, Url};
use metrics::Counter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::tls::Socket;
use super::{Addresses, ForwardingConfig, Trust, addresses};
use crate::relay::{Reader, Ring, Tag, TagKind, Taken};

/// Bytes that are put into the output at once; a single tag may be longer.
const BATCH: usize = 64 << 10;
/// What a server says is cut after so many characters.
const SAID: usize = 200;
/// How long a server may take to read that we are done.
const FAREWELL: Duration = Duration::from_secs(2);
/// Servers are mostly silent.
const NEVER: Duration = Duration::from_secs(24 * 3_600);

/// Why a stream is not, or not any more, forwarded. Shown to the channel's owner.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Address(#[from] addresses::Error),
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    #[error("it did not let us begin in time")]
    Slow,
    #[error("it said {code}: {description}")]
    Rejected { code: String, description: String },
    #[error("it closed the connection")]
    Closed,
    #[error("it took nothing for too long")]
    Stalled,
    #[error("the connection broke: {0}")]
    Socket(#[source] io::Error),
    #[error("it does not keep to the protocol: {0}")]
    Protocol(#[from] marquee_rtmp::Error),
}

impl Failure {
    /// For the metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Address(addresses::Error::Refused) => "address_refused",
            Self::Address(addresses::Error::Unknown(_)) => "name",
            Self::Connect(_) => "connect",
            Self::Slow => "slow",
            Self::Rejected { .. } => "rejected",
            Self::Closed => "closed",
            Self::Stalled => "stalled",
            Self::Socket(_) => "socket",
            Self::Protocol(_) => "protocol",
        }
    }
}

/// How connections are made.
pub(super) struct Uplinks {
    pub(super) config: ForwardingConfig,
    pub(super) addresses: Addresses,
    pub(super) trust: Trust,
}

/// A connection whose server takes the stream.
pub(super) struct Uplink {
    socket: Socket,
    session: ClientSession,
    began: Instant,
    stall: Duration,
    /// Not to be shown if the server says it.
    key: String,
    sent: Counter,
}

impl Uplinks {
    /// Connects, and asks the server to take a stream.
    pub(super) async fn open(&self, url: &Url) -> Result<Uplink, Failure> {
        let opening = self.try_open(url);
        timeout(self.config.begin_within, opening)
            .await
            .unwrap_or(Err(Failure::Slow))
    }

    async fn try_open(&self, url: &Url) -> Result<Uplink, Failure> {
        let address = self.addresses.resolve(&url.host, url.port).await?;
        let socket = TcpStream::connect(address).await.map_err(Failure::Connect)?;
        socket.set_nodelay(true).map_err(Failure::Connect)?;
        let socket = self.trust.open(socket, url).await.map_err(Failure::Connect)?;
        let mut uplink = Uplink {
            socket,
            session: ClientSession::publish(url, Limits::default(), Duration::ZERO),
            began: Instant::now(),
            stall: self.config.stall,
            key: url.name.expose().to_owned(),
            sent: metrics::counter!("video_ingest_forwarded_bytes_total"),
        };
        let mut buffer = vec![0; 4 << 10];
        loop {
            uplink.flush().await?;
            if uplink.session.is_active() {
                return Ok(uplink);
            }
            let length = uplink.socket.read(&mut buffer).await.map_err(Failure::Socket)?;
            uplink.input(&buffer[..length])?;
        }
    }
}

impl Uplink {
    /// Sends the stream to its end, from the newest keyframe on, or until `stop`. The server is told that it is over.
    pub(super) async fn run(mut self, relay: &Arc<Ring>, stop: &CancellationToken) -> Result<(), Failure> {
        let sent = self.send(&mut relay.reader(), stop).await;
        if sent.is_ok() && self.session.finish().is_ok() {
            let farewell = async {
                self.flush().await?;
                self.socket.shutdown().await.map_err(Failure::Socket)
            };
            // However it ends, the connection is dropped now.
            let _ = timeout(FAREWELL, farewell).await;
        }
        sent
    }

    async fn send(&mut self, reader: &mut Reader, stop: &CancellationToken) -> Result<(), Failure> {
        let mut buffer = vec![0; 4 << 10];
        let mut tags = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                flushed = self.flush() => flushed?,
            }
            let deadline = self.began + self.session.deadline().unwrap_or(NEVER);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                read = self.socket.read(&mut buffer) => {
                    let length = read.map_err(Failure::Socket)?;
                    self.input(&buffer[..length])?;
                }
                () = sleep_until(deadline) => self.session.tick(self.began.elapsed())?,
                taken = reader.take(BATCH, &mut tags) => match taken {
                    Taken::End => return Ok(()),
                    Taken::Tags { lost } => {
                        if lost > 0 {
                            metrics::counter!("video_ingest_relay_lost_tags_total").increment(lost);
                        }
                        if !self.write(&mut tags)? {
                            reader.skip();
                        }
                    }
                },
            }
        }
    }

    /// False when it does not fit into the output.
    fn write(&mut self, tags: &mut Vec<Tag>) -> Result<bool, Failure> {
        for tag in tags.drain(..) {
            let written = match tag.kind {
                TagKind::Audio => self.session.send_audio(tag.timestamp, &tag.payload),
                TagKind::Video => self.session.send_video(tag.timestamp, &tag.payload),
                TagKind::Script => self.session.send_data(tag.timestamp, &tag.payload),
            };
            match written {
                Err(marquee_rtmp::Error::OutputFull { .. }) => return Ok(false),
                written => written?,
            }
        }
        Ok(true)
    }

    fn input(&mut self, mut data: &[u8]) -> Result<(), Failure> {
        if data.is_empty() {
            return Err(Failure::Closed);
        }
        while let Some(event) = self.session.input(&mut data, self.began.elapsed())? {
            match event {
                Event::Rejected { code, description } => {
                    return Err(Failure::Rejected {
                        code: self.said(&code),
                        description: self.said(&description),
                    });
                }
                // A new connection is made, to the address that the owner wrote.
                Event::ReconnectRequested { .. } => return Err(Failure::Closed),
                _ => {}
            }
        }
        Ok(())
    }

    /// What a server says, on one line, without the key.
    fn said(&self, text: &str) -> String {
        let text = text.replace(&self.key, "***");
        text.chars().filter(|c| !c.is_control()).take(SAID).collect()
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        while !self.session.output().is_empty() {
            let write = timeout(self.stall, self.socket.write(self.session.output())).await;
            let written = write.map_err(|_| Failure::Stalled)?.map_err(Failure::Socket)?;
            if written == 0 {
                return Err(Failure::Closed);
            }
            self.session.advance_output(written);
            self.sent.increment(written as u64);
        }
        timeout(self.stall, self.socket.flush())
            .await
            .map_err(|_| Failure::Stalled)?
            .map_err(Failure::Socket)
    }
}
