-- Messages that came before others that they build on: they are opened when those have been read.
CREATE TABLE too_early (
    message INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    stanza TEXT NOT NULL
) STRICT;
