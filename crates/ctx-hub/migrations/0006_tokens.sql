-- A client has several tokens, of which one replaces the other (specs/0018-client-tokens.md), and is
-- remembered by when and from where it last called. What was issued before does not expire.
ALTER TABLE clients RENAME TO clients_before;

CREATE TABLE clients (
    number       INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    project      TEXT    NOT NULL,
    created_at   INTEGER NOT NULL, -- Unix seconds, 0 when unknown
    revoked_at   INTEGER, -- Unix seconds, NULL while none of its tokens was ended
    last_seen_at INTEGER, -- Unix seconds, NULL when it never called
    last_address TEXT -- NULL when not known
) STRICT;

INSERT INTO clients (number, id, project, created_at, revoked_at)
    SELECT number, id, project, created_at, revoked_at FROM clients_before;

CREATE TABLE tokens (
    hash       BLOB    PRIMARY KEY NOT NULL, -- SHA-256
    client     INTEGER NOT NULL REFERENCES clients (number),
    issued_at  INTEGER NOT NULL, -- Unix seconds, 0 when unknown
    expires_at INTEGER, -- Unix seconds, NULL when it does not
    replaces   BLOB    UNIQUE -- the hash of the token before it, NULL for the first one
) STRICT, WITHOUT ROWID;

CREATE INDEX tokens_by_client ON tokens (client);

INSERT INTO tokens (hash, client, issued_at)
    SELECT token_hash, number, created_at FROM clients_before;

DROP TABLE clients_before;

CREATE UNIQUE INDEX clients_one_live_per_project ON clients (project) WHERE revoked_at IS NULL;
