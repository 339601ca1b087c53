-- How many transactions were committed: what a file beside the database is compared with, to see
-- that none was lost with the write-ahead log.
ALTER TABLE log ADD COLUMN commits INTEGER NOT NULL DEFAULT 0;
