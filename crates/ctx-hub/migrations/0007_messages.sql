-- An entry is kept as its message, as it goes over the wire (specs/0029-stored-messages.md), with what
-- is searched for beside it. What there was before is moved, row by row, in the same transaction.
ALTER TABLE entries RENAME TO entries_before;

DROP INDEX entries_by_id_hash;
DROP INDEX entries_by_type;

-- The message comes last: a column behind a large value is read through its overflow pages.
CREATE TABLE entries (
    sequence INTEGER PRIMARY KEY CHECK (sequence > 0),
    id_hash  INTEGER NOT NULL, -- first 64 bits of SHA-256 of the id
    type     INTEGER NOT NULL, -- 1 decision, 2 learning, 3 convention, 4 task
    chain    BLOB    NOT NULL, -- the rolling hash of the log at the entry
    message  TEXT    NOT NULL  -- `EntryMsg` of `hub.proto`, as JSON
) STRICT;
