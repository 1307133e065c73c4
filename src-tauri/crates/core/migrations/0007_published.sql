-- The keys of our bundles that the server took, so that they are not sent again with every session.
CREATE TABLE omemo_published (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    profile TEXT NOT NULL,
    -- The ids of the keys in it.
    keys TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account, profile)
) STRICT, WITHOUT ROWID;
