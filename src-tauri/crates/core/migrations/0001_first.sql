-- Times are Unix milliseconds unless a column says otherwise.

CREATE TABLE account (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    address TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1,
    -- Random and made once, so that it says nothing about the machine.
    resource TEXT NOT NULL,
    host TEXT,
    port INTEGER,
    tls TEXT,
    show TEXT NOT NULL DEFAULT 'available',
    status TEXT,
    color INTEGER NOT NULL,
    -- The strongest login mechanism the server ever offered.
    strongest_mechanism TEXT
) STRICT;

CREATE TABLE contact (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    name TEXT,
    subscription TEXT NOT NULL,
    asked INTEGER NOT NULL DEFAULT 0,
    -- A JSON array of names.
    groups TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (account, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE contact_request (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (account, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE chat (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    -- 'omemo' once encrypted or chosen, 'none' if chosen, NULL while neither.
    mode TEXT,
    unread INTEGER NOT NULL DEFAULT 0,
    read_up_to INTEGER,
    last_message INTEGER,
    -- Position of the last message, or the time the chat was opened, in microseconds: the order of the list.
    last_position INTEGER NOT NULL,
    UNIQUE (account, address)
) STRICT;

CREATE INDEX chat_by_position ON chat (last_position DESC);

CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chat INTEGER NOT NULL REFERENCES chat (id) ON DELETE CASCADE,
    -- Order within the chat, in microseconds since 1970 and never the same twice.
    position INTEGER NOT NULL,
    sender TEXT NOT NULL,
    direction TEXT NOT NULL,
    body TEXT,
    sent_at INTEGER NOT NULL,
    delivery TEXT NOT NULL,
    encryption TEXT NOT NULL,
    trust TEXT,
    device INTEGER,
    unprotected INTEGER NOT NULL DEFAULT 0,
    undecryptable TEXT,
    error_code TEXT,
    error_text TEXT,
    -- The id attribute of the stanza, which receipts and errors refer to.
    stanza_id TEXT,
    origin_id TEXT,
    archive_id TEXT
) STRICT;

CREATE UNIQUE INDEX message_by_position ON message (chat, position);
CREATE UNIQUE INDEX message_by_origin ON message (chat, sender, origin_id) WHERE origin_id IS NOT NULL;
CREATE UNIQUE INDEX message_by_archive ON message (chat, archive_id) WHERE archive_id IS NOT NULL;
CREATE INDEX message_by_stanza ON message (chat, stanza_id) WHERE direction = 'out';

CREATE VIRTUAL TABLE message_words USING fts5 (
    body, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);

-- What is to be sent and not yet confirmed, oldest first.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    -- NULL for a stanza that no message row stands behind, such as an empty OMEMO message.
    message INTEGER UNIQUE REFERENCES message (id) ON DELETE CASCADE,
    -- 'must': encrypted or not at all; 'may': encrypted if they can read it; 'none': plain, as chosen.
    encrypt TEXT NOT NULL,
    -- The ready stanza, sent and sent again byte for byte; NULL until it is made.
    stanza BLOB,
    CHECK (message IS NOT NULL OR stanza IS NOT NULL)
) STRICT;

CREATE INDEX outbox_by_account ON outbox (account, id);

-- Our own device in OMEMO, one for each account.
CREATE TABLE omemo_own (
    account INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    device INTEGER NOT NULL,
    identity BLOB NOT NULL,
    -- Ids are never used twice.
    next_prekey INTEGER NOT NULL,
    next_signed_prekey INTEGER NOT NULL
) STRICT;

CREATE TABLE omemo_prekey (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    id INTEGER NOT NULL,
    key BLOB NOT NULL,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE omemo_signed_prekey (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    id INTEGER NOT NULL,
    key BLOB NOT NULL,
    -- Unix seconds.
    made_at INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

-- Whose device list was read, and when.
CREATE TABLE omemo_list (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    profile TEXT NOT NULL,
    read_at INTEGER NOT NULL,
    PRIMARY KEY (account, address, profile)
) STRICT, WITHOUT ROWID;

CREATE TABLE omemo_device (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    device INTEGER NOT NULL,
    -- On the newest list of that namespace.
    omemo1 INTEGER NOT NULL DEFAULT 0,
    omemo2 INTEGER NOT NULL DEFAULT 0,
    -- Pinned at first sight; never overwritten.
    identity BLOB,
    label TEXT,
    label_signature TEXT,
    last_seen INTEGER,
    -- When its bundle could not be had; asked for again after a while.
    failed_at INTEGER,
    PRIMARY KEY (account, address, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE omemo_trust (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    identity BLOB NOT NULL,
    trust TEXT NOT NULL,
    PRIMARY KEY (account, address, identity)
) STRICT, WITHOUT ROWID;

CREATE TABLE omemo_session (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    device INTEGER NOT NULL,
    profile TEXT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (account, address, device, profile)
) STRICT, WITHOUT ROWID;
