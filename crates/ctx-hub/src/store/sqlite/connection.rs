//! How the database is opened.

use std::time::Duration;

use camino::Utf8Path;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// How long a connection waits for another one. Within a hub only a checkpoint and the writer can
/// meet; beyond it, somebody may be looking into the file.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 32;

/// What stays of the write-ahead log's file, in bytes, when it is started over after one large
/// transaction made it longer.
pub(super) const LOG_KEPT_BYTES: i64 = 16_777_216;

/// A connection that writes durably: what was committed is on disk.
pub(super) fn writer(path: &Utf8Path) -> rusqlite::Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // The log is moved into the database when `wal` says so, not within somebody's commit.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_KEPT_BYTES, |_| Ok(()))?;
    Ok(connection)
}

/// A connection that cannot write.
pub(super) fn reader(path: &Utf8Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// A connection to a database that nobody else sees yet: as fast as can be, and not durable.
pub(super) fn builder(path: &Utf8Path) -> rusqlite::Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update_and_check(None, "journal_mode", "memory", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "off")?;
    Ok(connection)
}

/// Opens the file, which has to exist. Each connection stays with one thread at a time, so the
/// engine need not lock it.
fn open(path: &Utf8Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path.as_std_path(), flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // A statement is planned once. Otherwise the engine plans some anew whenever another value is
    // bound, a fifth of the instructions of a publish; it has no statistics here to tell values apart by.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}
