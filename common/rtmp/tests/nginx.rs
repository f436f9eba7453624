//! Our client against nginx-rtmp: publishes to it and plays from it, over loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails here fails the test"
)]

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use marquee_rtmp::client::Event;
use marquee_rtmp::{ClientSession, Limits, Url};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const LIMIT: Duration = Duration::from_secs(30);

struct Nginx {
    _process: Child,
    _folder: tempfile::TempDir,
    address: SocketAddr,
}

impl Nginx {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let configuration = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;
             load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
             events {{}}
             rtmp {{ server {{ listen {address}; application live {{ live on; }} }} }}",
            root = folder.path().display(),
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let process = Command::new("/usr/sbin/nginx")
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nginx is installed");
        Self {
            _process: process,
            _folder: folder,
            address,
        }
    }

    fn url(&self) -> Url {
        format!("rtmp://{}/live/key", self.address).parse().unwrap()
    }

    /// Connects, as soon as nginx listens.
    async fn connect(&self) -> TcpStream {
        let deadline = Instant::now() + LIMIT;
        loop {
            match TcpStream::connect(self.address).await {
                Ok(socket) => return socket,
                Err(error) => assert!(Instant::now() < deadline, "nginx does not listen: {error}"),
            }
            tokio::task::yield_now().await;
        }
    }
}

struct Peer {
    socket: TcpStream,
    session: ClientSession,
    start: Instant,
    pending: Vec<Event>,
}

impl Peer {
    fn new(socket: TcpStream, session: ClientSession) -> Self {
        Self {
            socket,
            session,
            start: Instant::now(),
            pending: Vec::new(),
        }
    }

    async fn flush(&mut self) {
        let output = self.session.take_output();
        self.socket.write_all(&output).await.unwrap();
    }

    /// Sends what there is and waits for the next event.
    async fn event(&mut self) -> Event {
        let mut buffer = vec![0; 64 << 10];
        while self.pending.is_empty() {
            self.flush().await;
            let read = tokio::time::timeout(LIMIT, self.socket.read(&mut buffer))
                .await
                .expect("an answer")
                .unwrap();
            assert!(read > 0, "nginx closed the connection");
            let mut data = &buffer[..read];
            while let Some(event) = self.session.input(&mut data, self.start.elapsed()).unwrap() {
                self.pending.push(event);
            }
        }
        self.pending.remove(0)
    }
}

/// The body of frame `index`: of different lengths, some longer than a chunk.
fn frame(index: u32) -> Bytes {
    let key = index.is_multiple_of(25);
    let mut body = vec![if key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    body.resize(
        if key {
            20_000
        } else {
            100 + index as usize * 37 % 5000
        },
        index.to_le_bytes()[0],
    );
    body.into()
}

#[tokio::test]
async fn what_we_publish_to_nginx_we_play_from_it() {
    let nginx = Nginx::start().await;
    let limits = Limits::default;
    let session = ClientSession::publish(&nginx.url(), limits(), Duration::ZERO);
    let mut publisher = Peer::new(nginx.connect().await, session);
    assert_eq!(publisher.event().await, Event::PublishStarted);

    let header = Bytes::from_static(&[0x17, 0, 0, 0, 0, 1, 100, 0, 30, 0xFF, 0xE0, 0]);
    publisher.session.send_video(0, &header).unwrap();
    publisher.flush().await;
    let session = ClientSession::play(&nginx.url(), limits(), Duration::ZERO);
    let mut player = Peer::new(nginx.connect().await, session);
    assert_eq!(player.event().await, Event::PlayStarted);

    let sent: Vec<(u32, Bytes)> = (0..200).map(|index| (40 + index * 40, frame(index))).collect();
    for (timestamp, payload) in &sent {
        publisher.session.send_video(*timestamp, payload).unwrap();
    }
    publisher.flush().await;
    let mut received = Vec::new();
    while received.len() < sent.len() {
        if let Event::Video(media) = player.event().await
            && media.payload != header
        {
            received.push((media.timestamp, media.payload));
        }
    }
    assert!(received == sent, "every frame, in order, with its timestamp");

    publisher.session.finish().unwrap();
    publisher.flush().await;
}

#[tokio::test]
async fn nginx_refuses_a_second_publisher_and_we_say_so() {
    let nginx = Nginx::start().await;
    let session = ClientSession::publish(&nginx.url(), Limits::default(), Duration::ZERO);
    let mut first = Peer::new(nginx.connect().await, session);
    assert_eq!(first.event().await, Event::PublishStarted);
    let session = ClientSession::publish(&nginx.url(), Limits::default(), Duration::ZERO);
    let mut second = Peer::new(nginx.connect().await, session);
    let Event::Rejected { code, .. } = second.event().await else {
        panic!("not refused")
    };
    assert_eq!(code, "NetStream.Publish.BadName");
}
