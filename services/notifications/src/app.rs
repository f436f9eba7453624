//! Use cases: what is told to whom, and what an account sees of it.

mod audience;
mod deliver;
mod fanout;
mod inbox;
mod reminders;
mod sweep;
mod watch;
mod watchers;

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::store::Store;

pub(crate) use audience::{EventChange, FollowChange, ReminderChange};
pub(crate) use inbox::{FOREIGN_TOKEN, Marked};
pub(crate) use watch::Message;
pub(crate) use watchers::Watchers;

/// How often a change is tried anew when others change the same inbox meanwhile.
const ATTEMPTS: usize = 32;

/// The service behind its RPCs, bus handlers and tasks.
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) config: Config,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) shutdown: CancellationToken,
    /// Wakes the task that fans out.
    pub(crate) fanouts: Notify,
    /// Wakes the task that reminds.
    pub(crate) reminders: Notify,
}
