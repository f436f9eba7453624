//! Use cases: validate, load, authorise, execute.

mod bans;
mod forwarding;
mod keys;
mod owners;
mod playback;
mod recordings;
mod streams;

pub(crate) use bans::BanList;
pub(crate) use forwarding::Forwarding;
pub(crate) use keys::Keys;
pub(crate) use owners::Owners;
pub(crate) use playback::Sessions;
pub(crate) use recordings::Recordings;
pub(crate) use streams::{Followed, Streams};

use marquee_documents::Query;
use marquee_error::{Violations, invalid};
use marquee_proto::name::ChannelName;

use crate::error::{Error, Result};

/// Page sizes as the protos promise.
const DEFAULT_PAGE: i32 = 50;
const LARGEST_PAGE: i32 = 200;

/// Which page of a list is asked for.
pub(crate) struct PageRequest {
    pub(crate) size: i32,
    pub(crate) token: String,
}

impl PageRequest {
    /// Puts size and token into a query.
    fn apply(&self, query: Query) -> Result<Query> {
        let mut violations = Violations::default();
        violations.check(self.size >= 0, "page_size", || {
            "must not be negative; 0 is the default of 50".to_owned()
        });
        violations.finish()?;
        let size = if self.size == 0 {
            DEFAULT_PAGE
        } else {
            self.size.min(LARGEST_PAGE)
        };
        let query = query.limit(usize::try_from(size).unwrap_or(50));
        Ok(if self.token.is_empty() {
            query
        } else {
            query.after(&self.token)
        })
    }
}

/// A parent that may be one channel, or `channels/-` (or nothing) for all.
fn channel_or_all(parent: &str) -> Result<Option<ChannelName>> {
    if parent.is_empty() || parent == "channels/-" {
        return Ok(None);
    }
    parent
        .parse()
        .map(Some)
        .map_err(|error| Error::field("parent", &error))
}

/// A required channel.
fn channel(parent: &str) -> Result<ChannelName> {
    if parent.is_empty() {
        return Err(invalid("parent", "is required, for example `channels/c1`").into());
    }
    parent.parse().map_err(|error| Error::field("parent", &error))
}

/// Puts what is wrong with one field beside what is wrong with the others.
fn gather<T>(violations: &mut Violations, field: Result<T>) -> Result<Option<T>> {
    match field {
        Ok(value) => Ok(Some(value)),
        Err(Error::Invalid(invalid)) => {
            for violation in invalid.0 {
                violations.push(violation.field, violation.description);
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
