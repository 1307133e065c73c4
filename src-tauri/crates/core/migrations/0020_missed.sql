-- So many messages were missed while the account was away and are not summed up yet for the person.
CREATE TABLE missed (
    chat INTEGER PRIMARY KEY REFERENCES chat (id) ON DELETE CASCADE,
    messages INTEGER NOT NULL
) STRICT;
