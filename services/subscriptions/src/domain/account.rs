//! Accounts: who watches, creates, or both.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use marquee_proto::name::AccountName;

use super::country::Country;
use super::email::Email;
use super::text;
use super::version::Version;

/// A registered person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: AccountName,
    pub(crate) email: Email,
    pub(crate) profile: Profile,
    /// What the account may do beyond its own resources.
    pub(crate) role: Role,
    pub(crate) create_time: Timestamp,
    pub(crate) version: Version,
}

/// What an account says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) display_name: DisplayName,
    pub(crate) country: Option<Country>,
    pub(crate) birth_date: Option<BirthDate>,
    pub(crate) gender: Option<Gender>,
}

/// Roles that an account can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Viewer,
    Admin,
}

impl Role {
    /// As it is stored.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Viewer, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// New values for fields of a profile; `None` leaves a field as it is, `Some(None)` clears it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProfileChange {
    pub(crate) display_name: Option<DisplayName>,
    pub(crate) country: Option<Option<Country>>,
    pub(crate) birth_date: Option<Option<BirthDate>>,
    pub(crate) gender: Option<Option<Gender>>,
}

impl Account {
    /// The account after a change, or `None` when the change changes nothing.
    pub(crate) fn changed(&self, change: ProfileChange) -> Option<Self> {
        let old = &self.profile;
        let profile = Profile {
            display_name: change.display_name.unwrap_or_else(|| old.display_name.clone()),
            country: change.country.unwrap_or_else(|| old.country.clone()),
            birth_date: change.birth_date.unwrap_or(old.birth_date),
            gender: change.gender.unwrap_or_else(|| old.gender.clone()),
        };
        (profile != *old).then(|| Self {
            profile,
            version: self.version.next(),
            ..self.clone()
        })
    }
}

/// 1 to 100 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DisplayName(String);

impl DisplayName {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text::line(text, 1..=100).map(Self)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// In the person's own words, 1 to 40 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gender(String);

impl Gender {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text::line(text, 1..=40).map(Self)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not before 1900, not in the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BirthDate(Date);

impl BirthDate {
    /// Takes `YYYY-MM-DD`, not after `today`.
    pub(crate) fn parse(text: &str, today: Date) -> Result<Self, &'static str> {
        const SHAPE: &str = "must be a date as YYYY-MM-DD, from 1900-01-01 to today";
        let text = text.trim();
        // jiff reads further ISO 8601 shapes (20000101, 2000-01-01T00:00); one is promised.
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
            return Err(SHAPE);
        }
        let date: Date = text.parse().map_err(|_| SHAPE)?;
        if date.year() < 1900 || date > today {
            return Err(SHAPE);
        }
        Ok(Self(date))
    }

    /// A date that was read from the store.
    pub(crate) fn stored(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A password as it was typed; shown to nobody.
#[derive(Clone)]
pub(crate) struct Password(String);

impl Password {
    /// Takes 8 to 200 characters, whatever they are: longer is better than stranger (NIST SP 800-63B 3.1.1.2).
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if (8..=200).contains(&text.chars().count()) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must have 8 to 200 characters")
        }
    }

    /// What somebody claims the password to be. Too long is cut down to what no password can be, so that the work of
    /// checking it stays the same.
    pub(crate) fn claimed(text: &str) -> Self {
        Self(text.chars().take(201).collect())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn account() -> Account {
        Account {
            name: AccountName::new("ada").unwrap(),
            email: Email::parse("ada@example.org").unwrap(),
            profile: Profile {
                display_name: DisplayName::parse("Ada").unwrap(),
                country: Some(Country::parse("GB").unwrap()),
                birth_date: None,
                gender: None,
            },
            role: Role::Viewer,
            create_time: Timestamp::UNIX_EPOCH,
            version: Version::FIRST,
        }
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let changed = account()
            .changed(ProfileChange {
                display_name: Some(DisplayName::parse("Ada L.").unwrap()),
                ..ProfileChange::default()
            })
            .unwrap();
        assert_eq!(changed.profile.display_name.as_str(), "Ada L.");
        assert_eq!(changed.profile.country, account().profile.country);
        assert_eq!(changed.version, Version::FIRST.next());
    }

    #[test]
    fn an_optional_field_can_be_cleared() {
        let change = ProfileChange {
            country: Some(None),
            ..ProfileChange::default()
        };
        assert_eq!(account().changed(change).unwrap().profile.country, None);
    }

    #[test]
    fn a_change_to_the_same_values_is_none() {
        let change = ProfileChange {
            country: Some(Some(Country::parse("gb").unwrap())),
            ..ProfileChange::default()
        };
        assert_eq!(account().changed(change), None);
    }

    #[test]
    fn a_birth_date_lies_between_1900_and_today() {
        let today = date(2026, 5, 1);
        assert_eq!(
            BirthDate::parse("2026-05-01", today).unwrap().to_string(),
            "2026-05-01"
        );
        for text in [
            "2026-05-02",
            "1899-12-31",
            "2001-02-29",
            "20010203",
            "2001-2-3",
            "01/02/2003",
            "x",
        ] {
            assert!(BirthDate::parse(text, today).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(
            format!("{:?}", Password::parse("correct horse").unwrap()),
            "Password(***)"
        );
    }

    #[test]
    fn a_password_has_8_to_200_characters() {
        for (length, good) in [(7, false), (8, true), (200, true), (201, false)] {
            assert_eq!(Password::parse(&"ä".repeat(length)).is_ok(), good, "{length}");
        }
    }
}
