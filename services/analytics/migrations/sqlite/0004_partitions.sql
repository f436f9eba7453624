-- Whose a session is, and how far a partition is in time: who was there when beacons arrived that are still to be folded.
ALTER TABLE session ADD COLUMN partition INTEGER NOT NULL DEFAULT 0;
ALTER TABLE partition_progress ADD COLUMN received_ms INTEGER;
DROP INDEX session_open;
