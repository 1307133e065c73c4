-- Most senders give a stanza the same id as its origin id, by which it is found anyhow: an index holds only the others.
DROP INDEX message_by_stanza;
DROP INDEX message_received_as;
DROP INDEX message_nameless;
CREATE INDEX message_by_other_stanza ON message (chat, stanza_id) WHERE stanza_id IS NOT origin_id;
