//! How much may be kept: limits of the disk and of the object store, and what has to go when they are reached.
//!
//! ```text
//!  writer ── take(bytes) ─► Room ── paused? ──► a gap in the recording; the live stream goes on
//!                            ▲ │
//!        retention: measured │ │ excess ─► order(): which recordings go, oldest first
//! ```
//!
//! Pure but for the lock: what the disk has free is handed in, so that a disk that does not answer holds up nobody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use marquee_proto::name::LiveStreamName;
use parking_lot::Mutex;

use crate::domain::Pause;

/// What may be kept in one place, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Of all channels together; none for no limit.
    pub total: Option<u64>,
    /// Of each channel; none for no limit.
    pub per_channel: Option<u64>,
}

/// Limits of what is kept.
#[derive(Debug, Clone)]
pub struct Quota {
    /// Of the media folder.
    pub disk: Limits,
    /// Bytes that are left free on the disk of the media folder, for the store, logs and everything else.
    pub disk_reserve: u64,
    /// Of the object store.
    pub objects: Limits,
    /// Bytes that may wait to be uploaded; none for as much as the disk may hold.
    pub backlog: Option<u64>,
    /// A recording that was played so recently is not deleted to make room.
    pub played_within: Duration,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            disk: Limits::default(),
            disk_reserve: 256 << 20,
            objects: Limits::default(),
            backlog: None,
            played_within: Duration::from_secs(600),
        }
    }
}

/// Deletion begins when less than this part of a limit is free, so that writing seldom has to wait for it.
const HEADROOM: u64 = 20;

/// The bytes of the media folder, stream by stream, and whether more may be written.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    limits: Limits,
    reserve: u64,
    backlog: Option<u64>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    total: u64,
    /// What the disk had when it was looked at last, without what was taken since.
    free: Option<u64>,
    /// Bytes that wait to be uploaded.
    waiting: HashMap<LiveStreamName, u64>,
    all_waiting: u64,
    streams: HashMap<LiveStreamName, u64>,
    channels: HashMap<String, u64>,
    /// Why nothing at all is written.
    paused: Option<Pause>,
    /// What did not fit then.
    short: u64,
    /// The object store has no more room for anything, or for these channels.
    objects: Excess,
    /// Channels of which nothing is written, with what did not fit.
    full_channels: HashMap<String, u64>,
}

/// What has to be freed on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Excess {
    /// Bytes of whichever channel.
    pub(crate) total: u64,
    /// Bytes of these channels.
    pub(crate) channels: HashMap<String, u64>,
}

impl Excess {
    /// Nothing has to go.
    pub(crate) fn is_none(&self) -> bool {
        self.total == 0 && self.channels.is_empty()
    }
}

impl Room {
    pub(crate) fn new(quota: &Quota) -> Self {
        Self {
            limits: quota.disk,
            reserve: quota.disk_reserve,
            backlog: quota.backlog,
            state: Arc::default(),
        }
    }

    /// Counts bytes that are about to be written, unless there is no room for them.
    pub(crate) fn take(&self, stream: &LiveStreamName, bytes: u64) -> Result<(), Pause> {
        let mut state = self.state.lock();
        if let Some(pause) = state.paused {
            return Err(pause);
        }
        if state.full_channels.contains_key(&stream.channel) {
            return Err(Pause::ChannelQuota);
        }
        if state.objects.total > 0 {
            return Err(Pause::Quota);
        }
        if state.objects.channels.contains_key(&stream.channel) {
            return Err(Pause::ChannelQuota);
        }
        let channel = state.channels.get(&stream.channel).copied().unwrap_or(0);
        let over =
            |used: u64, limit: Option<u64>| limit.is_some_and(|limit| used.saturating_add(bytes) > limit);
        if state
            .free
            .is_some_and(|free| free < self.reserve.saturating_add(bytes))
        {
            return Err(state.pause(Pause::DiskFull, bytes));
        }
        if over(state.total, self.limits.total) {
            return Err(state.pause(Pause::Quota, bytes));
        }
        if over(state.all_waiting, self.backlog) {
            return Err(state.pause(Pause::UploadBacklog, bytes));
        }
        if over(channel, self.limits.per_channel) {
            state.full_channels.insert(stream.channel.clone(), bytes);
            return Err(Pause::ChannelQuota);
        }
        state.free = state.free.map(|free| free.saturating_sub(bytes));
        state.add(stream, bytes);
        Ok(())
    }

