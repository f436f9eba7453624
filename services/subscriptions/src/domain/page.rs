//! Pages of lists that are read newest first.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use marquee_proto::name::is_valid_id;
use sha2::{Digest as _, Sha256};

/// Where a page starts: after the row that was made at `create_time` with `id`, on the way to older rows. Rows that are
/// made meanwhile are newer, so they move nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) create_time: Timestamp,
    pub(crate) id: String,
}

/// Which page of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// At most this many rows.
    pub(crate) size: usize,
    /// From the start when there is none.
    pub(crate) after: Option<Cursor>,
}

/// Rows of one page, and where the next one starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows<T> {
    pub(crate) rows: Vec<T>,
    pub(crate) next: Option<Cursor>,
}

const DEFAULT_SIZE: usize = 50;
const MAX_SIZE: usize = 200;

/// The number of rows for a requested `page_size`: 0 means 50, more than 200 is 200.
pub(crate) fn size(requested: i32) -> Result<usize, &'static str> {
    match usize::try_from(requested) {
        Err(_) => Err("must not be negative"),
        Ok(0) => Ok(DEFAULT_SIZE),
        Ok(size) => Ok(size.min(MAX_SIZE)),
    }
}

impl Cursor {
    /// An opaque token that is good for `list` alone, for example `accounts/a/follows`.
    pub(crate) fn token(&self, list: &str) -> String {
        let time = self.create_time.as_microsecond().to_be_bytes();
        URL_SAFE_NO_PAD.encode([binding(list).as_slice(), &time, self.id.as_bytes()].concat())
    }

    /// Reads a token of the same list.
    pub(crate) fn from_token(token: &str, list: &str) -> Result<Self, &'static str> {
        const FOREIGN: &str = "must be the next_page_token of the same list";
        if token.len() > 200 {
            return Err(FOREIGN);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| FOREIGN)?;
        let (bound_to, rest) = bytes.split_first_chunk::<8>().ok_or(FOREIGN)?;
        let (time, id) = rest.split_first_chunk::<8>().ok_or(FOREIGN)?;
        let id = std::str::from_utf8(id)
            .ok()
            .filter(|id| is_valid_id(id))
            .ok_or(FOREIGN)?;
        if *bound_to != binding(list) {
            return Err(FOREIGN);
        }
        Ok(Self {
            create_time: Timestamp::from_microsecond(i64::from_be_bytes(*time)).map_err(|_| FOREIGN)?,
            id: id.to_owned(),
        })
    }
}

/// Ties a token to its list. It keeps no secret: whoever forges one only moves about in a list that he may read.
fn binding(list: &str) -> [u8; 8] {
    let digest: [u8; 32] = Sha256::digest(list.as_bytes()).into();
    let mut binding = [0; 8];
    for (to, from) in binding.iter_mut().zip(digest) {
        *to = from;
    }
    binding
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursor() -> Cursor {
        Cursor {
            create_time: Timestamp::from_microsecond(1_234_567).unwrap(),
            id: "c1".to_owned(),
        }
    }

    #[test]
    fn a_token_leads_back_to_where_it_was_made() {
        let token = cursor().token("accounts/a/follows");
        assert_eq!(Cursor::from_token(&token, "accounts/a/follows"), Ok(cursor()));
    }

    #[test]
    fn a_token_of_another_list_is_refused() {
        let token = cursor().token("accounts/a/follows");
        assert!(Cursor::from_token(&token, "accounts/b/follows").is_err());
        assert!(Cursor::from_token(&token, "accounts/a/payments").is_err());
    }

    #[test]
    fn a_page_has_50_rows_unless_told_and_never_more_than_200() {
        assert_eq!(size(0), Ok(50));
        assert_eq!(size(7), Ok(7));
        assert_eq!(size(i32::MAX), Ok(200));
        assert!(size(-1).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_refused_without_a_panic(text in "\\PC*") {
            let _ = Cursor::from_token(&text, "accounts/a/follows");
        }
    }
}
