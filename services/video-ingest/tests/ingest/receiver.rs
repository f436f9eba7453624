//! A receiver of webhooks: a small HTTP server that answers as it is told and remembers what it got.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use marquee_testkit::wait_for;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::stage::LIMIT;

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Call {
    /// A field of the form, as it was before it was escaped.
    pub(crate) fn field(&self, name: &str) -> String {
        let fields: HashMap<&str, &str> = self
            .body
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let mut text = Vec::new();
        let mut bytes = fields.get(name).copied().unwrap_or("(none)").bytes();
        while let Some(byte) = bytes.next() {
            text.push(if byte == b'%' {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            } else {
                byte
            });
        }
        String::from_utf8(text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }
}

#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    /// What is answered next, in order; the last one is answered again. None is silence.
    answers: Arc<Mutex<Vec<Option<String>>>>,
}

impl Receiver {
    /// Answers with these status lines and headers, for example `302 Found\r\nlocation: c`; silence for an empty one.
    pub(crate) async fn new(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            calls: Arc::default(),
            answers: Arc::new(Mutex::new(
                answers
                    .iter()
                    .map(|answer| (!answer.is_empty()).then(|| (*answer).to_owned()))
                    .collect(),
            )),
        };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let one = serving.clone();
                tokio::spawn(async move { one.serve(socket).await });
            }
        });
        receiver
    }

    pub(crate) fn uri(&self) -> http::Uri {
        format!("http://{}/hook", self.address).parse().unwrap()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    /// The calls once there are so many.
    pub(crate) async fn called(&self, times: usize) -> Vec<Call> {
        wait_for("the webhook", LIMIT, async || {
            let calls = self.calls();
            (calls.len() >= times).then_some(calls)
        })
        .await
        .unwrap()
    }

    async fn serve(self, mut socket: TcpStream) {
        loop {
            let mut bytes = Vec::new();
            let head = loop {
                let mut byte = [0];
                match socket.read(&mut byte).await {
                    Ok(1) => bytes.push(byte[0]),
                    _ => return,
                }
                if bytes.ends_with(b"\r\n\r\n") {
                    break String::from_utf8(bytes).unwrap();
                }
            };
            let length = head
                .lines()
                .filter_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .next()
                .unwrap_or(0);
            let mut body = vec![0; length];
            socket.read_exact(&mut body).await.unwrap();
            let body = String::from_utf8(body).unwrap();
            self.calls.lock().push(Call { head, body });
            let answer = {
                let mut answers = self.answers.lock();
                if answers.len() > 1 {
                    answers.remove(0)
                } else {
                    answers[0].clone()
                }
            };
            let Some(answer) = answer else {
                std::future::pending::<()>().await;
                return;
            };
            let response = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
            if socket.write_all(response.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
