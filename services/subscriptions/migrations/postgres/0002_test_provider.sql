-- The books of the built-in test payment provider. They stand for what a real provider keeps on its side, so nothing
-- but the provider reads them, and they are never in one transaction with anything else.
CREATE TABLE IF NOT EXISTS test_charges (
    idempotency_key TEXT   PRIMARY KEY,
    minor_units     BIGINT NOT NULL,
    currency        TEXT   NOT NULL,
    attempts        BIGINT NOT NULL,
    state           TEXT   NOT NULL CHECK (state IN ('refused_once', 'succeeded', 'declined', 'cancelled'))
);
