//! Others are asked and told over HTTP, in the form that nginx-rtmp's `on_publish`, `on_publish_done` and `on_play` have,
//! so that what was written for those goes on working.
//!
//! ```text
//!  on_publish, on_play    asked: 2xx allows, 3xx names another channel (publish), all else and silence refuse
//!  on_publish_done        told: in the background, again until somebody has taken it
//! ```
//!
//! Each call is a POST of a form. With a secret it carries `X-Marquee-Signature: t=<unix seconds>,v1=<hex>`, the HMAC-SHA256
//! (RFC 2104) of `<unix seconds>.<body>`.

mod call;
mod post;
mod sign;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use marquee_config::Secret;
use marquee_proto::name::LiveStreamName;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::call::Form;
use self::post::{Answer, Client};
use crate::error::{Error, Result};

/// Where webhooks are sent. None by default.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// Asked before an encoder publishes.
    pub on_publish: Option<Uri>,
    /// Told when one has stopped.
    pub on_publish_done: Option<Uri>,
    /// Asked before somebody watches.
    pub on_play: Option<Uri>,
    /// What calls are signed with.
    pub secret: Option<Secret>,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            on_publish: None,
            on_publish_done: None,
            on_play: None,
            secret: None,
            timeout: Duration::from_secs(5),
        }
    }
}

/// Asked at the same time.
const AT_ONCE: usize = 64;
/// Told later; what comes when so many wait is not told.
const WAITING: usize = 1_000;
/// How often somebody is told until he takes it.
const TRIES: u32 = 6;
/// After the first try; twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(500);

/// Somebody wants to publish.
#[derive(Debug, Clone)]
pub(crate) struct PublishCall {
    pub(crate) address: IpAddr,
    pub(crate) app: String,
    pub(crate) tc_url: String,
    pub(crate) flash_version: String,
    /// The channel's id when the key is one of ours, since a key is nobody's business; else what the encoder sent.
    pub(crate) name: String,
    /// Resource name of our key; empty when it is none of ours.
    pub(crate) stream_key: String,
    /// What stood behind a `?` of the name.
    pub(crate) arguments: String,
}

/// Somebody wants to watch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlayCall<'a> {
    pub(crate) stream: &'a LiveStreamName,
    pub(crate) address: IpAddr,
    /// Resource name, or empty.
    pub(crate) account: &'a str,
    /// Resource name of the session, or empty.
    pub(crate) session: &'a str,
}

/// What was said to an encoder that wants to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Allowed,
    /// To another channel: its id.
    Renamed(String),
    Refused,
}

/// Asks and tells. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Webhooks {
    shared: Arc<Shared>,
}

struct Shared {
    config: WebhookConfig,
    client: Client,
    places: Semaphore,
    later: mpsc::Sender<Form>,
    /// Taken by whoever runs.
    queue: Mutex<Option<mpsc::Receiver<Form>>>,
}

impl Webhooks {
    pub(crate) fn new(config: WebhookConfig) -> Self {
        let (later, queue) = mpsc::channel(WAITING);
        Self {
            shared: Arc::new(Shared {
                client: Client::new(config.secret.clone()),
                config,
                places: Semaphore::new(AT_ONCE),
                later,
                queue: Mutex::new(Some(queue)),
            }),
        }
    }

    /// Whether somebody decides who publishes.
    pub(crate) fn decides_publish(&self) -> bool {
        self.shared.config.on_publish.is_some()
    }

    /// Asks whether an encoder may publish.
    pub(crate) async fn publish(&self, call: &PublishCall) -> Decision {
        let Some(uri) = &self.shared.config.on_publish else {
            return Decision::Allowed;
        };
        let answer = self.ask(uri, &Form::publish("publish", call)).await;
        count("publish", &answer);
        match answer {
            Answer::Taken => Decision::Allowed,
            Answer::Moved(location) => call::renamed(&location).map_or_else(
                || {
                    tracing::warn!(location, "a webhook names no channel");
                    Decision::Refused
                },
                Decision::Renamed,
            ),
            Answer::Refused(_) | Answer::Silent(_) => Decision::Refused,
        }
    }

    /// Tells that an encoder publishes no more.
    pub(crate) fn publish_done(&self, call: &PublishCall) {
        if self.shared.config.on_publish_done.is_none() {
            return;
        }
        if self
            .shared
            .later
            .try_send(Form::publish("publish_done", call))
            .is_err()
        {
            tracing::warn!("too many webhooks wait: one is not sent");
            metrics::counter!("video_ingest_webhooks_total", "call" => "publish_done", "answer" => "dropped")
                .increment(1);
        }
    }

    /// Asks whether somebody may watch.
    pub(crate) async fn play(&self, call: &PlayCall<'_>) -> Result<()> {
        let Some(uri) = &self.shared.config.on_play else {
            return Ok(());
        };
        let answer = self.ask(uri, &Form::play(call)).await;
        count("play", &answer);
        match answer {
            Answer::Taken => Ok(()),
            Answer::Moved(_) | Answer::Refused(_) => Err(Error::WebhookRefused),
            Answer::Silent(_) => Err(Error::WebhookSilent),
        }
    }

    /// One try within the time that an answer may take, waiting for a place included.
    async fn ask(&self, uri: &Uri, form: &Form) -> Answer {
        let asked = async {
            match self.shared.places.acquire().await {
                Ok(_place) => self.shared.client.post(uri, form).await,
                Err(closed) => Answer::Silent(closed.to_string()),
            }
        };
        let answer = timeout(self.shared.config.timeout, asked)
            .await
            .unwrap_or_else(|_| Answer::Silent("it did not answer in time".to_owned()));
        if let Answer::Silent(error) = &answer {
            tracing::warn!(%uri, error, "a webhook does not answer");
        }
        answer
    }

    /// Tells what waits, one after the other, until the service stops.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let Some(mut queue) = self.shared.queue.lock().take() else {
            return;
        };
        loop {
            let form = tokio::select! {
                form = queue.recv() => form,
                () = shutdown.cancelled() => break,
            };
            let Some(form) = form else { break };
            if shutdown.run_until_cancelled(self.tell(&form)).await.is_none() {
                break;
            }
        }
        // What happened while the service stopped is told once.
        while let Ok(form) = queue.try_recv() {
            if let Some(uri) = &self.shared.config.on_publish_done {
                self.ask(uri, &form).await;
            }
        }
    }

    async fn tell(&self, form: &Form) {
        let Some(uri) = &self.shared.config.on_publish_done else {
            return;
        };
        for attempt in 0..TRIES {
            let answer = self.ask(uri, form).await;
            count("publish_done", &answer);
            match answer {
                Answer::Taken => return,
                // Whoever does not want it will not want it later.
                Answer::Moved(_) => return,
                Answer::Refused(status) if (400..500).contains(&status) && status != 429 => return,
                Answer::Refused(_) | Answer::Silent(_) => sleep(PAUSE * 2_u32.pow(attempt)).await,
            }
        }
        tracing::warn!(%uri, tries = TRIES, "nobody took a webhook");
    }
}

fn count(call: &'static str, answer: &Answer) {
    let answer = match answer {
        Answer::Taken => "taken",
        Answer::Moved(_) => "moved",
        Answer::Refused(_) => "refused",
        Answer::Silent(_) => "silent",
    };
    metrics::counter!("video_ingest_webhooks_total", "call" => call, "answer" => answer).increment(1);
}
