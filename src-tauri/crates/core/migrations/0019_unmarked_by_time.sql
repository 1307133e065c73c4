-- What came plain and is not marked, in the order it was sent: whatever the archive gives is added at one end, not in a
-- place of each chat's own.
DROP INDEX message_unmarked;
CREATE INDEX message_unmarked ON message (sent_at, chat)
    WHERE direction = 'in' AND encryption = 'none' AND unprotected = 0 AND undecryptable IS NULL;
