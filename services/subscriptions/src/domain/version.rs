//! Versions of rows, and the etags that clients see of them.

/// Counts the changes of one resource, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version(pub(crate) i64);

impl Version {
    /// Of a resource that was just created.
    pub(crate) const FIRST: Self = Self(1);

    /// After one more change.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// What a client sees and sends back; opaque to it.
    pub(crate) fn etag(self) -> String {
        format!("v{:x}", self.0)
    }

    /// True when the client sent no etag or the one of this version.
    pub(crate) fn matches(self, etag: &str) -> bool {
        etag.is_empty() || etag == self.etag()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_good_until_the_next_change() {
        let version = Version::FIRST;
        let etag = version.etag();
        assert!(version.matches(&etag));
        assert!(!version.next().matches(&etag));
    }

    #[test]
    fn no_etag_matches_every_version() {
        assert!(Version(7).matches(""));
    }
}
