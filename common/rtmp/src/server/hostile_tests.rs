//! Peers that do what no encoder does.

use std::time::Duration;

use super::tests::Peer;
use super::*;
use crate::amf0::Value;
use crate::chunk::Kind;
use crate::{Error, Limits};

const NOW: Duration = Duration::ZERO;

fn limits() -> Limits {
    Limits::default()
}

#[test]
fn slow_loris_in_the_handshake_is_given_up() {
    let mut session = ServerSession::new(limits(), Duration::from_secs(100));
    for second in 100..110 {
        session.tick(Duration::from_secs(second)).unwrap();
        assert_eq!(
            session.input(&mut &[3][..], Duration::from_secs(second)),
            Ok(None)
        );
    }
    assert_eq!(session.deadline(), Some(Duration::from_secs(110)));
    let limit = Duration::from_secs(10);
    assert_eq!(
        session.tick(Duration::from_secs(110)),
        Err(Error::Timeout {
            what: "handshake",
            limit
        })
    );
}

#[test]
fn a_handshake_without_connect_is_given_up() {
    let mut peer = Peer::new(limits());
    let limit = Duration::from_secs(10);
    assert_eq!(
        peer.session.tick(limit),
        Err(Error::Timeout {
            what: "connect",
            limit
        })
    );
}

#[test]
fn a_connection_that_never_publishes_is_given_up_whatever_else_it_says() {
    let mut peer = Peer::connected(limits());
    peer.message(Kind::USER_CONTROL, 0, 0, &[0, 6, 0, 0, 0, 0]);
    let limit = Duration::from_secs(30);
    let expected = Err(Error::Timeout {
        what: "publish or play request",
        limit,
    });
    assert_eq!(peer.session.tick(limit), expected);
}

#[test]
fn slow_loris_inside_a_frame_is_given_up_with_a_reason() {
    let mut peer = Peer::publishing(limits());
    // The first byte of a message, then one byte of it every second: never complete.
    let mut data = &[4u8, 0, 0, 0, 0, 1, 0, 9, 1, 0, 0, 0][..];
    peer.session.input(&mut data, NOW).unwrap();
    for second in 1..30 {
        peer.session
            .input(&mut &[0][..], Duration::from_secs(second))
            .unwrap();
        peer.session.tick(Duration::from_secs(second)).unwrap();
    }
    let limit = Duration::from_secs(30);
    assert_eq!(peer.session.tick(limit), Err(Error::Idle { limit }));
    assert_eq!(peer.last_status().2, "no complete message for 30s");
}

#[test]
fn no_clock_runs_while_the_application_decides() {
    let mut peer = Peer::connected(limits());
    peer.publish("key");
    assert_eq!(peer.session.deadline(), None);
    assert_eq!(peer.session.tick(Duration::from_secs(1000)), Ok(()));
}

#[test]
fn the_idle_clock_starts_at_the_decision() {
    let mut peer = Peer::connected(limits());
    let request = peer.publish("key").request;
    peer.session.accept(request).unwrap();
    assert_eq!(peer.session.tick(Duration::from_secs(1000)), Ok(()));
    assert_eq!(peer.session.deadline(), Some(Duration::from_secs(1030)));
}

#[test]
fn the_end_inside_the_handshake_is_named() {
    let mut session = ServerSession::new(limits(), NOW);
    session.input(&mut &[3, 0, 0][..], NOW).unwrap();
    assert_eq!(
        session.end_of_input(),
        Err(Error::UnexpectedEof {
            inside: "the handshake"
        })
    );
}

#[test]
fn the_end_inside_a_message_is_named_and_between_messages_is_none() {
    let mut peer = Peer::publishing(limits());
    assert_eq!(peer.session.end_of_input(), Ok(()));
    peer.bytes(&[4, 0, 0, 0]).unwrap();
    assert_eq!(
        peer.session.end_of_input(),
        Err(Error::UnexpectedEof { inside: "a message" })
    );
}

#[test]
fn garbage_and_other_protocols_are_told_apart_at_the_first_byte() {
    let error = ServerSession::new(limits(), NOW)
        .input(&mut &b"GET / HTTP/1.1"[..], NOW)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "not RTMP: the first byte is 0x47 (HTTP), expected 0x03"
    );
}

#[test]
fn a_window_of_0_asks_for_no_acknowledgements() {
    let mut peer = Peer::publishing(limits());
    peer.message(Kind::WINDOW_ACK_SIZE, 0, 0, &[0; 4]);
    peer.message(Kind::VIDEO, 1, 0, &[0; 5000]);
    assert!(peer.answers().is_empty());
}

