//! What a process listens on, for those who start it.

use std::io;
use std::path::Path;

use serde_json::json;

use crate::Bound;

/// A file from an earlier start must not be taken for this one's.
pub(crate) fn remove(file: &Path) -> Result<(), String> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!(
            "ready-file: cannot remove the old {}: {error}",
            file.display()
        )),
        _ => Ok(()),
    }
}

/// Writes it; it appears with all of its content.
pub(crate) fn write(file: &Path, bound: Bound) -> Result<(), String> {
    let mut content = json!({"address": bound.http.to_string()});
    if let Some(rtmp) = bound.rtmp {
        content["rtmp"] = rtmp.to_string().into();
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    std::fs::write(&name, format!("{content}\n"))
        .and_then(|()| std::fs::rename(&name, file))
        .map_err(|error| format!("ready-file: cannot write {}: {error}", file.display()))
}
