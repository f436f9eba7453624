//! A player that is sent the stream as it comes, over RTMP or HTTP-FLV, and keeps what it got.

use std::net::SocketAddr;
use std::time::Duration;

use marquee_rtmp::client::Event;
use marquee_rtmp::flv::{Reader, Tag, TagKind};
use marquee_rtmp::{ClientSession, Limits, Media, Url};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::encoder::Rejected;
use crate::stage::LIMIT;

enum Protocol {
    Rtmp(Box<ClientSession>),
    Flv(Reader),
}

pub(crate) struct Viewer {
    socket: TcpStream,
    protocol: Protocol,
    began: Instant,
    pub(crate) tags: Vec<Tag>,
    is_over: bool,
}

impl Viewer {
    /// Plays over RTMP.
    pub(crate) async fn rtmp(url: &str) -> Result<Self, Rejected> {
        let url: Url = url.parse().unwrap();
        let mut viewer = Self {
            socket: TcpStream::connect((url.host.as_str(), url.port)).await.unwrap(),
            protocol: Protocol::Rtmp(Box::new(ClientSession::play(
                &url,
                Limits::default(),
                Duration::ZERO,
            ))),
            began: Instant::now(),
            tags: Vec::new(),
            is_over: false,
        };
        loop {
            match timeout(LIMIT, viewer.step()).await.expect("an answer in time") {
                Some(Event::PlayStarted) => return Ok(viewer),
                Some(Event::Rejected { code, description }) => return Err(Rejected { code, description }),
                Some(other) => panic!("{other:?} is no answer"),
                None => assert!(!viewer.is_over, "the server closed the connection"),
            }
        }
    }

    /// Plays over HTTP; the head of the answer as well.
    pub(crate) async fn flv(http: SocketAddr, path: &str) -> (String, Self) {
        let mut socket = TcpStream::connect(http).await.unwrap();
        // A body without chunks, as old players get it.
        let request = format!("GET {path} HTTP/1.0\r\nhost: {http}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(LIMIT, socket.read_u8()).await.expect("an answer in time");
            head.push(byte.unwrap());
        }
        let viewer = Self {
            socket,
            protocol: Protocol::Flv(Reader::new(8 << 20)),
            began: Instant::now(),
            tags: Vec::new(),
            is_over: false,
        };
        (String::from_utf8(head).unwrap(), viewer)
    }

    /// Reads once; what the server says besides media.
    async fn step(&mut self) -> Option<Event> {
        if let Protocol::Rtmp(session) = &mut self.protocol {
            let output = session.take_output();
            // The server may have closed.
            let _ = self.socket.write_all(&output).await;
        }
        let mut buffer = vec![0; 64 << 10];
        let length = self.socket.read(&mut buffer).await.unwrap_or(0);
        if length == 0 {
            self.is_over = true;
            return None;
        }
        let mut data = &buffer[..length];
        match &mut self.protocol {
            Protocol::Flv(reader) => {
                while let Some(tag) = reader.read(&mut data).unwrap() {
                    self.tags.push(tag);
                }
                None
            }
            Protocol::Rtmp(session) => {
                let mut said = None;
                let tag = |kind, media: Media| Tag {
                    kind,
                    timestamp: media.timestamp,
                    payload: media.payload,
                };
                while let Some(event) = session.input(&mut data, self.began.elapsed()).unwrap() {
                    match event {
                        Event::Audio(media) => self.tags.push(tag(TagKind::Audio, media)),
                        Event::Video(media) => self.tags.push(tag(TagKind::Video, media)),
                        Event::Data(media) if is_access(&media) => {}
                        Event::Data(media) => self.tags.push(tag(TagKind::Script, media)),
                        other => said = Some(other),
                    }
                }
                said
            }
        }
    }

    /// Reads until what came is as wanted.
    pub(crate) async fn until(&mut self, what: &str, wanted: impl Fn(&[Tag]) -> bool) {
        let reading = async {
            while !wanted(&self.tags) {
                assert!(!self.is_over, "the stream is over before {what}");
                self.step().await;
            }
        };
        timeout(LIMIT, reading)
            .await
            .unwrap_or_else(|_| panic!("waited for {what}"));
    }

    /// Reads until the server says that the stream is over, or closes; what it said.
    pub(crate) async fn until_the_end(&mut self) -> Option<Event> {
        let reading = async {
            let mut said = None;
            while !self.is_over {
                said = self.step().await.or(said);
            }
            said
        };
        timeout(LIMIT, reading).await.expect("the end in time")
    }

    /// The frames of one kind, without headers.
    pub(crate) fn frames(&self, kind: TagKind) -> Vec<&Tag> {
        let tags = self.tags.iter().filter(|tag| tag.kind == kind);
        tags.filter(|tag| tag.payload.get(1) != Some(&0)).collect()
    }
}

/// What servers say to players of Flash: that they may look at the samples.
fn is_access(media: &Media) -> bool {
    media.payload.starts_with(b"\x02\x00\x11|RtmpSampleAccess")
}

/// Whether frames of a kind up to this timestamp are there.
pub(crate) fn has(kind: TagKind, timestamp: u32) -> impl Fn(&[Tag]) -> bool {
    move |tags| {
        tags.iter()
            .rev()
            .any(|tag| tag.kind == kind && tag.timestamp >= timestamp && tag.payload.get(1) != Some(&0))
    }
}
