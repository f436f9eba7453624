//! The session itself.

mod commands;

use std::time::Duration;

use bytes::Bytes;

use super::event::{Event, Rejection, RequestId};
use super::reply::{self, ConnectAsked};
use super::stream::{State, Streams};
use crate::amf0::{self, Value};
use crate::caps_ex;
use crate::chunk::Kind;
use crate::command::Command;
use crate::connection::{self, Connection, Incoming};
use crate::control::{self, Control};
use crate::{Error, Limits, Result, StreamKey};

/// A connection that a client opened to us. See the [crate](crate) for how it is driven.
///
/// After an [`Error`] the session is over: what is in [`output`](Self::output) then tells the peer why and should be sent
/// before the socket is closed.
#[derive(Debug)]
pub struct ServerSession {
    connection: Connection,
    phase: Phase,
    streams: Streams,
    /// Application as it came; may hold a key.
    app: StreamKey,
    last_request: u64,
    /// What the client can do, flags of [`caps_ex`].
    caps_ex: u32,
    /// Start of the wait for what has to come next: connect, then publish or play.
    waiting_since: Duration,
    pinged: Option<Duration>,
    /// The application answered: clocks that stood still meanwhile start again at the next `now`.
    decided: bool,
}

pub(crate) const RECONNECT_REQUEST: &str = "NetConnection.Connect.ReconnectRequest";

#[derive(Debug)]
enum Phase {
    Unconnected,
    Pending { request: RequestId, asked: ConnectAsked },
    Connected,
}

