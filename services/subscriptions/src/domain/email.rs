//! E-mail addresses.

use std::fmt;

/// An address as its owner wrote it; two that differ in case only are the same.
#[derive(Clone)]
pub(crate) struct Email {
    given: String,
    key: String,
}

/// Longest address that a mail server has to take (RFC 5321 4.5.3.1.3, less the angle brackets).
const MAX_ADDRESS: usize = 254;
/// Longest local part (RFC 5321 4.5.3.1.1).
const MAX_LOCAL: usize = 64;

impl Email {
    /// Takes what the HTML Living Standard calls a valid e-mail address, within RFC 5321's lengths. It is narrower
    /// than RFC 5322 (no comments, no quoted strings), which is what people's addresses look like.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const SHAPE: &str = "must be an e-mail address like name@example.org, of at most 254 characters";
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(SHAPE)?;
        let atom = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let valid = text.len() <= MAX_ADDRESS
            && (1..=MAX_LOCAL).contains(&local.len())
            && local.chars().all(atom)
            && domain.split('.').all(label);
        if !valid {
            return Err(SHAPE);
        }
        Ok(Self {
            given: text.to_owned(),
            key: text.to_ascii_lowercase(),
        })
    }

    /// As its owner wrote it.
    pub(crate) fn as_str(&self) -> &str {
        &self.given
    }

    /// What makes it unique: the address in lower case.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Email {}

/// Addresses don't belong into logs: only the domain is shown.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "***@{}", self.key.rsplit('@').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_the_same_whatever_their_case() {
        assert_eq!(
            Email::parse("Ada@Example.ORG").unwrap(),
            Email::parse("ada@example.org").unwrap()
        );
    }

    #[test]
    fn an_address_is_kept_as_it_was_written_without_the_spaces_around_it() {
        assert_eq!(
            Email::parse(" Ada@Example.org ").unwrap().as_str(),
            "Ada@Example.org"
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.org", "a".repeat(65));
        for text in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@-example.org",
            "ada@example..org",
            "a da@example.org",
            "ada\0@example.org",
            "ada@exa mple.org",
            "ada@example.org\r\nbcc: all@example.org",
            "ada@b@example.org",
            &long,
        ] {
            assert!(Email::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn debug_output_does_not_name_the_person() {
        assert_eq!(
            format!("{:?}", Email::parse("ada@example.org").unwrap()),
            "***@example.org"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_without_a_panic(text in "\\PC*") {
            if let Ok(email) = Email::parse(&text) {
                prop_assert_eq!(Email::parse(email.as_str()).unwrap(), email);
            }
        }
    }
}
