-- Sessions that nothing is heard of any more, to let them go.
CREATE INDEX session_silent ON session (last_received_ms);