#[test]
fn a_window_of_1_gets_one_acknowledgement_per_input() {
    let mut peer = Peer::publishing(limits());
    peer.message(Kind::WINDOW_ACK_SIZE, 0, 0, &[0, 0, 0, 1]);
    peer.answers();
    peer.message(Kind::VIDEO, 1, 0, &[0; 5000]);
    assert_eq!(peer.answers().len(), 1);
}

#[test]
fn an_oversize_message_is_refused_with_a_reason_the_encoder_shows() {
    let mut peer = Peer::publishing(Limits {
        message_size: 1000,
        ..limits()
    });
    let error = peer.try_message(Kind::VIDEO, 1, 40, &[0; 1001]).unwrap_err();
    let expected = "video message of 1001 bytes at 40 ms on chunk stream 3: at most 1000 are taken";
    assert_eq!(error.to_string(), expected);
    assert_eq!(peer.last_status().2, expected);
    assert_eq!(
        peer.try_message(Kind::VIDEO, 1, 80, &[0; 10]),
        Ok(vec![]),
        "nothing more is taken"
    );
}

#[test]
fn an_oversize_command_is_refused_before_it_comes() {
    let mut peer = Peer::new(limits());
    let header = [3, 0, 0, 0, 0x10, 0, 0, 20, 0, 0, 0, 0];
    let error = peer.bytes(&header).unwrap_err();
    assert!(
        matches!(
            error,
            Error::MessageTooLarge {
                kind: "command",
                length: 0x10_0000,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_flood_of_pings_by_who_does_not_read_ends() {
    let mut peer = Peer::publishing(Limits {
        output_bytes: 4000,
        ..limits()
    });
    let error = (0..1000).find_map(|_| {
        peer.try_message(Kind::USER_CONTROL, 0, 0, &[0, 6, 0, 0, 0, 0])
            .err()
    });
    assert!(
        matches!(error, Some(Error::OutputFull { max: 4000, .. })),
        "{error:?}"
    );
}

#[test]
fn more_streams_than_allowed_are_refused_without_an_end() {
    let mut peer = Peer::connected(limits());
    for _ in 0..20 {
        assert_eq!(peer.command(0, "createStream", Value::Null, vec![]), []);
    }
    let answers = peer.commands();
    assert_eq!(
        answers.iter().filter(|answer| answer.name == "_result").count(),
        7,
        "8 with the first"
    );
    assert_eq!(answers.last().map(|answer| answer.name.as_str()), Some("_error"));
}

#[test]
fn commands_out_of_order_are_refused() {
    let mut peer = Peer::new(limits());
    let publish = crate::command::Command::new("publish", 1.0, Value::Null, vec!["k".into()]).encode();
    let error = peer.try_message(Kind::COMMAND_AMF0, 1, 0, &publish).unwrap_err();
    assert_eq!(
        error.to_string(),
        "other command came before connect was answered"
    );

    let mut peer = Peer::connected(limits());
    let error = peer.try_message(Kind::COMMAND_AMF0, 0, 0, &publish).unwrap_err();
    assert_eq!(
        error.to_string(),
        "publish command came on a stream that was not created"
    );
}

#[test]
fn an_id_that_was_not_given_may_be_used_within_the_limit() {
    let mut peer = Peer::connected(Limits {
        streams: 2,
        ..limits()
    });
    let publish = crate::command::Command::new("publish", 1.0, Value::Null, vec!["k".into()]).encode();
    assert_eq!(peer.message(Kind::COMMAND_AMF0, 7, 0, &publish).len(), 1);
    let error = peer.try_message(Kind::COMMAND_AMF0, 8, 0, &publish).unwrap_err();
    assert_eq!(error, Error::TooManyStreams { max: 2 });
}

#[test]
fn deeply_nested_amf_is_refused() {
    let mut peer = Peer::new(limits());
    let mut payload = b"\x02\x00\x07connect\x00\0\0\0\0\0\0\0\0".to_vec();
    payload.extend([0x0A, 0, 0, 0, 1].repeat(10_000));
    let error = peer.try_message(Kind::COMMAND_AMF0, 0, 0, &payload).unwrap_err();
    assert_eq!(error, Error::Amf(crate::amf0::Error::TooDeep(16)));
}

#[test]
fn a_truncated_control_message_is_refused() {
    let mut peer = Peer::publishing(limits());
    let error = peer.try_message(Kind::USER_CONTROL, 0, 0, &[0]).unwrap_err();
    assert_eq!(
        error,
        Error::MalformedControl {
            what: "user control",
            why: "too short"
        }
    );
}
