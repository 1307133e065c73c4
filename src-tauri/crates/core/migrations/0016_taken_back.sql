-- The device of the same person that took the trust in this key back (XEP-0450), until the person has decided about that.
ALTER TABLE omemo_trust ADD COLUMN taken_back_by INTEGER;
CREATE INDEX omemo_trust_taken_back ON omemo_trust (account, address) WHERE taken_back_by IS NOT NULL;
