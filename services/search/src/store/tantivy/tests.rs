//! The embedded store does what every store does, and keeps it over restarts.

use std::fs;

use super::*;
use crate::store::suite::{self, concert};

/// A folder, and its store until that is closed.
struct Embedded {
    folder: tempfile::TempDir,
    store: Option<Tantivy>,
}

impl suite::Fixture for Embedded {
    type Store = Tantivy;

    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Some(Tantivy::open(folder.path()).unwrap());
        Self { folder, store }
    }

    fn store(&self) -> &Tantivy {
        self.store.as_ref().unwrap()
    }

    fn another(&self) -> Tantivy {
        self.store().clone()
    }

    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Tantivy::open(self.folder.path()).unwrap());
    }
}

suite::suite!(Embedded);

async fn filled(folder: &Path) -> Positions {
    let store = Tantivy::open(folder).unwrap();
    let positions = Positions::from([(("marquee.events.event.v1".to_owned(), 3), 17)]);
    let batch = Batch {
        documents: vec![concert("e1", "Jazz Night")],
        positions: positions.clone(),
    };
    store.apply(batch).await.unwrap();
    positions
}

async fn found(store: &Tantivy) -> Vec<String> {
    suite::names(store, "jazz").await
}

/// What a new version of the channel changes in an index that has three of its events.
async fn staged_by(changed: ChannelDocument) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let store = Tantivy::open(folder.path()).unwrap();
    let mut documents: Vec<_> = ["e1", "e2", "e3"].map(|id| concert(id, "Jazz")).into();
    documents.push(Document::Channel(suite::channel("c", "Blue Room")));
    store
        .apply(Batch {
            documents,
            ..Batch::default()
        })
        .await
        .unwrap();
    let newer = ChannelDocument {
        version: crate::domain::Version(2),
        ..changed
    };
    let staged = store
        .generations
        .lock()
        .searched()
        .stage(&[Document::Channel(newer)])
        .unwrap();
    let mut names: Vec<_> = staged.into_keys().collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_change_of_a_channel_that_its_events_do_not_show_writes_none_of_them() {
    let changed = ChannelDocument {
        description: "Jazz every night".into(),
        tags: vec!["jazz".into()],
        ..suite::channel("c", "Blue Room")
    };
    assert_eq!(staged_by(changed).await, ["channels/c"]);
    let renamed = staged_by(suite::channel("c", "Red Hall")).await;
    assert_eq!(renamed.len(), 4, "{renamed:?}");
}

#[tokio::test]
async fn a_damaged_index_is_empty_again_and_asks_for_the_bus_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let store_file = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "term"))
        .unwrap();
    let mut bytes = fs::read(&store_file).unwrap();
    bytes[3] ^= 0xff;
    fs::remove_file(&store_file).unwrap();
    fs::write(&store_file, bytes).unwrap();

    let store = Tantivy::open(folder.path()).unwrap();
    assert!(store.positions().await.unwrap().is_empty());
    assert!(found(&store).await.is_empty());
}

#[tokio::test]
async fn a_truncated_meta_file_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    fs::write(folder.path().join("meta.json"), "{").unwrap();

    let store = Tantivy::open(folder.path()).unwrap();
    assert!(store.positions().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_index_of_another_version_is_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    fs::write(folder.path().join("schema-version"), "0").unwrap();

    let store = Tantivy::open(folder.path()).unwrap();
    assert!(store.positions().await.unwrap().is_empty());
    store
        .apply(Batch {
            documents: vec![concert("e1", "Jazz Night")],
            ..Batch::default()
        })
        .await
        .unwrap();
    assert_eq!(found(&store).await, ["channels/c/events/e1"]);
}

#[tokio::test]
async fn an_index_in_use_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Tantivy::open(folder.path()).unwrap();
    fs::write(folder.path().join("schema-version"), "0").unwrap();

    assert!(matches!(Tantivy::open(folder.path()), Err(Error::Locked(_))));
    store
        .apply(Batch {
            documents: vec![concert("e1", "Jazz Night")],
            ..Batch::default()
        })
        .await
        .unwrap();
    assert_eq!(found(&store).await, ["channels/c/events/e1"]);
}
