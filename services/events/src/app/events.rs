//! Live events: schedule, get, list, change, cancel.

use marquee_auth::Principal;
use marquee_documents::{Error as StoreError, Etag, RequestKey, Stored, Transaction};
use marquee_error::{Invalid, Violations};
use marquee_proto::events::v1 as proto;
use marquee_proto::name::{ChannelName, EventName, new_id};

use super::{ATTEMPTS, App, require_owner};
use crate::domain::channel::Channel;
use crate::domain::draft::{Draft, Field};
use crate::domain::event::{Change, LiveEvent, WrongState};
use crate::domain::filter::Filter;
use crate::domain::list::{Order, Viewer, fingerprint, seal, unseal};
use crate::error::{Error, EventState, Result};
use crate::store::EventList;
use crate::wire;

/// An event to schedule.
pub(crate) struct NewEvent {
    /// `None` when its name is among the violations.
    pub(crate) channel: Option<ChannelName>,
    pub(crate) draft: Draft,
    /// What tells a replay of the request.
    pub(crate) key: RequestKey,
    /// What is wrong with the request already.
    pub(crate) violations: Violations,
}

/// A change of an event.
pub(crate) struct EventUpdate {
    pub(crate) name: EventName,
    pub(crate) draft: Draft,
    pub(crate) fields: Vec<Field>,
    /// Empty when the caller does not mind what was changed meanwhile.
    pub(crate) etag: String,
}

/// A list of events as it was asked for.
pub(crate) struct ListEvents {
    /// `None` for all channels.
    pub(crate) channel: Option<ChannelName>,
    pub(crate) filter: String,
    pub(crate) order_by: String,
    pub(crate) size: usize,
    pub(crate) token: String,
    /// What is wrong with the request already.
    pub(crate) violations: Violations,
}

impl App {
    pub(crate) async fn create_event(
        &self,
        caller: &Principal,
        new: NewEvent,
    ) -> Result<proto::CreateEventResponse> {
        let NewEvent {
            channel,
            draft,
            key,
            mut violations,
        } = new;
        let details = draft.check(&mut violations);
        violations.finish()?;
        let (Some(channel), Some(details)) = (channel, details) else {
            return Err(marquee_error::invalid("event", "is required").into());
        };
        let channel = self.channel(&channel.to_string()).await?.value;
        require_owner(caller, &channel)?;
        if let Some(first) = self.store.documents.replay(&key).await? {
            return Ok(first);
        }
        let now = self.clock.now();
        let name = format!("{}/events/{}", channel.name, new_id());
        let event = LiveEvent::scheduled(name, channel.name.clone(), channel.owner.clone(), details, now);
        let response = proto::CreateEventResponse {
            event: Some(wire::event(&event, now)),
        };
        let transaction = Transaction::new()
            .insert(&event)?
            .publish(self.changed(Change::Scheduled, &event, &channel))
            .remember(key.clone(), &response);
        match self.store.documents.commit(transaction).await {
            Ok(_) => Ok(response),
            Err(error) => match self.store.documents.replay(&key).await? {
                // The same request came twice at the same time, and the other one was first.
                Some(first) => Ok(first),
                None => Err(error.into()),
            },
        }
    }

    pub(crate) async fn get_event(&self, name: &str) -> Result<Stored<LiveEvent>> {
        let event = self.store.event(name).await?;
        event.ok_or_else(|| Error::EventNotFound(name.to_owned()))
    }

