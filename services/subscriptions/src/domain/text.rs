//! Text that people type.

use std::ops::RangeInclusive;

/// One line without control characters, trimmed; its length in characters must lie in `length`.
///
/// # Errors
/// What is allowed, for the person who has to mend it.
pub(crate) fn line(text: &str, length: RangeInclusive<usize>) -> Result<String, String> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    if !length.contains(&text.chars().count()) {
        return Err(match (*length.start(), *length.end()) {
            (0, end) => format!("must have at most {end} characters"),
            (start, end) => format!("must have {start} to {end} characters"),
        });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_not_bytes() {
        assert_eq!(line("ääää", 1..=4).unwrap(), "ääää");
        assert!(line("äääää", 1..=4).is_err());
    }

    #[test]
    fn spaces_around_do_not_count() {
        assert_eq!(line("  ada  ", 1..=3).unwrap(), "ada");
        assert!(line("   ", 1..=3).is_err());
    }

    #[test]
    fn control_characters_are_refused() {
        assert!(line("a\u{7}b", 1..=10).unwrap_err().contains("control"));
        assert!(line("a\nb", 1..=10).is_err());
    }
}
