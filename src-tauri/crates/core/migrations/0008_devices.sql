-- What happened with each device: a session that broke repairs itself by it, and the person is told.

-- When it was first heard of; NULL where that was before this was noted.
ALTER TABLE omemo_device ADD COLUMN first_seen INTEGER;
-- The last of its messages that could not be read: why, and when it came.
ALTER TABLE omemo_device ADD COLUMN failure TEXT;
ALTER TABLE omemo_device ADD COLUMN failure_at INTEGER;
-- When a session of its that broke was last replaced by a new one.
ALTER TABLE omemo_device ADD COLUMN healed_at INTEGER;
ALTER TABLE omemo_device DROP COLUMN failed_at;

-- Bundles that could not be had, or not be used; asked for again after a while.
CREATE TABLE omemo_bundle_fault (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    device INTEGER NOT NULL,
    profile TEXT NOT NULL,
    fault TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account, address, device, profile)
) STRICT, WITHOUT ROWID;

-- What a device is to be sent as soon as the archive has been read: an empty message in the session that there is
-- ('answer'), or in a new one ('heal').
CREATE TABLE omemo_due (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    device INTEGER NOT NULL,
    profile TEXT NOT NULL,
    what TEXT NOT NULL,
    PRIMARY KEY (account, address, device, profile)
) STRICT, WITHOUT ROWID;

-- The generation in which a one-time prekey is offered, so that none is offered twice.
ALTER TABLE omemo_prekey ADD COLUMN profile TEXT NOT NULL DEFAULT 'omemo1';
UPDATE omemo_prekey SET profile = 'omemo2' WHERE id % 2 = 0;
-- It was used, and is kept until the archive has been read: another message in there may need it.
ALTER TABLE omemo_prekey ADD COLUMN consumed_at INTEGER;

-- When others could first encrypt to this device: what was written before cannot be for it.
ALTER TABLE omemo_own ADD COLUMN listed_at INTEGER;
UPDATE omemo_own SET listed_at =
    (SELECT 1000 * min(made_at) FROM omemo_signed_prekey key WHERE key.account = omemo_own.account);
-- Why this device began anew, 'copied' or 'restored', until the person has seen it.
ALTER TABLE omemo_own ADD COLUMN renewed TEXT;
ALTER TABLE omemo_own ADD COLUMN renewed_at INTEGER;

-- The session that this message broke with has been replaced.
ALTER TABLE message ADD COLUMN repaired INTEGER NOT NULL DEFAULT 0;
