//! An encoder: our RTMP client on a socket, sending the clip as fast as it goes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use marquee_rtmp::client::Event;
use marquee_rtmp::flv::TagKind;
use marquee_rtmp::{ClientSession, Limits, Url};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::clip::{Clip, LENGTH, clip};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// What the server said when it did not want the encoder (any more).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) code: String,
    pub(crate) description: String,
}

pub(crate) struct Encoder {
    socket: TcpStream,
    session: ClientSession,
    began: Instant,
    clip: &'static Clip,
    /// Milliseconds when the clip began.
    base: u32,
    /// Next frame of the clip, over all rounds.
    next: usize,
    /// Milliseconds sent.
    sent: u32,
    /// What the server said while media was sent.
    said: Option<Option<Event>>,
}

impl Encoder {
    /// Publishes with a key; sequence headers are sent.
    pub(crate) async fn publish(rtmp: SocketAddr, key: &str) -> Result<Self, Rejected> {
        let mut encoder = Self::bare(&format!("rtmp://{rtmp}/live/{key}")).await?;
        for tag in &clip().headers {
            encoder.send_tag(tag.kind, 0, &tag.payload).await.unwrap();
        }
        Ok(encoder)
    }

    /// Publishes, and has sent nothing yet.
    pub(crate) async fn bare(url: &str) -> Result<Self, Rejected> {
        let url: Url = url.parse().unwrap();
        Self::open(
            ClientSession::publish(&url, Limits::default(), Duration::ZERO),
            &url,
        )
        .await
    }

    /// Asks to play.
    pub(crate) async fn play(url: &str) -> Result<Self, Rejected> {
        let url: Url = url.parse().unwrap();
        Self::open(ClientSession::play(&url, Limits::default(), Duration::ZERO), &url).await
    }

    async fn open(session: ClientSession, url: &Url) -> Result<Self, Rejected> {
        let socket = TcpStream::connect((url.host.as_str(), url.port)).await.unwrap();
        let mut encoder = Self {
            socket,
            session,
            began: Instant::now(),
            clip: clip(),
            base: 0,
            next: 0,
            sent: 0,
            said: None,
        };
        match timeout(LIMIT, encoder.event()).await.expect("an answer in time") {
            Some(Event::PublishStarted | Event::PlayStarted) => Ok(encoder),
            Some(Event::Rejected { code, description }) => Err(Rejected { code, description }),
            other => panic!("{other:?} is no answer"),
        }
    }

    /// The next thing that the server says; none when it closed the connection.
    async fn event(&mut self) -> Option<Event> {
        let mut buffer = [0; 4_096];
        loop {
            self.flush().await.ok()?;
            let length = self.socket.read(&mut buffer).await.unwrap_or(0);
            if length == 0 {
                return None;
            }
            let mut data = &buffer[..length];
            while let Some(event) = self.session.input(&mut data, self.began.elapsed()).unwrap() {
                // Whoever is sent away is also told where to go, which this encoder does not do.
                let is_media = matches!(event, Event::Audio(_) | Event::Video(_) | Event::Data(_));
                if !is_media && !matches!(event, Event::ReconnectRequested { .. }) {
                    return Some(event);
                }
            }
        }
    }

    /// Waits until the server sends the encoder away and closes the connection.
    pub(crate) async fn sent_away(mut self) -> Rejected {
        let away = async {
            let said = match self.said.take() {
                Some(said) => said,
                None => self.event().await,
            };
            let rejected = match said {
                Some(Event::Rejected { code, description }) => Rejected { code, description },
                other => panic!("{other:?} instead of a reason"),
            };
            assert_eq!(self.event().await, None, "the connection is closed");
            rejected
        };
        timeout(LIMIT, away).await.expect("it is sent away in time")
    }

    /// Sends the clip's next frames until `millis` more are sent, without waiting. Begins with a keyframe.
    pub(crate) async fn send(&mut self, millis: u32) -> std::io::Result<()> {
        let frames = &self.clip.frames;
        let until = self.sent + millis;
        loop {
            let round = u32::try_from(self.next / frames.len()).unwrap();
            let tag = &frames[self.next % frames.len()];
            let timestamp = self.base + round * LENGTH + tag.timestamp;
            if timestamp >= until {
                self.sent = until;
                return Ok(());
            }
            self.send_tag(tag.kind, timestamp, &tag.payload).await?;
            self.next += 1;
        }
    }

    /// Goes on with another clip on the same connection.
    pub(crate) async fn change(&mut self, clip: &'static Clip) -> std::io::Result<()> {
        (self.clip, self.base, self.next) = (clip, self.sent, 0);
        for tag in &clip.headers {
            self.send_tag(tag.kind, self.sent, &tag.payload).await?;
        }
        Ok(())
    }

    pub(crate) async fn send_tag(
        &mut self,
        kind: TagKind,
        timestamp: u32,
        payload: &Bytes,
    ) -> std::io::Result<()> {
        match kind {
            TagKind::Audio => self.session.send_audio(timestamp, payload),
            TagKind::Video => self.session.send_video(timestamp, payload),
            TagKind::Script => self.session.send_data(timestamp, payload),
        }
        .unwrap();
        self.flush().await
    }

    /// Sends bytes that the session knows nothing of.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.flush().await?;
        self.socket.write_all(bytes).await
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        while !self.session.output().is_empty() {
            let written = self.socket.write(self.session.output()).await?;
            self.session.advance_output(written);
        }
        Ok(())
    }

    /// Ends the stream properly.
    pub(crate) async fn finish(mut self) {
        self.session.finish().unwrap();
        self.flush().await.unwrap();
        self.socket.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // The server may close first.
        let _ = timeout(LIMIT, self.socket.read_to_end(&mut rest)).await.unwrap();
    }

    /// The connection is reset, as when the machine of the encoder is switched off and comes back.
    pub(crate) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO)).unwrap();
    }

    /// Whether the server still wants it, as far as has come over the wire.
    pub(crate) async fn is_wanted(&mut self) -> bool {
        if self.said.is_none()
            && let Ok(event) = timeout(Duration::from_millis(1), self.event()).await
        {
            self.said = Some(event);
        }
        self.said.is_none()
    }
}
