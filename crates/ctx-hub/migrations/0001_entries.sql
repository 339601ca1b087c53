-- The log, its entries, their counts, and the registry. Add migrations; never edit one.

-- One row. The head is kept, not computed, so that no sequence is ever handed out twice.
CREATE TABLE log (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    hub_id     TEXT    NOT NULL,
    head       INTEGER NOT NULL CHECK (head >= 0),
    created_at INTEGER NOT NULL
) STRICT;

-- Content comes last: a column behind a large value is read through its overflow pages.
CREATE TABLE entries (
    sequence     INTEGER PRIMARY KEY CHECK (sequence > 0),
    id_hash      INTEGER NOT NULL, -- first 64 bits of SHA-256 of the id
    id           TEXT    NOT NULL,
    type         INTEGER NOT NULL, -- 1 decision, 2 learning, 3 convention, 4 task
    origin       TEXT    NOT NULL,
    timestamp    INTEGER NOT NULL, -- Unix seconds
    display_name TEXT    NOT NULL,
    host         TEXT    NOT NULL,
    tool         TEXT    NOT NULL,
    via          TEXT    NOT NULL,
    content      TEXT    NOT NULL
) STRICT;

-- Not unique: two ids may share a hash, and an older hub may have stored an id twice.
CREATE INDEX entries_by_id_hash ON entries (id_hash);

-- The sequence is the row id, which every index entry ends with.
CREATE INDEX entries_by_type ON entries (type);

CREATE TABLE counts (
    origin  TEXT    NOT NULL,
    type    INTEGER NOT NULL,
    entries INTEGER NOT NULL CHECK (entries > 0),
    PRIMARY KEY (origin, type)
) STRICT, WITHOUT ROWID;

CREATE TABLE clients (
    number     INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    project    TEXT    NOT NULL,
    token_hash BLOB    NOT NULL UNIQUE, -- SHA-256
    created_at INTEGER NOT NULL, -- Unix seconds, 0 when unknown
    revoked_at INTEGER -- Unix seconds, NULL while the token lives
) STRICT;

CREATE UNIQUE INDEX clients_one_live_per_project ON clients (project) WHERE revoked_at IS NULL;
