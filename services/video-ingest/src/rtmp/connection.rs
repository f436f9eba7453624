//! One encoder's connection.

use std::net::SocketAddr;
use std::time::Duration;

use marquee_rtmp::server::{ConnectRequest, Event, PlayRequest, PublishRequest, Rejection};
use marquee_rtmp::{Limits, ServerSession};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::translate;
use crate::app::Keys;
use crate::broadcast::{Command, Input};
use crate::hub::{Hub, Link};

/// The application that encoders publish to: `rtmp://host/live`.
const APP: &str = "live";
/// Read at once.
const READ: usize = 32 << 10;
/// How long the peer may take to read what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a refused peer may take to read the reason and close.
const FAREWELL: Duration = Duration::from_secs(2);

/// A connection with its session.
pub(crate) struct Connection {
    socket: TcpStream,
    peer: SocketAddr,
    session: ServerSession,
    began: Instant,
    keys: Keys,
    hub: Hub,
    publish: Option<Publish>,
}

/// What the encoder publishes.
struct Publish {
    /// NetStream id.
    stream: u32,
    link: Link,
    /// Not yet handed to the broadcast.
    batch: Vec<Input>,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the encoder closed the connection")]
    Closed,
    /// The session has put the reason into its output.
    #[error("{0}")]
    Refused(String),
    #[error("the broadcast is over")]
    Over,
    #[error("the service stops")]
    Shutdown,
    #[error(transparent)]
    Protocol(#[from] marquee_rtmp::Error),
    #[error("the connection broke: {0}")]
    Socket(#[from] std::io::Error),
}

impl Connection {
    pub(crate) fn new(socket: TcpStream, peer: SocketAddr, limits: Limits, keys: Keys, hub: Hub) -> Self {
        let session = ServerSession::new(limits, Duration::ZERO);
        Self {
            socket,
            peer,
            session,
            began: Instant::now(),
            keys,
            hub,
            publish: None,
        }
    }

    /// Serves the encoder to its end.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let peer = self.peer;
        let end = match self.serve(&shutdown).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        match &end {
            End::Closed | End::Over | End::Shutdown => tracing::info!(%peer, %end, "rtmp connection ended"),
            End::Refused(_) | End::Protocol(_) | End::Socket(_) => {
                tracing::warn!(%peer, %end, "rtmp connection ended")
            }
        }
        if let Some(publish) = self.publish.take() {
            let leave = Command::Leave {
                encoder: publish.link.encoder,
            };
            // The broadcast may be over.
            let _ = publish.link.broadcast.send(leave).await;
        }
        self.farewell().await;
    }

    async fn serve(&mut self, shutdown: &CancellationToken) -> Result<std::convert::Infallible, End> {
        // Media is sent in small pieces; waiting for more to send helps nobody.
        self.socket.set_nodelay(true)?;
        let mut buffer = vec![0; READ];
        loop {
            self.flush().await?;
            let deadline = self.session.deadline().map(|at| self.began + at);
            let far = Instant::now() + Duration::from_secs(3_600);
            tokio::select! {
                read = self.socket.read(&mut buffer) => match read? {
                    0 => {
                        self.session.end_of_input()?;
                        return Err(End::Closed);
                    }
                    length => self.input(&buffer[..length]).await?,
                },
                () = sleep_until(deadline.unwrap_or(far)) => self.session.tick(self.now())?,
                reason = dismissed(&mut self.publish) => return Err(self.dismissed(reason)),
                () = shutdown.cancelled() => {
                    self.end_stream("the server is restarting; reconnect");
                    return Err(End::Shutdown);
                }
            }
        }
    }

    async fn input(&mut self, mut data: &[u8]) -> Result<(), End> {
        let result = self.events(&mut data).await;
        // What came before an error is kept.
        self.hand_over().await?;
        result
    }

    async fn events(&mut self, data: &mut &[u8]) -> Result<(), End> {
        while let Some(event) = self.session.input(data, self.now())? {
            match event {
                Event::ConnectRequested(connect) => self.connect(&connect)?,
                Event::PublishRequested(publish) => self.publish(publish).await?,
                Event::PlayRequested(play) => self.play(&play)?,
                Event::Video(media) => self.media(translate::video(&media))?,
                Event::Audio(media) => self.media(translate::audio(&media))?,
                Event::Data(data) => {
                    let metadata =
                        marquee_rtmp::metadata::Metadata::parse(&data.payload, Limits::default().amf);
                    let input = metadata.ok().flatten().as_ref().and_then(translate::expected);
                    self.media(Ok(input))?;
                }
                Event::PublishFinished { .. } => {
                    self.hand_over().await?;
                    if let Some(publish) = self.publish.take() {
                        let leave = Command::Leave {
                            encoder: publish.link.encoder,
                        };
                        let _ = publish.link.broadcast.send(leave).await;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn connect(&mut self, connect: &ConnectRequest) -> Result<(), End> {
        if connect.app == APP {
            return Ok(self.session.accept(connect.request)?);
        }
        let app: String = connect.app.chars().take(100).collect();
        let reason =
            format!("there is no application `{app}`; publish to rtmp://<host>/{APP} with your stream key");
        self.session
            .reject(connect.request, &Rejection::invalid_app(reason.as_str()))?;
        Err(End::Refused(reason))
    }

    fn play(&mut self, play: &PlayRequest) -> Result<(), End> {
        let reason = "playing over RTMP is not offered; watch over HLS".to_owned();
        self.session
            .reject(play.request, &Rejection::stream_not_found(reason.as_str()))?;
        Err(End::Refused(reason))
    }

    async fn publish(&mut self, request: PublishRequest) -> Result<(), End> {
        let refusal = match self.admit(&request).await {
            Ok(link) => {
                tracing::info!(peer = %self.peer, stream = %link.broadcast.name(), "an encoder publishes");
                self.session.accept(request.request)?;
                self.publish = Some(Publish {
                    stream: request.stream,
                    link,
                    batch: Vec::new(),
                });
                return Ok(());
            }
            Err(refusal) => refusal,
        };
        metrics::counter!("marquee_rtmp_publish_refused_total").increment(1);
        self.session.reject(request.request, &refusal)?;
        Err(End::Refused(refusal.description))
    }

    async fn admit(&self, request: &PublishRequest) -> Result<Link, Rejection> {
        if self.publish.is_some() {
            return Err(Rejection::bad_name("this connection publishes already"));
        }
        if request.key.is_empty() {
            return Err(Rejection::denied(
                "there is no stream key; set it in the encoder beside the server's address",
            ));
        }
        let (channel, key) = match self.keys.authenticate(request.key.expose()).await {
            Ok(Some(known)) => known,
            Ok(None) => {
                return Err(Rejection::denied(
                    "the stream key is not known or revoked; create one in the studio",
                ));
            }
            Err(error) => {
                tracing::error!(%error, "a stream key cannot be checked");
                return Err(Rejection::failed(
                    "the stream key cannot be checked now; try again",
                ));
            }
        };
        self.hub.join(&channel, &key).await.map_err(Rejection::bad_name)
    }

    fn media(&mut self, translated: Result<Option<Input>, translate::Error>) -> Result<(), End> {
        match translated {
            Ok(Some(input)) => {
                if let Some(publish) = &mut self.publish {
                    publish.batch.push(input);
                }
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => {
                let reason = error.to_string();
                self.end_stream(&reason);
                Err(End::Refused(reason))
            }
        }
    }

    /// Gives the broadcast what came; while its queue is full, the encoder is held back.
    async fn hand_over(&mut self) -> Result<(), End> {
        let Some(publish) = &mut self.publish else {
            return Ok(());
        };
        if publish.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut publish.batch);
        let sent = publish
            .link
            .broadcast
            .send(Command::Media {
                encoder: publish.link.encoder,
                batch,
            })
            .await;
        if sent.is_ok() {
            return Ok(());
        }
        let reason = dismissed(&mut self.publish).await;
        Err(self.dismissed(reason))
    }

    fn dismissed(&mut self, reason: Option<String>) -> End {
        match reason {
            Some(reason) => {
                self.end_stream(&reason);
                End::Refused(reason)
            }
            None => {
                self.end_stream("the stream is over");
                End::Over
            }
        }
    }

    /// Tells the encoder why; if that does not fit into the output any more, it is not told.
    fn end_stream(&mut self, reason: &str) {
        if let Some(publish) = &self.publish {
            let _ = self
                .session
                .end_stream(publish.stream, &Rejection::failed(reason));
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        while !self.session.output().is_empty() {
            let write = timeout(WRITE_TIMEOUT, self.socket.write(self.session.output())).await;
            match write {
                Ok(written) => self.session.advance_output(written?),
                Err(_) => return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
            }
        }
        Ok(())
    }

    /// Sends what is left and lets the peer read it: closing a socket with unread input would reset the connection, and
    /// the reason would be lost.
    async fn farewell(mut self) {
        let read_it = async {
            self.flush().await.ok()?;
            self.socket.shutdown().await.ok()?;
            let mut sink = [0; 4_096];
            while self.socket.read(&mut sink).await.ok()? > 0 {}
            Some(())
        };
        // However it ends, the connection is dropped now.
        let _ = timeout(FAREWELL, read_it).await;
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

/// The reason for which the encoder has to go; none when the broadcast is over. Pending without a publish.
async fn dismissed(publish: &mut Option<Publish>) -> Option<String> {
    match publish {
        Some(publish) => (&mut publish.link.dismissed).await.ok(),
        None => std::future::pending().await,
    }
}
