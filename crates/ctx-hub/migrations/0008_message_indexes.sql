-- Behind the move, so that each is made at once.
DROP TABLE entries_before;

-- Not unique: two ids may share a hash, and an older hub may have stored an id twice.
CREATE INDEX entries_by_id_hash ON entries (id_hash);

-- The sequence is the row id, which every index entry ends with.
CREATE INDEX entries_by_type ON entries (type);
