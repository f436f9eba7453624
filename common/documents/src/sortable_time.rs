//! Moments as text of one width, `2025-01-31T10:00:00.000000000Z`, so that text sorts as time does.
//!
//! `#[serde(with = "marquee_documents::sortable_time")]` on a [`jiff::Timestamp`] field; [`text`] for the value of a
//! query; [`option`] for fields that may lack.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serializer};

/// The moment as it lies in a document. Sorts right for the years 0 to 9999.
pub fn text(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// Writes [`text`].
pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*time))
}

/// Reads any RFC 3339 text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Timestamp::deserialize(deserializer)
}

/// The same for moments that may lack; add `#[serde(default)]` where the field may be missing.
pub mod option {
    use super::{Deserialize, Deserializer, Serializer, Timestamp, text};

    /// Writes [`text`] or null.
    pub fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_some(&text(*time)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads any RFC 3339 text or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Option::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_sorts_as_time_does_within_a_second() {
        let nanoseconds = [0, 1, 500_000_000, 500_000_001, 999_999_999];
        let texts = nanoseconds.map(|nanosecond| text(Timestamp::new(1_700_000_000, nanosecond).unwrap()));
        assert!(texts.is_sorted(), "{texts:?}");
        assert!(texts.iter().all(|text| text.len() == 30));
    }
}
