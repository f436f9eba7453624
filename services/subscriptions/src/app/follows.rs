//! Following channels.

use marquee_proto::name::{ChannelName, FollowName};

use super::{App, Owner};
use crate::domain::follow::Follow;
use crate::domain::page::{Page, Rows};
use crate::error::{Error, Resource};
use crate::publish;
use crate::store::{self, Added};

impl App {
    /// Follows a channel, or returns the follow that is there.
    pub(crate) async fn create_follow(&self, owner: &Owner, channel: &ChannelName) -> Result<Follow, Error> {
        let follow = Follow {
            name: FollowName {
                account: owner.name().account.clone(),
                channel: channel.channel.clone(),
            },
            create_time: self.clock.now(),
        };
        // What is there needs no other service to be up.
        if let Some(existing) = self.store.follow(&follow.name).await? {
            return Ok(existing);
        }
        self.catalogue.require_channel(channel).await?;
        let events = vec![publish::follow_created(&follow)];
        match self.store.create_follow(follow, events).await? {
            Added::New(follow) | Added::Existing(follow) => Ok(follow),
            Added::TooMany => Err(Error::Contended),
        }
    }

    /// Stops following.
    pub(crate) async fn delete_follow(&self, owner: &Owner, name: &FollowName) -> Result<(), Error> {
        debug_assert_eq!(&name.account(), owner.name());
        let not_found = || Error::not_found(Resource::Follow, name);
        let follow = self.store.follow(name).await?.ok_or_else(not_found)?;
        let events = vec![publish::follow_deleted(&follow)];
        match self.store.delete_follow(follow, events).await {
            Err(store::Error::NotFound) => Err(not_found()),
            deleted => Ok(deleted?),
        }
    }

    /// What an account follows, newest first.
    pub(crate) async fn follows(&self, owner: &Owner, page: Page) -> Result<Rows<Follow>, Error> {
        Ok(self.store.follows(owner.name(), page).await?)
    }
}
