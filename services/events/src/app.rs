//! Use cases: validate, load, authorise, execute.

mod channels;
mod events;
mod streams;
mod watch;

use std::sync::Arc;

use marquee_auth::Principal;
use marquee_documents::Stored;
use tokio_util::sync::CancellationToken;

use crate::config::Clock;
use crate::domain::channel::Channel;
use crate::error::{Error, Result};
use crate::store::Store;

pub(crate) use channels::{ChannelUpdate, NewChannel};
pub(crate) use events::{EventUpdate, ListEvents, NewEvent};
pub(crate) use streams::Stream;
pub(crate) use watch::Watchers;

/// How often a change is tried anew when others change the same resource meanwhile.
const ATTEMPTS: usize = 16;

/// The service behind its RPCs and bus handlers.
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) shutdown: CancellationToken,
}

impl App {
    async fn channel(&self, name: &str) -> Result<Stored<Channel>> {
        let channel = self.store.channel(name).await?;
        channel.ok_or_else(|| Error::ChannelNotFound(name.to_owned()))
    }
}

/// Passes the channel's owner, admins and services.
fn require_owner(caller: &Principal, channel: &Channel) -> Result<()> {
    if caller.is_admin()
        || caller
            .account()
            .is_some_and(|account| account.to_string() == channel.owner)
    {
        return Ok(());
    }
    if *caller == Principal::Anonymous {
        return Err(marquee_auth::Error::TokenMissing.into());
    }
    let refusal = format!("only the owner of {} and admins may do this", channel.name);
    Err(marquee_auth::Error::PermissionDenied(refusal).into())
}
