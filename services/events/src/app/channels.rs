//! Channels: create, get, list, change.

use marquee_auth::Principal;
use marquee_documents::{Error as StoreError, Page, RequestKey, Stored, Transaction};
use marquee_error::Violations;
use marquee_proto::events::v1 as proto;
use marquee_proto::name::{ChannelName, new_id};

use super::{ATTEMPTS, App, require_owner};
use crate::domain::channel::{Channel, Handle, ProfileDraft, ProfileField};
use crate::domain::version::Version;
use crate::error::{Error, Result};
use crate::wire;

/// A channel to create.
pub(crate) struct NewChannel {
    pub(crate) draft: ProfileDraft,
    /// What tells a replay of the request.
    pub(crate) key: RequestKey,
    /// What is wrong with the request already.
    pub(crate) violations: Violations,
}

/// A change of a channel.
pub(crate) struct ChannelUpdate {
    pub(crate) name: ChannelName,
    pub(crate) draft: ProfileDraft,
    pub(crate) fields: Vec<ProfileField>,
    /// Empty when the caller does not mind what was changed meanwhile.
    pub(crate) etag: String,
}

impl App {
    pub(crate) async fn create_channel(
        &self,
        caller: &Principal,
        new: NewChannel,
    ) -> Result<proto::CreateChannelResponse> {
        let NewChannel {
            draft,
            key,
            mut violations,
        } = new;
        let profile = draft.check(&mut violations);
        violations.finish()?;
        let owner = caller.signed_in()?.to_string();
        if let Some(first) = self.store.documents.replay(&key).await? {
            return Ok(first);
        }
        let Some(profile) = profile else {
            return Err(marquee_error::invalid("channel", "is required").into());
        };
        let now = self.clock.now();
        let channel = Channel {
            name: format!("channels/{}", new_id()),
            owner,
            profile,
            create_time: now,
            version: Version::first(now),
        };
        let response = proto::CreateChannelResponse {
            channel: Some(wire::channel(&channel)),
        };
        let transaction = Transaction::new()
            .insert(&channel)?
            .publish(marquee_bus::event(
                &channel.name,
                &wire::channel_created(&channel),
            ))
            .remember(key.clone(), &response);
        match self.store.documents.commit(transaction).await {
            Ok(_) => Ok(response),
            Err(error) => match self.store.documents.replay(&key).await? {
                // The same request came twice at the same time, and the other one was first.
                Some(first) => Ok(first),
                None => Err(taken(error, &channel.profile.handle)),
            },
        }
    }

    pub(crate) async fn get_channel(&self, name: &str) -> Result<Stored<Channel>> {
        if let Some(handle) = name.strip_prefix("channels/@") {
            let handle = Handle::parse(handle).ok_or_else(|| {
                marquee_error::invalid(
                    "name",
                    format!("after `channels/@` comes a handle, which {}", Handle::RULE),
                )
            })?;
            let channel = self.store.channel_by_handle(&handle).await?;
            return channel.ok_or_else(|| Error::ChannelNotFound(name.to_owned()));
        }
        let parsed: ChannelName = name
            .parse()
            .map_err(|error| marquee_error::invalid("name", format!("{error}")))?;
        self.channel(&parsed.to_string()).await
    }

    /// Newest first.
    pub(crate) async fn list_channels(
        &self,
        owner: Option<&str>,
        size: usize,
        token: &str,
    ) -> Result<Page<Channel>> {
        self.store.channels(owner, size, token).await
    }

    pub(crate) async fn update_channel(&self, caller: &Principal, update: ChannelUpdate) -> Result<Channel> {
        let name = update.name.to_string();
        for _ in 0..ATTEMPTS {
            let stored = self.channel(&name).await?;
            require_owner(caller, &stored.value)?;
            if !update.etag.is_empty() && update.etag != stored.value.version.etag() {
                return Err(Error::EtagMismatch(name));
            }
            let profile = update.draft.over(&stored.value.profile, &update.fields)?;
            if profile == stored.value.profile {
                return Ok((*stored.value).clone());
            }
            let mut channel = (*stored.value).clone();
            channel.update(profile, self.clock.now());
            let transaction = Transaction::new()
                .replace(&channel, &stored.etag)?
                .publish(marquee_bus::event(&name, &wire::channel_updated(&channel)));
            match self.store.documents.commit(transaction).await {
                Ok(_) => return Ok(channel),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(taken(error, &channel.profile.handle)),
            }
        }
        Err(Error::Contended(name))
    }
}

fn taken(error: StoreError, handle: &Handle) -> Error {
    match error {
        StoreError::AlreadyExists { .. } => Error::HandleTaken(handle.to_string()),
        error => error.into(),
    }
}
