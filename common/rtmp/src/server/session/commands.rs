//! What the client asks for by command (RTMP 7.2).

use std::time::Duration;

use super::{Phase, ServerSession};
use crate::amf0::Value;
use crate::command::Command;
use crate::server::event::{ConnectRequest, Event, PlayRequest, PublishKind, PublishRequest, RequestId};
use crate::server::reply::ConnectAsked;
use crate::server::stream::{State, Streams};
use crate::stream_key::{locate, locate_path, public_app, public_url};
use crate::{Error, Result, StreamKey};

impl ServerSession {
    pub(super) fn command(&mut self, stream: u32, command: &Command, now: Duration) -> Result<Option<Event>> {
        let name = command.name.as_str();
        match (&self.phase, name) {
            (Phase::Unconnected, "connect") => return Ok(Some(self.connect(command))),
            (_, "connect") => return Err(unexpected("connect", "came twice")),
            (Phase::Unconnected | Phase::Pending { .. }, _) => {
                return Err(unexpected("other", "came before connect was answered"));
            }
            (Phase::Connected, _) => {}
        }
        match name {
            "createStream" => match self.streams.create(self.connection.limits.streams) {
                Ok(id) => self.result(command, Value::Number(f64::from(id)))?,
                Err(error) => {
                    let information = Value::object([
                        ("level", "error".into()),
                        ("code", "NetConnection.Call.Failed".into()),
                        ("description", error.to_string().as_str().into()),
                    ]);
                    let reply = Command::new("_error", command.transaction, Value::Null, vec![information]);
                    self.connection.send_command(0, &reply)?;
                }
            },
            "publish" => return self.publish(stream, command).map(Some),
            "play" => return self.play(stream, command).map(Some),
            "closeStream" => return Ok(self.close_stream(stream, now)),
            "deleteStream" => {
                let id = command
                    .arguments
                    .first()
                    .and_then(Value::as_number)
                    .unwrap_or_default();
                // Ids are small whole numbers; anything else names no stream, as 0 does.
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the cast saturates"
                )]
                let id = id as u32;
                let event = self.close_stream(id, now);
                self.streams.remove(id);
                return Ok(event);
            }
            "FCUnpublish" => {
                let named = self.streams.publishing(command.text_argument(0));
                let event = named.and_then(|id| self.close_stream(id, now));
                self.result(command, Value::Undefined)?;
                return Ok(event);
            }
            "FCPublish" => {
                let status = Value::object([
                    ("code", "NetStream.Publish.Start".into()),
                    ("description", "FCPublish".into()),
                ]);
                self.connection
                    .send_command(0, &Command::new("onFCPublish", 0.0, Value::Null, vec![status]))?;
                self.result(command, Value::Undefined)?;
            }
            "FCSubscribe" => {
                let status = Value::object([
                    ("level", "status".into()),
                    ("code", "NetStream.Play.Start".into()),
                    ("description", "FCSubscribe".into()),
                ]);
                self.connection
                    .send_command(0, &Command::new("onFCSubscribe", 0.0, Value::Null, vec![status]))?;
            }
            "getStreamLength" => self.result(command, Value::Number(0.0))?,
            "releaseStream" | "_checkbw" | "checkBandwidth" => self.result(command, Value::Undefined)?,
            "pause" => return self.pause(stream, command),
            // seek, receiveAudio ... have no meaning for what is live, and private commands none for us.
            _ => {}
        }
        Ok(None)
    }

    fn connect(&mut self, command: &Command) -> Event {
        let text = |name| {
            command
                .object
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let number = |name| command.object.get(name).and_then(Value::as_number);
        let mut four_cc: Vec<String> = match command.object.get("fourCcList") {
            Some(Value::StrictArray(list)) => {
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        for map in ["videoFourCcInfoMap", "audioFourCcInfoMap"] {
            let named = command.object.get(map).and_then(Value::properties);
            for (name, _) in named.into_iter().flatten() {
                if !four_cc.contains(name) {
                    four_cc.push(name.clone());
                }
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "flags; the cast saturates"
        )]
        let caps_ex = number("capsEx").map(|flags| flags as u32);
        let object_encoding = if number("objectEncoding") == Some(3.0) {
            3.0
        } else {
            0.0
        };
        let enhanced = caps_ex.is_some()
            || ["fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap"]
                .iter()
                .any(|name| command.object.get(name).is_some());
        self.app = StreamKey::new(text("app"));
        self.caps_ex = caps_ex.unwrap_or_default();
        let event = ConnectRequest {
            request: next_request(&mut self.last_request),
            app: public_app(text("app")).to_owned(),
            tc_url: public_url(text("tcUrl")),
            flash_version: text("flashVer").to_owned(),
            object_encoding,
            four_cc,
            caps_ex,
        };
        let asked = ConnectAsked {
            transaction: command.transaction,
            object_encoding,
            enhanced,
        };
        self.phase = Phase::Pending {
            request: event.request,
            asked,
        };
        Event::ConnectRequested(event)
    }

    fn publish(&mut self, stream: u32, command: &Command) -> Result<Event> {
        let name = command.text_argument(0).unwrap_or_default();
        let kind = match command.text_argument(1) {
            Some("record") => PublishKind::Record,
            Some("append") => PublishKind::Append,
            _ => PublishKind::Live,
        };
        let state = idle(
            &mut self.streams,
            stream,
            "publish",
            self.connection.limits.streams,
        )?;
        let request = next_request(&mut self.last_request);
        *state = State::PublishPending {
            request,
            name: StreamKey::new(name),
        };
        Ok(Event::PublishRequested(PublishRequest {
            request,
            stream,
            app: public_app(self.app.expose()).to_owned(),
            key: locate(self.app.expose(), name),
            name: StreamKey::new(name),
            kind,
        }))
    }

    fn play(&mut self, stream: u32, command: &Command) -> Result<Event> {
        let name = command.text_argument(0).ok_or(Error::MalformedCommand {
            command: "play",
            why: "the stream's name is missing",
        })?;
        let number = |index: usize| command.arguments.get(index).and_then(Value::as_number);
        let state = idle(&mut self.streams, stream, "play", self.connection.limits.streams)?;
        let request = next_request(&mut self.last_request);
        *state = State::PlayPending { request };
        Ok(Event::PlayRequested(PlayRequest {
            request,
            stream,
            app: public_app(self.app.expose()).to_owned(),
            name: StreamKey::new(name),
            path: locate_path(self.app.expose(), name),
            start: number(1).unwrap_or(-2.0),
            duration: number(2).unwrap_or(-1.0),
        }))
    }

    /// RTMP 7.2.2.8. What is live goes on meanwhile.
    fn pause(&mut self, stream: u32, command: &Command) -> Result<Option<Event>> {
        if self.playing(stream).is_err() {
            return Ok(None);
        }
        let paused = command.arguments.first() == Some(&Value::Boolean(true));
        let (code, description) = if paused {
            ("NetStream.Pause.Notify", "Playing is paused.")
        } else {
            ("NetStream.Unpause.Notify", "Playing goes on.")
        };
        self.status(stream, "status", code, description)?;
        Ok(Some(Event::PlayPaused { stream, paused }))
    }

    fn close_stream(&mut self, stream: u32, now: Duration) -> Option<Event> {
        let state = self.streams.state(stream)?;
        let event = match std::mem::replace(state, State::Idle) {
            State::Publishing { .. } => Event::PublishFinished { stream },
            State::Playing => Event::PlayFinished { stream },
            _ => return None,
        };
        self.waiting_since = now;
        Some(event)
    }

    fn result(&mut self, command: &Command, value: Value) -> Result<()> {
        let reply = Command::new("_result", command.transaction, Value::Null, vec![value]);
        self.connection.send_command(0, &reply)
    }
}

fn next_request(last: &mut u64) -> RequestId {
    *last += 1;
    RequestId(*last)
}

fn idle<'a>(
    streams: &'a mut Streams,
    stream: u32,
    command: &'static str,
    max: usize,
) -> Result<&'a mut State> {
    match streams.state_or_create(stream, max)? {
        Some(state @ State::Idle) => Ok(state),
        Some(_) => Err(unexpected(command, "came on a stream that is in use")),
        None => Err(unexpected(command, "came on a stream that was not created")),
    }
}

fn unexpected(command: &'static str, why: &'static str) -> Error {
    Error::UnexpectedCommand { command, why }
}
