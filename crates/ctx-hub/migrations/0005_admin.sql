-- What is kept of the admin token, and the invitations (specs/0017-admin-token-and-invitations.md).

-- One row, or none before the first token.
CREATE TABLE admin (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    token_hash BLOB    NOT NULL CHECK (length(token_hash) = 32), -- SHA-256
    created_at INTEGER NOT NULL -- Unix seconds
) STRICT;

CREATE TABLE invitations (
    number     INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE, -- names it to operators, and proves nothing
    token_hash BLOB    NOT NULL UNIQUE CHECK (length(token_hash) = 32), -- SHA-256
    project    TEXT    NOT NULL,
    uses       INTEGER NOT NULL CHECK (uses > 0), -- how often it may be used
    used       INTEGER NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND uses),
    created_at INTEGER NOT NULL, -- Unix seconds
    expires_at INTEGER NOT NULL, -- Unix seconds; from then on it is worth nothing
    ended_at   INTEGER -- Unix seconds, NULL unless an operator or a revocation ended it
) STRICT;

-- A revocation ends the invitations of its project.
CREATE INDEX invitations_by_project ON invitations (project);
