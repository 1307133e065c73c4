-- What is known of each account's archive on the server (XEP-0313).

-- The newest message that stands in the archive and here, with everything before it but the gaps.
CREATE TABLE archive (
    account INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    newest_id TEXT NOT NULL,
    -- When the archive got it.
    newest_at INTEGER NOT NULL,
    -- Where it stands here, for the order of what comes behind it.
    newest_position INTEGER NOT NULL
) STRICT;

-- What the archive holds and we do not. Messages found in a gap stand at positions between low and high.
CREATE TABLE gap (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    -- The message before the gap; NULL for the beginning of the archive.
    after_id TEXT,
    after_at INTEGER,
    low INTEGER NOT NULL,
    -- The message behind the gap; NULL while none is known to be there.
    before_id TEXT,
    high INTEGER NOT NULL,
    CHECK (low < high)
) STRICT;

CREATE INDEX gap_by_account ON gap (account, low);

-- Whether archive ids that come along with messages can be believed (XEP-0359), as the server said last.
ALTER TABLE account ADD COLUMN stanza_ids INTEGER NOT NULL DEFAULT 0;

-- Markers of our other devices name what was received by the stanza's id.
CREATE INDEX message_received_as ON message (chat, stanza_id) WHERE direction = 'in' AND stanza_id IS NOT NULL;
