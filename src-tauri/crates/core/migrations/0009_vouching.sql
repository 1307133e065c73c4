-- Who decided about each key, what is decided before a key is seen, and what devices tell each other (XEP-0450).

-- 'itself' at first sight, 'person' on this device, 'device' by the word of a verified one.
ALTER TABLE omemo_trust ADD COLUMN decided TEXT NOT NULL DEFAULT 'itself';
UPDATE omemo_trust SET decided = 'person' WHERE trust IN ('verified', 'untrusted');

-- Decisions about keys that were not seen yet. A key stands here as it was named: in its Curve25519 or its Ed25519 form.
CREATE TABLE omemo_expected (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    key BLOB NOT NULL,
    trust TEXT NOT NULL,
    decided TEXT NOT NULL,
    PRIMARY KEY (account, address, key)
) STRICT, WITHOUT ROWID;

-- What devices say whose own keys are not verified: it counts as soon as they are.
CREATE TABLE omemo_hearsay (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    speaker TEXT NOT NULL,
    speaker_key BLOB NOT NULL,
    address TEXT NOT NULL,
    key BLOB NOT NULL,
    trusted INTEGER NOT NULL,
    PRIMARY KEY (account, speaker, speaker_key, address, key)
) STRICT, WITHOUT ROWID;

-- What verified devices are still to be told.
CREATE TABLE omemo_telling (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    -- Whose devices.
    address TEXT NOT NULL,
    -- Only the one with this key, or all verified ones.
    only_key BLOB,
    -- The <trust-message/>.
    content TEXT NOT NULL
) STRICT;

CREATE INDEX omemo_telling_by_account ON omemo_telling (account, id);
