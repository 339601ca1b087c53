-- The rolling hash of the log (specs/0010-log-identity.md). What stands here stays empty only until
-- the same transaction has computed it for the entries that there are.

ALTER TABLE entries ADD COLUMN chain BLOB NOT NULL DEFAULT x'';

-- The hash at the last entry, or the first one of an empty log.
ALTER TABLE log ADD COLUMN chain BLOB NOT NULL DEFAULT x'';
