-- How far each partition of the playback topic was folded, and what became of its messages. `next_offset` moves in the
-- transaction that moves the sums, and the check holds the promise: what was produced is accounted for.
CREATE TABLE partition_progress (
    topic       TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    -- Messages of a topic that was made anew since.
    earlier     INTEGER NOT NULL DEFAULT 0,
    -- Messages that had expired on the bus before they were read.
    skipped     INTEGER NOT NULL DEFAULT 0,
    counted     INTEGER NOT NULL DEFAULT 0,
    late        INTEGER NOT NULL DEFAULT 0,
    malformed   INTEGER NOT NULL DEFAULT 0,
    duplicate   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition),
    CHECK (counted + late + malformed + duplicate = earlier + next_offset - skipped)
) STRICT, WITHOUT ROWID;

-- One play attempt each. `state` is the session as the fold keeps it (protobuf).
CREATE TABLE session (
    viewer           TEXT    NOT NULL,
    session          TEXT    NOT NULL,
    event            TEXT    NOT NULL,
    last_received_ms INTEGER NOT NULL,
    started          INTEGER NOT NULL,
    over             INTEGER NOT NULL,
    state            BLOB    NOT NULL,
    PRIMARY KEY (viewer, session, event)
) STRICT, WITHOUT ROWID;

-- The audience after a restart, and views that were left in silence before the first frame.
CREATE INDEX session_open ON session (last_received_ms) WHERE over = 0;
CREATE INDEX session_unstarted ON session (event, last_received_ms) WHERE over = 0 AND started = 0;

-- Sums per event and partition, so that partitions never meet in a row; a viewer is in one partition, so distinct
-- viewers add up, too.
CREATE TABLE event_totals (
    event              TEXT    NOT NULL,
    partition          INTEGER NOT NULL,
    views              INTEGER NOT NULL DEFAULT 0,
    watched_ms         INTEGER NOT NULL DEFAULT 0,
    playing_ms         INTEGER NOT NULL DEFAULT 0,
    stalled_ms         INTEGER NOT NULL DEFAULT 0,
    started            INTEGER NOT NULL DEFAULT 0,
    startups           INTEGER NOT NULL DEFAULT 0,
    startup_ms         INTEGER NOT NULL DEFAULT 0,
    start_failures     INTEGER NOT NULL DEFAULT 0,
    exits_before_start INTEGER NOT NULL DEFAULT 0,
    unique_viewers     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (event, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE event_viewer (
    event  TEXT NOT NULL,
    viewer TEXT NOT NULL,
    PRIMARY KEY (event, viewer)
) STRICT, WITHOUT ROWID;

CREATE TABLE event_peak (
    event TEXT    NOT NULL PRIMARY KEY,
    peak  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
