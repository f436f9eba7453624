use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::amf0::Value;
use crate::chunk::{self, Kind, Message};
use crate::command::Command;
use crate::{Error, Limits, handshake};

const NOW: Duration = Duration::ZERO;

/// A client that speaks raw messages, so that the server's answers can be looked at.
pub(super) struct Peer {
    pub(super) session: ServerSession,
    writer: chunk::Writer,
    reader: chunk::Reader,
}

impl Peer {
    /// After a simple handshake.
    pub(super) fn new(limits: Limits) -> Self {
        let mut session = ServerSession::new(limits, NOW);
        let mut hello = vec![3];
        hello.extend_from_slice(&[0; 2 * handshake::PACKET]);
        assert_eq!(session.input(&mut &hello[..], NOW), Ok(None));
        session.take_output();
        let reader = chunk::Reader::new(&Limits::default());
        Self {
            session,
            writer: chunk::Writer::new(),
            reader,
        }
    }

    /// After `connect` to live and `createStream`.
    pub(super) fn connected(limits: Limits) -> Self {
        let mut peer = Self::new(limits);
        let connect = peer.command(0, "connect", Value::object([("app", "live".into())]), vec![]);
        let [Event::ConnectRequested(connect)] = &connect[..] else {
            panic!("{connect:?}")
        };
        peer.session.accept(connect.request).unwrap();
        assert_eq!(peer.command(0, "createStream", Value::Null, vec![]), []);
        peer.answers();
        peer
    }

    /// After an accepted publish on stream 1.
    pub(super) fn publishing(limits: Limits) -> Self {
        let mut peer = Self::connected(limits);
        let request = peer.publish("key");
        peer.session.accept(request.request).unwrap();
        peer.answers();
        peer
    }

    pub(super) fn publish(&mut self, name: &str) -> PublishRequest {
        let events = self.command(1, "publish", Value::Null, vec![name.into(), "live".into()]);
        let [Event::PublishRequested(request)] = &events[..] else {
            panic!("{events:?}")
        };
        request.clone()
    }

    pub(super) fn command(&mut self, stream: u32, name: &str, object: Value, rest: Vec<Value>) -> Vec<Event> {
        let command = Command::new(name, 9.0, object, rest);
        self.message(Kind::COMMAND_AMF0, stream, 0, &command.encode())
    }

    pub(super) fn message(&mut self, kind: Kind, stream: u32, timestamp: u32, payload: &[u8]) -> Vec<Event> {
        self.try_message(kind, stream, timestamp, payload).unwrap()
    }

    pub(super) fn try_message(
        &mut self,
        kind: Kind,
        stream: u32,
        timestamp: u32,
        payload: &[u8],
    ) -> Result<Vec<Event>, Error> {
        let mut bytes = BytesMut::new();
        self.writer.write(3, timestamp, kind, stream, payload, &mut bytes);
        self.bytes(&bytes)
    }

    pub(super) fn bytes(&mut self, mut data: &[u8]) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        while let Some(event) = self.session.input(&mut data, NOW)? {
            events.push(event);
        }
        Ok(events)
    }

    pub(super) fn answers(&mut self) -> Vec<Message> {
        let bytes = self.session.take_output();
        let (mut rest, mut messages) = (&bytes[..], Vec::new());
        while let Some(message) = self.reader.read(&mut rest).unwrap() {
            messages.push(message);
        }
        messages
    }

    pub(super) fn commands(&mut self) -> Vec<Command> {
        let limits = Limits::default().amf;
        let answers = self.answers();
        let commands = answers
            .iter()
            .filter(|message| message.kind == Kind::COMMAND_AMF0);
        commands
            .map(|message| Command::parse(&message.payload, limits).unwrap())
            .collect()
    }

    /// Level, code and description of the last command.
    pub(super) fn last_status(&mut self) -> (String, String, String) {
        let command = self.commands().pop().expect("an answer");
        let text = |name| {
            let value = command.arguments[0].get(name).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        (text("level"), text("code"), text("description"))
    }
}

fn limits() -> Limits {
    Limits::default()
}

