-- What a message is encrypted with that we do not speak (XEP-0380), by name.
ALTER TABLE message ADD COLUMN method TEXT;

-- Encrypted files that messages tell of (XEP-0454, XEP-0448).
CREATE TABLE file (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    message INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    -- The order within the message.
    place INTEGER NOT NULL,
    -- Made harmless before it is stored.
    name TEXT NOT NULL,
    media_type TEXT,
    -- Opening it may run something, by its name.
    program INTEGER NOT NULL,
    -- In bytes: as told, or as found out.
    size INTEGER,
    -- As told by the sender; the file is held to it.
    told_size INTEGER,
    -- 'offered', 'ready' or 'failed'; what is under way is known only while it lasts.
    state TEXT NOT NULL,
    failure TEXT,
    -- Whom fetching it asks, as the person reads it.
    host TEXT,
    -- A JSON array of URLs.
    sources TEXT NOT NULL,
    -- What opens it; NULL if nothing does.
    cipher TEXT,
    key BLOB,
    iv BLOB,
    -- A JSON array of pairs: algorithm, hexadecimal digits.
    hashes TEXT NOT NULL,
    -- Its name in the folder of files, where it lies as it came, encrypted.
    stored TEXT UNIQUE,
    -- The type of the picture that it is, and its size in pixels.
    picture TEXT,
    width INTEGER,
    height INTEGER,
    UNIQUE (message, place)
) STRICT;