    /// One page and the token of the next.
    pub(crate) async fn list_events(
        &self,
        caller: &Principal,
        list: ListEvents,
    ) -> Result<(Vec<Stored<LiveEvent>>, String)> {
        let ListEvents {
            channel,
            filter,
            order_by,
            size,
            token,
            mut violations,
        } = list;
        let channel = channel.map(|name| name.to_string());
        let viewer = match caller.account() {
            _ if caller.is_admin() => Viewer::Admin,
            Some(account) => Viewer::Account(account.to_string()),
            None => Viewer::Anonymous,
        };
        let parsed = Filter::parse(&filter);
        if let Err(error) = &parsed {
            violations.push("filter", error.to_string());
        }
        let order = Order::parse(&order_by);
        violations.check(order.is_some(), "order_by", || Order::ALLOWED.to_owned());
        let bound_to = fingerprint(&[channel.as_deref().unwrap_or("-"), &filter, &order_by]);
        let store_token = match token.as_str() {
            "" => None,
            token => {
                let unsealed = unseal(bound_to, token);
                violations.check(unsealed.is_some(), "page_token", foreign_token);
                unsealed
            }
        };
        violations.finish()?;
        let (Ok(filter), Some(order)) = (parsed, order) else {
            return Err(marquee_error::invalid("filter", "is not understood").into());
        };
        if let Some(channel) = &channel {
            self.channel(channel).await?;
        }
        let list = EventList {
            channel: channel.as_deref(),
            filter: &filter,
            order,
            viewer: &viewer,
        };
        let (events, next) =
            self.store
                .events(&list, size, store_token)
                .await
                .map_err(|error| match error {
                    Error::Store(StoreError::InvalidPageToken) => invalid_token().into(),
                    error => error,
                })?;
        Ok((events, next.map(|next| seal(bound_to, &next)).unwrap_or_default()))
    }

    pub(crate) async fn update_event(&self, caller: &Principal, update: EventUpdate) -> Result<LiveEvent> {
        let name = update.name.to_string();
        let channel = self.channel(&update.name.channel().to_string()).await?.value;
        require_owner(caller, &channel)?;
        self.change(&name, &channel, &update.etag, |event| {
            let details = update.draft.over(&event.details, &update.fields)?;
            if details == event.details {
                return Ok(None);
            }
            let updated = event.update(details, self.clock.now());
            updated.map_err(|WrongState(state)| Error::EventOver {
                name: name.clone(),
                state: EventState(state),
            })?;
            Ok(Some(Change::Updated))
        })
        .await
    }

    pub(crate) async fn cancel_event(
        &self,
        caller: &Principal,
        name: &EventName,
        etag: &str,
    ) -> Result<LiveEvent> {
        let channel = self.channel(&name.channel().to_string()).await?.value;
        require_owner(caller, &channel)?;
        let name = name.to_string();
        self.change(&name, &channel, etag, |event| {
            let cancelled = event.cancel(self.clock.now());
            cancelled.map_err(|WrongState(state)| Error::EventNotScheduled {
                name: name.clone(),
                state: EventState(state),
            })?;
            Ok(Some(Change::Cancelled))
        })
        .await
    }

    /// Applies `apply` to the event and commits what it says has changed; again when others were faster.
    pub(super) async fn change(
        &self,
        name: &str,
        channel: &Channel,
        etag: &str,
        apply: impl Fn(&mut LiveEvent) -> Result<Option<Change>>,
    ) -> Result<LiveEvent> {
        for _ in 0..ATTEMPTS {
            let stored = self.get_event(name).await?;
            if !etag.is_empty() && etag != stored.value.version.etag() {
                return Err(Error::EtagMismatch(name.to_owned()));
            }
            let mut event = (*stored.value).clone();
            let Some(change) = apply(&mut event)? else {
                return Ok(event);
            };
            match self.commit(&event, &stored.etag, change, channel).await {
                Err(Error::Store(StoreError::Conflict)) => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(event),
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// The event and what is published of it, or neither.
    pub(super) async fn commit(
        &self,
        event: &LiveEvent,
        etag: &Etag,
        change: Change,
        channel: &Channel,
    ) -> Result<()> {
        let transaction = Transaction::new()
            .replace(event, etag)?
            .publish(self.changed(change, event, channel));
        self.store.documents.commit(transaction).await?;
        Ok(())
    }

    pub(super) fn changed(
        &self,
        change: Change,
        event: &LiveEvent,
        channel: &Channel,
    ) -> marquee_bus::Outgoing {
        marquee_bus::event(
            &event.name,
            &wire::event_changed(change, event, channel, self.clock.now()),
        )
    }
}

fn foreign_token() -> String {
    "must be the next_page_token of the same list, with the same parent, filter and order_by".to_owned()
}

fn invalid_token() -> Invalid {
    marquee_error::invalid("page_token", foreign_token())
}
