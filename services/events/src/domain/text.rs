//! Rules for text that people write. Limits count characters, not bytes.

use marquee_error::Violations;

pub(crate) const MAX_TAGS: usize = 20;
pub(crate) const MAX_TAG: usize = 40;

/// One line: trimmed, without control characters, `min` to `max` characters.
pub(crate) fn line(violations: &mut Violations, field: &str, text: &str, min: usize, max: usize) -> String {
    let text = text.trim();
    let length = text.chars().count();
    violations.check((min..=max).contains(&length), field, || match min {
        0 => format!("has {length} characters, at most {max} are allowed"),
        _ => format!("has {length} characters, {min} to {max} are allowed"),
    });
    violations.check(!text.chars().any(char::is_control), field, || {
        "must not contain control characters".to_owned()
    });
    text.to_owned()
}

/// Several lines: as [`line`], but line breaks and tabs are allowed.
pub(crate) fn paragraphs(violations: &mut Violations, field: &str, text: &str, max: usize) -> String {
    let text = text.trim();
    let length = text.chars().count();
    violations.check(length <= max, field, || {
        format!("has {length} characters, at most {max} are allowed")
    });
    let forbidden = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    violations.check(!text.chars().any(forbidden), field, || {
        "must not contain control characters but line breaks and tabs".to_owned()
    });
    text.to_owned()
}

/// Tags: at most 20 of 1 to 40 characters; a tag that is there twice is kept once.
pub(crate) fn tags(violations: &mut Violations, field: &str, tags: &[String]) -> Vec<String> {
    violations.check(tags.len() <= MAX_TAGS, field, || {
        format!("has {} tags, at most {MAX_TAGS} are allowed", tags.len())
    });
    let mut kept: Vec<String> = Vec::with_capacity(tags.len().min(MAX_TAGS));
    for (n, tag) in tags.iter().enumerate().take(MAX_TAGS) {
        let tag = line(violations, &format!("{field}[{n}]"), tag, 1, MAX_TAG);
        if !kept.contains(&tag) {
            kept.push(tag);
        }
    }
    kept
}

/// A language tag, well formed as in BCP 47 (RFC 5646, section 2.1): subtags of 1 to 8 letters and digits joined by
/// '-', of which the first is 2 to 8 letters. Empty when there is none.
pub(crate) fn language(violations: &mut Violations, field: &str, tag: &str) -> String {
    let tag = tag.trim();
    violations.check(tag.is_empty() || is_language(tag), field, || {
        "must be a BCP 47 language tag of at most 35 characters, for example `en` or `pt-BR`".to_owned()
    });
    tag.to_owned()
}

fn is_language(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let primary = subtags.next().unwrap_or_default();
    tag.len() <= 35
        && (2..=8).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && subtags.all(|s| (1..=8).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked<T>(check: impl FnOnce(&mut Violations) -> T) -> Result<T, Vec<String>> {
        let mut violations = Violations::default();
        let value = check(&mut violations);
        match violations.finish() {
            Ok(()) => Ok(value),
            Err(invalid) => Err(invalid
                .0
                .into_iter()
                .map(|v| format!("{}: {}", v.field, v.description))
                .collect()),
        }
    }

    #[test]
    fn limits_count_characters_and_not_bytes() {
        assert_eq!(
            checked(|v| line(v, "title", &"ä".repeat(200), 1, 200)),
            Ok("ä".repeat(200))
        );
        assert_eq!(
            checked(|v| line(v, "title", &"ä".repeat(201), 1, 200)),
            Err(vec!["title: has 201 characters, 1 to 200 are allowed".to_owned()])
        );
    }

    #[test]
    fn a_line_of_blanks_is_empty() {
        assert!(checked(|v| line(v, "title", " \t ", 1, 200)).is_err());
    }

    #[test]
    fn control_characters_are_refused_but_descriptions_may_have_lines() {
        assert!(checked(|v| line(v, "title", "a\u{7}b", 1, 200)).is_err());
        assert!(checked(|v| line(v, "title", "a\nb", 1, 200)).is_err());
        assert_eq!(
            checked(|v| paragraphs(v, "description", "a\nb", 10)),
            Ok("a\nb".to_owned())
        );
        assert!(checked(|v| paragraphs(v, "description", "a\0b", 10)).is_err());
    }

    #[test]
    fn a_wrong_tag_is_named_by_its_position() {
        let tags_given = ["music".to_owned(), "x".repeat(41)];
        let wrong = checked(|v| tags(v, "event.tags", &tags_given)).unwrap_err();
        assert_eq!(wrong, ["event.tags[1]: has 41 characters, 1 to 40 are allowed"]);
    }

    #[test]
    fn language_tags_are_well_formed() {
        for good in ["", "en", "pt-BR", "zh-Hant-TW", "sl-rozaj-biske-1994"] {
            assert!(checked(|v| language(v, "language", good)).is_ok(), "{good}");
        }
        for bad in ["e", "english language", "en_US", "en-", "12", "de-verylongsubtag"] {
            assert!(checked(|v| language(v, "language", bad)).is_err(), "{bad}");
        }
    }
}
