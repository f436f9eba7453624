//! Paging: where the next page begins, and a token for it that fits one query only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::query::Query;

/// The last result of a page. Results are ordered by score, highest first, then by name; the score of a document depends
/// on the document and the query alone, so that a page starts at the same place however the index grew in between.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// Its score.
    pub score: f32,
    /// Its name.
    pub name: String,
}

/// Turns a [`Cursor`] into opaque text and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageToken {
    query: [u8; 12],
}

impl PageToken {
    /// Tokens of this query.
    pub fn of(query: &Query) -> Self {
        let digest = Sha256::digest(format!("1 {query:?}"));
        let mut bound = [0; 12];
        bound.copy_from_slice(&digest[..12]);
        Self { query: bound }
    }

    /// The token that continues after `cursor`.
    pub fn encode(&self, cursor: &Cursor) -> String {
        let mut bytes = self.query.to_vec();
        bytes.extend(cursor.score.to_be_bytes());
        bytes.extend(cursor.name.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where the page begins, or `None` when the token is of another query or no token at all.
    pub fn decode(&self, token: &str) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let rest = bytes.strip_prefix(&self.query)?;
        let (score, name) = rest.split_first_chunk::<4>()?;
        let score = f32::from_be_bytes(*score);
        let name = String::from_utf8(name.to_vec()).ok()?;
        (score.is_finite() && !name.is_empty()).then_some(Cursor { score, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query {
            text: text.into(),
            ..Query::default()
        }
    }

    #[test]
    fn a_token_leads_back_to_its_cursor() {
        let cursor = Cursor {
            score: 12.25,
            name: "channels/a".into(),
        };
        let token = PageToken::of(&query("jazz")).encode(&cursor);
        assert_eq!(PageToken::of(&query("jazz")).decode(&token), Some(cursor));
    }

    #[test]
    fn a_token_of_another_query_is_refused() {
        let token = PageToken::of(&query("jazz")).encode(&Cursor {
            score: 1.0,
            name: "channels/a".into(),
        });
        assert_eq!(PageToken::of(&query("rock")).decode(&token), None);
    }

    #[test]
    fn garbage_is_refused() {
        for garbage in ["x", "!!!", "AAAA", &"A".repeat(5000)] {
            assert_eq!(PageToken::of(&query("jazz")).decode(garbage), None);
        }
    }
}
