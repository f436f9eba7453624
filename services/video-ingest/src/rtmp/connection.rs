//! One encoder's connection.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use marquee_hls::MediaConfig;
use marquee_rtmp::server::{ConnectRequest, Event, PlayRequest, PublishRequest, Rejection};
use marquee_rtmp::{Limits, Media, ServerSession};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Admitted, Applicant, Refusal, SentAway};
use super::play::{self, Next, Player, WHOLE_OUTPUT};
use super::socket::Socket;
use super::translate::{self, Translator};
use crate::broadcast::{Command, Input};
use crate::domain::{Exceeded, Warden};
use crate::hub::Link;
use crate::relay::{Tag, TagKind, Taken};

/// The application that encoders publish to: `rtmp://host/live`.
const APP: &str = "live";
/// Read at once before there is media; many connections never get further.
const READ_COMMANDS: usize = 4 << 10;
/// Read at once while media comes.
const READ_MEDIA: usize = 32 << 10;
/// Encoders write every frame for itself. What comes within this time is read at once: a fraction of the wake-ups, for a
/// tenth of a part's delay.
const GATHER: Duration = Duration::from_millis(20);
/// How long the peer may take to read what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a refused peer may take to read the reason and close.
const FAREWELL: Duration = Duration::from_secs(2);
/// When nothing has to be done by the clock.
const NEVER: Duration = Duration::from_secs(24 * 3_600);

/// A connection with its session.
pub(crate) struct Connection {
    socket: Socket,
    peer: SocketAddr,
    session: ServerSession,
    limits: Limits,
    began: Instant,
    admission: Admission,
    /// What the encoder said of itself in `connect`.
    tc_url: String,
    encoder: String,
    publish: Option<Publish>,
    player: Option<Player>,
    /// Among the connections of encoders; given back when it turns out to be a player's.
    place: Option<OwnedSemaphorePermit>,
}

/// What the encoder publishes.
struct Publish {
    /// NetStream id.
    stream: u32,
    admitted: Admitted,
    warden: Warden,
    translator: Translator,
    /// Not yet handed to the broadcast.
    batch: Vec<Input>,
    /// The same as it came.
    tags: Vec<Tag>,
}

