//! Who may publish.

use std::net::IpAddr;

use jiff::Timestamp;
use marquee_proto::name::ChannelName;
use marquee_rtmp::server::Rejection;

use crate::app::{Keys, Owners};
use crate::broadcast::Command;
use crate::domain::{Exceeded, IngestLimits, Scope, StreamKey};
use crate::hub::{Hub, Link};
use crate::playback::Bans;
use crate::plays::Plays;
use crate::publishers::{Publisher, Publishers, Registration};
use crate::webhooks::{Decision, PublishCall, Webhooks};

/// Checks stream keys, asks webhooks, and finds the broadcasts that they open.
#[derive(Clone)]
pub(crate) struct Admission {
    pub(crate) keys: Keys,
    pub(crate) owners: Owners,
    pub(crate) hub: Hub,
    /// Whether streams are recorded whose keys do not say otherwise.
    pub(crate) record: bool,
    pub(crate) bans: std::sync::Arc<Bans>,
    pub(crate) publishers: Publishers,
    pub(crate) webhooks: Webhooks,
    /// Lets players in.
    pub(crate) plays: Plays,
}

/// An encoder that wants to publish.
#[derive(Debug)]
pub(crate) struct Applicant<'a> {
    pub(crate) key: &'a str,
    /// The publishing name as it came, query included.
    pub(crate) name: &'a str,
    pub(crate) app: &'a str,
    pub(crate) address: IpAddr,
    pub(crate) tc_url: &'a str,
    pub(crate) encoder: &'a str,
}

/// An encoder that was let in. Dropping it gives its place back and tells the webhook.
pub(crate) struct Admitted {
    pub(crate) link: Link,
    pub(crate) registration: Registration,
    call: PublishCall,
    webhooks: Webhooks,
}

/// Why an encoder has to go.
pub(crate) enum SentAway {
    /// The broadcast says so, with a reason unless it is over.
    Dismissed(Option<String>),
    /// Somebody says so.
    Kicked(String),
}

impl Admitted {
    /// Completes when the encoder has to go.
    pub(crate) async fn sent_away(&mut self) -> SentAway {
        let Self {
            link, registration, ..
        } = self;
        tokio::select! {
            biased;
            Ok(reason) = &mut registration.kicked, if !registration.is_kicked => {
                registration.is_kicked = true;
                SentAway::Kicked(reason)
            }
            reason = &mut link.dismissed => SentAway::Dismissed(reason.ok()),
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.webhooks.publish_done(&self.call);
    }
}

/// What a key, or a webhook in its place, opens.
struct Opened {
    channel: ChannelName,
    /// None when a webhook let it in.
    key: Option<StreamKey>,
}

/// Longer names of encoders are cut.
const ENCODER_MAX: usize = 200;

/// Why an encoder is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Not [`super::connection`]'s application.
    UnknownApp,
    /// It publishes on this connection already.
    Twice,
    NoKey,
    /// The key is wrong or revoked; which of the two is not said.
    BadKey,
    /// The store does not answer.
    Unchecked,
    /// Its address is banned.
    Banned,
    /// The webhook does not want it, or does not answer.
    Webhook,
    /// It does not keep to a limit.
    Limit(Exceeded),
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
            Self::Banned => Rejection::denied("this address is banned from publishing"),
            Self::Webhook => Rejection::denied("the operator's webhook did not allow it"),
            Self::Limit(exceeded) => Rejection::failed(exceeded.to_string()),
            Self::Twice => Rejection::bad_name("this connection publishes already"),
            Self::Broadcast(reason) => Rejection::bad_name(reason.as_str()),
            Self::UnknownApp | Self::Media => Rejection::failed("this is not offered"),
        }
    }

    /// Counts it.
    pub(crate) fn count(&self) {
        let reason = match self {
            Self::UnknownApp => "unknown_app",
            Self::Twice => "publishes_already",
            Self::NoKey => "no_key",
            Self::BadKey => "bad_key",
            Self::Unchecked => "store",
            Self::Banned => "banned",
            Self::Webhook => "webhook",
            Self::Limit(exceeded) => exceeded.limit(),
            Self::Broadcast(_) => "occupied",
            Self::Media => "media",
        };
        metrics::counter!("video_ingest_publishes_refused_total", "reason" => reason).increment(1);
    }
}