    /// The disk said that it has no room for so much: nothing is written until it has.
    pub(crate) fn disk_is_full(&self, bytes: u64) {
        self.state.lock().pause(Pause::DiskFull, bytes);
    }

    /// What the object store holds above its limits, and cannot be deleted.
    pub(crate) fn objects_measured(&self, excess: &Excess) {
        self.state.lock().objects = excess.clone();
    }

    /// Counts bytes that are there, whatever the limits say.
    pub(crate) fn found(&self, stream: &LiveStreamName, bytes: u64) {
        self.state.lock().add(stream, bytes);
    }

    /// Bytes that are there no more.
    pub(crate) fn freed(&self, stream: &LiveStreamName, bytes: u64) {
        self.state.lock().remove(stream, bytes);
    }

    /// Nothing is left of a stream.
    pub(crate) fn forget(&self, stream: &LiveStreamName) {
        let mut state = self.state.lock();
        if let Some(&bytes) = state.streams.get(stream) {
            state.remove(stream, bytes);
        }
    }

    /// Bytes of a stream.
    pub(crate) fn of(&self, stream: &LiveStreamName) -> u64 {
        self.state.lock().streams.get(stream).copied().unwrap_or(0)
    }

    /// Bytes of all streams.
    pub(crate) fn total(&self) -> u64 {
        self.state.lock().total
    }

    /// More bytes of a stream wait to be uploaded.
    pub(crate) fn waits(&self, stream: &LiveStreamName, bytes: u64) {
        let mut state = self.state.lock();
        *state.waiting.entry(stream.clone()).or_default() += bytes;
        state.all_waiting += bytes;
    }

    /// Bytes of a stream were uploaded.
    pub(crate) fn waits_no_more(&self, stream: &LiveStreamName, bytes: u64) {
        let mut state = self.state.lock();
        let State {
            waiting, all_waiting, ..
        } = &mut *state;
        if let Some(of_stream) = waiting.get_mut(stream) {
            let bytes = bytes.min(*of_stream);
            *of_stream -= bytes;
            *all_waiting = all_waiting.saturating_sub(bytes);
            if *of_stream == 0 {
                waiting.remove(stream);
            }
        }
    }

    /// Bytes that wait to be uploaded.
    pub(crate) fn waiting(&self) -> u64 {
        self.state.lock().all_waiting
    }

    /// What has to be freed so that writing goes on for a while.
    pub(crate) fn excess(&self, free: u64) -> Excess {
        let state = self.state.lock();
        let over = |used: u64, short: u64, limit: Option<u64>| {
            limit.map_or(0, |limit| {
                used.saturating_sub(limit - (limit / HEADROOM).max(short.min(limit)))
            })
        };
        let wanted = self
            .reserve
            .saturating_add((self.reserve / HEADROOM).max(state.short));
        let channels = state.channels.iter().filter_map(|(channel, used)| {
            let short = state.full_channels.get(channel).copied().unwrap_or(0);
            let excess = over(*used, short, self.limits.per_channel);
            (excess > 0).then(|| (channel.clone(), excess))
        });
        Excess {
            total: over(state.total, state.short, self.limits.total).max(wanted.saturating_sub(free)),
            channels: channels.collect(),
        }
    }

