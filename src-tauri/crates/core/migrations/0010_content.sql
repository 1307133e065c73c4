-- What a message is encrypted with that we do not speak (XEP-0380), by name.
ALTER TABLE message ADD COLUMN method TEXT;
