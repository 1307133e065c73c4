-- Live messages that nobody gave an id of their own: the archive's copy finds them by what their sender called the stanza.
CREATE INDEX message_nameless ON message (chat, stanza_id) WHERE origin_id IS NULL AND archive_id IS NULL;