    /// Lets writing go on where there is room again, for what did not fit and for half of the headroom, so that it does not
    /// stop again at once. Returns what still holds everything up.
    pub(crate) fn measured(&self, free: u64) -> Option<Pause> {
        let mut state = self.state.lock();
        state.free = Some(free);
        let fits = |used: u64, short: u64, limit: Option<u64>| {
            limit.is_none_or(|limit| used <= limit - (limit / (2 * HEADROOM)).max(short.min(limit)))
        };
        let short = state.short;
        let wanted = self
            .reserve
            .saturating_add((self.reserve / (2 * HEADROOM)).max(short));
        let paused = if free < wanted {
            Some(Pause::DiskFull)
        } else if !fits(state.total, short, self.limits.total) {
            Some(Pause::Quota)
        } else if !fits(state.all_waiting, short, self.backlog) {
            Some(Pause::UploadBacklog)
        } else {
            None
        };
        // Only a writer that found no room begins a pause.
        if state.paused.is_some() {
            state.paused = paused;
        }
        if state.paused.is_none() {
            state.short = 0;
        }
        let State {
            channels,
            full_channels,
            ..
        } = &mut *state;
        full_channels.retain(|channel, short| {
            let used = channels.get(channel).copied().unwrap_or(0);
            !fits(used, *short, self.limits.per_channel)
        });
        state.paused
    }
}

impl State {
    fn pause(&mut self, pause: Pause, bytes: u64) -> Pause {
        self.paused = Some(pause);
        self.short = bytes;
        pause
    }

    fn add(&mut self, stream: &LiveStreamName, bytes: u64) {
        self.total += bytes;
        *self.streams.entry(stream.clone()).or_default() += bytes;
        *self.channels.entry(stream.channel.clone()).or_default() += bytes;
    }

    fn remove(&mut self, stream: &LiveStreamName, bytes: u64) {
        let Some(of_stream) = self.streams.get_mut(stream) else {
            return;
        };
        let bytes = bytes.min(*of_stream);
        *of_stream -= bytes;
        if *of_stream == 0 {
            self.streams.remove(stream);
        }
        self.total = self.total.saturating_sub(bytes);
        if let Some(of_channel) = self.channels.get_mut(&stream.channel) {
            *of_channel = of_channel.saturating_sub(bytes);
            if *of_channel == 0 {
                self.channels.remove(&stream.channel);
            }
        }
    }
}

/// Something that could be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate<T> {
    /// The channel that its bytes count for.
    pub(crate) channel: String,
    /// What is freed.
    pub(crate) bytes: u64,
    /// What is meant.
    pub(crate) what: T,
}

/// Which of the candidates, given in the order in which they should go, have to be deleted to free the excess: those that
/// help a channel that is over its limit, and those that help all. Nothing is deleted that helps neither.
pub(crate) fn order<T>(
    candidates: impl IntoIterator<Item = Candidate<T>>,
    mut excess: Excess,
) -> Vec<Candidate<T>> {
    let mut chosen = Vec::new();
    for candidate in candidates {
        if excess.is_none() {
            break;
        }
        let of_channel = excess.channels.get_mut(&candidate.channel);
        if excess.total == 0 && of_channel.is_none() {
            continue;
        }
        if let Some(of_channel) = of_channel {
            *of_channel = of_channel.saturating_sub(candidate.bytes);
            if *of_channel == 0 {
                excess.channels.remove(&candidate.channel);
            }
        }
        excess.total = excess.total.saturating_sub(candidate.bytes);
        chosen.push(candidate);
    }
    chosen
}

/// What has to be freed of a place whose bytes are these, by channel.
pub(crate) fn excess(limits: Limits, channels: &HashMap<String, u64>) -> Excess {
    let over = |used: u64, limit: Option<u64>| limit.map_or(0, |limit| used.saturating_sub(limit));
    Excess {
        total: over(channels.values().sum(), limits.total),
        channels: channels
            .iter()
            .map(|(channel, used)| (channel.clone(), over(*used, limits.per_channel)))
            .filter(|(_, excess)| *excess > 0)
            .collect(),
    }
}

#[cfg(test)]
mod tests;
