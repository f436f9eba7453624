//! How often a resource was changed, and when: what its etag is made of.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Grows with every change of a resource. `update_time` is strictly monotonic too, so that whoever keeps a copy can
/// tell the newer of two states by it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    number: u64,
    #[serde(with = "jiff::fmt::serde::timestamp::microsecond::required")]
    update_time: Timestamp,
}

impl Version {
    /// The first version.
    pub(crate) fn first(now: Timestamp) -> Self {
        Self {
            number: 1,
            update_time: now,
        }
    }

    /// The version after this one; when the clock stands still or went back, a microsecond later.
    pub(crate) fn next(self, now: Timestamp) -> Self {
        let at_least = self
            .update_time
            .checked_add(SignedDuration::from_micros(1))
            .unwrap_or(now);
        Self {
            number: self.number + 1,
            update_time: now.max(at_least),
        }
    }

    /// Whether it is a later version of the same resource.
    pub(crate) fn is_after(self, other: Self) -> bool {
        self.number > other.number
    }

    pub(crate) fn update_time(self) -> Timestamp {
        self.update_time
    }

    /// Opaque to callers; known before the version is stored, so that it can travel in the event of the same transaction.
    pub(crate) fn etag(self) -> String {
        format!("{:x}-{:x}", self.number, self.update_time.as_microsecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_grow_when_the_clock_goes_back() {
        let first = Version::first(Timestamp::from_second(100).unwrap());
        let second = first.next(Timestamp::from_second(50).unwrap());
        assert!(second.update_time() > first.update_time());
        assert!(second.is_after(first) && !first.is_after(second) && !first.is_after(first));
        assert_ne!(second.etag(), first.etag());
    }
}
