//! Who may publish.

use marquee_rtmp::server::Rejection;

use crate::app::Keys;
use crate::broadcast::Command;
use crate::hub::{Hub, Link};

/// Checks stream keys and finds the broadcasts that they open.
#[derive(Clone)]
pub(crate) struct Admission {
    pub(crate) keys: Keys,
    pub(crate) hub: Hub,
    /// Whether streams are recorded whose keys do not say otherwise.
    pub(crate) record: bool,
}

/// Why an encoder is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Not [`super::connection`]'s application.
    UnknownApp,
    /// It wants to play.
    Play,
    /// It publishes on this connection already.
    Twice,
    NoKey,
    /// The key is wrong or revoked; which of the two is not said.
    BadKey,
    /// The store does not answer.
    Unchecked,
    /// The broadcast says why.
    Broadcast(String),
    /// What it sends cannot be packaged.
    Media,
}

impl Refusal {
    /// What the encoder shows.
    pub(crate) fn rejection(&self) -> Rejection {
        match self {
            Self::NoKey => {
                Rejection::denied("there is no stream key; set it in the encoder beside the server's address")
            }
            Self::BadKey => {
                Rejection::denied("the stream key is not known or revoked; create one in the studio")
            }
            Self::Unchecked => Rejection::failed("the stream key cannot be checked now; try again"),
            Self::Twice => Rejection::bad_name("this connection publishes already"),
            Self::Broadcast(reason) => Rejection::bad_name(reason.as_str()),
            Self::UnknownApp | Self::Play | Self::Media => Rejection::failed("this is not offered"),
        }
    }

    /// Counts it.
    pub(crate) fn count(&self) {
        let reason = match self {
            Self::UnknownApp => "unknown_app",
            Self::Play => "play",
            Self::Twice => "publishes_already",
            Self::NoKey => "no_key",
            Self::BadKey => "bad_key",
            Self::Unchecked => "store",
            Self::Broadcast(_) => "occupied",
            Self::Media => "media",
        };
        metrics::counter!("video_ingest_publishes_refused_total", "reason" => reason).increment(1);
    }
}

impl Admission {
    /// Lets an encoder with this key into its channel's broadcast, or says why not.
    pub(crate) async fn admit(&self, key: &str) -> Result<Link, Refusal> {
        if key.is_empty() {
            return Err(Refusal::NoKey);
        }
        let unchecked = |error| {
            tracing::error!(%error, "a stream key cannot be checked");
            Refusal::Unchecked
        };
        let known = self.keys.authenticate(key).await.map_err(unchecked)?;
        let (channel, id, record) = known.ok_or(Refusal::BadKey)?;
        let record = record.unwrap_or(self.record);
        let link = self.hub.join(&channel, &id, record).await.map_err(Refusal::Broadcast)?;
        // A key that was revoked while the encoder waited to be let in found nobody to send away.
        let refusal = match self.keys.is_good(&id).await {
            Ok(true) => return Ok(link),
            Ok(false) => Refusal::BadKey,
            Err(error) => unchecked(error),
        };
        let leave = Command::Leave {
            encoder: link.encoder,
        };
        // The broadcast may be over.
        let _ = link.broadcast.send(leave).await;
        Err(refusal)
    }
}
