//! Requests to the server: each with a time limit, each error told in words that say what to do.

use std::time::Duration;

use elasticsearch::auth::Credentials;
use elasticsearch::http::headers::{CONTENT_TYPE, HeaderMap, HeaderValue};
use elasticsearch::http::request::{Body, JsonBody};
use elasticsearch::http::transport::{SingleNodeConnectionPool, TransportBuilder};
use elasticsearch::http::{Method, Url};
use serde_json::Value;

use super::{Login, Settings};
use crate::store::Error;

/// The longest that a search or a look at the cluster may take.
pub(super) const QUICK: Duration = Duration::from_secs(5);

/// The longest that a write, or a change to the indices, may take.
pub(super) const SLOW: Duration = Duration::from_secs(20);

/// What went wrong with a request.
#[derive(Debug)]
pub(super) enum Failure {
    /// The index or alias is not there.
    Gone(String),
    /// What is to be made is there already.
    Exists,
    /// No shard of the index answers: it is about to be there, or about to go, or the server is in trouble.
    Shardless(Error),
    /// Anything else.
    Other(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Gone(reason) => Self::Unavailable(format!("elasticsearch: {reason}")),
            Failure::Exists => Self::Unavailable("elasticsearch: another process makes the index".to_owned()),
            Failure::Shardless(error) | Failure::Other(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// The server.
pub(super) struct Client {
    elasticsearch: elasticsearch::Elasticsearch,
    /// Its address without credentials.
    shown: String,
}

impl Client {
    /// Connects to nothing yet.
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Other(format!("the URL of elasticsearch is wrong: {reason}"));
        // What the parser says may hold the password: only its reason is told.
        let mut url = Url::parse(&settings.url).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it has to begin with http:// or https://".to_owned()));
        }
        let within = match (url.username(), url.password()) {
            ("", None) => None,
            (username, password) => Some(Login::Password {
                username: decoded(username),
                password: decoded(password.unwrap_or_default()),
            }),
        };
        // Errors of the HTTP client show the address.
        let removed = url.set_username("").and_then(|()| url.set_password(None));
        removed.map_err(|()| wrong("it names no host".to_owned()))?;
        let shown = url.to_string().trim_end_matches('/').to_owned();

        let mut transport = TransportBuilder::new(SingleNodeConnectionPool::new(url))
            .disable_proxy()
            .enable_meta_header(false)
            .timeout(SLOW);
        transport = match settings.login.clone().or(within) {
            None => transport,
            Some(Login::ApiKey(key)) => transport.auth(Credentials::EncodedApiKey(key)),
            Some(Login::Password { username, password }) => {
                transport.auth(Credentials::Basic(username, password))
            }
        };
        let transport = transport.build().map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            elasticsearch: elasticsearch::Elasticsearch::new(transport),
            shown,
        })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::Get, path, HeaderMap::new(), None::<()>, QUICK)
            .await
    }

    pub(super) async fn search(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.send(
            Method::Post,
            path,
            HeaderMap::new(),
            Some(JsonBody::new(body)),
            QUICK,
        )
        .await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.send(
            Method::Put,
            path,
            HeaderMap::new(),
            Some(JsonBody::new(body)),
            SLOW,
        )
        .await
    }

    pub(super) async fn post(&self, path: &str, body: Option<Value>) -> Result<Value, Failure> {
        self.send(
            Method::Post,
            path,
            HeaderMap::new(),
            body.map(JsonBody::new),
            SLOW,
        )
        .await
    }

    /// Sends lines of JSON.
    pub(super) async fn bulk(&self, path: &str, lines: String) -> Result<Value, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        self.send(Method::Post, path, headers, Some(lines), SLOW).await
    }

    async fn send<B: Body>(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<B>,
        within: Duration,
    ) -> Result<Value, Failure> {
        let sent = self
            .elasticsearch
            .send(method, path, headers, None::<&()>, body, Some(within));
        let answer = async {
            let response = sent.await?;
            let status = response.status_code().as_u16();
            Ok::<_, elasticsearch::Error>((status, response.text().await?))
        };
        // The HTTP client has the same limit; this one also ends what it does not count, as name resolution.
        let (status, text) = match tokio::time::timeout(within + Duration::from_secs(1), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if !error.is_timeout() => {
                return Err(self.unavailable(&format!("cannot be reached: {}", chain(&error))));
            }
            Ok(Err(_)) | Err(_) => {
                return Err(self.unavailable(&format!("did not answer within {} s", within.as_secs())));
            }
        };
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        match status {
            200..=299 if body.is_null() => {
                Err(self.unavailable("answered with something else than JSON: is it elasticsearch?"))
            }
            200..=299 => Ok(body),
            _ => Err(self.failure(status, &body["error"])),
        }
    }

    /// What an error of a request, or of one item of it, means.
    pub(super) fn failure(&self, status: u16, error: &Value) -> Failure {
        let cause = match &error["root_cause"][0] {
            Value::Null => error,
            root => root,
        };
        let kind = cause["type"].as_str().unwrap_or_default();
        let reason = cause["reason"]
            .as_str()
            .or_else(|| error.as_str())
            .unwrap_or_default();
        let told = match kind {
            "" => format!("status {status} {reason}"),
            kind => format!("{kind}: {reason}"),
        };
        match (status, kind) {
            (400, "resource_already_exists_exception") => Failure::Exists,
            (_, "cluster_block_exception") if reason.contains("read-only") || status == 429 => {
                self.unavailable(&format!("lets nobody write: is its disk full? ({told})"))
            }
            (404, _) => Failure::Gone(told),
            (401, _) => self.unavailable(&format!("does not accept the credentials ({told})")),
            (403, _) => self.unavailable(&format!("does not allow this ({told})")),
            (413, _) => Failure::Other(Error::Other(format!(
                "elasticsearch at {} takes no request of this size: its `http.max_content_length`, or the limit of a \
                 proxy before it, is too low ({told})",
                self.shown
            ))),
            (429, _) => self.unavailable(&format!("has too much to do ({told})")),
            (408 | 502..=504, _) => {
                Failure::Shardless(self.told(&format!("has no shard that answers ({told})")))
            }
            _ => Failure::Other(Error::Other(format!("elasticsearch answered {status}: {told}"))),
        }
    }

    pub(super) fn unavailable(&self, what: &str) -> Failure {
        Failure::Other(self.told(what))
    }

    fn told(&self, what: &str) -> Error {
        Error::Unavailable(format!("elasticsearch at {} {what}", self.shown))
    }
}

/// The error and what is behind it, which alone says "connection refused".
fn chain(error: &elasticsearch::Error) -> String {
    let mut told = error.to_string();
    let mut behind = std::error::Error::source(error);
    while let Some(cause) = behind {
        let more = cause.to_string();
        if !told.contains(&more) {
            told = format!("{told}: {more}");
        }
        behind = cause.source();
    }
    told
}

/// What `%` escapes of the user part of a URL mean.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}
