//! What was fetched is what was pinned, byte for byte, or it is not taken.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

/// The SHA-256 of some bytes, in hex.
pub(crate) fn of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of a file, in hex.
pub(crate) fn of_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::at("open", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(Error::at("read", path))?;
        if read == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Fails unless the file is the pinned one.
pub(crate) fn check(path: &Path, expected: &str) -> Result<()> {
    let found = of_file(path)?;
    if found == expected {
        return Ok(());
    }
    Err(Error::Hash {
        file: name_of(path),
        expected: expected.into(),
        found,
    })
}

/// Files and their hashes, in the form of `sha256sum`.
pub(crate) struct Pinned<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Pinned<'a> {
    /// Parses `hash  name` lines. Lines that are empty or start with `#` are passed over.
    pub(crate) fn parse(text: &'a str) -> Result<Pinned<'a>> {
        let mut files = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (hash, name) = line
                .split_once(char::is_whitespace)
                .map(|(hash, name)| (hash, name.trim()))
                .filter(|(hash, name)| {
                    hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) && !name.is_empty()
                })
                .ok_or_else(|| Error::Unpinned(format!("not a line of sha256sum: {line:?}")))?;
            if files.insert(name, hash).is_some() {
                return Err(Error::Unpinned(format!("{name} is pinned twice")));
            }
        }
        Ok(Pinned(files))
    }

    /// Fails unless the folder holds exactly the pinned files. Returns their number and their size in bytes.
    pub(crate) fn check(&self, folder: &Path) -> Result<(usize, u64)> {
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(Error::at("list", folder))? {
            let entry = entry.map_err(Error::at("list", folder))?;
            let size = entry.metadata().map_err(Error::at("read", &entry.path()))?.len();
            found.insert(entry.file_name().to_string_lossy().into_owned(), size);
        }
        if let Some(name) = found.keys().find(|name| !self.0.contains_key(name.as_str())) {
            return Err(Error::Unpinned(format!("{name} was fetched but is not pinned")));
        }
        for (name, hash) in &self.0 {
            if !found.contains_key(*name) {
                return Err(Error::Unpinned(format!("{name} is pinned but was not fetched")));
            }
            check(&folder.join(name), hash)?;
        }
        Ok((found.len(), found.values().sum()))
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of "abc", FIPS 180-4's example.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn the_hash_is_sha_256() {
        let folder = folder(&[("abc", "abc")]);
        assert_eq!(of_file(&folder.path().join("abc")).unwrap(), ABC);
        assert_eq!(of(b"abc"), ABC);
    }

    #[test]
    fn the_pinned_files_pass() {
        let text = format!("# jars\n{ABC}  a.jar\n\n");
        let folder = folder(&[("a.jar", "abc")]);
        assert_eq!(
            Pinned::parse(&text).unwrap().check(folder.path()).unwrap(),
            (1, 3)
        );
    }

    #[test]
    fn a_file_that_was_changed_is_refused() {
        let text = format!("{ABC}  a.jar");
        let folder = folder(&[("a.jar", "abd")]);
        let error = Pinned::parse(&text).unwrap().check(folder.path()).unwrap_err();
        assert!(matches!(&error, Error::Hash { file, expected, .. } if file == "a.jar" && expected == ABC));
    }

    #[test]
    fn a_file_that_is_missing_or_not_pinned_is_refused() {
        let text = format!("{ABC}  a.jar");
        let pinned = Pinned::parse(&text).unwrap();
        let error = pinned.check(folder(&[]).path()).unwrap_err();
        assert_eq!(error.to_string(), "a.jar is pinned but was not fetched");
        let error = pinned
            .check(folder(&[("a.jar", "abc"), ("b.jar", "abc")]).path())
            .unwrap_err();
        assert_eq!(error.to_string(), "b.jar was fetched but is not pinned");
    }

    #[test]
    fn a_list_that_is_none_is_refused() {
        assert!(Pinned::parse("a.jar").is_err());
        assert!(Pinned::parse("zz  a.jar").is_err());
        assert!(Pinned::parse(&format!("{ABC}  a.jar\n{ABC}  a.jar")).is_err());
    }

    #[test]
    fn the_lists_of_this_crate_parse() {
        for list in [crate::kafka::PINNED, crate::elasticsearch::embedded::PINNED] {
            assert!(Pinned::parse(list).unwrap().0.len() > 40);
        }
    }
}
