-- Times are microseconds since 1970 in UTC, ids are made by the service (UUIDv7), money is minor units and an ISO 4217
-- code. PostgreSQL and CockroachDB both take this. Every statement may be run again, and by several processes at once:
-- that is how migrations are made safe without locks that CockroachDB lacks (docs/adr/0009-postgresql.md).

CREATE TABLE IF NOT EXISTS accounts (
    id            TEXT   PRIMARY KEY,
    email         TEXT   NOT NULL,
    -- The address in lower case: what makes it unique.
    email_key     TEXT   NOT NULL UNIQUE,
    -- PHC string, argon2id.
    password_hash TEXT   NOT NULL,
    display_name  TEXT   NOT NULL,
    country       TEXT,
    birth_date    TEXT,
    gender        TEXT,
    role          TEXT   NOT NULL CHECK (role IN ('viewer', 'admin')),
    create_time   BIGINT NOT NULL,
    version       BIGINT NOT NULL
);

-- First answers, for replays of a request id.
CREATE TABLE IF NOT EXISTS replies (
    rpc         TEXT   NOT NULL,
    caller      TEXT   NOT NULL,
    request_id  TEXT   NOT NULL,
    fingerprint BYTEA  NOT NULL,
    answer      BYTEA  NOT NULL,
    create_time BIGINT NOT NULL,
    PRIMARY KEY (rpc, caller, request_id)
);
CREATE INDEX IF NOT EXISTS replies_by_age ON replies (create_time);

-- One row per session, however often it is refreshed. Only digests of tokens are kept.
CREATE TABLE IF NOT EXISTS sessions (
    family      BYTEA  PRIMARY KEY,
    secret      BYTEA  NOT NULL,
    account     TEXT   NOT NULL REFERENCES accounts (id),
    create_time BIGINT NOT NULL,
    expire_time BIGINT NOT NULL,
    end_time    BIGINT
);
CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expire_time);

-- The keys that access tokens are signed with: whoever may read this table may sign.
CREATE TABLE IF NOT EXISTS signing_keys (
    kid         TEXT   PRIMARY KEY,
    pkcs8       BYTEA  NOT NULL,
    create_time BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS plans (
    id           TEXT   PRIMARY KEY,
    display_name TEXT   NOT NULL,
    minor_units  BIGINT NOT NULL CHECK (minor_units >= 0),
    currency     TEXT   NOT NULL,
    period       TEXT   NOT NULL CHECK (period IN ('month', 'year')),
    -- JSON array of text.
    features     TEXT   NOT NULL,
    tier         BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS memberships (
    account      TEXT   NOT NULL REFERENCES accounts (id),
    id           TEXT   NOT NULL,
    plan         TEXT   NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('active', 'cancelled', 'expired')),
    period_start BIGINT NOT NULL,
    period_end   BIGINT NOT NULL,
    create_time  BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE INDEX IF NOT EXISTS memberships_by_age ON memberships (account, create_time, id);
-- Nobody pays for two at a time.
CREATE UNIQUE INDEX IF NOT EXISTS memberships_current ON memberships (account) WHERE state <> 'expired';
CREATE INDEX IF NOT EXISTS memberships_due ON memberships (period_end) WHERE state <> 'expired';

CREATE TABLE IF NOT EXISTS payments (
    account        TEXT   NOT NULL REFERENCES accounts (id),
    id             TEXT   NOT NULL,
    membership     TEXT,
    minor_units    BIGINT NOT NULL,
    currency       TEXT   NOT NULL,
    -- Exactly one of the two is there: the provider's reference when the money was taken, or why it was not.
    reference      TEXT,
    failure_reason TEXT,
    method         TEXT   NOT NULL,
    create_time    BIGINT NOT NULL,
    PRIMARY KEY (account, id),
    CHECK ((reference IS NULL) <> (failure_reason IS NULL))
);
CREATE INDEX IF NOT EXISTS payments_by_age ON payments (account, create_time, id);

-- What is about to be charged, written before the provider is asked.
CREATE TABLE IF NOT EXISTS payment_intents (
    id             TEXT   PRIMARY KEY,
    account        TEXT   NOT NULL REFERENCES accounts (id),
    request_id     TEXT   NOT NULL,
    fingerprint    BYTEA  NOT NULL,
    plan           TEXT   NOT NULL,
    minor_units    BIGINT NOT NULL,
    currency       TEXT   NOT NULL,
    state          TEXT   NOT NULL CHECK (state IN ('pending', 'succeeded', 'declined')),
    answer         BYTEA,
    failure_reason TEXT,
    create_time    BIGINT NOT NULL,
    UNIQUE (account, request_id)
);
-- One charge of an account at a time.
CREATE UNIQUE INDEX IF NOT EXISTS payment_intents_pending ON payment_intents (account) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS payment_intents_stale ON payment_intents (create_time) WHERE state = 'pending';

CREATE TABLE IF NOT EXISTS follows (
    account     TEXT   NOT NULL REFERENCES accounts (id),
    channel     TEXT   NOT NULL,
    create_time BIGINT NOT NULL,
    PRIMARY KEY (account, channel)
);
CREATE INDEX IF NOT EXISTS follows_by_age ON follows (account, create_time, channel);

CREATE TABLE IF NOT EXISTS reminders (
    account      TEXT   NOT NULL REFERENCES accounts (id),
    id           TEXT   NOT NULL,
    event        TEXT   NOT NULL,
    lead_seconds BIGINT NOT NULL,
    create_time  BIGINT NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, event, lead_seconds)
);
CREATE INDEX IF NOT EXISTS reminders_by_age ON reminders (account, create_time, id);

-- What was committed and is not on the bus yet.
CREATE TABLE IF NOT EXISTS outbox (
    -- The id of the message.
    id      TEXT   PRIMARY KEY,
    -- Grows with the commits of one key; see outbox_clocks.
    place   BIGINT NOT NULL,
    topic   TEXT   NOT NULL,
    message BYTEA  NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_by_place ON outbox (place, id);

-- The place of the last message whose key falls into the slot. Whoever adds a message writes the row of its key's slot, so
-- that transactions on one key follow each other; a number of slots rather than a row per key, so that nothing grows.
CREATE TABLE IF NOT EXISTS outbox_clocks (
    slot  BIGINT PRIMARY KEY,
    place BIGINT NOT NULL
);

-- Who publishes, until when by the server's clock.
CREATE TABLE IF NOT EXISTS leases (
    name        TEXT   PRIMARY KEY,
    holder      TEXT   NOT NULL,
    expire_time BIGINT NOT NULL
);

-- Attempts to sign in: when the allowance of a pair of addresses (a digest of both) is whole again.
CREATE TABLE IF NOT EXISTS login_attempts (
    guesser BYTEA  PRIMARY KEY,
    full_at BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS login_attempts_by_age ON login_attempts (full_at);
