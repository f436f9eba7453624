//! Stream keys: create, list, rotate, revoke, and the check that an encoder goes through.

use std::time::Duration;

use jiff::Timestamp;
use marquee_auth::Principal;
use marquee_documents::{Etag, Query, RequestKey, Store, Stored, Transaction};
use marquee_error::{Violations, invalid};
use marquee_proto::name::{ChannelName, StreamKeyName};
use marquee_proto::video_ingest::v1 as proto;

use super::{Owners, PageRequest, channel, gather};
use crate::domain::{IngestLimits, Secret, StreamKey};
use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::publishers::Publishers;
use crate::wire;

/// `last_used_time` is not stored more often than this.
const LAST_USED_STEP: Duration = Duration::from_secs(10);

/// A change of a key is tried again so often when somebody else changed it at the same time.
const CHANGE_TRIES: usize = 5;

/// Use cases of stream keys.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) store: Store,
    pub(crate) owners: Owners,
    pub(crate) hub: Hub,
    pub(crate) publishers: Publishers,
    /// The service's own.
    pub(crate) limits: IngestLimits,
    /// The encoder's "server".
    pub(crate) publish_url: String,
}

impl Keys {
    /// Creates a key. A replay of the same request returns the key without its secret.
    pub(crate) async fn create(
        &self,
        principal: &Principal,
        request: proto::CreateStreamKeyRequest,
    ) -> Result<proto::CreateStreamKeyResponse> {
        let (channel, key, secret) = validate(&request)?;
        self.owners.require(principal, &channel).await?;
        let response = proto::CreateStreamKeyResponse {
            stream_key: Some(wire::stream_key(&key)),
            secret: String::new(),
            publish_url: self.publish_url.clone(),
        };
        let mut transaction = Transaction::new().insert(&key)?;
        if !request.request_id.is_empty() {
            let replay = RequestKey::new(&principal.id(), "CreateStreamKey", &request.request_id, &request);
            if let Some(first) = self.store.replay(&replay).await? {
                return Ok(first);
            }
            // The secret is shown once, so that what is remembered does not hold it.
            transaction = transaction.remember(replay, &response);
        }
        self.store.commit(transaction).await?;
        Ok(proto::CreateStreamKeyResponse {
            secret: secret.expose().to_owned(),
            ..response
        })
    }

    /// The keys of a channel, newest first.
    pub(crate) async fn list(
        &self,
        principal: &Principal,
        parent: &str,
        page: &PageRequest,
    ) -> Result<proto::ListStreamKeysResponse> {
        let channel = channel(parent)?;
        self.owners.require(principal, &channel).await?;
        let query = page.apply(
            Query::by("by_channel")
                .equals(channel.channel.as_str())
                .descending(),
        )?;
        let page = self.store.query::<StreamKey>(query).await?;
        Ok(proto::ListStreamKeysResponse {
            stream_keys: page
                .items
                .iter()
                .map(|stored| wire::stream_key(&stored.value))
                .collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        })
    }

    /// Changes what a key is called and what may be sent with it; a publisher that is connected is held to it at once.
    pub(crate) async fn update(
        &self,
        principal: &Principal,
        request: proto::UpdateStreamKeyRequest,
    ) -> Result<proto::UpdateStreamKeyResponse> {
        let new = request.stream_key.unwrap_or_default();
        let mut violations = Violations::default();
        let mask = request.update_mask.unwrap_or_default().paths;
        for path in &mask {
            violations.check(
                matches!(path.as_str(), "display_name" | "limits" | "recording"),
                "update_mask",
                || format!("`{path}` can't be changed; display_name, limits and recording can"),
            );
        }
        let has = |field: &str| mask.is_empty() || mask.iter().any(|path| path == field);
        if has("display_name") {
            StreamKey::check(&new.display_name, &mut violations);
        }
        let limits = new.limits.unwrap_or_default();
        let limits = has("limits").then(|| wire::read_ingest_limits(&limits, &mut violations));
        let record = gather(&mut violations, wire::record(new.recording))?;
        let record = record.filter(|_| has("recording"));
        let (rename, display_name) = (has("display_name"), new.display_name.trim().to_owned());
        violations.finish()?;
        let (key, ()) = self
            .change(principal, &new.name, |key| {
                if rename {
                    key.display_name.clone_from(&display_name);
                }
                if let Some(limits) = limits {
                    key.limits = limits;
                }
                if let Some(record) = record {
                    key.record = record;
                }
                Ok(())
            })
            .await?;
        self.publishers
            .limit(&key.name().to_string(), self.limits.within(key.limits));
        Ok(proto::UpdateStreamKeyResponse {
            stream_key: Some(wire::stream_key(&key)),
        })
    }

    /// Gives a key another secret.
    pub(crate) async fn rotate(
        &self,
        principal: &Principal,
        name: &str,
    ) -> Result<proto::RotateStreamKeyResponse> {
        let (key, secret) = self
            .change(principal, name, |key| {
                if key.revoked {
                    let name = key.name().to_string();
                    return Err(Error::KeyRevoked { name });
                }
                Ok(key.rotate())
            })
            .await?;
        Ok(proto::RotateStreamKeyResponse {
            stream_key: Some(wire::stream_key(&key)),
            secret: secret.expose().to_owned(),
        })
    }

