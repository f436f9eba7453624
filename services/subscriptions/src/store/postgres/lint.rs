//! A lint over all SQL of the adapter: nothing that CockroachDB does not take, or takes otherwise, and nothing that a
//! change of the schema would break. docs/adr/0009-postgresql.md says why.

use std::fs;
use std::path::Path;

/// What must not occur, as words in upper case with one space between them, and why. A word with a `%` before it may be
/// any part of a word.
const FORBIDDEN: &[(&str, &str)] = &[
    ("%ADVISORY", "CockroachDB has no advisory locks"),
    ("LOCK TABLE", "CockroachDB locks no tables"),
    (
        "SERIAL",
        "ids are made by the service: a sequence is a bottleneck, and its order is no order of commits",
    ),
    ("SMALLSERIAL", "ids are made by the service"),
    ("BIGSERIAL", "ids are made by the service"),
    ("SEQUENCE", "ids are made by the service"),
    ("NEXTVAL", "ids are made by the service"),
    ("IDENTITY", "ids are made by the service"),
    ("LISTEN", "CockroachDB does not notify"),
    ("NOTIFY", "CockroachDB does not notify"),
    ("PG_NOTIFY", "CockroachDB does not notify"),
    ("TRIGGER", "what happens is in the program"),
    ("FUNCTION", "what happens is in the program"),
    ("PROCEDURE", "what happens is in the program"),
    ("DO $", "what happens is in the program"),
    ("EXTENSION", "CockroachDB has none"),
    ("EXCLUDE", "CockroachDB has no exclusion constraints"),
    ("INHERITS", "CockroachDB has no inheritance"),
    ("UNLOGGED", "what is acknowledged is there after a crash"),
    ("DEFERRABLE", "CockroachDB defers no constraints"),
    ("CTID", "rows have no address in CockroachDB"),
    ("XMIN", "rows have no such column in CockroachDB"),
    ("TXID_CURRENT", "transactions have no numbers in CockroachDB"),
    (
        "PG_CURRENT_XACT_ID",
        "transactions have no numbers in CockroachDB",
    ),
    ("READ COMMITTED", "transactions are SERIALIZABLE"),
    ("REPEATABLE READ", "transactions are SERIALIZABLE"),
    (
        "SELECT *",
        "a new column would break what older processes have prepared",
    ),
    (
        "RETURNING *",
        "a new column would break what older processes have prepared",
    ),
    ("ENUM", "a type that is changed locks the tables that use it"),
];

/// The words of SQL, in upper case.
fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for letter in sql.chars().chain([' ']) {
        if letter.is_alphanumeric() || letter == '_' {
            word.extend(letter.to_uppercase());
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if matches!(letter, '*' | '$') {
            words.push(letter.to_string());
        }
    }
    words
}

/// What is wrong with a statement.
fn complaints(sql: &str) -> Vec<String> {
    let words = words(sql);
    let forbidden = FORBIDDEN.iter().filter(|(what, _)| {
        let what: Vec<&str> = what.split(' ').collect();
        let same = |(word, what): (&String, &&str)| match what.strip_prefix('%') {
            Some(part) => word.contains(part),
            None => word == what,
        };
        let mut places = words.windows(what.len());
        places.any(|here| here.iter().zip(&what).all(same))
    });
    forbidden.map(|(what, why)| format!("{what}: {why}")).collect()
}

/// Texts in the code: what stands between quotes, on lines that are no comments.
fn texts(code: &str) -> Vec<String> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut texts = Vec::new();
    let mut text: Option<String> = None;
    let mut letters = code.chars().peekable();
    while let Some(letter) = letters.next() {
        match (&mut text, letter) {
            (Some(text), '\\') => text.extend(letters.next()),
            (open @ Some(_), '"') => texts.extend(open.take()),
            (Some(text), letter) => text.push(letter),
            // A character, not the beginning of a text.
            (None, '\'') if letters.peek() == Some(&'"') => drop(letters.next()),
            (None, '"') => text = Some(String::new()),
            (None, _) => {}
        }
    }
    texts
}

/// Files of a folder that end so, but for those of tests.
fn files(folder: &str, end: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(end))
        .filter(|path| !["lint.rs", "tests.rs"].iter().any(|name| path.ends_with(name)))
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn the_migrations_hold_nothing_that_cockroachdb_lacks() {
    let files = files("migrations/postgres", ".sql");
    assert_eq!(
        files.len(),
        super::migrations::MIGRATIONS.len(),
        "a file is not run"
    );
    for (path, text) in files {
        for statement in super::migrations::statements(&text) {
            assert_eq!(complaints(&statement), [""; 0], "{path}: {statement}");
        }
    }
}

#[test]
fn the_statements_hold_nothing_that_cockroachdb_lacks() {
    let mut seen = 0;
    let adapter = files("src/store", "/postgres.rs");
    assert_eq!(adapter.len(), 1);
    for (path, code) in adapter.into_iter().chain(files("src/store/postgres", ".rs")) {
        for text in texts(&code) {
            assert_eq!(complaints(&text), [""; 0], "{path}: {text}");
            seen += usize::from(words(&text).first().is_some_and(|word| {
                ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "BEGIN"].contains(&word.as_str())
            }));
        }
    }
    assert!(seen >= 40, "only {seen} statements were found");
}

#[test]
fn what_cockroachdb_lacks_is_found() {
    for (broken, what) in [
        ("SELECT pg_advisory_lock(1)", "%ADVISORY"),
        ("SELECT pg_try_advisory_xact_lock ($1)", "%ADVISORY"),
        ("CREATE TABLE a (id BIGSERIAL PRIMARY KEY)", "BIGSERIAL"),
        ("create table a (id serial)", "SERIAL"),
        ("CREATE SEQUENCE IF NOT EXISTS s", "SEQUENCE"),
        ("SELECT nextval('s')", "NEXTVAL"),
        ("id BIGINT GENERATED ALWAYS AS IDENTITY", "IDENTITY"),
        ("LISTEN outbox", "LISTEN"),
        ("SELECT pg_notify('outbox', '')", "PG_NOTIFY"),
        ("DO $$ BEGIN END $$", "DO $"),
        ("CREATE OR REPLACE FUNCTION f()", "FUNCTION"),
        ("CREATE TRIGGER t AFTER INSERT ON a", "TRIGGER"),
        ("LOCK  TABLE\n a", "LOCK TABLE"),
        ("SELECT * FROM a", "SELECT *"),
        ("BEGIN ISOLATION LEVEL READ COMMITTED", "READ COMMITTED"),
    ] {
        let found = complaints(broken);
        assert!(
            found.iter().any(|complaint| complaint.starts_with(what)),
            "{broken}: {found:?}"
        );
    }
}

#[test]
fn what_both_take_is_no_offence() {
    for fine in [
        "SELECT id, serial_number FROM a WHERE b = $1",
        "INSERT INTO a (b) VALUES ($1) ON CONFLICT (b) DO UPDATE SET b = excluded.b",
        "INSERT INTO a (b) VALUES ($1) ON CONFLICT (b) DO NOTHING",
        "SELECT count(*) AS rows FROM a",
    ] {
        assert_eq!(complaints(fine), [""; 0], "{fine}");
    }
}

#[test]
fn statements_are_found_in_code() {
    let code = "// \"LISTEN a\"\nlet a = '\"'; query(\"SELECT \\\"a\\\"\n FROM b\") + \"c\"";
    assert_eq!(texts(code), ["SELECT \"a\"\n FROM b", "c"]);
}
