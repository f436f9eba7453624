//! What a list of events is asked for: the order, who asks, and page tokens bound to all of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::event::{LiveEvent, Visibility};

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) by: OrderBy,
    pub(crate) descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderBy {
    ScheduledStartTime,
    CreateTime,
}

impl Order {
    pub(crate) const ALLOWED: &'static str =
        "must be `scheduled_start_time` or `create_time`, optionally followed by `desc`";

    /// Reads an order; the empty one is by the announced start.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let by = match words.next() {
            None | Some("scheduled_start_time") => OrderBy::ScheduledStartTime,
            Some("create_time") => OrderBy::CreateTime,
            Some(_) => return None,
        };
        let descending = match words.next() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return None,
        };
        words.next().is_none().then_some(Self { by, descending })
    }
}

/// Who asks: unlisted events are in the lists of their owner and of admins only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Viewer {
    Anonymous,
    /// Resource name of the account.
    Account(String),
    Admin,
}

impl Viewer {
    pub(crate) fn lists(&self, event: &LiveEvent) -> bool {
        match event.details.visibility {
            Visibility::Public | Visibility::Members | Visibility::PayPerView => true,
            Visibility::Unlisted => match self {
                Self::Anonymous => false,
                Self::Account(name) => *name == event.owner,
                Self::Admin => true,
            },
        }
    }
}

/// A short hash of everything that decides what is in a list and in which order.
pub(crate) fn fingerprint(parts: &[&str]) -> [u8; 8] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    std::array::from_fn(|n| digest[n])
}

/// The store's token, bound to the list it belongs to.
pub(crate) fn seal(fingerprint: [u8; 8], store_token: &str) -> String {
    let mut bytes = fingerprint.to_vec();
    bytes.extend_from_slice(store_token.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The store's token; `None` when the token is ill formed or of another list.
pub(crate) fn unseal(fingerprint: [u8; 8], token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (bound_to, store_token) = bytes.split_at_checked(fingerprint.len())?;
    (bound_to == fingerprint).then(|| String::from_utf8(store_token.to_vec()).ok())?
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::sample;
    use super::*;

    #[test]
    fn only_the_promised_orders_are_understood() {
        assert_eq!(Order::parse(""), Order::parse("scheduled_start_time"));
        assert_eq!(
            Order::parse("create_time desc"),
            Some(Order {
                by: OrderBy::CreateTime,
                descending: true
            })
        );
        for bad in [
            "title",
            "create_time down",
            "create_time desc title",
            "create_time,title",
        ] {
            assert_eq!(Order::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_is_bound_to_its_list() {
        let token = seal(fingerprint(&["channels/c", "state = LIVE"]), "here");
        assert_eq!(
            unseal(fingerprint(&["channels/c", "state = LIVE"]), &token).as_deref(),
            Some("here")
        );
        assert_eq!(unseal(fingerprint(&["channels/c", ""]), &token), None);
        assert_eq!(unseal(fingerprint(&["channels/cstate = LIVE", ""]), &token), None);
        for bad in ["", "AAAA", "%%%"] {
            assert_eq!(unseal(fingerprint(&[]), bad), None, "{bad:?}");
        }
    }

    #[test]
    fn unlisted_events_are_listed_for_their_owner_and_admins() {
        let mut event = sample("e", 100);
        event.details.visibility = Visibility::Unlisted;
        assert!(!Viewer::Anonymous.lists(&event));
        assert!(!Viewer::Account("accounts/b".into()).lists(&event));
        assert!(Viewer::Account("accounts/a".into()).lists(&event));
        assert!(Viewer::Admin.lists(&event));
    }
}
