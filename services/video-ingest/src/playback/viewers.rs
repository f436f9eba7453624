//! Who watches now, as the requests that reach this process show it.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use jiff::Timestamp;
use marquee_proto::name::LiveStreamName;
use parking_lot::Mutex;

use crate::domain::{Audience, PlaybackSession};

/// Locks are held for a look-up; this many keep thousands of players out of each other's way.
const SHARDS: usize = 32;

/// A viewer who was let in.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) session: PlaybackSession,
    /// Without a token: told from others by address and player.
    pub(crate) anonymous: bool,
    address: IpAddr,
    /// Milliseconds since 1970.
    last_seen: AtomicI64,
    /// When the store was told last.
    told: AtomicI64,
    bytes: AtomicU64,
    ended: AtomicBool,
    /// The generation of bans that it was compared with.
    bans: AtomicU64,
    /// When its right to watch was last asked for, in milliseconds since 1970.
    checked: AtomicI64,
}

impl Seen {
    pub(crate) fn new(session: PlaybackSession, anonymous: bool, address: IpAddr, now: Timestamp) -> Self {
        Self {
            session,
            anonymous,
            address,
            last_seen: AtomicI64::new(now.as_millisecond()),
            told: AtomicI64::new(i64::MIN),
            bytes: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            bans: AtomicU64::new(0),
            checked: AtomicI64::new(now.as_millisecond()),
        }
    }

    pub(crate) fn touch(&self, now: Timestamp) {
        self.last_seen.fetch_max(now.as_millisecond(), Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn last_seen(&self) -> Timestamp {
        Timestamp::from_millisecond(self.last_seen.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// Whether it asked for something within `idle` milliseconds.
    pub(crate) fn is_watching(&self, now: Timestamp, idle: i64) -> bool {
        now.as_millisecond() - self.last_seen.load(Ordering::Relaxed) <= idle
    }

    /// True when it is to be compared with the bans of `generation`, once.
    pub(crate) fn meets(&self, generation: u64) -> bool {
        self.bans.swap(generation, Ordering::AcqRel) != generation
    }

    /// True when something was seen since the store was told, which it is now.
    pub(crate) fn tell(&self) -> bool {
        let last = self.last_seen.load(Ordering::Relaxed);
        self.told.swap(last, Ordering::Relaxed) != last
    }

    /// True when its right to watch was last asked for more than `every` milliseconds ago; it is then taken as asked.
    pub(crate) fn is_due(&self, now: Timestamp, every: i64) -> bool {
        let now = now.as_millisecond();
        let due = self.session.audience > Audience::Everybody
            && now - self.checked.load(Ordering::Relaxed) >= every;
        if due {
            self.checked.store(now, Ordering::Relaxed);
        }
        due
    }
}

/// How a viewer is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// By the token itself.
    Token(Box<str>),
    /// By stream, address and player.
    Anonymous(u64),
}

/// All viewers.
pub(crate) struct Viewers {
    shards: Vec<Mutex<HashMap<Key, Arc<Seen>>>>,
    hasher: std::hash::RandomState,
    count: AtomicUsize,
    most: usize,
    /// How many watch each stream, counted once a second.
    watching: Mutex<HashMap<LiveStreamName, u32>>,
}

impl Viewers {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: std::hash::RandomState::new(),
            count: AtomicUsize::new(0),
            most,
            watching: Mutex::default(),
        }
    }

    fn shard(&self, key: &Key) -> &Mutex<HashMap<Key, Arc<Seen>>> {
        let hash = usize::try_from(self.hasher.hash_one(key) % 32).unwrap_or(0);
        // There are as many shards as the remainder has values.
        &self.shards[hash]
    }

    /// The viewer who showed this token before.
    pub(crate) fn by_token(&self, token: &str) -> Option<Arc<Seen>> {
        let key = Key::Token(token.into());
        self.shard(&key).lock().get(&key).cloned()
    }

    /// The viewer without a token at this address with this player.
    pub(crate) fn anonymous(
        &self,
        stream: &LiveStreamName,
        address: IpAddr,
        player: &str,
    ) -> Option<Arc<Seen>> {
        let key = self.anonymous_key(stream, address, player);
        self.shard(&key).lock().get(&key).cloned()
    }

    /// Keeps a viewer; of two that come at once under one key, the first. `None` when there are as many as are kept.
    pub(crate) fn keep_token(&self, token: &str, seen: Seen) -> Option<Arc<Seen>> {
        self.keep(Key::Token(token.into()), seen)
    }

    /// The same for one without a token.
    pub(crate) fn keep_anonymous(&self, seen: Seen) -> Option<Arc<Seen>> {
        let key = self.anonymous_key(&seen.session.stream(), seen.address, &seen.session.user_agent);
        self.keep(key, seen)
    }

    fn keep(&self, key: Key, seen: Seen) -> Option<Arc<Seen>> {
        let mut shard = self.shard(&key).lock();
        if let Some(known) = shard.get(&key) {
            return Some(known.clone());
        }
        if self.count.load(Ordering::Relaxed) >= self.most {
            return None;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let seen = Arc::new(seen);
        shard.insert(key, seen.clone());
        Some(seen)
    }

    fn anonymous_key(&self, stream: &LiveStreamName, address: IpAddr, player: &str) -> Key {
        Key::Anonymous(self.hasher.hash_one((stream, address, player)))
    }

    /// All of them that `wanted` names.
    pub(crate) fn select(&self, wanted: impl Fn(&Seen) -> bool) -> Vec<Arc<Seen>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            found.extend(shard.lock().values().filter(|seen| wanted(seen)).cloned());
        }
        found
    }

