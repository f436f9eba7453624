//! One report of a player, as it was sent and as it counts.

use marquee_proto::name::EventName;

/// How far a player's clock may be from ours, in milliseconds. What lies further away counts as if it had happened this far
/// from when it arrived: a wrong clock neither makes its owner late nor stretches a view.
pub const SKEW_MS: i64 = 10 * 60 * 1000;

/// What a player does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Requested, no frame yet.
    Starting,
    /// Frames are shown.
    Playing,
    /// Paused by the viewer.
    Paused,
    /// Waiting for media.
    Rebuffering,
    /// The viewer left or the item is over.
    Ended,
    /// A fatal error.
    Failed,
}

/// One play attempt of one item. All reports of a viewer are in one partition of the topic, so a session is, too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// The viewer.
    pub viewer: String,
    /// The session's UUID, lower case.
    pub session: String,
    /// The event that is watched.
    pub event: EventName,
}

/// What a player says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of which session.
    pub key: SessionKey,
    /// The place in the session, from 1.
    pub sequence: u64,
    /// When, by the player's clock.
    pub time_ms: i64,
    /// What the player does from then on.
    pub state: State,
    /// Request to first frame, where the player measured it.
    pub startup_ms: Option<u32>,
    /// Device, for example `tv`; or empty.
    pub device: String,
    /// ISO 3166-1 alpha-2 code, or empty.
    pub country: String,
    /// Platform, for example `web`; or empty.
    pub platform: String,
}

/// A report and when it arrived, by our clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The report.
    pub report: Report,
    /// When it arrived.
    pub at_ms: i64,
}

impl Received {
    /// When it happened, as far as the player's clock is to be believed.
    pub fn event_time_ms(&self) -> i64 {
        let earliest = self.at_ms.saturating_sub(SKEW_MS);
        self.report
            .time_ms
            .clamp(earliest, self.at_ms.saturating_add(SKEW_MS))
    }
}
