-- What came plain and is not marked: it is, if the chat turns out to have been encrypted before that.
CREATE INDEX message_unmarked ON message (chat, sent_at)
    WHERE direction = 'in' AND encryption = 'none' AND unprotected = 0 AND undecryptable IS NULL;
