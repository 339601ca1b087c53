-- What each client has stored in its last day (specs/0020-settings-and-limits.md): written with the
-- entries, so that no restart begins a day anew.
CREATE TABLE usage (
    client TEXT    NOT NULL PRIMARY KEY, -- its id
    day    INTEGER NOT NULL,             -- days since 1970 in UTC
    bytes  INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT, WITHOUT ROWID;
