-- When a device last wrote to us that is on no list of its owner's; NULL once it is on one.
ALTER TABLE omemo_device ADD COLUMN wrote_unlisted INTEGER;

-- Device lists that their owner's server does not give us, as it said when it was asked last.
CREATE TABLE omemo_list_fault (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    profile TEXT NOT NULL,
    fault TEXT NOT NULL,
    PRIMARY KEY (account, address, profile)
) STRICT, WITHOUT ROWID;

-- The sign of an identity key's Ed25519 form, which the stored Curve25519 form leaves out; 0 also while only that was seen.
ALTER TABLE omemo_device ADD COLUMN sign INTEGER NOT NULL DEFAULT 0;
ALTER TABLE omemo_trust ADD COLUMN sign INTEGER NOT NULL DEFAULT 0;

-- Since when a chat is encrypted, by its earliest encrypted message or by the person's word: what is plain and older is no
-- sign of anything.
ALTER TABLE chat ADD COLUMN latched_at INTEGER;
UPDATE chat SET latched_at = coalesce((SELECT min(sent_at) FROM message
    WHERE message.chat = chat.id AND message.encryption <> 'none'), 0) WHERE mode = 'omemo';
