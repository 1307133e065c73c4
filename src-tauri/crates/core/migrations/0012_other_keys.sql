-- Another identity key than the pinned one that a device showed last, in a message or in what it publishes, and when.
ALTER TABLE omemo_device ADD COLUMN other_identity BLOB;
ALTER TABLE omemo_device ADD COLUMN other_at INTEGER;

-- The name of a session that this installation gave up when the server ended it with a conflict, and when that was. Whoever
-- bears it later uses a copy of this profile.
ALTER TABLE omemo_own ADD COLUMN former_resource TEXT;
ALTER TABLE omemo_own ADD COLUMN former_at INTEGER;