#[test]
fn connect_is_asked_and_answered() {
    let mut peer = Peer::new(limits());
    let object = Value::object([
        ("app", "live/secret?key=secret".into()),
        ("tcUrl", "rtmp://u:secret@host/live/secret".into()),
        ("flashVer", "FMLE/3.0".into()),
        ("objectEncoding", Value::Number(3.0)),
    ]);
    let events = peer.command(0, "connect", object, vec![]);
    let [Event::ConnectRequested(request)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (request.app.as_str(), request.tc_url.as_str()),
        ("live", "rtmp://host/live")
    );
    assert!(!format!("{request:?}").contains("secret"));

    assert!(peer.answers().is_empty(), "nothing is said before the decision");
    peer.session.accept(request.request).unwrap();
    let answers = peer.answers();
    let kinds: Vec<Kind> = answers.iter().map(|message| message.kind).collect();
    assert_eq!(
        kinds,
        [
            Kind::WINDOW_ACK_SIZE,
            Kind::SET_PEER_BANDWIDTH,
            Kind::COMMAND_AMF0
        ]
    );
    let result = Command::parse(&answers[2].payload, limits().amf).unwrap();
    assert_eq!((result.name.as_str(), result.transaction), ("_result", 9.0));
    assert_eq!(result.object.get("capabilities"), Some(&Value::Number(31.0)));
    assert_eq!(
        result.arguments[0].get("objectEncoding"),
        Some(&Value::Number(3.0))
    );
    assert_eq!(
        result.arguments[0].get("fourCcList"),
        None,
        "only who asks is told"
    );
}

#[test]
fn a_rejected_connect_says_why() {
    let mut peer = Peer::new(limits());
    let events = peer.command(0, "connect", Value::object([("app", "nope".into())]), vec![]);
    let [Event::ConnectRequested(request)] = &events[..] else {
        panic!("{events:?}")
    };
    peer.session
        .reject(
            request.request,
            &Rejection::invalid_app("no application of this name"),
        )
        .unwrap();
    let error = peer.commands().pop().unwrap();
    assert_eq!((error.name.as_str(), error.transaction), ("_error", 9.0));
    assert_eq!(
        error.arguments[0].get("description"),
        Some(&"no application of this name".into())
    );
    assert_eq!(
        peer.command(0, "createStream", Value::Null, vec![]),
        [],
        "and nothing more is taken"
    );
}

#[test]
fn publish_is_asked_with_the_key_and_answered() {
    let mut peer = Peer::connected(limits());
    let request = peer.publish("show?key=hunter2");
    assert_eq!((request.app.as_str(), request.stream), ("live", 1));
    assert_eq!(request.key.expose(), "hunter2");
    assert!(!format!("{:?} {:?}", request, peer.session).contains("hunter2"));
    peer.session.accept(request.request).unwrap();
    assert_eq!(peer.last_status().1, "NetStream.Publish.Start");
    assert_eq!(
        peer.session.accept(request.request),
        Err(Error::NoSuchRequest { request: 2 })
    );
}

#[test]
fn a_rejected_publish_says_why_and_may_be_tried_again() {
    let mut peer = Peer::connected(limits());
    let request = peer.publish("key").request;
    peer.session
        .reject(request, &Rejection::bad_name("key in use"))
        .unwrap();
    let expected = ("error", "NetStream.Publish.BadName", "key in use");
    let (level, code, description) = peer.last_status();
    assert_eq!((level.as_str(), code.as_str(), description.as_str()), expected);
    let media = peer.message(Kind::VIDEO, 1, 0, &[1]);
    assert_eq!(media, [], "media of a refused stream is dropped");
    peer.publish("other");
}

#[test]
fn media_is_handed_on_as_it_came() {
    let mut peer = Peer::publishing(limits());
    let payload: Vec<u8> = (0..1000u32).map(|byte| byte.to_le_bytes()[0]).collect();
    let video = peer.message(Kind::VIDEO, 1, u32::MAX, &payload);
    let expected = crate::Media {
        stream: 1,
        timestamp: u32::MAX,
        payload: payload.into(),
    };
    assert_eq!(video, [Event::Video(expected)]);
    let audio = peer.message(Kind::AUDIO, 1, 7, &[0xAF]);
    assert!(matches!(&audio[..], [Event::Audio(media)] if media.timestamp == 7));
    assert_eq!(
        peer.message(Kind::VIDEO, 5, 0, &[1]),
        [],
        "media of a stream that is not there is dropped"
    );
}