/// Why a connection ends. Nothing in it was sent by the peer: even an application's name may be a key in the wrong
/// field.
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
    pub(crate) fn new(
        socket: Socket,
        peer: SocketAddr,
        limits: Limits,
        admission: Admission,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            socket,
            peer,
            session: ServerSession::new(limits.clone(), Duration::ZERO),
            limits,
            began: Instant::now(),
            admission,
            tc_url: String::new(),
            encoder: String::new(),
            publish: None,
            player: None,
            place: Some(place),
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
        let leave = leave(self.publish.take());
        // The broadcast may be busy; the encoder learns the reason meanwhile.
        tokio::join!(leave, self.farewell());
    }

    async fn serve(&mut self, shutdown: &CancellationToken) -> Result<std::convert::Infallible, End> {
        // Media is sent in small pieces; waiting for more to send helps nobody.
        self.socket.set_nodelay(true)?;
        let mut buffer = vec![0; READ_COMMANDS];
        let mut stopped = pin!(shutdown.cancelled());
        // Armed anew only when it would ring too late: while media comes, the deadline only ever moves back.
        let mut alarm = pin!(sleep_until(self.began));
        let mut gathered = pin!(sleep_until(self.began));
        let mut gathers = false;
        loop {
            self.flush().await?;
            let deadline = self.began + self.session.deadline().unwrap_or(NEVER);
            if alarm.is_elapsed() || deadline < alarm.deadline() {
                alarm.as_mut().reset(deadline);
            }
            if self.publish.is_some() && buffer.len() < READ_MEDIA {
                buffer.resize(READ_MEDIA, 0);
            }
            tokio::select! {
                read = self.socket.read(&mut buffer), if !gathers => {
                    let length = read?;
                    if length == 0 {
                        self.session.end_of_input()?;
                        return Err(End::Closed);
                    }
                    self.input(&buffer[..length]).await?;
                    // A full buffer: there is more to read at once.
                    gathers = self.publish.is_some() && length < buffer.len();
                    if gathers {
                        gathered.as_mut().reset(Instant::now() + GATHER);
                    }
                }
                () = gathered.as_mut(), if gathers => gathers = false,
                () = alarm.as_mut() => self.session.tick(self.now())?,
                event = sent_away(&mut self.publish) => match event {
                    SentAway::Dismissed(reason) => return Err(self.dismissed(reason)),
                    SentAway::Kicked(reason) => {
                        self.end_stream(&reason);
                        return Err(End::Refused(reason));
                    }
                },
                next = play::next(&mut self.player) => self.player(next).await?,
                () = stopped.as_mut() => {
                    // Who can, goes on elsewhere (E-RTMP "Reconnect Request"); nothing is lost if it is not told.
                    let _ = self.session.request_reconnect(None, "the server is restarting");
                    self.end_stream("the server is restarting; reconnect");
                    if let Some(player) = &self.player {
                        let _ = self.session.finish_play(player.stream);
                    }
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
                Event::PlayRequested(play) => self.play(&play).await?,
                Event::PlayPaused { paused, .. } => {
                    if let Some(player) = &mut self.player {
                        player.pause(paused);
                    }
                }
                Event::PlayFinished { .. } => self.player = None,
                Event::Video(media) => {
                    self.media(|translator| translator.video(&media))?;
                    self.relay(TagKind::Video, media);
                }
                Event::Audio(media) => {
                    self.media(|translator| translator.audio(&media))?;
                    self.relay(TagKind::Audio, media);
                }
                Event::Data(data) => {
                    let metadata = marquee_rtmp::metadata::Metadata::parse(&data.payload, self.limits.amf);
                    if let Some(metadata) = metadata.ok().flatten() {
                        self.media(|translator| Ok(translator.metadata(&metadata)))?;
                    }
                    self.relay(TagKind::Script, data);
                }
                Event::PublishFinished { .. } => {
                    self.hand_over().await?;
                    leave(self.publish.take()).await;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn connect(&mut self, connect: &ConnectRequest) -> Result<(), End> {
        if connect.app == APP {
            self.tc_url.clone_from(&connect.tc_url);
            self.encoder.clone_from(&connect.flash_version);
            return Ok(self.session.accept(connect.request)?);
        }
        let reason =
            format!("there is no such application; publish to rtmp://<host>/{APP} with your stream key");
        self.session
            .reject(connect.request, &Rejection::invalid_app(reason.as_str()))?;
        Refusal::UnknownApp.count();
        Err(End::Refused(reason))
    }

    async fn play(&mut self, request: &PlayRequest) -> Result<(), End> {
        let refused = if self.player.is_some() {
            Rejection::new("NetStream.Play.Failed", "this connection plays already")
        } else {
            let plays = self.admission.plays.clone();
            let address = self.peer.ip().to_canonical();
            match Player::open(&plays, request, address, &self.encoder).await {
                Ok(player) => {
                    tracing::info!(peer = %self.peer, stream = player.name(), "a player plays");
                    self.player = Some(player);
                    // One that does not read is noticed soon, and costs little until then.
                    self.socket.bound_unsent();
                    if self.publish.is_none() {
                        self.place = None;
                    }
                    return Ok(self.session.accept(request.request)?);
                }
                Err(error) => play::rejection(&error),
            }
        };
        self.session.reject(request.request, &refused)?;
        Err(End::Refused(refused.description))
    }

    /// Sends a player more, or sends it away.
    async fn player(&mut self, next: Next) -> Result<(), End> {
        let Some(player) = &mut self.player else {
            return Ok(());
        };
        match next {
            Next::Media(Taken::Tags { lost }) => {
                if lost > 0 {
                    metrics::counter!("video_ingest_relay_lost_tags_total").increment(lost);
                }
                Ok(player.send(&mut self.session)?)
            }
            Next::Media(Taken::End) => {
                self.session.finish_play(player.stream)?;
                Err(End::Over)
            }
            Next::Recheck => match player.recheck().await {
                Ok(()) => Ok(()),
                Err(rejection) => {
                    // If that does not fit into the output any more, it is not told.
                    let _ = self.session.end_stream(player.stream, &rejection);
                    Err(End::Refused(rejection.description))
                }
            },
        }
    }

    async fn publish(&mut self, request: PublishRequest) -> Result<(), End> {
        let admitted = if self.publish.is_some() || self.place.is_none() {
            Err(Refusal::Twice)
        } else {
            let applicant = Applicant {
                key: request.key.expose(),
                name: request.name.expose(),
                app: APP,
                address: self.peer.ip().to_canonical(),
                tc_url: &self.tc_url,
                encoder: &self.encoder,
            };
            self.admission.admit(&applicant).await
        };
        match admitted {
            Ok(admitted) => {
                let name = admitted.link.broadcast.name().to_string();
                let limits = *admitted.registration.limits.borrow();
                tracing::info!(peer = %self.peer, stream = name, "an encoder publishes");
                // First, so that it leaves whatever happens now.
                self.publish = Some(Publish {
                    stream: request.stream,
                    translator: Translator::new(&name),
                    warden: Warden::new(limits),
                    admitted,
                    batch: Vec::new(),
                    tags: Vec::new(),
                });
                Ok(self.session.accept(request.request)?)
            }
            Err(refusal) => {
                refusal.count();
                let rejection = refusal.rejection();
                self.session.reject(request.request, &rejection)?;
                Err(End::Refused(rejection.description))
            }
        }
    }

    fn media(
        &mut self,
        translate: impl FnOnce(&mut Translator) -> Result<Option<Input>, translate::Error>,
    ) -> Result<(), End> {
        let Some(publish) = &mut self.publish else {
            return Ok(());
        };
        match translate(&mut publish.translator) {
            Ok(None) => Ok(()),
            Ok(Some(input)) => match look_at(&mut publish.warden, &input) {
                Ok(()) => {
                    publish.batch.push(input);
                    Ok(())
                }
                Err(exceeded) => {
                    let reason = exceeded.to_string();
                    self.end_stream(&reason);
                    Refusal::Limit(exceeded).count();
                    Err(End::Refused(reason))
                }
            },
            Err(error) => {
                let reason = error.to_string();
                self.end_stream(&reason);
                Refusal::Media.count();
                Err(End::Refused(reason))
            }
        }
    }

    /// Puts what came beside what the packager gets of it.
    fn relay(&mut self, kind: TagKind, media: Media) {
        if let Some(publish) = &mut self.publish {
            publish.tags.push(Tag {
                kind,
                timestamp: media.timestamp,
                payload: media.payload,
            });
        }
    }

    /// Gives the broadcast what came; while its queue is full, the encoder is held back.
    async fn hand_over(&mut self) -> Result<(), End> {
        let Some(publish) = &mut self.publish else {
            return Ok(());
        };
        if publish.batch.is_empty() && publish.tags.is_empty() {
            return Ok(());
        }
        let limits = &mut publish.admitted.registration.limits;
        if limits.has_changed().unwrap_or(false) {
            publish.warden.set(*limits.borrow_and_update());
        }
        let media = Command::Media {
            encoder: publish.admitted.link.encoder,
            batch: std::mem::take(&mut publish.batch),
            tags: std::mem::take(&mut publish.tags),
        };
        let Link {
            broadcast, dismissed, ..
        } = &mut publish.admitted.link;
        let reason = tokio::select! {
            biased;
            reason = &mut *dismissed => reason,
            sent = broadcast.send(media) => match sent {
                Ok(()) => return Ok(()),
                Err(_) => dismissed.await,
            },
        };
        Err(self.dismissed(reason.ok()))
    }

    /// The broadcast does without this encoder, which need not leave any more.
    fn dismissed(&mut self, reason: Option<String>) -> End {
        self.end_stream(reason.as_deref().unwrap_or("the stream is over"));
        self.publish = None;
        reason.map_or(End::Over, End::Refused)
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
        let until = Instant::now() + WHOLE_OUTPUT;
        while !self.session.output().is_empty() {
            let stall = match &self.player {
                Some(_) => self.admission.plays.config.stall,
                None => WRITE_TIMEOUT,
            };
            let stall = stall.min(until.saturating_duration_since(Instant::now()));
            let write = timeout(stall, self.socket.send(self.session.output())).await;
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

/// The encoder publishes no more.
async fn leave(publish: Option<Publish>) {
    if let Some(publish) = publish {
        let leave = Command::Leave {
            encoder: publish.admitted.link.encoder,
        };
        // The broadcast may be over.
        let _ = publish.admitted.link.broadcast.send(leave).await;
    }
}

/// Pending without a publish.
async fn sent_away(publish: &mut Option<Publish>) -> SentAway {
    match publish {
        Some(publish) => publish.admitted.sent_away().await,
        None => std::future::pending().await,
    }
}

/// Whether what the encoder sends is within its limits.
fn look_at(warden: &mut Warden, input: &Input) -> Result<(), Exceeded> {
    match input {
        Input::Frame(frame) => warden.frame(frame),
        Input::Config(MediaConfig::Video(config)) => {
            let (width, height) = config.resolution();
            warden.picture(width.into(), height.into())
        }
        Input::Config(_) | Input::Expected(_) => Ok(()),
    }
}