impl ServerSession {
    /// A session for a connection accepted at `now`.
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self {
            connection: Connection::server(limits, connection::nonce(), now),
            phase: Phase::Unconnected,
            streams: Streams::default(),
            app: StreamKey::default(),
            last_request: 0,
            caps_ex: 0,
            waiting_since: now,
            pinged: None,
            decided: false,
        }
    }

    /// Consumes from `data` until something happened. Call it until it answers `None`: then `data` is used up, and what is
    /// in [`output`](Self::output) should be sent.
    ///
    /// # Errors
    /// Whatever the peer did wrong; the session is over.
    pub fn input(&mut self, data: &mut &[u8], now: Duration) -> Result<Option<Event>> {
        self.restart_clocks(now);
        loop {
            let incoming = self.connection.next(data, now);
            let handled = match incoming {
                Ok(None) => return Ok(None),
                Ok(Some(incoming)) => self.handle(incoming, now),
                Err(error) => Err(error),
            };
            match handled {
                Ok(Some(event)) => return Ok(Some(event)),
                Ok(None) => {}
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    /// The peer closed its side.
    ///
    /// # Errors
    /// [`Error::UnexpectedEof`] when that was in the middle of something.
    pub fn end_of_input(&self) -> Result<()> {
        self.connection.end_of_input()
    }

    /// When [`tick`](Self::tick) has to be called next; `None` while the caller owes a decision.
    pub fn deadline(&self) -> Option<Duration> {
        let limits = &self.connection.limits;
        match self.phase {
            Phase::Unconnected => Some(self.waiting_since + limits.handshake_timeout),
            Phase::Pending { .. } => None,
            Phase::Connected if self.streams.iter().any(|stream| stream.state.request().is_some()) => None,
            Phase::Connected if self.is_playing() && self.pinged.is_none() => {
                Some(self.connection.last_message + limits.ping_interval.min(limits.idle_timeout))
            }
            Phase::Connected if self.is_active() => Some(self.connection.last_message + limits.idle_timeout),
            Phase::Connected => Some(self.waiting_since + limits.request_timeout),
        }
    }

    /// Checks the clock: pings a silent player, ends what took too long. May be called at any time.
    ///
    /// # Errors
    /// [`Error::Timeout`] or [`Error::Idle`]; the session is over.
    pub fn tick(&mut self, now: Duration) -> Result<()> {
        self.restart_clocks(now);
        let Some(deadline) = self.deadline().filter(|deadline| *deadline <= now) else {
            return Ok(());
        };
        let limits = &self.connection.limits;
        let error = match self.phase {
            Phase::Unconnected if self.connection.is_handshake_done() => Error::Timeout {
                what: "connect",
                limit: limits.handshake_timeout,
            },
            Phase::Unconnected => Error::Timeout {
                what: "handshake",
                limit: limits.handshake_timeout,
            },
            _ if !self.is_active() => Error::Timeout {
                what: "publish or play request",
                limit: limits.request_timeout,
            },
            _ if self.pinged.is_none()
                && self.is_playing()
                && deadline < self.connection.last_message + limits.idle_timeout =>
            {
                self.pinged = Some(now);
                let sent = self
                    .connection
                    .send_control(Kind::USER_CONTROL, &control::ping_request(milliseconds(now)));
                return sent.map_err(|error| self.fail(error));
            }
            _ => Error::Idle {
                limit: limits.idle_timeout,
            },
        };
        Err(self.fail(error))
    }

    /// Says yes to a connect, publish or play request.
    ///
    /// # Errors
    /// [`Error::NoSuchRequest`] when it was answered before or the peer withdrew it; [`Error::OutputFull`].
    pub fn accept(&mut self, request: RequestId) -> Result<()> {
        if let Phase::Pending {
            request: pending,
            asked,
        } = &self.phase
            && *pending == request
        {
            let result = reply::connect_result(asked);
            self.decided = true;
            self.phase = Phase::Connected;
            self.connection.send_window_ack_size()?;
            let mut bandwidth = self.connection.limits.window_ack_size.to_be_bytes().to_vec();
            bandwidth.push(2); // dynamic
            self.connection
                .send_control(Kind::SET_PEER_BANDWIDTH, &bandwidth)?;
            self.connection.send_chunk_size()?;
            return self.connection.send_command(0, &result);
        }
        let stream = self
            .streams
            .by_request(request)
            .ok_or(Error::NoSuchRequest { request: request.0 })?;
        let id = stream.id;
        self.decided = true;
        match std::mem::replace(&mut stream.state, State::Idle) {
            State::PublishPending { name, .. } => {
                stream.state = State::Publishing { name };
                self.status(id, "status", "NetStream.Publish.Start", "Publishing has begun.")
            }
            State::PlayPending { .. } => {
                stream.state = State::Playing;
                self.pinged = None;
                self.connection
                    .send_control(Kind::USER_CONTROL, &control::stream_begin(id))?;
                self.status(id, "status", "NetStream.Play.Reset", "Playlist was reset.")?;
                self.status(id, "status", "NetStream.Play.Start", "Playing has begun.")?;
                let mut access = Vec::new();
                for value in [
                    "|RtmpSampleAccess".into(),
                    Value::Boolean(true),
                    Value::Boolean(true),
                ] {
                    amf0::encode(&value, &mut access);
                }
                self.connection.send_media(Kind::DATA_AMF0, id, 0, &access)
            }
            state => {
                stream.state = state;
                Err(Error::NoSuchRequest { request: request.0 })
            }
        }
    }

    /// Says no; the reason is put where encoders show it. The connection stays: send the output, then close.
    ///
    /// # Errors
    /// [`Error::NoSuchRequest`] when it was answered before or the peer withdrew it; [`Error::OutputFull`].
    pub fn reject(&mut self, request: RequestId, rejection: &Rejection) -> Result<()> {
        if let Phase::Pending {
            request: pending,
            asked,
        } = &self.phase
            && *pending == request
        {
            let information = Value::object([
                ("level", "error".into()),
                ("code", rejection.code.as_str().into()),
                ("description", rejection.description.as_str().into()),
            ]);
            let error = Command::new("_error", asked.transaction, Value::Null, vec![information]);
            self.connection.send_command(0, &error)?;
            self.connection.close();
            return Ok(());
        }
        let stream = self
            .streams
            .by_request(request)
            .ok_or(Error::NoSuchRequest { request: request.0 })?;
        stream.state = State::Idle;
        let id = stream.id;
        self.status(id, "error", &rejection.code, &rejection.description)
    }

    /// Ends an accepted publish or play from our side, with a reason that is shown. No finished event follows.
    ///
    /// # Errors
    /// [`Error::WrongStreamState`] when nothing is published or played there; [`Error::OutputFull`].
    pub fn end_stream(&mut self, stream: u32, rejection: &Rejection) -> Result<()> {
        match self.streams.state(stream) {
            Some(state @ (State::Publishing { .. } | State::Playing)) => *state = State::Idle,
            _ => {
                return Err(Error::WrongStreamState {
                    stream,
                    state: "publishing or playing",
                });
            }
        }
        self.status(stream, "error", &rejection.code, &rejection.description)
    }

    /// Asks the client to connect anew, at `tc_url` if there is one and else where it is now, and to go on there (E-RTMP
    /// "Reconnect Request"). It goes on sending here up to a keyframe, and should be served until it closes. False when the
    /// client does not know how: then nothing was sent.
    ///
    /// # Errors
    /// [`Error::OutputFull`].
    pub fn request_reconnect(&mut self, tc_url: Option<&str>, description: &str) -> Result<bool> {
        if self.caps_ex & caps_ex::RECONNECT == 0 || !matches!(self.phase, Phase::Connected) {
            return Ok(false);
        }
        let mut information = vec![
            ("level".to_owned(), "status".into()),
            ("code".to_owned(), RECONNECT_REQUEST.into()),
            ("description".to_owned(), description.into()),
        ];
        information.extend(tc_url.map(|url| ("tcUrl".to_owned(), url.into())));
        let status = Command::new("onStatus", 0.0, Value::Null, vec![Value::Object(information)]);
        self.connection.send_command(0, &status)?;
        Ok(true)
    }

    /// Tells a player that the stream is over.
    ///
    /// # Errors
    /// [`Error::WrongStreamState`] when nothing is played there; [`Error::OutputFull`].
    pub fn finish_play(&mut self, stream: u32) -> Result<()> {
        self.playing(stream)?;
        self.connection
            .send_control(Kind::USER_CONTROL, &control::stream_eof(stream))?;
        self.status(
            stream,
            "status",
            "NetStream.Play.UnpublishNotify",
            "The stream has ended.",
        )?;
        self.status(stream, "status", "NetStream.Play.Stop", "Playing has stopped.")?;
        if let Some(state) = self.streams.state(stream) {
            *state = State::Idle;
        }
        Ok(())
    }

    /// Sends an audio message to a player.
    ///
    /// # Errors
    /// [`Error::OutputFull`] when the player is too slow: nothing was written, the frame may be dropped.
    /// [`Error::WrongStreamState`] when nothing is played there.
    pub fn send_audio(&mut self, stream: u32, timestamp: u32, payload: &Bytes) -> Result<()> {
        self.playing(stream)?;
        self.connection
            .send_media(Kind::AUDIO, stream, timestamp, payload)
    }

    /// Sends a video message to a player.
    ///
    /// # Errors
    /// As [`send_audio`](Self::send_audio).
    pub fn send_video(&mut self, stream: u32, timestamp: u32, payload: &Bytes) -> Result<()> {
        self.playing(stream)?;
        self.connection
            .send_media(Kind::VIDEO, stream, timestamp, payload)
    }

    /// Sends a data message (AMF0, as in [`Event::Data`]) to a player.
    ///
    /// # Errors
    /// As [`send_audio`](Self::send_audio).
    pub fn send_data(&mut self, stream: u32, timestamp: u32, payload: &Bytes) -> Result<()> {
        self.playing(stream)?;
        self.connection
            .send_media(Kind::DATA_AMF0, stream, timestamp, payload)
    }

    /// Bytes to be sent. After sending some, [`advance_output`](Self::advance_output).
    pub fn output(&self) -> &[u8] {
        self.connection.output()
    }

    /// `written` bytes of the output were sent.
    pub fn advance_output(&mut self, written: usize) {
        self.connection.advance_output(written);
    }

    /// Takes all of the output at once. What is taken no longer counts against
    /// [`Limits::output_bytes`](crate::Limits::output_bytes).
    pub fn take_output(&mut self) -> Bytes {
        self.connection.take_output()
    }

    /// Bytes received so far, handshake included.
    pub fn received(&self) -> u64 {
        self.connection.received()
    }

    /// Memory held by messages that are not complete, bytes.
    pub fn partial_bytes(&self) -> usize {
        self.connection.partial_bytes()
    }

    fn handle(&mut self, incoming: Incoming, now: Duration) -> Result<Option<Event>> {
        let pinged = self.pinged.take();
        Ok(match incoming {
            Incoming::Audio(media) => self.is_publishing(media.stream).then_some(Event::Audio(media)),
            Incoming::Video(media) => self.is_publishing(media.stream).then_some(Event::Video(media)),
            Incoming::Data(media) => self.is_publishing(media.stream).then_some(Event::Data(media)),
            Incoming::Control(Control::PingResponse(_)) => pinged.map(|sent| Event::Pong {
                round_trip: now.saturating_sub(sent),
            }),
            Incoming::Control(_) => None,
            Incoming::Command { stream, command } => self.command(stream, &command, now)?,
        })
    }

    fn status(&mut self, stream: u32, level: &str, code: &str, description: &str) -> Result<()> {
        self.connection
            .send_command(stream, &Command::on_status(level, code, description))
    }

    fn restart_clocks(&mut self, now: Duration) {
        if std::mem::take(&mut self.decided) {
            self.connection.last_message = now;
            self.waiting_since = now;
        }
    }

    /// Ends the session, telling an encoder why. What does not fit into the output is left out.
    fn fail(&mut self, error: Error) -> Error {
        let open: Vec<u32> = self
            .streams
            .iter()
            .filter(|stream| !matches!(stream.state, State::Idle))
            .map(|stream| stream.id)
            .collect();
        for stream in open {
            let _ = self.status(stream, "error", "NetStream.Publish.Failed", &error.to_string());
        }
        self.connection.close();
        error
    }

    fn is_publishing(&mut self, stream: u32) -> bool {
        matches!(self.streams.state(stream), Some(State::Publishing { .. }))
    }

    fn is_playing(&self) -> bool {
        self.streams
            .iter()
            .any(|stream| matches!(stream.state, State::Playing))
    }

    fn is_active(&self) -> bool {
        self.streams
            .iter()
            .any(|stream| matches!(stream.state, State::Playing | State::Publishing { .. }))
    }

    fn playing(&mut self, stream: u32) -> Result<()> {
        match self.streams.state(stream) {
            Some(State::Playing) => Ok(()),
            _ => Err(Error::WrongStreamState {
                stream,
                state: "playing",
            }),
        }
    }
}

/// A timestamp for a ping: wraps.
fn milliseconds(now: Duration) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "pings carry the time modulo 2^32")]
    let wrapped = now.as_millis() as u32;
    wrapped
}
