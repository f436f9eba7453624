-- Places at pay-per-view events; one per account and event. `payment_intents.plan` holds what is bought: a plan's id, or an
-- event's resource name, which no plan's id can be, since it has a '/'.
CREATE TABLE tickets (
    account     TEXT   NOT NULL REFERENCES accounts (id),
    id          TEXT   NOT NULL,
    event       TEXT   NOT NULL,
    payment     TEXT   NOT NULL,
    create_time BIGINT NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, event)
);
CREATE INDEX tickets_by_age ON tickets (account, create_time, id);
