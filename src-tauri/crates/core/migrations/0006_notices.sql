-- What the person is told of an account's new messages while they do not look.

-- 'text', 'name' for who wrote only, or 'off'.
ALTER TABLE account ADD COLUMN notify TEXT NOT NULL DEFAULT 'text';
