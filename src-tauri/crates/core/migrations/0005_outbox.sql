-- Messages that come back with an error that passes go out again later; and of what was sent without an answer the
-- archive can tell, from a place on that was known before it was sent.

-- How often it came back.
ALTER TABLE message ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;
-- Not sent before this.
ALTER TABLE outbox ADD COLUMN not_before INTEGER;
-- What was the newest known of the archive when the stanza was made: the server's copy stands behind it.
ALTER TABLE outbox ADD COLUMN after_id TEXT;
ALTER TABLE outbox ADD COLUMN after_at INTEGER;
ALTER TABLE outbox ADD COLUMN after_position INTEGER;