impl Admission {
    /// Lets an encoder into its channel's broadcast, or says why not.
    pub(crate) async fn admit(&self, applicant: &Applicant<'_>) -> Result<Admitted, Refusal> {
        if applicant.key.is_empty() {
            return Err(Refusal::NoKey);
        }
        let (opened, call) = self.open(applicant).await?;
        let now = Timestamp::now();
        let channel = &opened.channel.channel;
        if self
            .bans
            .hit(channel, Scope::Publish, applicant.address, "", now)
            .is_some()
        {
            return Err(Refusal::Banned);
        }
        let id = opened
            .key
            .as_ref()
            .map(|key| key.name().stream_key)
            .unwrap_or_default();
        let record = opened
            .key
            .as_ref()
            .and_then(|key| key.record)
            .unwrap_or(self.record);
        let link = self
            .hub
            .join(&opened.channel, &id, record)
            .await
            .map_err(Refusal::Broadcast)?;
        // A key that was revoked while the encoder waited to be let in found nobody to send away.
        if opened.key.is_some() {
            let refusal = match self.keys.is_good(&id).await {
                Ok(true) => None,
                Ok(false) => Some(Refusal::BadKey),
                Err(error) => Some(unchecked(&error)),
            };
            if let Some(refusal) = refusal {
                let leave = Command::Leave {
                    encoder: link.encoder,
                };
                // The broadcast may be over.
                let _ = link.broadcast.send(leave).await;
                return Err(refusal);
            }
        }
        let publisher = Publisher {
            stream: link.broadcast.name().clone(),
            stream_key: call.stream_key.clone(),
            address: applicant.address,
            encoder: applicant.encoder.chars().take(ENCODER_MAX).collect(),
            connect_time: now,
        };
        let limits = opened.key.map_or_else(IngestLimits::default, |key| key.limits);
        let limits = self.keys.limits.within(limits);
        Ok(Admitted {
            registration: self.publishers.register(link.encoder, publisher, limits),
            link,
            call,
            webhooks: self.webhooks.clone(),
        })
    }

    /// What the key opens, once the webhook has allowed it. A key that is none of ours is the webhook's to judge, which
    /// may name the channel that it opens: so encoders that were set up elsewhere go on with the keys that they have.
    async fn open(&self, applicant: &Applicant<'_>) -> Result<(Opened, PublishCall), Refusal> {
        let known = self.keys.authenticate(applicant.key).await;
        let known = known.map_err(|error| unchecked(&error))?;
        if known.is_none() && !self.webhooks.decides_publish() {
            return Err(Refusal::BadKey);
        }
        let arguments = applicant
            .name
            .split_once('?')
            .map_or("", |(_, arguments)| arguments);
        let call = PublishCall {
            address: applicant.address,
            app: applicant.app.to_owned(),
            tc_url: applicant.tc_url.to_owned(),
            flash_version: applicant.encoder.to_owned(),
            name: known
                .as_ref()
                .map_or_else(|| applicant.key.to_owned(), |key| key.channel.clone()),
            stream_key: known
                .as_ref()
                .map(|key| key.name().to_string())
                .unwrap_or_default(),
            // A key of ours may be among them, and is nobody's business.
            arguments: if known.is_some() && arguments.contains(applicant.key) {
                String::new()
            } else {
                arguments.to_owned()
            },
        };
        let channel = match (self.webhooks.publish(&call).await, &known) {
            (Decision::Refused, _) => return Err(Refusal::Webhook),
            (Decision::Renamed(channel), _) => self.channel(&channel).await?,
            (Decision::Allowed, Some(key)) => key.name().channel(),
            // It says nothing about where to.
            (Decision::Allowed, None) => return Err(Refusal::BadKey),
        };
        // A key of another channel says nothing about this one.
        let key = known.filter(|key| key.channel == channel.channel);
        Ok((Opened { channel, key }, call))
    }

    /// The channel that a webhook names.
    async fn channel(&self, id: &str) -> Result<ChannelName, Refusal> {
        let channel = ChannelName::new(id).map_err(|_| Refusal::Webhook)?;
        match self.owners.exists(&channel).await {
            Ok(true) => Ok(channel),
            Ok(false) => {
                tracing::warn!(%channel, "a webhook names a channel that does not exist");
                Err(Refusal::Webhook)
            }
            Err(error) => Err(unchecked(&error)),
        }
    }
}

fn unchecked(error: &crate::error::Error) -> Refusal {
    tracing::error!(%error, "a stream key cannot be checked");
    Refusal::Unchecked
}
