//! Enhanced RTMP and AMF3: what is negotiated at `connect`, and what follows from it.

use bytes::BytesMut;

use super::tests::Peer;
use super::*;
use crate::Limits;
use crate::amf0::Value;
use crate::chunk::Kind;

fn limits() -> Limits {
    Limits::default()
}

#[test]
fn enhanced_capabilities_are_answered_to_who_has_some() {
    let mut peer = Peer::new(limits());
    let list = Value::StrictArray(vec!["hvc1".into(), "av01".into()]);
    let object = Value::object([
        ("app", "live".into()),
        ("fourCcList", list),
        ("capsEx", Value::Number(3.0)),
    ]);
    let events = peer.command(0, "connect", object, vec![]);
    let [Event::ConnectRequested(request)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        (&request.four_cc[..], request.caps_ex),
        (&["hvc1".to_owned(), "av01".to_owned()][..], Some(3))
    );
    peer.session.accept(request.request).unwrap();
    let result = peer.commands().pop().unwrap();
    for object in [&result.object, &result.arguments[0]] {
        let Some(Value::StrictArray(list)) = object.get("fourCcList") else {
            panic!("{object:?}")
        };
        assert!(list.contains(&"hvc1".into()) && list.contains(&"Opus".into()));
        assert!(
            object
                .get("videoFourCcInfoMap")
                .and_then(|map| map.get("av01"))
                .is_some()
        );
    }
}

#[test]
fn commands_in_the_amf3_wrapper_may_hold_amf3_values() {
    let mut peer = Peer::new(Limits::default());
    let command = |name: &str, rest: &[u8]| {
        let mut payload = BytesMut::from(&[0][..]);
        crate::amf0::encode(&name.into(), &mut payload);
        crate::amf0::encode(&Value::Number(1.0), &mut payload);
        payload.extend_from_slice(rest);
        payload.freeze()
    };
    // An AMF3 object {app: "live", objectEncoding: 3}.
    let object = b"\x11\x0a\x0b\x01\x07app\x06\x09live\x1dobjectEncoding\x04\x03\x01";
    let events = peer.message(Kind::COMMAND_AMF3, 0, 0, &command("connect", object));
    let [Event::ConnectRequested(connect)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((connect.app.as_str(), connect.object_encoding), ("live", 3.0));
    peer.session.accept(connect.request).unwrap();
    peer.message(Kind::COMMAND_AMF3, 0, 0, &command("createStream", b"\x11\x01"));
    let events = peer.message(
        Kind::COMMAND_AMF3,
        1,
        0,
        &command("publish", b"\x05\x11\x06\x07key"),
    );
    assert!(matches!(&events[..], [Event::PublishRequested(publish)] if publish.key.expose() == "key"));
}

#[test]
fn a_reconnect_is_asked_only_of_a_client_that_knows_how() {
    for (caps, asked) in [(Some(1.0), true), (Some(6.0), false), (None, false)] {
        let mut peer = Peer::new(Limits::default());
        let mut object = vec![("app".to_owned(), "live".into())];
        object.extend(caps.map(|caps| ("capsEx".to_owned(), Value::Number(caps))));
        let events = peer.command(0, "connect", Value::Object(object), vec![]);
        let [Event::ConnectRequested(connect)] = &events[..] else {
            panic!("{events:?}")
        };
        peer.session.accept(connect.request).unwrap();
        peer.answers();
        assert_eq!(peer.session.request_reconnect(None, "an update"), Ok(asked));
        let told = peer.commands();
        assert_eq!(told.len(), usize::from(asked));
        if asked {
            let status = &told[0].arguments[0];
            assert_eq!(
                status.get("code"),
                Some(&"NetConnection.Connect.ReconnectRequest".into())
            );
            assert_eq!(status.get("level"), Some(&"status".into()));
            assert_eq!(status.get("tcUrl"), None);
        }
    }
}
