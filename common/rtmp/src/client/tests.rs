use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::server::{self, Rejection, ServerSession};
use crate::{Error, Limits, Url};

const NOW: Duration = Duration::ZERO;

fn url() -> Url {
    "rtmp://localhost/live/key".parse().unwrap()
}

/// Carries bytes to and fro until both are silent; `decide` answers the server's requests.
fn exchange(
    client: &mut ClientSession,
    server: &mut ServerSession,
    decide: &mut dyn FnMut(&mut ServerSession, &server::Event),
) -> (Vec<Event>, Vec<server::Event>) {
    let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
    loop {
        let (to_server, to_client) = (client.take_output(), server.take_output());
        if to_server.is_empty() && to_client.is_empty() {
            return (at_client, at_server);
        }
        let mut data = &to_server[..];
        while let Some(event) = server.input(&mut data, NOW).unwrap() {
            decide(server, &event);
            at_server.push(event);
        }
        let mut data = &to_client[..];
        while let Some(event) = client.input(&mut data, NOW).unwrap() {
            at_client.push(event);
        }
    }
}

fn accept(server: &mut ServerSession, event: &server::Event) {
    let request = match event {
        server::Event::ConnectRequested(request) => request.request,
        server::Event::PublishRequested(request) => request.request,
        server::Event::PlayRequested(request) => request.request,
        _ => return,
    };
    server.accept(request).unwrap();
}

#[test]
fn publishes_from_connect_to_the_end() {
    let mut client = ClientSession::publish(&url(), Limits::default(), NOW);
    let mut server = ServerSession::new(Limits::default(), NOW);
    let (events, _) = exchange(&mut client, &mut server, &mut accept);
    assert_eq!(events, [Event::PublishStarted]);

    let payload = Bytes::from(vec![0x17; 300_000]);
    client
        .send_data(0, &Bytes::from_static(b"\x02\x00\x0aonMetaData\x05"))
        .unwrap();
    client.send_video(40, &payload).unwrap();
    client.send_audio(43, &Bytes::from_static(&[0xAF, 1])).unwrap();
    client.finish().unwrap();
    let (_, events) = exchange(&mut client, &mut server, &mut accept);
    let media = |timestamp, payload| Media {
        stream: 1,
        timestamp,
        payload,
    };
    let expected = [
        server::Event::Data(media(0, Bytes::from_static(b"\x02\x00\x0aonMetaData\x05"))),
        server::Event::Video(media(40, payload)),
        server::Event::Audio(media(43, Bytes::from_static(&[0xAF, 1]))),
        server::Event::PublishFinished { stream: 1 },
    ];
    assert_eq!(events, expected);
}

#[test]
fn plays_until_the_stream_ends() {
    let mut client = ClientSession::play(&url(), Limits::default(), NOW);
    let mut server = ServerSession::new(Limits::default(), NOW);
    let (events, _) = exchange(&mut client, &mut server, &mut accept);
    assert_eq!(events.first(), Some(&Event::PlayStarted));
    server.send_video(1, 40, &Bytes::from_static(&[0x17])).unwrap();
    server.finish_play(1).unwrap();
    let (events, _) = exchange(&mut client, &mut server, &mut accept);
    let video = Media {
        stream: 1,
        timestamp: 40,
        payload: Bytes::from_static(&[0x17]),
    };
    assert_eq!(events, [Event::Video(video), Event::PlayFinished]);
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let mut client = ClientSession::publish(&url(), Limits::default(), NOW);
    let mut server = ServerSession::new(Limits::default(), NOW);
    let (events, _) = exchange(&mut client, &mut server, &mut |server, event| match event {
        server::Event::PublishRequested(publish) => {
            server
                .reject(publish.request, &Rejection::denied("unknown stream key"))
                .unwrap();
        }
        other => accept(server, other),
    });
    let code = "NetStream.Publish.Denied".to_owned();
    assert_eq!(
        events,
        [Event::Rejected {
            code,
            description: "unknown stream key".into()
        }]
    );
    assert!(client.send_video(0, &Bytes::new()).is_err());
}

#[test]
fn a_refused_connect_is_told_with_its_reason() {
    let mut client = ClientSession::publish(&url(), Limits::default(), NOW);
    let mut server = ServerSession::new(Limits::default(), NOW);
    let (events, _) = exchange(&mut client, &mut server, &mut |server, event| {
        if let server::Event::ConnectRequested(connect) = event {
            server
                .reject(connect.request, &Rejection::invalid_app("no such app"))
                .unwrap();
        }
    });
    let code = "NetConnection.Connect.InvalidApp".to_owned();
    assert_eq!(
        events,
        [Event::Rejected {
            code,
            description: "no such app".into()
        }]
    );
}

#[test]
fn a_reconnect_request_is_told_and_the_stream_goes_on_meanwhile() {
    let mut client = ClientSession::publish(&url(), Limits::default(), NOW);
    let mut server = ServerSession::new(Limits::default(), NOW);
    assert_eq!(server.request_reconnect(None, "too early"), Ok(false));
    exchange(&mut client, &mut server, &mut accept);
    assert_eq!(
        server.request_reconnect(Some("rtmp://other/live"), "an update"),
        Ok(true)
    );
    let (events, _) = exchange(&mut client, &mut server, &mut accept);
    let asked = Event::ReconnectRequested {
        tc_url: Some("rtmp://other/live".into()),
        description: "an update".into(),
    };
    assert_eq!(events, [asked]);
    client.send_audio(1, &Bytes::from_static(&[0xAF, 1])).unwrap();
    let (_, events) = exchange(&mut client, &mut server, &mut accept);
    assert_eq!(events.len(), 1);
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let mut client = ClientSession::publish(&url(), Limits::default(), NOW);
    let limit = Duration::from_secs(30);
    assert_eq!(client.deadline(), Some(limit));
    assert_eq!(
        client.tick(limit),
        Err(Error::Timeout {
            what: "handshake",
            limit
        })
    );
}
