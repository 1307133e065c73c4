-- What came plain behind the first encrypted message of a chat is marked, in whatever order they came here. Where that stood
-- when it was looked at last: what is behind that is marked already.
ALTER TABLE chat ADD COLUMN first_encrypted INTEGER;
CREATE INDEX message_encrypted ON message (chat, position) WHERE encryption <> 'none' OR undecryptable = 'malformed';
UPDATE chat SET first_encrypted = (SELECT position FROM message
    WHERE message.chat = chat.id AND (encryption <> 'none' OR undecryptable = 'malformed') ORDER BY position LIMIT 1);
DROP INDEX message_unmarked;
