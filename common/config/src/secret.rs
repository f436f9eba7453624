use std::fmt;
use std::str::FromStr;

/// A value that is not shown. It is given as it is, or as `file:PATH` to be read from a file, whose last line break does
/// not belong to it.
///
/// ```
/// let secret: marquee_config::Secret = "hunter2".parse().unwrap();
/// assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
/// assert_eq!(secret.expose(), "hunter2");
/// ```
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A secret of this value; `file:` means nothing here.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in a time that depends on the lengths alone.
    pub fn matches(&self, other: &str) -> bool {
        let differences = self
            .0
            .bytes()
            .zip(other.bytes())
            .fold(0, |found, (a, b)| found | (a ^ b));
        std::hint::black_box(differences) == 0 && self.0.len() == other.len()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = match text.strip_prefix("file:") {
            Some(path) => {
                let mut value = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
                let end = value.trim_end_matches(['\r', '\n']).len();
                value.truncate(end);
                value
            }
            None => text.to_owned(),
        };
        if value.is_empty() {
            return Err("a secret must not be empty".to_owned());
        }
        Ok(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_secret_can_come_from_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"hunter2\n").unwrap();
        let secret: Secret = format!("file:{}", file.path().display()).parse().unwrap();
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = "file:/nowhere/secret".parse::<Secret>().unwrap_err();
        assert!(error.starts_with("/nowhere/secret: "), "{error}");
    }

    #[test]
    fn only_the_same_value_matches() {
        let secret = Secret::new("hunter2");
        assert!(secret.matches("hunter2"));
        for other in ["hunter3", "hunter", "hunter22", ""] {
            assert!(!secret.matches(other), "{other}");
        }
    }
}