#[test]
fn metadata_comes_without_set_data_frame_in_both_encodings() {
    let mut peer = Peer::publishing(limits());
    let data = b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData";
    let wrapped = [&[0][..], data].concat();
    for (kind, payload) in [(Kind::DATA_AMF0, &data[..]), (Kind::DATA_AMF3, &wrapped)] {
        let events = peer.message(kind, 1, 0, payload);
        let [Event::Data(media)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(&media.payload[..], b"\x02\x00\x0aonMetaData");
    }
}

#[test]
fn commands_come_in_the_amf3_wrapper_too() {
    let mut peer = Peer::connected(limits());
    let command = Command::new("publish", 9.0, Value::Null, vec!["key".into()]).encode();
    let events = peer.message(Kind::COMMAND_AMF3, 1, 0, &[&[0][..], &command].concat());
    assert!(matches!(&events[..], [Event::PublishRequested(_)]));
}

#[test]
fn an_aggregate_is_taken_apart() {
    let mut peer = Peer::publishing(limits());
    let mut payload = Vec::new();
    for (kind, timestamp) in [(8u8, 0u8), (9, 20)] {
        payload.extend_from_slice(&[kind, 0, 0, 1, 0, 0, timestamp, 0, 0, 0, 0, 0xAA, 0, 0, 0, 12]);
    }
    let events = peer.message(Kind::AGGREGATE, 1, 500, &payload);
    let timestamps: Vec<u32> = events
        .iter()
        .map(|event| match event {
            Event::Audio(media) | Event::Video(media) => media.timestamp,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(timestamps, [500, 520]);
}

#[test]
fn the_end_is_told_once_however_often_the_encoder_says_it() {
    let mut peer = Peer::publishing(limits());
    let finished = [Event::PublishFinished { stream: 1 }];
    assert_eq!(
        peer.command(0, "FCUnpublish", Value::Null, vec!["key".into()]),
        finished
    );
    assert_eq!(peer.command(1, "closeStream", Value::Null, vec![]), []);
    assert_eq!(
        peer.command(0, "deleteStream", Value::Null, vec![Value::Number(1.0)]),
        []
    );
    assert_eq!(peer.message(Kind::VIDEO, 1, 0, &[1]), []);
}

#[test]
fn delete_stream_alone_is_an_end() {
    let mut peer = Peer::publishing(limits());
    let events = peer.command(0, "deleteStream", Value::Null, vec![Value::Number(1.0)]);
    assert_eq!(events, [Event::PublishFinished { stream: 1 }]);
}

#[test]
fn acknowledgements_are_totals() {
    let mut peer = Peer::publishing(limits());
    peer.message(Kind::WINDOW_ACK_SIZE, 0, 0, &2000u32.to_be_bytes());
    peer.answers();
    let mut totals = Vec::new();
    for _ in 0..10 {
        peer.message(Kind::VIDEO, 1, 0, &[0; 900]);
        let received = peer.session.received();
        for answer in peer.answers() {
            assert_eq!(answer.kind, Kind::ACKNOWLEDGEMENT);
            assert_eq!(
                &answer.payload[..],
                &u32::try_from(received).unwrap().to_be_bytes()
            );
            totals.push(received);
        }
    }
    assert_eq!(
        totals.len(),
        3,
        "one every third message of 900 bytes: {totals:?}"
    );
}

#[test]
fn a_ping_is_answered() {
    let mut peer = Peer::publishing(limits());
    peer.message(Kind::USER_CONTROL, 0, 0, &[0, 6, 1, 2, 3, 4]);
    assert_eq!(&peer.answers()[0].payload[..], [0, 7, 1, 2, 3, 4]);
}

#[test]
fn a_player_is_sent_what_it_asked_for() {
    let mut peer = Peer::connected(limits());
    let events = peer.command(1, "play", Value::Null, vec!["channel?token=t".into()]);
    let [Event::PlayRequested(request)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((request.name.expose(), request.start), ("channel?token=t", -2.0));
    let payload = Bytes::from_static(&[0x17, 1]);
    let early = peer.session.send_video(1, 0, &payload);
    assert_eq!(
        early,
        Err(Error::WrongStreamState {
            stream: 1,
            state: "playing"
        })
    );

    peer.session.accept(request.request).unwrap();
    assert_eq!(&peer.answers()[0].payload[..], [0, 0, 0, 0, 0, 1], "stream begin");
    peer.session.send_video(1, 40, &payload).unwrap();
    let answers = peer.answers();
    assert_eq!(
        (answers[0].kind, answers[0].timestamp, &answers[0].payload),
        (Kind::VIDEO, 40, &payload)
    );
    peer.session.finish_play(1).unwrap();
    assert_eq!(peer.last_status().1, "NetStream.Play.Stop");
}

#[test]
fn a_player_pauses_and_goes_on() {
    let mut peer = Peer::connected(limits());
    let events = peer.command(1, "play", Value::Null, vec!["channel".into()]);
    let [Event::PlayRequested(request)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(request.path.expose(), "channel");
    let position = Value::Number(1_000.0);
    let pause = |paused| vec![Value::Boolean(paused), position.clone()];
    assert_eq!(
        peer.command(1, "pause", Value::Null, pause(true)),
        [],
        "nothing plays yet"
    );
    peer.session.accept(request.request).unwrap();
    for (paused, code) in [
        (true, "NetStream.Pause.Notify"),
        (false, "NetStream.Unpause.Notify"),
    ] {
        let events = peer.command(1, "pause", Value::Null, pause(paused));
        assert_eq!(events, [Event::PlayPaused { stream: 1, paused }]);
        assert_eq!(peer.last_status().1, code);
    }
    for ignored in ["receiveAudio", "receiveVideo", "seek"] {
        assert_eq!(
            peer.command(1, ignored, Value::Null, vec![Value::Boolean(false)]),
            []
        );
    }
}

#[test]
fn a_player_that_does_not_read_costs_no_more_than_the_limit() {
    let limits = Limits {
        output_bytes: 10_000,
        ..limits()
    };
    let mut peer = Peer::connected(limits);
    let events = peer.command(1, "play", Value::Null, vec!["channel".into()]);
    let [Event::PlayRequested(request)] = &events[..] else {
        panic!("{events:?}")
    };
    peer.session.accept(request.request).unwrap();
    let payload = Bytes::from(vec![0; 3000]);
    let sent = (0..10)
        .filter(|frame| peer.session.send_video(1, frame * 40, &payload).is_ok())
        .count();
    assert_eq!(sent, 3);
    assert!(peer.session.output().len() <= 10_000);
    peer.answers();
    peer.session
        .send_video(1, 400, &payload)
        .expect("there is room again");
}

#[test]
fn a_silent_player_is_pinged_and_then_given_up() {
    let mut peer = Peer::connected(limits());
    let events = peer.command(1, "play", Value::Null, vec!["channel".into()]);
    let [Event::PlayRequested(request)] = &events[..] else {
        panic!("{events:?}")
    };
    peer.session.accept(request.request).unwrap();
    peer.session.tick(NOW).unwrap();
    peer.answers();
    assert_eq!(peer.session.deadline(), Some(Duration::from_secs(10)));
    peer.session.tick(Duration::from_secs(10)).unwrap();
    assert_eq!(&peer.answers()[0].payload[..2], [0, 6], "ping request");
    let mut pong = BytesMut::new();
    peer.writer
        .write(2, 0, Kind::USER_CONTROL, 0, &[0, 7, 0, 0, 0x27, 0x10], &mut pong);
    let event = peer
        .session
        .input(&mut &pong[..], Duration::from_secs(11))
        .unwrap();
    assert_eq!(
        event,
        Some(Event::Pong {
            round_trip: Duration::from_secs(1)
        })
    );

    peer.session.tick(Duration::from_secs(21)).unwrap();
    let limit = Duration::from_secs(30);
    assert_eq!(
        peer.session.tick(Duration::from_secs(41)),
        Err(Error::Idle { limit })
    );
}

#[test]
fn ending_a_publish_tells_the_encoder_why() {
    let mut peer = Peer::publishing(limits());
    peer.session
        .end_stream(1, &Rejection::failed("no keyframe for 30 s"))
        .unwrap();
    let (level, _, description) = peer.last_status();
    assert_eq!(
        (level.as_str(), description.as_str()),
        ("error", "no keyframe for 30 s")
    );
    assert_eq!(peer.message(Kind::VIDEO, 1, 0, &[1]), []);
}
