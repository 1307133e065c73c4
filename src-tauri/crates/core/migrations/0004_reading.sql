-- How far the person has read, on this device and on others, and who may learn of it.

-- Whether receipts (XEP-0184) and markers for what was read (XEP-0333) are sent.
ALTER TABLE account ADD COLUMN send_receipts INTEGER NOT NULL DEFAULT 1;
ALTER TABLE account ADD COLUMN send_markers INTEGER NOT NULL DEFAULT 1;

-- What is chosen for one person instead: 'as_account', 'on' or 'off'. It outlives the roster's entry.
CREATE TABLE sharing (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    receipts TEXT NOT NULL DEFAULT 'as_account',
    markers TEXT NOT NULL DEFAULT 'as_account',
    PRIMARY KEY (account, address)
) STRICT, WITHOUT ROWID;

-- Its sender wants to know when it has been read, and it has an id to say so with.
ALTER TABLE message ADD COLUMN markable INTEGER NOT NULL DEFAULT 0;

-- Positions: up to where the person has read on this device, up to where the other side knows that or shall not know
-- it, and up to where our other devices know it.
ALTER TABLE chat ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chat ADD COLUMN marked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chat ADD COLUMN synced INTEGER NOT NULL DEFAULT 0;

CREATE INDEX chat_to_mark ON chat (account) WHERE seen > marked;
CREATE INDEX chat_to_sync ON chat (account) WHERE seen > synced;

-- What another device has read up to (XEP-0490) while that message is not here yet.
CREATE TABLE displayed (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    archive_id TEXT NOT NULL,
    PRIMARY KEY (account, address)
) STRICT, WITHOUT ROWID;

-- The message that a stanza in the outbox says was read.
ALTER TABLE outbox ADD COLUMN marks INTEGER REFERENCES message (id) ON DELETE CASCADE;
CREATE INDEX outbox_by_marks ON outbox (marks) WHERE marks IS NOT NULL;
