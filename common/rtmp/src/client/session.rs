//! The session itself.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::Event;
use crate::amf0::{self, Value};
use crate::chunk::Kind;
use crate::command::Command;
use crate::connection::{self, Connection, Incoming};
use crate::control::Control;
use crate::server::RECONNECT_REQUEST;
use crate::{Error, Limits, Result, StreamKey, Url, caps_ex};

/// A connection that we open to a server. See the [crate](crate) for how it is driven; it begins by sending what is in
/// [`output`](Self::output).
#[derive(Debug)]
pub struct ClientSession {
    connection: Connection,
    app: String,
    tc_url: String,
    name: StreamKey,
    purpose: Purpose,
    phase: Phase,
    /// NetStream id that the server gave.
    stream: u32,
    started: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Publish,
    Play,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Handshake,
    Connecting,
    Creating,
    Requested,
    Active,
    Over,
}

/// Transactions, in the order in which they are sent.
const CONNECT: f64 = 1.0;
const RELEASE: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE: f64 = 4.0;
const REQUEST: f64 = 5.0;
const FC_UNPUBLISH: f64 = 6.0;
const DELETE: f64 = 7.0;

/// E-RTMP "FourCC info map" flag.
const CAN_FORWARD: f64 = 4.0;

impl ClientSession {
    /// Publishes under the address's name.
    pub fn publish(url: &Url, limits: Limits, now: Duration) -> Self {
        Self::new(url, Purpose::Publish, limits, now)
    }

    /// Plays what the address names.
    pub fn play(url: &Url, limits: Limits, now: Duration) -> Self {
        Self::new(url, Purpose::Play, limits, now)
    }

    fn new(url: &Url, purpose: Purpose, limits: Limits, now: Duration) -> Self {
        Self {
            connection: Connection::client(limits, connection::nonce(), now),
            app: url.app.clone(),
            tc_url: url.tc_url(),
            name: url.name.clone(),
            purpose,
            phase: Phase::Handshake,
            stream: 0,
            started: now,
        }
    }

    /// Consumes from `data` until something happened. Call it until it answers `None`, then send the output.
    ///
    /// # Errors
    /// Whatever the server did wrong; the session is over.
    pub fn input(&mut self, data: &mut &[u8], now: Duration) -> Result<Option<Event>> {
        loop {
            let incoming = self.connection.next(data, now)?;
            if self.phase == Phase::Handshake && self.connection.is_handshake_done() {
                self.connect()?;
            }
            let Some(incoming) = incoming else {
                return Ok(None);
            };
            if let Some(event) = self.handle(incoming)? {
                return Ok(Some(event));
            }
        }
    }

    /// The server closed its side.
    ///
    /// # Errors
    /// [`Error::UnexpectedEof`] when that was in the middle of something.
    pub fn end_of_input(&self) -> Result<()> {
        self.connection.end_of_input()
    }

    /// When [`tick`](Self::tick) has to be called next. A publisher may wait for ever: servers are silent.
    pub fn deadline(&self) -> Option<Duration> {
        let limits = &self.connection.limits;
        match (self.phase, self.purpose) {
            (Phase::Over, _) | (Phase::Active, Purpose::Publish) => None,
            (Phase::Active, Purpose::Play) => Some(self.connection.last_message + limits.idle_timeout),
            _ => Some(self.started + limits.request_timeout),
        }
    }

