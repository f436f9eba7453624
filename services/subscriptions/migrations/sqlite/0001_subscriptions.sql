-- Times are microseconds since 1970 in UTC, ids are made by the service (UUIDv7), money is minor units and an ISO 4217
-- code. Nothing here needs a sequence, a trigger or a type that PostgreSQL and CockroachDB don't have in some spelling.

CREATE TABLE accounts (
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
CREATE TABLE replies (
    rpc         TEXT   NOT NULL,
    caller      TEXT   NOT NULL,
    request_id  TEXT   NOT NULL,
    fingerprint BLOB   NOT NULL,
    answer      BLOB   NOT NULL,
    create_time BIGINT NOT NULL,
    PRIMARY KEY (rpc, caller, request_id)
);
CREATE INDEX replies_by_age ON replies (create_time);

-- One row per session, however often it is refreshed. Only digests of tokens are kept.
CREATE TABLE sessions (
    family      BLOB   PRIMARY KEY,
    secret      BLOB   NOT NULL,
    account     TEXT   NOT NULL REFERENCES accounts (id),
    create_time BIGINT NOT NULL,
    expire_time BIGINT NOT NULL,
    end_time    BIGINT
);
CREATE INDEX sessions_by_expiry ON sessions (expire_time);

-- The keys that access tokens are signed with. The file is readable by its owner alone.
CREATE TABLE signing_keys (
    kid         TEXT   PRIMARY KEY,
    pkcs8       BLOB   NOT NULL,
    create_time BIGINT NOT NULL
);

CREATE TABLE plans (
    id           TEXT   PRIMARY KEY,
    display_name TEXT   NOT NULL,
    minor_units  BIGINT NOT NULL CHECK (minor_units >= 0),
    currency     TEXT   NOT NULL,
    period       TEXT   NOT NULL CHECK (period IN ('month', 'year')),
    -- JSON array of text.
    features     TEXT   NOT NULL,
    tier         BIGINT NOT NULL
);

CREATE TABLE memberships (
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
CREATE INDEX memberships_by_age ON memberships (account, create_time, id);
-- Nobody pays for two at a time.
CREATE UNIQUE INDEX memberships_current ON memberships (account) WHERE state <> 'expired';
CREATE INDEX memberships_due ON memberships (period_end) WHERE state <> 'expired';

CREATE TABLE payments (
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
CREATE INDEX payments_by_age ON payments (account, create_time, id);

-- What is about to be charged, written before the provider is asked.
CREATE TABLE payment_intents (
    id             TEXT   PRIMARY KEY,
    account        TEXT   NOT NULL REFERENCES accounts (id),
    request_id     TEXT   NOT NULL,
    fingerprint    BLOB   NOT NULL,
    plan           TEXT   NOT NULL,
    minor_units    BIGINT NOT NULL,
    currency       TEXT   NOT NULL,
    state          TEXT   NOT NULL CHECK (state IN ('pending', 'succeeded', 'declined')),
    answer         BLOB,
    failure_reason TEXT,
    create_time    BIGINT NOT NULL,
    UNIQUE (account, request_id)
);
-- One charge of an account at a time.
CREATE UNIQUE INDEX payment_intents_pending ON payment_intents (account) WHERE state = 'pending';
CREATE INDEX payment_intents_stale ON payment_intents (create_time) WHERE state = 'pending';

CREATE TABLE follows (
    account     TEXT   NOT NULL REFERENCES accounts (id),
    channel     TEXT   NOT NULL,
    create_time BIGINT NOT NULL,
    PRIMARY KEY (account, channel)
);
CREATE INDEX follows_by_age ON follows (account, create_time, channel);

CREATE TABLE reminders (
    account      TEXT   NOT NULL REFERENCES accounts (id),
    id           TEXT   NOT NULL,
    event        TEXT   NOT NULL,
    lead_seconds BIGINT NOT NULL,
    create_time  BIGINT NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, event, lead_seconds)
);
CREATE INDEX reminders_by_age ON reminders (account, create_time, id);
