use super::*;
use crate::store::suite::{Backend, LOGIN_LIMIT, store_suite};

struct File(tempfile::TempDir);

impl Backend for File {
    type Store = Sqlite;

    async fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Arc<Sqlite> {
        Self::open_place(self.0.path().to_str().unwrap()).await
    }

    fn place(&self) -> String {
        self.0.path().to_str().unwrap().to_owned()
    }

    async fn open_place(place: &str) -> Arc<Sqlite> {
        Arc::new(open(Path::new(place)))
    }
}

fn open(folder: &Path) -> Sqlite {
    Sqlite::open(folder, LOGIN_LIMIT).unwrap()
}

store_suite!(File);

#[test]
fn nobody_but_the_owner_can_read_the_file_and_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for name in ["subscriptions.db", "subscriptions.db-wal"] {
        let mode = fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    drop(store);
}

#[test]
fn a_folder_that_is_a_file_is_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taken");
    fs::write(&path, "").unwrap();
    let error = Sqlite::open(&path, LOGIN_LIMIT).err().unwrap().to_string();
    assert!(error.contains("taken"), "{error}");
}
