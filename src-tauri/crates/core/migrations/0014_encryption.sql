-- When a device last wrote to us that is on no list of its owner's; NULL once it is on one.
ALTER TABLE omemo_device ADD COLUMN wrote_unlisted INTEGER;

-- The sign of an identity key's Ed25519 form, which the stored Curve25519 form leaves out; 0 also while only that was seen.
ALTER TABLE omemo_device ADD COLUMN sign INTEGER NOT NULL DEFAULT 0;
ALTER TABLE omemo_trust ADD COLUMN sign INTEGER NOT NULL DEFAULT 0;
