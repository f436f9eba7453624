//! The SQLite backend: the suite, and what it alone promises.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use marquee_documents::testing::following::{follow, told};
use marquee_documents::testing::{Fixture, Show, collections, show};
use marquee_documents::{Collection, Document, Error, Index, Location, Query, Store, Transaction};
use marquee_error::{ErrorExt, ErrorKind};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

struct InFile {
    folder: TempDir,
    store: Store,
}

impl InFile {
    fn on(folder: TempDir) -> Self {
        let store = Store::open_sqlite(&folder.path().join("shows.sqlite"), &collections()).unwrap();
        Self { folder, store }
    }
}

impl Fixture for InFile {
    async fn start() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> Store {
        self.store.clone()
    }

    fn location(&self) -> Location {
        Location::Sqlite(self.folder.path().join("shows.sqlite"))
    }

    type Data = TempDir;

    fn close(self) -> TempDir {
        self.folder
    }

    async fn open(folder: TempDir) -> Self {
        Self::on(folder)
    }
}

marquee_documents::suite!(InFile);

#[tokio::test]
async fn who_is_too_slow_to_follow_reads_anew() {
    let fixture = InFile::start().await;
    let store = fixture.store();
    let mut changes = follow(&store).await;
    for batch in 0..5 {
        let transaction = (0..500).try_fold(Transaction::new(), |transaction, n| {
            transaction.insert(&show(&format!("{batch}-{n}"), n))
        });
        store.commit(transaction.unwrap()).await.unwrap();
    }
    assert_eq!(told(&mut changes).await, "anew");
    let last = Transaction::new().insert(&show("last", 1)).unwrap();
    store.commit(last).await.unwrap();
    assert_eq!(
        told(&mut changes).await,
        "last=1",
        "what was read anew is not told again"
    );
}

#[tokio::test]
async fn changes_end_with_the_store() {
    let fixture = InFile::start().await;
    let mut changes = follow(&fixture.store).await;
    drop(fixture);
    assert!(changes.next(|_| true).await.is_none());
}

/// The same documents as a later version of the program declares them.
#[derive(Serialize, Deserialize)]
struct Later(Show);

impl Document for Later {
    const COLLECTION: &'static str = Show::COLLECTION;
    const INDEXES: &'static [Index] = &[Index {
        name: "channel_unique",
        fields: &["channel"],
        unique: true,
    }];

    fn id(&self) -> &str {
        self.0.id()
    }
}

#[tokio::test]
async fn indexes_follow_what_is_declared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shows.sqlite");
    let store = Store::open_sqlite(&path, &collections()).unwrap();
    for (id, channel) in [("a", "c1"), ("b", "c2")] {
        let show = Show {
            channel: channel.to_owned(),
            ..show(id, 1)
        };
        store
            .commit(Transaction::new().insert(&show).unwrap())
            .await
            .unwrap();
    }
    drop(store);
    let store = Store::open_sqlite(&path, &[Collection::of::<Later>()]).unwrap();
    let found = store
        .query::<Later>(Query::by("channel_unique").equals("c2"))
        .await
        .unwrap();
    assert_eq!(found.items[0].value.id(), "b");
    let taken = Show {
        channel: "c1".to_owned(),
        ..show("c", 1)
    };
    let taken = store
        .commit(Transaction::new().insert(&Later(taken)).unwrap())
        .await;
    assert!(matches!(taken, Err(Error::AlreadyExists { index, .. }) if index == "channel_unique"));
}

#[tokio::test]
async fn a_unique_index_over_values_that_are_not_is_refused_at_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shows.sqlite");
    let store = Store::open_sqlite(&path, &collections()).unwrap();
    let both = Transaction::new()
        .insert(&show("a", 1))
        .unwrap()
        .insert(&show("b", 1))
        .unwrap();
    store.commit(both).await.unwrap();
    drop(store);
    let refused = Store::open_sqlite(&path, &[Collection::of::<Later>()])
        .err()
        .unwrap();
    assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_query_enters_its_index_at_the_place_of_the_page() {
    let fixture = InFile::start().await;
    for n in 0..20 {
        fixture
            .store
            .commit(Transaction::new().insert(&show(&format!("{n:02}"), n)).unwrap())
            .await
            .unwrap();
    }
    let page = fixture
        .store
        .query::<Show>(Query::by("channel_start").equals("c").limit(5))
        .await
        .unwrap();
    let token = page.next_page_token.unwrap();
    let next = Query::by("channel_start").equals("c").limit(5).after(&token);
    let plan = fixture.store.explain::<Show>(next).await.unwrap();
    assert!(
        plan.contains("USING INDEX documents_shows__by__channel_start (<expr>=? AND <expr>>?)"),
        "{plan}"
    );
    assert!(!plan.contains("TEMP B-TREE"), "the index gives the order: {plan}");
}

#[test]
fn a_folder_that_cannot_be_written_gives_one_clear_message() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Store::open_sqlite(&file.join("shows.sqlite"), &collections())
        .err()
        .unwrap();
    assert!(error.to_string().starts_with("cannot write in `"), "{error}");
}

#[test]
fn a_full_disk_is_the_callers_to_know() {
    let full = marquee_sqlite::Error::Full {
        folder: "/data".into(),
    };
    let error = Error::from(full);
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::ResourceExhausted, "DISK_FULL")
    );
    assert!(error.to_string().contains("/data"));
}