    /// Forgets who has not been seen for `idle` milliseconds, or has ended so long ago, and counts the others.
    pub(crate) fn sweep(&self, now: Timestamp, idle: i64) {
        let mut watching: HashMap<LiveStreamName, u32> = HashMap::new();
        let mut left = 0;
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.retain(|_, seen| seen.is_watching(now, idle));
            left += shard.len();
            for seen in shard.values().filter(|seen| !seen.is_ended()) {
                *watching.entry(seen.session.stream()).or_default() += 1;
            }
        }
        self.count.store(left, Ordering::Relaxed);
        metrics::gauge!("video_ingest_viewers").set(f64::from(u32::try_from(left).unwrap_or(u32::MAX)));
        *self.watching.lock() = watching;
    }

    /// How many watched a stream when they were last counted.
    pub(crate) fn watching(&self, stream: &LiveStreamName) -> u32 {
        self.watching.lock().get(stream).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn seen(stream: &str, address: &str, player: &str) -> Seen {
        let session = PlaybackSession {
            id: marquee_proto::name::new_id(),
            channel: "c".to_owned(),
            stream: stream.to_owned(),
            account: String::new(),
            event: String::new(),
            audience: Audience::Everybody,
            address: address.to_owned(),
            user_agent: player.to_owned(),
            create_time: at(0),
            expire_time: at(1_000),
            revoke_time: None,
        };
        Seen::new(session, true, address.parse().unwrap(), at(0))
    }

    #[test]
    fn viewers_without_a_token_are_told_apart_by_stream_address_and_player() {
        let viewers = Viewers::new(100);
        for (stream, address, player) in [
            ("s", "192.0.2.1", "vlc"),
            ("s", "192.0.2.1", "vlc"),
            ("s", "192.0.2.1", "mpv"),
            ("s", "192.0.2.2", "vlc"),
            ("t", "192.0.2.1", "vlc"),
        ] {
            viewers.keep_anonymous(seen(stream, address, player)).unwrap();
        }
        viewers.sweep(at(1), 30_000);
        let watching = |stream: &str| viewers.watching(&LiveStreamName::new("c", stream).unwrap());
        assert_eq!((watching("s"), watching("t"), watching("u")), (3, 1, 0));
    }

    #[test]
    fn who_asks_for_nothing_is_forgotten() {
        let viewers = Viewers::new(100);
        let first = viewers.keep_anonymous(seen("s", "192.0.2.1", "vlc")).unwrap();
        viewers.keep_anonymous(seen("s", "192.0.2.2", "vlc")).unwrap();
        first.touch(at(40));
        viewers.sweep(at(60), 30_000);
        assert_eq!(viewers.select(|_| true).len(), 1);
    }

    #[test]
    fn there_are_never_more_than_are_allowed() {
        let viewers = Viewers::new(2);
        for (address, kept) in [("192.0.2.1", true), ("192.0.2.2", true), ("192.0.2.3", false)] {
            assert_eq!(viewers.keep_anonymous(seen("s", address, "vlc")).is_some(), kept);
        }
        viewers.sweep(at(60), 30_000);
        assert!(viewers.keep_anonymous(seen("s", "192.0.2.3", "vlc")).is_some());
    }
}
