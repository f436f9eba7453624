//! The folder of the index: opened, checked, and thrown away when it cannot be used.

use std::fs;
use std::io;
use std::path::Path;

use tantivy::directory::error::LockError;
use tantivy::directory::{INDEX_WRITER_LOCK, MmapDirectory};
use tantivy::{Directory as _, Index, IndexSettings, TantivyError};

use super::super::Error;
use super::schema::{Fields, VERSION, reader};

/// Holds the number of the schema, beside tantivy's files.
const VERSION_FILE: &str = "schema-version";

/// Checksums of an index up to this size are verified when it is opened; reading more would hold up the start.
const VERIFIED_BYTES: u64 = 64 << 20;

/// Why an index is built anew.
enum Unusable {
    /// Made by another version.
    Version(String),
    /// Damaged.
    Damaged(String),
}

/// Opens the index, or an empty one in its place.
pub(super) fn open(folder: &Path) -> Result<(Index, Fields), Error> {
    let unavailable = |error: io::Error| Error::Unavailable(format!("`{}`: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(unavailable)?;
    if !folder.join("meta.json").exists() && !folder.join(VERSION_FILE).exists() {
        return create(folder);
    }
    // What another process works on is not thrown away, whatever it looks like from here.
    let directory = MmapDirectory::open(folder).map_err(TantivyError::from)?;
    if let Err(LockError::LockBusy) = directory.acquire_lock(&INDEX_WRITER_LOCK) {
        return Err(Error::Locked(folder.display().to_string()));
    }
    match open_present(folder)? {
        Ok(opened) => Ok(opened),
        Err(unusable) => {
            let folder_shown = folder.display();
            match unusable {
                Unusable::Version(found) => tracing::warn!(
                    folder = %folder_shown, found, expected = VERSION,
                    "the search index was made by another version: it is built anew from the bus"
                ),
                Unusable::Damaged(reason) => tracing::warn!(
                    folder = %folder_shown, reason,
                    "the search index is damaged: it is built anew from the bus"
                ),
            }
            fs::remove_dir_all(folder)
                .and_then(|()| fs::create_dir_all(folder))
                .map_err(unavailable)?;
            create(folder)
        }
    }
}

fn create(folder: &Path) -> Result<(Index, Fields), Error> {
    let (schema, fields) = Fields::schema();
    let directory = MmapDirectory::open(folder).map_err(TantivyError::from)?;
    let index = Index::create(directory, schema, IndexSettings::default())?;
    fs::write(folder.join(VERSION_FILE), VERSION.to_string())
        .map_err(|error| Error::Unavailable(error.to_string()))?;
    Ok((index, fields))
}

/// The index that is there. The outer error is one that building anew would not mend.
fn open_present(folder: &Path) -> Result<Result<(Index, Fields), Unusable>, Error> {
    let found = fs::read_to_string(folder.join(VERSION_FILE)).unwrap_or_else(|_| "none".to_owned());
    if found.trim() != VERSION.to_string() {
        return Ok(Err(Unusable::Version(found.chars().take(20).collect())));
    }
    let directory = MmapDirectory::open(folder).map_err(TantivyError::from)?;
    let (schema, fields) = Fields::schema();
    match check(directory, folder) {
        Ok(index) if index.schema() == schema => Ok(Ok((index, fields))),
        Ok(_) => Ok(Err(Unusable::Version("another schema".to_owned()))),
        Err(TantivyError::IoError(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Error::Unavailable(error.to_string()))
        }
        Err(error) => Ok(Err(Unusable::Damaged(error.to_string()))),
    }
}

fn check(directory: MmapDirectory, folder: &Path) -> Result<Index, TantivyError> {
    let index = Index::open(directory)?;
    reader(&index)?;
    super::positions(&index).map_err(|error| TantivyError::InternalError(error.to_string()))?;
    if size(folder) <= VERIFIED_BYTES {
        let damaged = index.validate_checksum()?;
        if let Some(file) = damaged.iter().next() {
            return Err(TantivyError::InternalError(format!(
                "`{}` has another checksum",
                file.display()
            )));
        }
    }
    Ok(index)
}

fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}
