-- Whether this database is an older copy of itself is found out by a count that the keychain has too.
CREATE TABLE epoch (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO epoch VALUES (1, 0);

-- This device is to begin anew at its next session, since the database was found to be an older copy.
ALTER TABLE omemo_own ADD COLUMN rolled_back INTEGER NOT NULL DEFAULT 0;
-- The first id of a signed prekey that was given out since it last began anew.
ALTER TABLE omemo_own ADD COLUMN first_signed_prekey INTEGER NOT NULL DEFAULT 0;
