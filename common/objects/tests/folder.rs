//! The suite on a folder.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use marquee_objects::{Location, Objects};
use tempfile::TempDir;

async fn empty() -> (Objects, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::Folder(folder.path().join("objects"));
    (Objects::open(&location).await.unwrap(), folder)
}

marquee_objects::suite!(empty);

#[tokio::test]
async fn what_cannot_be_written_leaves_nothing() {
    let (objects, folder) = empty().await;
    // A folder is where the object would be.
    std::fs::create_dir_all(folder.path().join("objects/c/taken")).unwrap();
    let content = vec![bytes::Bytes::from_static(b"x")];
    let error = objects.put("c/taken", content, "text/plain").await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let staged = std::fs::read_dir(folder.path().join("objects/.staging")).unwrap();
    assert_eq!(staged.count(), 0);
}
