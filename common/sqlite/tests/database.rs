//! What one database file promises.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use marquee_error::{ErrorExt, ErrorKind};
use marquee_sqlite::rusqlite::{self, Connection};
use marquee_sqlite::{Database, Error};

const SCHEMA: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT UNIQUE)";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &tempfile::TempDir) -> Database {
    Database::open(&folder.path().join("t.sqlite"), &[SCHEMA]).unwrap()
}

async fn insert(database: &Database, name: &str) -> Result<(), Error> {
    let name = name.to_owned();
    database
        .write(move |tx| {
            tx.execute("INSERT INTO t(name) VALUES (?)", [&name])?;
            Ok(())
        })
        .await
}

fn count(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
}

#[tokio::test]
async fn an_acknowledged_write_is_read_at_once_and_after_reopening() {
    let folder = folder();
    let database = open(&folder);
    insert(&database, "a").await.unwrap();
    assert_eq!(database.read(count).unwrap(), 1);
    drop(database);
    assert_eq!(open(&folder).read_blocking(count).await.unwrap(), 1);
}

#[tokio::test]
async fn a_failed_write_takes_only_itself_back() {
    let folder = folder();
    let database = open(&folder);
    insert(&database, "a").await.unwrap();
    let (good, bad) = tokio::join!(insert(&database, "b"), async {
        database
            .write(|tx| {
                tx.execute("INSERT INTO t(name) VALUES ('c')", [])
                    .map_err(Error::from)?;
                tx.execute("INSERT INTO t(name) VALUES ('a')", [])
                    .map_err(Error::from)?;
                Ok::<_, Error>(())
            })
            .await
    });
    good.unwrap();
    let Err(Error::UniqueViolation { constraint }) = bad else {
        panic!("{bad:?}")
    };
    assert_eq!(constraint, "t.name");
    assert_eq!(
        database.read(count).unwrap(),
        2,
        "c went with the write that failed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writes_share_commits() {
    let folder = folder();
    let database = open(&folder);
    let writers: Vec<_> = (0..64)
        .map(|writer| {
            let database = database.clone();
            tokio::spawn(async move {
                for n in 0..10 {
                    insert(&database, &format!("{writer}-{n}")).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(database.read(count).unwrap(), 640);
    let commits = *database.committed().borrow();
    assert!(commits < 400, "640 writes took {commits} commits");
}

#[tokio::test]
async fn a_panic_in_a_write_reaches_its_caller_and_nobody_else() {
    let folder = folder();
    let database = open(&folder);
    let panicking = {
        let database = database.clone();
        tokio::spawn(async move {
            database
                .write(|_| -> Result<(), Error> { panic!("on purpose") })
                .await
        })
    };
    assert!(panicking.await.unwrap_err().is_panic());
    insert(&database, "a").await.unwrap();
}

#[tokio::test]
async fn follow_ups_run_in_the_order_of_the_commits() {
    let folder = folder();
    let database = open(&folder);
    let next = Arc::new(AtomicUsize::new(0));
    for n in 0..100 {
        let next = next.clone();
        database.reserve().await.unwrap().send(
            |_| Ok::<_, Error>(()),
            move |result: Result<(), Error>| {
                result.unwrap();
                assert_eq!(next.fetch_add(1, Ordering::SeqCst), n);
            },
        );
    }
    drop(database);
    assert_eq!(
        next.load(Ordering::SeqCst),
        100,
        "dropping the database ran what was queued"
    );
}

#[tokio::test]
async fn a_reader_sees_the_last_commit_while_a_write_is_under_way() {
    let folder = folder();
    let database = open(&folder);
    let (entered, wait_entered) = tokio::sync::oneshot::channel();
    let (leave, wait_leave) = std::sync::mpsc::channel::<()>();
    let writing = database.write(move |tx| {
        tx.execute("INSERT INTO t(name) VALUES ('a')", [])?;
        entered.send(()).unwrap();
        wait_leave.recv().unwrap();
        Ok::<_, Error>(())
    });
    let reading = async {
        wait_entered.await.unwrap();
        assert_eq!(database.read(count).unwrap(), 0);
        leave.send(()).unwrap();
    };
    let (written, ()) = tokio::join!(writing, reading);
    written.unwrap();
    assert_eq!(database.read(count).unwrap(), 1);
}

#[tokio::test]
async fn a_second_opening_of_the_file_is_refused() {
    let folder = folder();
    let _first = open(&folder);
    let second = Database::open(&folder.path().join("t.sqlite"), &[SCHEMA]);
    assert!(matches!(second.err(), Some(Error::Locked { .. })));
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = folder();
    let path = folder.path().join("t.sqlite");
    drop(Database::open(&path, &[SCHEMA, "CREATE TABLE u(id)"]).unwrap());
    let error = Database::open(&path, &[SCHEMA]).err().unwrap();
    assert!(
        matches!(
            error,
            Error::NewerSchema {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_migration_that_fails_leaves_the_version_as_it_was() {
    let folder = folder();
    let path = folder.path().join("t.sqlite");
    drop(Database::open(&path, &[SCHEMA]).unwrap());
    assert!(Database::open(&path, &[SCHEMA, "CREATE TABLE u(id); nonsense"]).is_err());
    drop(Database::open(&path, &[SCHEMA, "CREATE TABLE u(id)"]).unwrap());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Database::open(&file.join("sub/t.sqlite"), &[]).err().unwrap();
    assert!(matches!(error, Error::Unwritable { .. }));
    assert!(error.to_string().contains("file/sub"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_called_damaged() {
    let folder = folder();
    let path = folder.path().join("t.sqlite");
    std::fs::write(&path, [7; 4096]).unwrap();
    assert!(matches!(
        Database::open(&path, &[SCHEMA]).err(),
        Some(Error::Corrupt(_))
    ));
}

#[tokio::test]
async fn a_full_disk_is_reported_with_its_folder_and_takes_nothing_acknowledged() {
    let folder = folder();
    let database = open(&folder);
    insert(&database, "kept").await.unwrap();
    // The file may not grow any more, as on a full disk.
    database
        .write(|tx| {
            let pages: i64 = tx
                .query_row("PRAGMA page_count", [], |row| row.get(0))
                .map_err(Error::from)?;
            tx.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
                .map_err(Error::from)
        })
        .await
        .unwrap();
    let error = insert(&database, &"x".repeat(1 << 20)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Full { folder: named } if named == folder.path()),
        "{error}"
    );
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::ResourceExhausted, "DISK_FULL")
    );
    insert(&database, "small").await.unwrap();
    let names: Result<Vec<String>, Error> = database.read(|connection| {
        let mut statement = connection.prepare("SELECT name FROM t ORDER BY id")?;
        Ok(statement
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, rusqlite::Error>>()?)
    });
    assert_eq!(names.unwrap(), ["kept", "small"]);
}

#[tokio::test]
async fn the_write_ahead_log_begins_anew_although_writing_never_pauses() {
    let folder = folder();
    let options = marquee_sqlite::Options {
        wal_pages: 100,
        ..Default::default()
    };
    let database = Database::open_with(&folder.path().join("t.sqlite"), &[SCHEMA], options).unwrap();
    let log = folder.path().join("t.sqlite-wal");
    // About 20 MB through a log that is to be moved every 400 kB.
    for n in 0..2000 {
        insert(&database, &format!("{n}-{}", "x".repeat(5000)))
            .await
            .unwrap();
    }
    let bytes = std::fs::metadata(log).unwrap().len();
    assert!(bytes < 6 << 20, "the log has grown to {bytes} bytes");
    assert_eq!(database.read(count).unwrap(), 2000);
}