    /// Makes a key worthless and sends away whoever publishes with it.
    pub(crate) async fn revoke(
        &self,
        principal: &Principal,
        name: &str,
    ) -> Result<proto::RevokeStreamKeyResponse> {
        let (key, ()) = self
            .change(principal, name, |key| {
                key.revoked = true;
                Ok(())
            })
            .await?;
        let name = key.name();
        self.hub
            .dismiss(&name.channel, &name.stream_key, "the stream key was revoked")
            .await;
        Ok(proto::RevokeStreamKeyResponse {
            stream_key: Some(wire::stream_key(&key)),
        })
    }

    /// Loads, changes and stores a key of the caller's. That an encoder used it meanwhile is no reason to fail.
    async fn change<T>(
        &self,
        principal: &Principal,
        name: &str,
        change: impl Fn(&mut StreamKey) -> Result<T>,
    ) -> Result<(StreamKey, T)> {
        let mut tries = CHANGE_TRIES;
        loop {
            let (mut key, etag) = self.load(principal, name).await?;
            let before = key.clone();
            let changed = change(&mut key)?;
            if key == before {
                return Ok((key, changed));
            }
            tries -= 1;
            match self.store.commit(Transaction::new().replace(&key, &etag)?).await {
                Ok(_) => return Ok((key, changed)),
                Err(marquee_documents::Error::Conflict) if tries > 0 => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether the key with this id can be published with.
    pub(crate) async fn is_good(&self, id: &str) -> Result<bool> {
        let stored = self.store.get::<StreamKey>(id).await?;
        Ok(stored.is_some_and(|stored| !stored.value.revoked))
    }

    /// The key that a secret opens; none for a wrong or revoked one.
    pub(crate) async fn authenticate(&self, secret: &str) -> Result<Option<StreamKey>> {
        let hash = Secret::from_encoder(secret).hash();
        let query = Query::by("by_secret").equals(hash).limit(1);
        let found = self
            .store
            .query::<StreamKey>(query)
            .await?
            .items
            .into_iter()
            .next();
        let Some(stored) = found.filter(|stored| !stored.value.revoked) else {
            return Ok(None);
        };
        self.note_use(&stored).await;
        Ok(Some((*stored.value).clone()))
    }

    /// Only informs the owner: a store that does not take it is no reason to refuse an encoder.
    async fn note_use(&self, stored: &Stored<StreamKey>) {
        let now = Timestamp::now();
        let recent = |last: Timestamp| now.duration_since(last).unsigned_abs() < LAST_USED_STEP;
        if stored.value.last_used_time.is_some_and(recent) {
            return;
        }
        let mut key = (*stored.value).clone();
        key.last_used_time = Some(now);
        let Ok(transaction) = Transaction::new().replace(&key, &stored.etag) else {
            return;
        };
        if let Err(error) = self.store.commit(transaction).await {
            tracing::debug!(%error, key = %key.name(), "the key's last use is not stored");
        }
    }

    async fn load(&self, principal: &Principal, name: &str) -> Result<(StreamKey, Etag)> {
        let name: StreamKeyName = name.parse().map_err(|error| Error::field("name", &error))?;
        self.owners.require(principal, &name.channel()).await?;
        let stored = self.store.get::<StreamKey>(&name.stream_key).await?;
        match stored {
            Some(stored) if stored.value.channel == name.channel => {
                Ok(((*stored.value).clone(), stored.etag))
            }
            _ => Err(Error::not_found("STREAM_KEY_NOT_FOUND", name)),
        }
    }
}

/// Checks all fields of a request, and makes the key that it asks for.
fn validate(request: &proto::CreateStreamKeyRequest) -> Result<(ChannelName, StreamKey, Secret)> {
    let mut violations = Violations::default();
    let parent = gather(&mut violations, channel(&request.parent))?;
    let display_name = request
        .stream_key
        .as_ref()
        .map(|key| key.display_name.as_str())
        .unwrap_or_default();
    let is_uuid = request.request_id.is_empty() || uuid::Uuid::parse_str(&request.request_id).is_ok();
    StreamKey::check(display_name, &mut violations);
    let limits = request.stream_key.as_ref().and_then(|key| key.limits.as_ref());
    let limits = limits.map(|limits| wire::read_ingest_limits(limits, &mut violations));
    let policy = request.stream_key.as_ref().map_or(0, |key| key.recording);
    let record = gather(&mut violations, wire::record(policy))?.flatten();
    violations.check(is_uuid, "request_id", || "must be a UUID".to_owned());
    violations.finish()?;
    // Without a violation there is a parent.
    let channel = parent.ok_or_else(|| invalid("parent", "is required"))?;
    let (mut key, secret) = StreamKey::create(&channel, display_name, Timestamp::now())?;
    key.limits = limits.unwrap_or_default();
    key.record = record;
    Ok((channel, key, secret))
}
