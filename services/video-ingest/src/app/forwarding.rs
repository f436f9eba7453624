//! Where a channel's streams are forwarded to: create, get, list, update, delete.

use jiff::Timestamp;
use marquee_auth::Principal;
use marquee_documents::{Etag, Query, RequestKey, Store, Transaction};
use marquee_error::{Violations, invalid};
use marquee_proto::name::{ForwardingTargetName, LiveStreamName, StreamKeyName, new_id};
use marquee_proto::video_ingest::v1 as proto;

use super::{Owners, PageRequest, channel, gather};
use crate::domain::{ForwardingStatus, ForwardingTarget, LiveStream, State, StreamKey, TargetUrl};
use crate::error::{Error, Result};
use crate::forwarding::{CHANGES, Keeper};
use crate::wire;

const DISPLAY_NAME_MAX: usize = 100;

/// Use cases of forwarding.
#[derive(Clone)]
pub(crate) struct Forwarding {
    pub(crate) store: Store,
    pub(crate) owners: Owners,
    pub(crate) keeper: Keeper,
}

/// The fields that an update may change.
const FIELDS: [&str; 4] = ["display_name", "url", "stream_key", "disabled"];

impl Forwarding {
    /// Adds a target.
    pub(crate) async fn create(
        &self,
        principal: &Principal,
        request: proto::CreateForwardingTargetRequest,
    ) -> Result<proto::CreateForwardingTargetResponse> {
        let mut violations = Violations::default();
        let parent = gather(&mut violations, channel(&request.parent))?;
        let asked = request.forwarding_target.clone().unwrap_or_default();
        let display_name = display_name(&asked.display_name, &mut violations);
        let url = self.url(&asked.url, &mut violations);
        let key = stream_key(&asked.stream_key, &mut violations);
        let is_uuid = request.request_id.is_empty() || uuid::Uuid::parse_str(&request.request_id).is_ok();
        violations.check(is_uuid, "request_id", || "must be a UUID".to_owned());
        violations.finish()?;
        // Without a violation there are both.
        let (Some(channel), Some(url)) = (parent, url) else {
            return Err(invalid("forwarding_target", "is required").into());
        };
        self.owners.require(principal, &channel).await?;
        self.require_key(key.as_ref(), &channel.channel).await?;
        let target = ForwardingTarget {
            id: new_id(),
            channel: channel.channel.clone(),
            display_name,
            url,
            stream_key: key.map(|key| key.to_string()).unwrap_or_default(),
            disabled: asked.disabled,
            create_time: Timestamp::now(),
        };
        let response = proto::CreateForwardingTargetResponse {
            forwarding_target: Some(wire::forwarding_target(&target, None)),
        };
        let replay = RequestKey::new(
            &principal.id(),
            "CreateForwardingTarget",
            &request.request_id,
            &request,
        );
        if let Some(first) = self.store.replay(&replay).await? {
            return Ok(first);
        }
        let query = Query::by("by_channel").equals(channel.channel.as_str());
        let limit = self.keeper.config().max_targets;
        if self.store.count::<ForwardingTarget>(query).await? >= limit as u64 {
            return Err(Error::ForwardingTargetsFull { limit });
        }
        let transaction = Transaction::new()
            .insert(&target)?
            .increment(CHANGES, 1)
            .remember(replay, &response);
        self.store.commit(transaction).await?;
        self.keeper.changed();
        Ok(response)
    }

    /// One target.
    pub(crate) async fn get(&self, principal: &Principal, name: &str) -> Result<proto::ForwardingTarget> {
        let (target, _) = self.load(principal, "name", name).await?;
        self.view(target).await
    }

    /// The targets of a channel, newest first.
    pub(crate) async fn list(
        &self,
        principal: &Principal,
        parent: &str,
        page: &PageRequest,
    ) -> Result<proto::ListForwardingTargetsResponse> {
        let channel = channel(parent)?;
        self.owners.require(principal, &channel).await?;
        let query = page.apply(
            Query::by("by_channel")
                .equals(channel.channel.as_str())
                .descending(),
        )?;
        let page = self.store.query::<ForwardingTarget>(query).await?;
        let mut targets = Vec::with_capacity(page.items.len());
        for stored in page.items {
            targets.push(self.view((*stored.value).clone()).await?);
        }
        Ok(proto::ListForwardingTargetsResponse {
            forwarding_targets: targets,
            next_page_token: page.next_page_token.unwrap_or_default(),
        })
    }

