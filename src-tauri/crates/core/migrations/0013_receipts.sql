-- Receipts stand in the outbox like all else that is said to somebody, so they outlive the session in which they are sent.
INSERT INTO outbox (account, encrypt, stanza, number)
    SELECT account, 'none', stanza, number FROM session_stanza ORDER BY account, number;
DROP TABLE session_stanza;

-- Receipts (XEP-0184) for what the archive told of. They are sent when it has been read, unless another device of ours
-- has given them.
CREATE TABLE receipt_due (
    chat INTEGER NOT NULL REFERENCES chat (id) ON DELETE CASCADE,
    -- The id that the receipt names, and the full address that it goes to.
    stanza_id TEXT NOT NULL,
    recipient TEXT NOT NULL,
    PRIMARY KEY (chat, stanza_id)
) STRICT, WITHOUT ROWID;
