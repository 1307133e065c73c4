-- Whether this database is an older copy of itself is found out by a count that the keychain has too.
CREATE TABLE epoch (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,
    -- What the count is called in the keychain; empty until it has one. Copies that parted have different ones.
    name TEXT NOT NULL DEFAULT '',
    -- The folder of the profile when it was last opened.
    folder TEXT NOT NULL DEFAULT ''
) STRICT;
INSERT INTO epoch (one, epoch) VALUES (1, 0);

-- Whom it could not be told just now is told from this time on.
ALTER TABLE omemo_telling ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;

-- Why this device is to begin anew at its next session, 'copied' or 'restored'.
ALTER TABLE omemo_own ADD COLUMN renewal TEXT;
-- The first id of a signed prekey that was given out since it last began anew.
ALTER TABLE omemo_own ADD COLUMN first_signed_prekey INTEGER NOT NULL DEFAULT 0;
