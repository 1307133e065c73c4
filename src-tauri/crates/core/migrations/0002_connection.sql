-- How an account connects, and the session that goes on after the program was ended in its midst.

ALTER TABLE account ADD COLUMN proxy_kind TEXT;
ALTER TABLE account ADD COLUMN proxy_host TEXT;
ALTER TABLE account ADD COLUMN proxy_port INTEGER;
ALTER TABLE account ADD COLUMN proxy_user TEXT;
ALTER TABLE account ADD COLUMN proxy_password TEXT;
-- SHA-256 of the certificate that the person accepted.
ALTER TABLE account ADD COLUMN accepted_certificate BLOB;
-- Certificate authorities of its own, in PEM.
ALTER TABLE account ADD COLUMN authorities TEXT;
-- The password itself may be sent, inside TLS.
ALTER TABLE account ADD COLUMN plain_allowed INTEGER NOT NULL DEFAULT 0;
-- The server has taken this password before, so a refusal may be its own trouble.
ALTER TABLE account ADD COLUMN password_proven INTEGER NOT NULL DEFAULT 0;
-- Names this installation of this account (XEP-0388); a UUID, made when first needed.
ALTER TABLE account ADD COLUMN user_agent TEXT;
-- Where the server was found, and when it was found there first.
ALTER TABLE account ADD COLUMN target_host TEXT;
ALTER TABLE account ADD COLUMN target_port INTEGER;
ALTER TABLE account ADD COLUMN target_tls TEXT;
ALTER TABLE account ADD COLUMN target_since INTEGER;

-- Whoever signed in with the password itself so far goes on doing so.
UPDATE account SET plain_allowed = 1 WHERE strongest_mechanism = 'PLAIN';
UPDATE account SET password_proven = 1 WHERE strongest_mechanism IS NOT NULL;

-- What stands for the password on later logins (XEP-0484).
CREATE TABLE token (
    account INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    mechanism TEXT NOT NULL,
    secret TEXT NOT NULL,
    -- Unix seconds.
    expiry INTEGER
) STRICT;

-- The stream-managed session (XEP-0198). Its counts change in the transaction that stores what they count.
CREATE TABLE session (
    account INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    location TEXT,
    bound TEXT NOT NULL,
    -- The number that the server's count 0 stands for.
    base INTEGER NOT NULL,
    -- Of the server's stanzas, modulo 2^32.
    handled INTEGER NOT NULL
) STRICT;

-- What was sent in the session beside the outbox and is not acknowledged.
CREATE TABLE session_stanza (
    account INTEGER NOT NULL REFERENCES session (account) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    stanza BLOB NOT NULL,
    PRIMARY KEY (account, number)
) STRICT, WITHOUT ROWID;

-- What contacts' devices show in the session; the server does not say it again when the session goes on.
CREATE TABLE session_presence (
    account INTEGER NOT NULL REFERENCES session (account) ON DELETE CASCADE,
    address TEXT NOT NULL,
    resource TEXT NOT NULL,
    show TEXT NOT NULL,
    status TEXT,
    priority INTEGER NOT NULL,
    PRIMARY KEY (account, address, resource)
) STRICT, WITHOUT ROWID;

-- The row's number in the session; NULL as long as it was not sent there.
ALTER TABLE outbox ADD COLUMN number INTEGER;
