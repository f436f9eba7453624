//! A low-latency player: one connection, blocking reloads, hinted parts; everything it sees goes through the conformance
//! checker.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use marquee_hls::conformance::{Answer as Checked, Checker};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::hls::Answer;

/// A connection that is kept.
pub(crate) struct Connection {
    http: SocketAddr,
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(http: SocketAddr) -> Self {
        Self {
            http,
            socket: TcpStream::connect(http).await.unwrap(),
            buffer: Vec::new(),
        }
    }

    /// A request with further headers, each with its line end.
    pub(crate) async fn get(&mut self, path: &str, headers: &str) -> Answer {
        self.request("GET", path, headers).await
    }

    pub(crate) async fn request(&mut self, method: &str, path: &str, headers: &str) -> Answer {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n{headers}\r\n", self.http);
        self.socket.write_all(request.as_bytes()).await.unwrap();
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.read().await;
        };
        let head = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
        let answer = Answer::of(&head, Vec::new());
        let has_body = method != "HEAD" && answer.status != 304;
        let length = if has_body {
            answer.header("content-length").parse().unwrap()
        } else {
            0
        };
        while self.buffer.len() < end + length {
            self.read().await;
        }
        let body = self.buffer[end..end + length].to_vec();
        self.buffer.drain(..end + length);
        Answer::of(&head, body)
    }

    async fn read(&mut self) {
        let read = self.socket.read_buf(&mut self.buffer).await.unwrap();
        assert!(read > 0, "the server closed the connection");
    }
}

/// Where the next reload has to wait.
pub(crate) struct Player {
    connection: Connection,
    /// Of the stream, with its slash.
    folder: String,
    query: String,
    loaded: HashSet<String>,
    reloads: usize,
    pub(crate) text: String,
    pub(crate) checker: Checker,
}

impl Player {
    /// Opens a stream by its multivariant playlist.
    pub(crate) async fn open(http: SocketAddr, playback_path: &str) -> Self {
        Self {
            connection: Connection::open(http).await,
            folder: playback_path.replace("index.m3u8", ""),
            query: String::new(),
            loaded: HashSet::new(),
            reloads: 0,
            text: String::new(),
            checker: Checker::new().wants_gaps(7),
        }
    }

    /// Reloads the playlist, waiting for the next part; every third time as a delta update. True while it goes on.
    pub(crate) async fn reload(&mut self) -> bool {
        self.reloads += 1;
        let mut query = self.query.clone();
        if self.reloads.is_multiple_of(3) && !query.is_empty() {
            query.push_str("&_HLS_skip=YES");
        }
        let path = format!("{}media.m3u8?{query}", self.folder);
        let began = Instant::now();
        let answer = self.connection.get(&path, "").await;
        self.checker.answer(Checked {
            query: &query,
            took: began.elapsed(),
            status: answer.status,
            text: answer.text(),
        });
        if answer.status != 200 {
            return true;
        }
        self.text = answer.text().to_owned();
        let (finished, parts) = edge(&self.text);
        self.query = format!("_HLS_msn={}&_HLS_part={parts}", finished + 1);
        !self.text.contains("#EXT-X-ENDLIST")
    }

    /// Loads the parts and segments that it has not loaded yet, and the part that is hinted.
    pub(crate) async fn load(&mut self) {
        let text = self.text.clone();
        let parts = uris(&text, "#EXT-X-PART:");
        let segments = text.lines().filter(|line| line.starts_with("segment-"));
        let hint = uris(&text, "#EXT-X-PRELOAD-HINT:");
        let names = parts.into_iter().chain(segments.map(str::to_owned)).chain(hint);
        for name in names {
            if !self.loaded.insert(name.clone()) {
                continue;
            }
            let path = format!("{}{name}", self.folder);
            let answer = self.connection.get(&path, "").await;
            if answer.status == 404 && name.starts_with("part-") {
                // The encoder went away before it came.
                assert!(!text.contains(&format!("#EXT-X-PART:URI=\"{name}\"")));
                continue;
            }
            assert_eq!(answer.status, 200, "{name}");
            assert!(answer.header("cache-control").contains("immutable"));
            self.checker.media(&name, &answer.body);
        }
    }

    /// Fails if a rule was broken.
    #[track_caller]
    pub(crate) fn is_content(&self) {
        assert_eq!(self.checker.violations(), [], "{}", self.text);
    }
}

/// The media sequence number of the last finished segment, and the parts of the one after it.
pub(crate) fn edge(text: &str) -> (u64, usize) {
    let first: u64 = value(text, "#EXT-X-MEDIA-SEQUENCE:").unwrap().parse().unwrap();
    let skipped = value(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS=").map_or(0, |skipped| skipped.parse().unwrap());
    let finished = text.matches("#EXTINF:").count() as u64;
    let tail = text.rfind("#EXTINF:").map_or(text, |at| &text[at..]);
    (
        first + skipped + finished - 1,
        tail.matches("#EXT-X-PART:").count(),
    )
}

pub(crate) fn value<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(tag))
}

fn uris(text: &str, tag: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with(tag));
    lines
        .map(|line| {
            line.split("URI=\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect()
}

/// How long a step of a test may take on a busy machine.
pub(crate) const STEP: Duration = Duration::from_secs(60);