    /// Checks the clock.
    ///
    /// # Errors
    /// [`Error::Timeout`] when the server did not let us begin in time, [`Error::Idle`] when nothing comes to a player.
    pub fn tick(&mut self, now: Duration) -> Result<()> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return Ok(());
        }
        let limits = &self.connection.limits;
        let error = match self.phase {
            Phase::Active => Error::Idle {
                limit: limits.idle_timeout,
            },
            Phase::Handshake => Error::Timeout {
                what: "handshake",
                limit: limits.request_timeout,
            },
            _ => Error::Timeout {
                what: "answer to our request",
                limit: limits.request_timeout,
            },
        };
        self.end();
        Err(error)
    }

    /// Whether media may be sent or will come.
    pub fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    /// Sends an audio message.
    ///
    /// # Errors
    /// [`Error::OutputFull`] when the server is too slow: nothing was written, the frame may be dropped.
    /// [`Error::WrongStreamState`] before [`Event::PublishStarted`] and after the end.
    pub fn send_audio(&mut self, timestamp: u32, payload: &Bytes) -> Result<()> {
        self.publishing()?;
        self.connection
            .send_media(Kind::AUDIO, self.stream, timestamp, payload)
    }

    /// Sends a video message.
    ///
    /// # Errors
    /// As [`send_audio`](Self::send_audio).
    pub fn send_video(&mut self, timestamp: u32, payload: &Bytes) -> Result<()> {
        self.publishing()?;
        self.connection
            .send_media(Kind::VIDEO, self.stream, timestamp, payload)
    }

    /// Sends a data message (AMF0, as in an FLV script tag). `onMetaData` gets the `@setDataFrame` that makes servers keep it.
    ///
    /// # Errors
    /// As [`send_audio`](Self::send_audio).
    pub fn send_data(&mut self, timestamp: u32, payload: &Bytes) -> Result<()> {
        self.publishing()?;
        if !payload.starts_with(b"\x02\x00\x0aonMetaData") {
            return self
                .connection
                .send_media(Kind::DATA_AMF0, self.stream, timestamp, payload);
        }
        let mut kept = BytesMut::new();
        amf0::encode(&"@setDataFrame".into(), &mut kept);
        kept.extend_from_slice(payload);
        self.connection
            .send_media(Kind::DATA_AMF0, self.stream, timestamp, &kept)
    }

    /// Says that we are done. Send the output, then close.
    ///
    /// # Errors
    /// [`Error::OutputFull`].
    pub fn finish(&mut self) -> Result<()> {
        if matches!(self.phase, Phase::Active | Phase::Requested) {
            if self.purpose == Purpose::Publish {
                let name = self.name_value();
                self.call("FCUnpublish", FC_UNPUBLISH, vec![name])?;
            }
            let stream = Value::Number(f64::from(self.stream));
            self.call("deleteStream", DELETE, vec![stream])?;
        }
        self.end();
        Ok(())
    }

    /// Bytes to be sent. After sending some, [`advance_output`](Self::advance_output).
    pub fn output(&self) -> &[u8] {
        self.connection.output()
    }

    /// `written` bytes of the output were sent.
    pub fn advance_output(&mut self, written: usize) {
        self.connection.advance_output(written);
    }

    /// Takes all of the output at once.
    pub fn take_output(&mut self) -> Bytes {
        self.connection.take_output()
    }

    fn connect(&mut self) -> Result<()> {
        self.phase = Phase::Connecting;
        let video = ["avc1", "hvc1", "av01", "vp09"];
        let audio = ["mp4a", "Opus", "fLaC", "ac-3", "ec-3"];
        // A file's frames are handed on, not encoded; what is played is handed on, too.
        let map = |codecs: &[&str]| {
            let all = codecs
                .iter()
                .map(|name| ((*name).to_owned(), Value::Number(CAN_FORWARD)));
            Value::Object(all.collect())
        };
        let four_cc: Vec<Value> = video
            .iter()
            .chain(&audio)
            .map(|name| Value::from(*name))
            .collect();
        let mut object = vec![
            ("app".to_owned(), self.app.as_str().into()),
            ("type".to_owned(), "nonprivate".into()),
            ("flashVer".to_owned(), "FMLE/3.0 (compatible; Marquee)".into()),
            ("tcUrl".to_owned(), self.tc_url.as_str().into()),
        ];
        if self.purpose == Purpose::Play {
            object.push(("fpad".to_owned(), Value::Boolean(false)));
            object.push(("capabilities".to_owned(), Value::Number(15.0)));
            object.push(("audioCodecs".to_owned(), Value::Number(4071.0)));
            object.push(("videoCodecs".to_owned(), Value::Number(252.0)));
            object.push(("videoFunction".to_owned(), Value::Number(1.0)));
        }
        object.push(("objectEncoding".to_owned(), Value::Number(0.0)));
        object.push(("fourCcList".to_owned(), Value::StrictArray(four_cc)));
        object.push(("videoFourCcInfoMap".to_owned(), map(&video)));
        object.push(("audioFourCcInfoMap".to_owned(), map(&audio)));
        object.push(("capsEx".to_owned(), Value::Number(f64::from(caps_ex::ALL))));
        self.connection.send_command(
            0,
            &Command::new("connect", CONNECT, Value::Object(object), Vec::new()),
        )
    }

    fn handle(&mut self, incoming: Incoming) -> Result<Option<Event>> {
        let playing = self.phase == Phase::Active && self.purpose == Purpose::Play;
        Ok(match incoming {
            Incoming::Audio(media) if playing => Some(Event::Audio(media)),
            Incoming::Video(media) if playing => Some(Event::Video(media)),
            Incoming::Data(media) if playing => Some(Event::Data(media)),
            Incoming::Control(Control::StreamEof(stream)) if playing && stream == self.stream => {
                self.end();
                Some(Event::PlayFinished)
            }
            Incoming::Command { command, .. } => self.command(&command)?,
            _ => None,
        })
    }

    fn command(&mut self, command: &Command) -> Result<Option<Event>> {
        let transaction = command.transaction;
        match command.name.as_str() {
            "_result" if transaction == CONNECT && self.phase == Phase::Connecting => {
                self.phase = Phase::Creating;
                self.connection.send_window_ack_size()?;
                self.connection.send_chunk_size()?;
                if self.purpose == Purpose::Publish {
                    let name = self.name_value();
                    self.call("releaseStream", RELEASE, vec![name.clone()])?;
                    self.call("FCPublish", FC_PUBLISH, vec![name])?;
                }
                self.call("createStream", CREATE, Vec::new())?;
            }
            "_result" if transaction == CREATE && self.phase == Phase::Creating => self.request(command)?,
            // releaseStream and FCPublish may fail: many servers do not know them.
            "_error" if transaction == CONNECT || transaction == CREATE || transaction == REQUEST => {
                return Ok(Some(self.rejected(command)));
            }
            "onStatus" => return Ok(self.status(command)),
            "close" => return Ok(Some(self.rejected(command))),
            _ => {}
        }
        Ok(None)
    }

    fn request(&mut self, created: &Command) -> Result<()> {
        let id = created.arguments.first().and_then(Value::as_number);
        let id = id.ok_or(Error::MalformedCommand {
            command: "createStream",
            why: "its result has no stream id",
        })?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small number; the cast saturates"
        )]
        let id = id as u32;
        self.stream = id;
        self.phase = Phase::Requested;
        let name = self.name_value();
        let (command, arguments) = match self.purpose {
            Purpose::Publish => ("publish", vec![name, "live".into()]),
            Purpose::Play => ("play", vec![name, Value::Number(-2000.0)]),
        };
        self.connection
            .send_command(id, &Command::new(command, REQUEST, Value::Null, arguments))
    }

    fn status(&mut self, command: &Command) -> Option<Event> {
        let text = |name| {
            command
                .arguments
                .first()
                .and_then(|status| status.get(name))
                .and_then(Value::as_str)
        };
        match (text("level"), text("code")) {
            (Some("error"), _) => Some(self.rejected(command)),
            (_, Some(RECONNECT_REQUEST)) => Some(Event::ReconnectRequested {
                tc_url: text("tcUrl").map(str::to_owned),
                description: text("description").unwrap_or_default().to_owned(),
            }),
            (_, Some("NetStream.Publish.Start")) if self.phase == Phase::Requested => {
                self.phase = Phase::Active;
                Some(Event::PublishStarted)
            }
            (_, Some("NetStream.Play.Start")) if self.phase == Phase::Requested => {
                self.phase = Phase::Active;
                Some(Event::PlayStarted)
            }
            (_, Some("NetStream.Play.Stop" | "NetStream.Play.UnpublishNotify"))
                if self.phase == Phase::Active =>
            {
                self.end();
                Some(Event::PlayFinished)
            }
            _ => None,
        }
    }

    fn rejected(&mut self, command: &Command) -> Event {
        self.end();
        let text = |name| {
            let status = command.arguments.iter().find_map(|argument| argument.get(name));
            status.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Event::Rejected {
            code: text("code"),
            description: text("description"),
        }
    }

    fn call(&mut self, name: &str, transaction: f64, arguments: Vec<Value>) -> Result<()> {
        self.connection
            .send_command(0, &Command::new(name, transaction, Value::Null, arguments))
    }

    fn name_value(&self) -> Value {
        self.name.expose().into()
    }

    fn publishing(&self) -> Result<()> {
        if self.phase == Phase::Active && self.purpose == Purpose::Publish {
            Ok(())
        } else {
            Err(Error::WrongStreamState {
                stream: self.stream,
                state: "publishing",
            })
        }
    }

    fn end(&mut self) {
        self.phase = Phase::Over;
        self.connection.close();
    }
}
