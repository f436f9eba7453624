//! A player's view: HTTP answers and playlists.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// With a head as it came.
    pub(crate) fn of(head: &str, body: Vec<u8>) -> Self {
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) async fn get(http: SocketAddr, path: &str) -> Answer {
    request(http, path, "").await
}

/// With more headers, each with its line's end.
pub(crate) async fn request(http: SocketAddr, path: &str, headers: &str) -> Answer {
    let mut socket = TcpStream::connect(http).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {http}\r\norigin: http://elsewhere\r\n{headers}connection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    Answer::of(&head, bytes[end + 4..].to_vec())
}

/// A media playlist: finished segments, without the gaps that a live one begins with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Playlist {
    /// By its file name.
    pub(crate) first: u64,
    pub(crate) segments: Vec<String>,
    pub(crate) inits: Vec<String>,
    pub(crate) discontinuities: usize,
    /// Sum of EXTINF.
    pub(crate) seconds: f64,
    pub(crate) ended: bool,
}

impl Playlist {
    pub(crate) fn parse(text: &str) -> Self {
        let values = |tag: &'static str| text.lines().filter_map(move |line| line.strip_prefix(tag));
        let uri = |value: &str| value.trim_start_matches("URI=").trim_matches('"').to_owned();
        let segments: Vec<String> = text
            .lines()
            .filter(|line| line.starts_with("segment-"))
            .map(str::to_owned)
            .collect();
        let gaps = text.lines().filter(|line| *line == "#EXT-X-GAP").count();
        let number = |file: &String| file["segment-".len()..].trim_end_matches(".m4s").parse::<u64>();
        Self {
            first: segments.first().map_or(0, |file| number(file).unwrap()),
            segments,
            inits: values("#EXT-X-MAP:").map(uri).collect(),
            discontinuities: text
                .lines()
                .filter(|line| *line == "#EXT-X-DISCONTINUITY")
                .count(),
            seconds: values("#EXTINF:")
                .skip(gaps)
                .map(|value| value.trim_end_matches(',').parse::<f64>().unwrap())
                .sum(),
            ended: text.lines().any(|line| line == "#EXT-X-ENDLIST"),
        }
    }

    /// The media sequence number of the last segment.
    pub(crate) fn last(&self) -> u64 {
        (self.first + self.segments.len() as u64).saturating_sub(1)
    }
}

/// The media playlist at the path of a multivariant one, if there is one.
pub(crate) async fn playlist(http: SocketAddr, playback_path: &str) -> Option<Playlist> {
    let answer = get(http, &playback_path.replace("index.m3u8", "media.m3u8")).await;
    (answer.status == 200).then(|| Playlist::parse(answer.text()))
}
