-- Most senders give a stanza the same id as its origin id, by which it is found anyhow: an index holds only the others.
DROP INDEX message_by_stanza;
DROP INDEX message_received_as;
CREATE INDEX message_by_other_stanza ON message (chat, stanza_id, direction) WHERE stanza_id IS NOT origin_id;

-- Whether we ever wrote in a chat.
CREATE INDEX message_written ON message (chat) WHERE direction = 'out';
