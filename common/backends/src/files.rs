//! Small things with files.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::{Error, Result};

/// Makes the folder and those above it.
pub(crate) fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::at("make", folder))
}

/// Writes the whole file.
pub(crate) fn write(file: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    std::fs::write(file, text).map_err(Error::at("write", file))
}

/// Writes the file so that a reader sees the old one or the new one, never a part.
pub(crate) fn replace(file: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    let partial = file.with_extension("partial");
    write(&partial, text)?;
    std::fs::rename(&partial, file).map_err(Error::at("write", file))
}

/// Removes a folder with all that is in it; none is fine.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::at("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// Opened and locked until it is dropped; the kernel frees it however the process ends.
pub(crate) fn lock(file: &Path) -> Result<File> {
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(file)
        .map_err(Error::at("open", file))?;
    opened.lock().map_err(Error::at("lock", file))?;
    Ok(opened)
}

/// The last lines of a log.
pub(crate) fn last_lines(file: &Path, lines: usize) -> String {
    /// More than that many bytes of a log is not a message any more.
    const MOST: u64 = 8 << 10;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut opened = File::open(file)?;
        let length = opened.metadata()?.len();
        opened.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
        let mut bytes = Vec::new();
        opened.take(MOST).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A size as people say it.
pub(crate) fn size(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        write(&log, (0..5000).map(|n| format!("line {n}\n")).collect::<String>()).unwrap();
        assert_eq!(last_lines(&log, 2), "line 4998\nline 4999");
        assert_eq!(last_lines(&folder.path().join("none"), 2), "");
    }

    #[test]
    fn a_size_is_in_megabytes() {
        assert_eq!(size(42_156_333), "42.1 MB");
    }
}
