-- Copies of what the events service owns, as far as permission and existence need them.
CREATE TABLE channel (
    name       TEXT    NOT NULL PRIMARY KEY,
    owner      TEXT    NOT NULL,
    version_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
    name TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