    /// Changes what the mask names.
    pub(crate) async fn update(
        &self,
        principal: &Principal,
        request: proto::UpdateForwardingTargetRequest,
    ) -> Result<proto::ForwardingTarget> {
        let new = request.forwarding_target.unwrap_or_default();
        let mask = request.update_mask.unwrap_or_default().paths;
        let mut violations = Violations::default();
        violations.check(!mask.is_empty(), "update_mask", || {
            format!("is required: {}", FIELDS.join(", "))
        });
        for path in &mask {
            violations.check(FIELDS.contains(&path.as_str()), "update_mask", || {
                format!("`{path}` can't be changed; {} can", FIELDS.join(", "))
            });
        }
        let has = |field: &str| mask.iter().any(|path| path == field);
        let name = has("display_name").then(|| display_name(&new.display_name, &mut violations));
        let url = has("url").then(|| self.url(&new.url, &mut violations)).flatten();
        let key = has("stream_key").then(|| stream_key(&new.stream_key, &mut violations));
        violations.finish()?;
        let (mut target, etag) = self.load(principal, "forwarding_target.name", &new.name).await?;
        if let Some(name) = name {
            target.display_name = name;
        }
        if let Some(url) = url {
            target.url = url;
        }
        if let Some(key) = key {
            self.require_key(key.as_ref(), &target.channel).await?;
            target.stream_key = key.map(|key| key.to_string()).unwrap_or_default();
        }
        if has("disabled") {
            target.disabled = new.disabled;
        }
        let transaction = Transaction::new().replace(&target, &etag)?.increment(CHANGES, 1);
        self.store.commit(transaction).await?;
        self.keeper.changed();
        self.view(target).await
    }

    /// Removes a target.
    pub(crate) async fn delete(&self, principal: &Principal, name: &str) -> Result<()> {
        let (target, etag) = self.load(principal, "name", name).await?;
        let transaction = Transaction::new()
            .delete::<ForwardingTarget>(&target.id, Some(&etag))
            .increment(CHANGES, 1);
        self.store.commit(transaction).await?;
        self.keeper.changed();
        let status = Transaction::new().delete::<ForwardingStatus>(&target.id, None);
        match self.store.commit(status).await {
            // It was never forwarded to.
            Ok(_) | Err(marquee_documents::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// With what is done for it. A replica that died has left behind what it did last.
    async fn view(&self, target: ForwardingTarget) -> Result<proto::ForwardingTarget> {
        let status = self.store.get::<ForwardingStatus>(&target.id).await?;
        let mut status = status.map(|stored| (*stored.value).clone());
        if let Some(known) = &status {
            let is_over = match known.live_stream.parse::<LiveStreamName>() {
                Ok(name) => {
                    let stream = self.store.get::<LiveStream>(&name.live_stream).await?;
                    stream.is_some_and(|stored| stored.value.state == State::Ended)
                }
                Err(_) => true,
            };
            if is_over {
                status = status.map(|known| ForwardingStatus {
                    state: crate::domain::ForwardingState::Idle,
                    reason: String::new(),
                    failures: 0,
                    ..known
                });
            }
        }
        Ok(wire::forwarding_target(&target, status.as_ref()))
    }

    async fn load(&self, principal: &Principal, field: &str, name: &str) -> Result<(ForwardingTarget, Etag)> {
        let name: ForwardingTargetName = name.parse().map_err(|error| Error::field(field, &error))?;
        self.owners.require(principal, &name.channel()).await?;
        let stored = self
            .store
            .get::<ForwardingTarget>(&name.forwarding_target)
            .await?;
        match stored {
            Some(stored) if stored.value.channel == name.channel => {
                Ok(((*stored.value).clone(), stored.etag))
            }
            _ => Err(Error::not_found("FORWARDING_TARGET_NOT_FOUND", name)),
        }
    }

    fn url(&self, text: &str, violations: &mut Violations) -> Option<TargetUrl> {
        let url = match TargetUrl::new(text) {
            Ok(url) => url,
            Err(error) => {
                violations.push("forwarding_target.url", error);
                return None;
            }
        };
        let is_allowed = url
            .parts()
            .is_ok_and(|parts| self.keeper.addresses().may_allow(&parts.host));
        violations.check(is_allowed, "forwarding_target.url", || {
            "leads to an address that this service does not connect to".to_owned()
        });
        Some(url)
    }

    /// A key of the same channel.
    async fn require_key(&self, key: Option<&StreamKeyName>, channel: &str) -> Result<()> {
        let Some(name) = key else {
            return Ok(());
        };
        let stored = self.store.get::<StreamKey>(&name.stream_key).await?;
        let is_there = stored.is_some_and(|stored| stored.value.channel == channel);
        if is_there && name.channel == channel {
            Ok(())
        } else {
            Err(Error::not_found("STREAM_KEY_NOT_FOUND", name))
        }
    }
}

fn display_name(text: &str, violations: &mut Violations) -> String {
    let text = text.trim();
    violations.check(
        text.chars().count() <= DISPLAY_NAME_MAX && !text.chars().any(char::is_control),
        "forwarding_target.display_name",
        || format!("must have at most {DISPLAY_NAME_MAX} characters, on one line"),
    );
    text.to_owned()
}

/// None for all keys.
fn stream_key(text: &str, violations: &mut Violations) -> Option<StreamKeyName> {
    if text.is_empty() {
        return None;
    }
    match text.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            violations.push("forwarding_target.stream_key", format!("{error}"));
            None
        }
    }
}
