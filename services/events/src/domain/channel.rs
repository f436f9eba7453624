//! Channels and their handles.

use std::fmt;

use jiff::Timestamp;
use marquee_documents::{Document, Index};
use marquee_error::{Invalid, Violations};
use serde::{Deserialize, Serialize};

use super::text;
use super::version::Version;

/// A channel as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Channel {
    /// Resource name, `channels/{channel}`.
    pub(crate) name: String,
    /// Resource name of the account that owns it. A channel never changes hands.
    pub(crate) owner: String,
    #[serde(flatten)]
    pub(crate) profile: Profile,
    #[serde(with = "jiff::fmt::serde::timestamp::microsecond::required")]
    pub(crate) create_time: Timestamp,
    pub(crate) version: Version,
}

/// What the owner may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) handle: Handle,
    pub(crate) display_name: String,
    pub(crate) description: String,
    pub(crate) language: String,
    pub(crate) tags: Vec<String>,
}

impl Channel {
    pub(crate) fn update(&mut self, profile: Profile, now: Timestamp) {
        self.profile = profile;
        self.version = self.version.next(now);
    }
}

impl Document for Channel {
    const COLLECTION: &'static str = "channels";
    const INDEXES: &'static [Index] = &[
        Index {
            name: "by_handle",
            fields: &["handle"],
            unique: true,
        },
        Index {
            name: "by_create_time",
            fields: &["create_time"],
            unique: false,
        },
        Index {
            name: "by_owner",
            fields: &["owner", "create_time"],
            unique: false,
        },
    ];

    fn id(&self) -> &str {
        &self.name
    }
}

/// A unique handle: 3 to 30 of a-z, 0-9, '-' and '_', starting with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Handle(String);

impl Handle {
    pub(crate) const RULE: &'static str =
        "must be 3 to 30 characters of a-z, 0-9, '-' and '_', starting with a letter or digit";

    /// The handle that `text` is, if it is one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let character = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let good = (3..=30).contains(&text.len())
            && text.bytes().next().is_some_and(character)
            && text.bytes().all(|b| character(b) || b == b'-' || b == b'_');
        good.then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A profile as a caller wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProfileDraft {
    pub(crate) handle: String,
    pub(crate) display_name: String,
    pub(crate) description: String,
    pub(crate) language: String,
    pub(crate) tags: Vec<String>,
}

/// The fields that an update may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProfileField {
    Handle,
    DisplayName,
    Description,
    Language,
    Tags,
}

impl ProfileField {
    pub(crate) const ALL: &'static [(&'static str, Self)] = &[
        ("handle", Self::Handle),
        ("display_name", Self::DisplayName),
        ("description", Self::Description),
        ("language", Self::Language),
        ("tags", Self::Tags),
    ];
}

impl ProfileDraft {
    /// The profile, or everything that is wrong with it.
    pub(crate) fn check(&self, violations: &mut Violations) -> Option<Profile> {
        let handle = Handle::parse(&self.handle);
        violations.check(handle.is_some(), "channel.handle", || Handle::RULE.to_owned());
        let display_name = text::line(violations, "channel.display_name", &self.display_name, 1, 100);
        let description = text::paragraphs(violations, "channel.description", &self.description, 5_000);
        let language = text::language(violations, "channel.language", &self.language);
        let tags = text::tags(violations, "channel.tags", &self.tags);
        Some(Profile {
            handle: handle?,
            display_name,
            description,
            language,
            tags,
        })
    }

    /// The fields that are set; what an update without a mask changes.
    pub(crate) fn set_fields(&self) -> Vec<ProfileField> {
        let set = |field: ProfileField| match field {
            ProfileField::Handle => !self.handle.is_empty(),
            ProfileField::DisplayName => !self.display_name.is_empty(),
            ProfileField::Description => !self.description.is_empty(),
            ProfileField::Language => !self.language.is_empty(),
            ProfileField::Tags => !self.tags.is_empty(),
        };
        ProfileField::ALL
            .iter()
            .map(|(_, field)| *field)
            .filter(|field| set(*field))
            .collect()
    }

    /// `profile` with the named fields of this draft laid over it.
    pub(crate) fn over(&self, profile: &Profile, fields: &[ProfileField]) -> Result<Profile, Invalid> {
        let mut merged = Self {
            handle: profile.handle.as_str().to_owned(),
            display_name: profile.display_name.clone(),
            description: profile.description.clone(),
            language: profile.language.clone(),
            tags: profile.tags.clone(),
        };
        self.lay_over(&mut merged, fields);
        let mut violations = Violations::default();
        let checked = merged.check(&mut violations);
        violations.finish()?;
        Ok(checked.unwrap_or_else(|| profile.clone()))
    }

    /// Notes what is wrong with the named fields, whatever the channel is that they are for.
    pub(crate) fn check_named(&self, fields: &[ProfileField], violations: &mut Violations) {
        let mut merged = Self {
            handle: "any".to_owned(),
            display_name: "any".to_owned(),
            ..Self::default()
        };
        self.lay_over(&mut merged, fields);
        merged.check(violations);
    }

    fn lay_over(&self, merged: &mut Self, fields: &[ProfileField]) {
        for field in fields {
            match field {
                ProfileField::Handle => merged.handle.clone_from(&self.handle),
                ProfileField::DisplayName => merged.display_name.clone_from(&self.display_name),
                ProfileField::Description => merged.description.clone_from(&self.description),
                ProfileField::Language => merged.language.clone_from(&self.language),
                ProfileField::Tags => merged.tags.clone_from(&self.tags),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_lower_case_and_start_with_a_letter_or_digit() {
        for good in ["abc", "a-b_c", "7up", &"x".repeat(30)] {
            assert!(Handle::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "ab",
            "Abc",
            "-abc",
            "_abc",
            "a b",
            "äbc",
            "a/b",
            &"x".repeat(31),
        ] {
            assert!(Handle::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn everything_wrong_with_a_channel_is_told_at_once() {
        let draft = ProfileDraft {
            handle: "A".into(),
            display_name: String::new(),
            description: "x".repeat(5_001),
            language: "?".into(),
            tags: vec![String::new()],
        };
        let mut violations = Violations::default();
        assert_eq!(draft.check(&mut violations), None);
        let fields: Vec<_> = violations
            .finish()
            .unwrap_err()
            .0
            .into_iter()
            .map(|v| v.field)
            .collect();
        assert_eq!(
            fields,
            [
                "channel.handle",
                "channel.display_name",
                "channel.description",
                "channel.language",
                "channel.tags[0]"
            ]
        );
    }

    #[test]
    fn an_update_changes_the_named_fields_and_no_others() {
        let before = Profile {
            handle: Handle::parse("jazz").unwrap(),
            display_name: "Jazz".into(),
            description: "All night".into(),
            language: "en".into(),
            tags: vec!["music".into()],
        };
        let draft = ProfileDraft {
            display_name: "Late jazz".into(),
            ..ProfileDraft::default()
        };
        let after = draft
            .over(&before, &[ProfileField::DisplayName, ProfileField::Language])
            .unwrap();
        let expected = Profile {
            display_name: "Late jazz".into(),
            language: String::new(),
            ..before
        };
        assert_eq!(after, expected);
    }
}
