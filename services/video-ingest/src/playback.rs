//! Who may watch, and who watches.
//!
//! ```text
//!  /play/{token}/live/… ─┐                ┌─ rules: the event's audience, from a copy of what events tells
//!  /live/…  ─────────────┴─► authorise() ─┼─ bans
//!                                         └─ viewers: sessions in memory ──every 10 s──► store (sightings)
//!  CreatePlaybackSession ─► entitlements (asks subscriptions once) ─► session in the store, token
//! ```
//!
//! A request of a player that is known costs a look into two maps and no signature; nothing is asked of anybody. What
//! other replicas decide (a session is revoked, somebody is banned) is known here within two seconds.

mod authorise;
mod bans;
mod entitlements;
mod keeper;
mod rules;
mod tokens;
mod viewers;

pub(crate) use authorise::{Grant, PlayRequest, Visitor};
pub(crate) use bans::{Bans, CHANGES as BAN_CHANGES};
pub(crate) use entitlements::Entitlements;
pub(crate) use rules::{Rule, Rules};
pub(crate) use tokens::Tokens;
pub(crate) use viewers::{Seen, Viewers};

use std::sync::Arc;
use std::time::Duration;

use marquee_documents::Store;

use crate::webhooks::Webhooks;

/// What can be set of playback.
#[derive(Debug, Clone)]
pub struct PlaybackConfig {
    /// How long a token may wait for its first request.
    pub token_lifetime: Duration,
    /// How long a session may last however much it is used.
    pub session_lifetime: Duration,
    /// How many sessions an account may have at a time; 0 is any number.
    pub sessions_per_account: usize,
    /// How many viewers are kept in memory, over all streams.
    pub max_viewers: usize,
    /// After how long without a request a viewer is gone.
    pub idle: Duration,
}

impl Default for PlaybackConfig {
    fn default() -> Self {
        Self {
            token_lifetime: Duration::from_secs(5 * 60),
            session_lifetime: Duration::from_secs(12 * 3_600),
            sessions_per_account: 5,
            max_viewers: 200_000,
            idle: Duration::from_secs(30),
        }
    }
}

/// Everything that decides about playback. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Playback {
    pub(crate) store: Store,
    pub(crate) config: Arc<PlaybackConfig>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) bans: Arc<Bans>,
    pub(crate) viewers: Arc<Viewers>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) entitlements: Entitlements,
    pub(crate) webhooks: Webhooks,
}
